from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest
from attrs import evolve

from hean.core.drawing import svg
from hean.core.machines import MACHINES, POSITION
from hean.core.picture import Folded, Machine, Moved, fold

NAMESPACE = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module", params=list(MACHINES.values()), ids=list(MACHINES))
def drawn(request: pytest.FixtureRequest) -> tuple[Machine, Folded, str]:
    """A machine, its fold and its picture, drawn once: routing takes a while."""
    folded = fold(request.param)
    return request.param, folded, svg(folded)


def texts(document: str) -> list[str]:
    return ["".join(text.itertext()) for text in ET.fromstring(document).iter(f"{NAMESPACE}text")]


def rects(document: str) -> list[dict[str, str]]:
    return [rect.attrib for rect in ET.fromstring(document).iter(f"{NAMESPACE}rect")]


def test_every_state_and_label_is_on_the_page(drawn: tuple[Machine, Folded, str]):
    machine, folded, document = drawn
    words = texts(document)
    assert set(machine.table.states) <= set(words)
    assert {line for arrow in folded.arrows for line in arrow.label} <= set(words)
    assert {fact for note in folded.notes for fact, _ in note.causes} <= {word.split(":")[0] for word in words}
    assert {group.title for group in machine.groups} <= set(words)
    width, height = (float(ET.fromstring(document).attrib[name]) for name in ("width", "height"))
    assert [] == [
        rect
        for rect in rects(document)
        if float(rect.get("x", 0)) < 0
        or float(rect.get("y", 0)) < 0
        or float(rect.get("x", 0)) + float(rect["width"]) > width
        or float(rect.get("y", 0)) + float(rect["height"]) > height
    ]


def test_no_label_covers_a_state_or_another_label(drawn: tuple[Machine, Folded, str]):
    boxes = [
        tuple(float(rect[name]) for name in ("x", "y", "width", "height"))
        for rect in rects(drawn[2])
        if rect["fill"] not in ("#f6f8fa", "#ffffff") or "fill-opacity" in rect
    ]
    overlaps = [
        (one, other)
        for n, one in enumerate(boxes)
        for other in boxes[n + 1 :]
        if one[0] < other[0] + other[2]
        and other[0] < one[0] + one[2]
        and one[1] < other[1] + other[3]
        and other[1] < one[1] + one[3]
    ]
    assert [] == overlaps


def test_the_same_machine_gives_the_same_document():
    assert svg(fold(POSITION)) == svg(fold(POSITION))


def test_kinds_of_arrows_are_told_apart_by_colour_and_dash():
    mixed = evolve(POSITION, happy=(("FLAT", "LONG"),))
    strokes = {
        (path.get("stroke"), path.get("stroke-dasharray"))
        for path in ET.fromstring(svg(fold(mixed))).iter(f"{NAMESPACE}path")
        if path.get("stroke")
    }
    assert {("#1a7f37", None), ("#57606a", None), ("#bc6c00", "5 3")} == strokes


def test_a_path_is_highlighted_and_written_out():
    path = [
        Moved(before="FLAT", fact="bought", after="LONG"),
        Moved(before="LONG", fact="sold", after="SHORT"),
    ]
    document = svg(fold(POSITION, path))
    assert "1. bought: LONG  ·  2. sold: SHORT" in texts(document)
    assert 3 == sum(rect["fill"] == "#cfe4ff" for rect in rects(document))
    # Four arrows and four labels that the path did not take stand back.
    assert 8 == sum("opacity" in group.attrib for group in ET.fromstring(document).iter(f"{NAMESPACE}g"))


def test_a_long_path_is_broken_over_lines():
    there = Moved(before="FLAT", fact="bought", after="LONG")
    back = Moved(before="LONG", fact="sold", after="FLAT")
    lines = [text for text in texts(svg(fold(POSITION, [there, back] * 6))) if "bought: LONG" in text]
    assert 2 <= len(lines)
    assert all(len(line) < 140 for line in lines)


def test_a_machine_with_a_state_that_has_no_place_is_refused():
    with pytest.raises(KeyError, match="SHORT"):
        svg(fold(evolve(POSITION, places={"FLAT": (100, 100), "LONG": (200, 200)})))


def test_text_is_escaped():
    assert "Bid < ask & back" in texts(svg(fold(evolve(POSITION, title="Bid < ask & back"))))
