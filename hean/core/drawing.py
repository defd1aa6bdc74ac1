"""
A folded picture as SVG, with no library and no program but this file.

States stand where the machine's `places` puts them; `core/routes.py` runs the arrows. Text is set in a common
sans-serif face and measured generously, so a browser with another font still fits it.
"""

from __future__ import annotations

from math import fsum
from textwrap import wrap
from typing import Final
from xml.sax.saxutils import escape

from hean.core.picture import TAKEN_STROKE, Arrow, Folded, Note, Way, role_of
from hean.core.routes import Box, Point, Route, Scene, Wish, routes

FONT: Final = "Roboto, 'Segoe UI', 'Helvetica Neue', Arial, sans-serif"
_STATE_HEIGHT: Final = 34.0
_STATE_SIZE: Final = 13
_LABEL_SIZE: Final = 12
_LINE: Final = 14.0
_FRAME_PAD: Final = 26.0
_FRAME_HEAD: Final = 20.0
_MARGIN: Final = 12.0
_HEAD: Final = 42.0
_FOOT: Final = 32.0
_NOTE_WIDTH: Final = 34
_CAPTION_WIDTH: Final = 120

FILLS: Final = {
    "happy": ("#d3f2dc", "#1a7f37", "#0b3d1a"),
    "plain": ("#e8ebef", "#6e7781", "#24292f"),
    "trouble": ("#ffe9c7", "#bc6c00", "#4d2d00"),
    "visited": ("#cfe4ff", TAKEN_STROKE, "#06264d"),
}
"""How a state is filled, edged and written, by its role."""
_STROKES: Final = {
    Way.HAPPY: ("#1a7f37", "2.4", ""),
    Way.PLAIN: ("#57606a", "1.3", ""),
    Way.RECOVERY: ("#bc6c00", "1.3", "5 3"),
}
_LEGEND: Final = {Way.HAPPY: "as wished", Way.PLAIN: "another end", Way.RECOVERY: "recovery, trouble"}


def svg(folded: Folded, *, width: int = 900) -> str:
    """
    The folded picture as an SVG document.

    Args:
        folded: what to draw.
        width: of the page, in pixels; its height follows from the machine's places.

    Raises:
        KeyError: a state or a note of the machine has no place.
    """
    machine = folded.machine
    states = {
        state: Box.around(_place(folded, state), _text_width(state, _STATE_SIZE) + 26, _STATE_HEIGHT)
        for state in machine.table.states
    }
    notes = {note.name: _note_box(folded, note) for note in folded.notes}
    boxes = {**states, **notes}
    frames = {group.name: _frame([boxes[member] for member in group.members]) for group in machine.groups}
    bottom = max(box.bottom for box in (*boxes.values(), *frames.values())) + _MARGIN + _FOOT
    titles = [
        Box(frame.left + 8, frame.top, frame.left + 16 + _text_width(group.title, _LABEL_SIZE), frame.top + 18)
        for group, frame in zip(machine.groups, frames.values(), strict=True)
    ]
    page = Box(_MARGIN, _HEAD, width - _MARGIN, bottom)
    arrows = [*folded.arrows, *(_of_note(note) for note in folded.notes)]
    found = routes(Scene(page=page, boxes=boxes, frames=frames, fixed=tuple(titles)), [_wish(one) for one in arrows])
    foot = _caption(folded)
    height = bottom + _MARGIN + len(foot) * 18
    size = f'viewBox="0 0 {width} {_n(height)}" width="{width}" height="{_n(height)}"'
    name = f'role="img" aria-label="{escape(machine.title)}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="{FONT}" {name}>',
        f"<title>{escape(machine.title)}</title>",
        f'<rect width="{width}" height="{_n(height)}" fill="#ffffff"/>',
        _text(Point(_MARGIN + 4, 26), machine.title, size=16, weight="bold", anchor="start"),
        *_legend(width),
    ]
    for group, frame in zip(machine.groups, frames.values(), strict=True):
        lines.append(_rect(frame, fill="#f6f8fa", stroke="#8b949e", radius=10, dash="6 4"))
        lines.append(
            _text(Point(frame.left + 12, frame.top + 16), group.title, size=_LABEL_SIZE, ink="#57606a", anchor="start")
        )
    drawn = sorted(zip(arrows, found, strict=True), key=lambda pair: bool(pair[0].steps))
    lines += [_line(folded, arrow, route) for arrow, route in drawn]
    lines += [_state(folded, state, box) for state, box in states.items()]
    lines += [_note(note, notes[note.name]) for note in folded.notes]
    lines += [_label(folded, arrow, route) for arrow, route in drawn if arrow.label]
    for number, text in enumerate(foot):
        at = Point(_MARGIN + 4, bottom + 14 + number * 18)
        lines.append(_text(at, text, size=_LABEL_SIZE, ink="#57606a", anchor="start"))
    lines.append("</svg>")
    return "\n".join(lines) + "\n"


def _wish(arrow: Arrow) -> Wish:
    return Wish(
        source=arrow.source,
        target=arrow.target,
        width=max((_text_width(line, _LABEL_SIZE) for line in arrow.label), default=0.0) + 6,
        height=len(arrow.label) * _LINE + 3,
    )


def _place(folded: Folded, name: str) -> Point:
    x, y = folded.machine.places[name]
    return Point(float(x), float(y))


def _of_note(note: Note) -> Arrow:
    return Arrow(source=note.name, target=note.target, facts=(), way=note.way, moves=frozenset())


def _note_lines(note: Note) -> list[str]:
    return [part for line in note.lines for part in wrap(line, _NOTE_WIDTH, subsequent_indent="  ")]


def _note_box(folded: Folded, note: Note) -> Box:
    lines = _note_lines(note)
    width = max(_text_width(line, _LABEL_SIZE) for line in lines) + 16
    return Box.around(_place(folded, note.name), width, len(lines) * _LINE + 12)


def _note(note: Note, box: Box) -> str:
    texts = "".join(
        _text(Point(box.left + 8, box.top + 3 + (number + 1) * _LINE), line, size=_LABEL_SIZE, anchor="start")
        for number, line in enumerate(_note_lines(note))
    )
    return _rect(box, fill="#ffffff", stroke="#8b949e", radius=2, dash="2 3") + texts


def _frame(members: list[Box]) -> Box:
    return Box(
        min(box.left for box in members) - _FRAME_PAD,
        min(box.top for box in members) - _FRAME_PAD - _FRAME_HEAD / 2,
        max(box.right for box in members) + _FRAME_PAD,
        max(box.bottom for box in members) + _FRAME_PAD,
    )


def _text_width(text: str, size: int) -> float:
    # Wide enough for the common faces: capitals and M, W take more than small letters.
    return fsum(0.68 if char.isupper() else 0.3 if char in "il.,: " else 0.55 for char in text) * size


def _line(folded: Folded, arrow: Arrow, route: Route) -> str:
    stroke, thickness, dash = _STROKES[arrow.way]
    if arrow.steps:
        stroke, thickness = TAKEN_STROKE, "3.4"
    start, one, two, end = route.curve
    # The head is drawn here, not as a marker: renderers differ on markers. Its base ends the line.
    back = Point(end.x + (two.x - end.x) * 9 / _reach(two, end), end.y + (two.y - end.y) * 9 / _reach(two, end))
    across = Point((back.y - end.y) / 2.2, (end.x - back.x) / 2.2)
    head = (end, Point(back.x + across.x, back.y + across.y), Point(back.x - across.x, back.y - across.y))
    faded = ' opacity="0.3"' if folded.visited and not arrow.steps else ""
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    return (
        f'<g{faded}><path d="M{_p(start)} C{_p(one)} {_p(two)} {_p(back)}" fill="none" stroke="{stroke}" '
        f'stroke-width="{thickness}"{dashed}/>'
        f'<path d="M{_p(head[0])} L{_p(head[1])} L{_p(head[2])} Z" fill="{stroke}"/></g>'
    )


def _reach(one: Point, other: Point) -> float:
    return max(abs(one.x - other.x) + abs(one.y - other.y), 1.0)


def _label(folded: Folded, arrow: Arrow, route: Route) -> str:
    box = route.label
    ink = TAKEN_STROKE if arrow.steps else "#24292f"
    faded = ' opacity="0.35"' if folded.visited and not arrow.steps else ""
    texts = "".join(
        _text(Point(box.centre.x, box.top + (number + 1) * _LINE - 2), line, size=_LABEL_SIZE, ink=ink)
        for number, line in enumerate(arrow.label)
    )
    return f"<g{faded}>{_rect(box, fill='#ffffff', opacity='0.86')}{texts}</g>"


def _state(folded: Folded, state: str, box: Box) -> str:
    role = "visited" if state in folded.visited else role_of(folded.machine, state)
    fill, stroke, ink = FILLS[role]
    final = state in folded.machine.table.final_states
    thick = "2.6" if role == "visited" or state == folded.machine.table.initial else "1.4"
    shape = _rect(box, fill=fill, stroke=stroke, radius=17 if final else 5, thick=thick)
    at = Point(box.centre.x, box.centre.y + 4.5)
    return shape + _text(at, state, size=_STATE_SIZE, weight="bold", ink=ink)


def _legend(width: int) -> list[str]:
    lines = []
    x = float(width) - _MARGIN - 4
    for way, text in reversed(_LEGEND.items()):
        stroke, thickness, dash = _STROKES[way]
        x -= _text_width(text, _LABEL_SIZE)
        lines.append(_text(Point(x, 26), text, size=_LABEL_SIZE, ink="#57606a", anchor="start"))
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        lines.append(
            f'<path d="M{_n(x - 36)} 22 L{_n(x - 6)} 22" stroke="{stroke}" stroke-width="{thickness}"{dashed}/>'
        )
        x -= 52
    return lines


def _caption(folded: Folded) -> list[str]:
    lines: list[str] = []
    for number, move in enumerate(folded.path, 1):
        word = f"{number}. {move.fact}: {move.after}"
        if lines and len(lines[-1]) + len(word) < _CAPTION_WIDTH:
            lines[-1] += f"  ·  {word}"
        else:
            lines.append(word)
    return lines


def _rect(
    box: Box,
    *,
    fill: str,
    stroke: str = "none",
    radius: int = 2,
    thick: str = "1.2",
    dash: str = "",
    opacity: str = "1",
) -> str:
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    shade = f' fill-opacity="{opacity}"' if opacity != "1" else ""
    return (
        f'<rect x="{_n(box.left)}" y="{_n(box.top)}" width="{_n(box.right - box.left)}" '
        f'height="{_n(box.bottom - box.top)}" rx="{radius}" fill="{fill}"{shade} stroke="{stroke}" '
        f'stroke-width="{thick}"{dashed}/>'
    )


def _text(
    at: Point, text: str, *, size: int, ink: str = "#24292f", weight: str = "normal", anchor: str = "middle"
) -> str:
    return (
        f'<text x="{_n(at.x)}" y="{_n(at.y)}" font-size="{size}" font-weight="{weight}" fill="{ink}" '
        f'text-anchor="{anchor}">{escape(text)}</text>'
    )


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _p(point: Point) -> str:
    return f"{_n(point.x)} {_n(point.y)}"
