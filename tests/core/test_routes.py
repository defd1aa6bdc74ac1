from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hean.core.routes import Box, Point, Scene, Wish, routes

PAGE = Box(0, 0, 600, 500)


def box(x: float, y: float, width: float = 90, height: float = 34) -> Box:
    return Box.around(Point(x, y), width, height)


def wish(source: str, target: str, width: float = 60, height: float = 16) -> Wish:
    return Wish(source=source, target=target, width=width, height=height)


def on_border(of: Box, point: Point) -> bool:
    return of.holds(point) and (point.x in (of.left, of.right) or point.y in (of.top, of.bottom))


def test_a_route_runs_from_border_to_border():
    boxes = {"a": box(100, 100), "b": box(400, 300)}
    [route] = routes(Scene(page=PAGE, boxes=boxes, frames={}), [wish("a", "b")])
    assert on_border(boxes["a"], route.curve[0])
    assert on_border(boxes["b"], route.curve[3])
    assert (route.curve[0], route.curve[3]) == (route.samples[0], route.samples[-1])


def test_boxes_in_line_are_joined_by_a_straight_line():
    [route] = routes(Scene(page=PAGE, boxes={"a": box(300, 100), "b": box(300, 300)}, frames={}), [wish("a", "b")])
    assert {300.0} == {round(point.x, 6) for point in route.samples}


def test_a_route_goes_round_a_box_in_its_way():
    boxes = {"a": box(300, 60), "wall": box(300, 220, width=200), "b": box(300, 400)}
    [route] = routes(Scene(page=PAGE, boxes=boxes, frames={}), [wish("a", "b")])
    assert [] == [point for point in route.samples if boxes["wall"].holds(point)]


def test_a_route_there_and_a_route_back_do_not_lie_on_each_other():
    there, back = routes(
        Scene(page=PAGE, boxes={"a": box(100, 100), "b": box(400, 300)}, frames={}), [wish("a", "b"), wish("b", "a")]
    )
    assert {there.curve[0], there.curve[3]} & {back.curve[0], back.curve[3]} == set()
    assert not there.label.meets(back.label)


def test_a_label_keeps_off_boxes_and_titles():
    boxes = {"a": box(100, 100), "b": box(400, 100)}
    title = box(250, 100, width=40, height=20)
    [route] = routes(Scene(page=PAGE, boxes=boxes, frames={}, fixed=(title,)), [wish("a", "b")])
    assert [] == [other for other in (*boxes.values(), title) if route.label.meets(other)]


def test_a_label_leaves_the_arrows_head_free():
    [route] = routes(Scene(page=PAGE, boxes={"a": box(100, 100), "b": box(300, 100)}, frames={}), [wish("a", "b")])
    assert not route.label.holds(route.curve[3])


def test_a_route_may_start_at_a_frame_and_keeps_out_of_it():
    frame = Box(50, 50, 250, 250)
    boxes = {"in": box(150, 150), "out": box(450, 400)}
    [route] = routes(Scene(page=PAGE, boxes=boxes, frames={"frame": frame}), [wish("frame", "out")])
    assert on_border(frame, route.curve[0])
    assert [] == [point for point in route.samples[2:] if frame.holds(point)]


def test_a_route_between_a_frame_and_a_box_inside_it_stays_short():
    frame = Box(50, 50, 250, 250)
    inside = box(150, 150)
    scene = Scene(page=PAGE, boxes={"in": inside}, frames={"frame": frame})
    for ends in (("frame", "in"), ("in", "frame")):
        [route] = routes(scene, [wish(*ends)])
        assert route.bounds.within(frame.grown(40))


def test_a_route_avoids_a_frame_that_is_not_its_own():
    frame = Box(250, 60, 350, 200)
    boxes = {"a": box(100, 180), "b": box(500, 180)}
    [route] = routes(Scene(page=PAGE, boxes=boxes, frames={"frame": frame}), [wish("a", "b")])
    assert [] == [point for point in route.samples if frame.holds(point)]


def test_a_crowded_page_still_gets_every_route():
    boxes = {"a": box(45, 17), "b": box(140, 17)}
    scene = Scene(page=Box(0, 0, 190, 36), boxes=boxes, frames={})
    assert 3 == len(routes(scene, [wish("a", "b"), wish("b", "a"), wish("a", "b", width=300)]))


def test_a_box_is_told_by_its_middle():
    assert Point(30, 40) == box(30, 40).centre


def test_nothing_to_route_is_no_route():
    assert () == routes(Scene(page=PAGE, boxes={}, frames={}), [])


@pytest.mark.parametrize(
    "one, other, meet",
    [
        (Box(0, 0, 10, 10), Box(5, 5, 15, 15), True),
        (Box(0, 0, 10, 10), Box(10, 0, 20, 10), False),
        (Box(0, 0, 10, 10), Box(0, 11, 10, 20), False),
    ],
)
def test_boxes_that_only_touch_do_not_meet(one: Box, other: Box, meet: bool):
    assert meet == one.meets(other) == other.meets(one)


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=2, max_size=4, unique=True),
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=4),
)
def test_the_same_page_always_gives_the_same_routes_from_border_to_border(
    cells: list[tuple[int, int]], ends: list[tuple[int, int]]
):
    boxes = {str(n): box(100 * x, 85 * y, width=60) for n, (x, y) in enumerate(cells)}
    wishes = [wish(str(a), str(b)) for a, b in ends if a != b and max(a, b) < len(cells)]
    scene = Scene(page=PAGE, boxes=boxes, frames={})
    found = routes(scene, wishes)
    assert found == routes(scene, wishes)
    for asked, route in zip(wishes, found, strict=True):
        assert on_border(boxes[asked.source], route.curve[0])
        assert on_border(boxes[asked.target], route.curve[3])
