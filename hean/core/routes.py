"""
Where the arrows of a picture run: plain geometry, no machine.

States stand where they are told; the router finds each arrow a curve that leaves and meets the boxes at right angles,
goes round what is in its way, and has room for its label. It scores a few hundred candidates for each arrow, then goes
over all of them again with the others known. Only sums, products and square roots: the same input gives the same
picture on every machine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise, product
from math import fsum, inf, sqrt
from typing import Final, NamedTuple

from attrs import frozen

_SAMPLES: Final = 24
_ROUNDS: Final = 3
# How far a curve runs straight out of a box: pixels, and parts of the way.
_STUB: Final = 14.0
_SLACKS: Final = (0.25, 0.45, 0.8)
_CLEARANCE: Final = 7.0
_NEAR: Final = 9.0
# What a fault of a route costs, in pixels of detour that avoiding it is worth.
_BEND: Final = 0.7  # of each pixel that the curve is longer than the straight line
_OFF_MIDDLE: Final = 30.0  # for each half side
_THROUGH_BOX: Final = 400.0
_OFF_PAGE: Final = 400.0
_IN_FOREIGN_FRAME: Final = 14.0
_CROSSING: Final = 70.0
_ALONGSIDE: Final = 18.0
_SHARED_ANCHOR: Final = 90.0
_LABEL_ON_BOX: Final = 900.0
_LABEL_ON_LABEL: Final = 700.0
_LABEL_ON_LINE: Final = 60.0
_LABEL_OFF_CENTRE: Final = 3.0
_LABEL_ON_FRAME: Final = 40.0
_LABEL_ON_HEAD: Final = 150.0


class Point(NamedTuple):
    """Pixels, from the top left corner."""

    x: float
    y: float


class Box(NamedTuple):
    """An upright rectangle, in pixels."""

    left: float
    top: float
    right: float
    bottom: float

    @classmethod
    def around(cls, centre: Point, width: float, height: float) -> Box:
        return cls(centre.x - width / 2, centre.y - height / 2, centre.x + width / 2, centre.y + height / 2)

    @property
    def centre(self) -> Point:
        return Point((self.left + self.right) / 2, (self.top + self.bottom) / 2)

    def grown(self, by: float) -> Box:
        return Box(self.left - by, self.top - by, self.right + by, self.bottom + by)

    def holds(self, point: Point) -> bool:
        return self.left <= point.x <= self.right and self.top <= point.y <= self.bottom

    def meets(self, other: Box) -> bool:
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )

    def within(self, other: Box) -> bool:
        return (
            other.left <= self.left
            and other.top <= self.top
            and self.right <= other.right
            and self.bottom <= other.bottom
        )


@frozen(kw_only=True)
class Wish:
    """An arrow to be routed: the names of its ends, and the size of its label."""

    source: str
    target: str
    width: float
    height: float


@frozen(kw_only=True)
class Scene:
    """
    What stands on the page.

    Attributes:
        page: arrows and labels stay on it.
        boxes: states, by name; nothing runs through one.
        frames: boxes round groups of states, by name; an arrow may start or end at one.
        fixed: text that no label may cover.
    """

    page: Box
    boxes: Mapping[str, Box]
    frames: Mapping[str, Box]
    fixed: tuple[Box, ...] = ()

    def end(self, name: str) -> Box:
        return self.boxes[name] if name in self.boxes else self.frames[name]


@frozen(kw_only=True)
class Route:
    """
    A cubic curve and the place of its label.

    Attributes:
        curve: start, two control points, end.
        samples: points of it, start and end among them.
        bounds: the box round the samples.
        label: where the label stands.
    """

    curve: tuple[Point, Point, Point, Point]
    samples: tuple[Point, ...]
    bounds: Box
    label: Box


class _Anchor(NamedTuple):
    at: Point
    out: Point  # unit vector away from the box
    cost: float  # the middle of a side is the better place


def routes(scene: Scene, wishes: Sequence[Wish]) -> tuple[Route, ...]:
    """A route for each wish, in their order; the first ones have the first choice."""
    found: dict[int, Route] = {}
    for _ in range(_ROUNDS):
        for number, wish in enumerate(wishes):
            others = [route for other, route in found.items() if other != number]
            found[number] = _best(scene, wish, others)
    return tuple(found[number] for number in range(len(wishes)))


def _best(scene: Scene, wish: Wish, others: Sequence[Route]) -> Route:
    source, target = scene.end(wish.source), scene.end(wish.target)
    blocked = [box.grown(_CLEARANCE) for name, box in scene.boxes.items() if name not in (wish.source, wish.target)]
    foreign = [
        frame
        for name, frame in scene.frames.items()
        if name not in (wish.source, wish.target) and not source.within(frame) and not target.within(frame)
    ]
    used = [end for route in others for end in (route.curve[0], route.curve[3])]
    best: tuple[float, Route] | None = None
    pairs = [
        (_distance(start.at, end.at) + start.cost + end.cost, start, end)
        for start, end in product(_anchors(source), _anchors(target))
    ]
    for least, start, end in sorted(pairs):
        # No curve is shorter than the straight line, and no fault costs less than nothing.
        if best is not None and least >= best[0]:
            break
        distance = _distance(start.at, end.at)
        shared = sum(_SHARED_ANCHOR for taken in used for own in (start.at, end.at) if _close(own, taken, 4.0))
        for slack in _SLACKS:
            curve = _curve(start, end, slack * distance + _STUB)
            samples = _sampled(curve)
            length = _length(samples)
            cost = length + _BEND * (length - distance) + start.cost + end.cost + shared
            if best is not None and cost >= best[0]:
                continue
            cost += _shape_cost(scene, blocked, foreign, (source, target), samples)
            if best is not None and cost >= best[0]:
                continue
            cost = _traffic_cost(samples, others, cost, inf if best is None else best[0])
            if best is not None and cost >= best[0]:
                continue
            label_cost, label = _label_of(scene, wish, samples, others)
            if best is None or cost + label_cost < best[0]:
                best = (cost + label_cost, Route(curve=curve, samples=samples, label=label, bounds=_bounds(samples)))
    assert best is not None, "every end has anchors"
    return best[1]


def _anchors(box: Box) -> list[_Anchor]:
    width, height = box.right - box.left, box.bottom - box.top
    across = (0.12, 0.3, 0.5, 0.7, 0.88) if width > 150 else (0.2, 0.5, 0.8)
    along = (0.12, 0.3, 0.5, 0.7, 0.88) if height > 60 else (0.3, 0.7)
    sides = (
        (Point(box.left, box.top), Point(width, 0), Point(0, -1), across),
        (Point(box.left, box.bottom), Point(width, 0), Point(0, 1), across),
        (Point(box.left, box.top), Point(0, height), Point(-1, 0), along),
        (Point(box.right, box.top), Point(0, height), Point(1, 0), along),
    )
    return [
        _Anchor(Point(corner.x + way.x * part, corner.y + way.y * part), out, abs(part - 0.5) * _OFF_MIDDLE)
        for corner, way, out, parts in sides
        for part in parts
    ]


def _curve(start: _Anchor, end: _Anchor, reach: float) -> tuple[Point, Point, Point, Point]:
    return (
        start.at,
        Point(start.at.x + start.out.x * reach, start.at.y + start.out.y * reach),
        Point(end.at.x + end.out.x * reach, end.at.y + end.out.y * reach),
        end.at,
    )


def _sampled(curve: tuple[Point, Point, Point, Point]) -> tuple[Point, ...]:
    points = []
    for step in range(_SAMPLES + 1):
        t = step / _SAMPLES
        u = 1 - t
        a, b, c, d = u * u * u, 3 * u * u * t, 3 * u * t * t, t * t * t
        points.append(
            Point(
                a * curve[0].x + b * curve[1].x + c * curve[2].x + d * curve[3].x,
                a * curve[0].y + b * curve[1].y + c * curve[2].y + d * curve[3].y,
            )
        )
    return tuple(points)


def _shape_cost(
    scene: Scene, blocked: Sequence[Box], foreign: Sequence[Box], ends: tuple[Box, Box], samples: Sequence[Point]
) -> float:
    source, target = ends
    cost = sum(_LABEL_ON_LINE for text in scene.fixed for point in samples if text.holds(point))
    for point in samples[1:-1]:
        if not scene.page.holds(point):
            cost += _OFF_PAGE
        cost += sum(_THROUGH_BOX for box in blocked if box.holds(point))
        cost += sum(_IN_FOREIGN_FRAME for frame in foreign if frame.holds(point))
    # From a frame to a box inside it, or back, there is no outside.
    inner = samples[2:-2]
    if not target.within(source):
        cost += sum(_THROUGH_BOX for point in inner if source.holds(point))
    if not source.within(target):
        cost += sum(_THROUGH_BOX for point in inner if target.holds(point))
    return cost


def _traffic_cost(samples: Sequence[Point], others: Sequence[Route], cost: float, most: float) -> float:
    """A cost with that of what is near added; any that is not below `most` where it is not."""
    coarse = samples[::3]
    bounds = _bounds(samples).grown(2 * _NEAR)
    for other in others:
        if cost >= most:
            break
        cost += sum(_LABEL_ON_LINE for point in samples if other.label.holds(point))
        if not bounds.meets(other.bounds):
            continue
        theirs = other.samples[::3]
        cost += sum(_CROSSING for own in pairwise(coarse) for their in pairwise(theirs) if _cross(*own, *their))
        cost += sum(_ALONGSIDE for own in coarse[1:-1] if any(_close(own, point, _NEAR) for point in other.samples))
    return cost


def _label_of(scene: Scene, wish: Wish, samples: Sequence[Point], others: Sequence[Route]) -> tuple[float, Box]:
    best: tuple[float, Box] | None = None
    middle = _SAMPLES // 2
    for number in range(3, _SAMPLES - 2):
        box = Box.around(samples[number], wish.width, wish.height)
        cost = abs(number - middle) * _LABEL_OFF_CENTRE
        if not box.within(scene.page):
            cost += _OFF_PAGE
        if box.grown(10).holds(samples[-1]):
            cost += _LABEL_ON_HEAD
        cost += sum(_LABEL_ON_BOX for other in scene.boxes.values() if box.grown(3).meets(other))
        cost += sum(_LABEL_ON_BOX for other in scene.fixed if box.meets(other))
        if best is not None and cost >= best[0]:
            continue
        cost += sum(_LABEL_ON_FRAME for frame in scene.frames.values() if box.meets(frame) and not box.within(frame))
        wider = box.grown(2)
        for route in others:
            if wider.meets(route.label):
                cost += _LABEL_ON_LABEL
            if best is not None and cost >= best[0]:
                break
            if box.meets(route.bounds):
                cost += sum(_LABEL_ON_LINE for point in route.samples if box.holds(point))
        if best is None or cost < best[0]:
            best = (cost, box)
    assert best is not None, "there are samples"
    return best


def _bounds(samples: Sequence[Point]) -> Box:
    xs, ys = [point.x for point in samples], [point.y for point in samples]
    return Box(min(xs), min(ys), max(xs), max(ys))


def _length(samples: Sequence[Point]) -> float:
    # Not `sum`: how it rounds floats differs between versions of Python.
    return fsum(_distance(one, next_) for one, next_ in pairwise(samples))


def _distance(one: Point, other: Point) -> float:
    dx, dy = one.x - other.x, one.y - other.y
    return sqrt(dx * dx + dy * dy)


def _close(one: Point, other: Point, by: float) -> bool:
    return abs(one.x - other.x) < by and abs(one.y - other.y) < by


def _cross(a: Point, b: Point, c: Point, d: Point) -> bool:
    return _side(a, b, c) != _side(a, b, d) and _side(c, d, a) != _side(c, d, b)


def _side(a: Point, b: Point, point: Point) -> bool:
    return (b.x - a.x) * (point.y - a.y) > (b.y - a.y) * (point.x - a.x)
