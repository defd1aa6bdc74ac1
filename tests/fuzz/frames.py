"""Bytes of every kind: from noise to a documented frame with one thing wrong."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

# What has broken clients before: limits of numbers, look-alikes, types that stand for others.
ODDITIES: list[Any] = [
    None, True, False, 0, -1, 1.5, 2**63, 10**400, "", " ", "0", "-0", "-1", "1e5", "1E+999999999", "NaN", "Infinity",
    "0x1", "1_000", "\uff11", "1,5", "+1", ".5", "1.", "null", "None", [], {}, [[]], {"value": "1"}, "UnheardOf",
    "\x00", "\ud800", "x" * 70_000,
]  # fmt: skip
TEXTS = st.text(max_size=12)
VALUES: SearchStrategy[Any] = st.recursive(
    st.sampled_from(ODDITIES) | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
NOISE = st.binary(max_size=300) | TEXTS.map(lambda text: text.encode(errors="surrogatepass"))


def encoded(value: object) -> bytes:
    """JSON as a socket brings it; what Python takes for JSON and nobody else does is part of it."""
    return json.dumps(value).encode(errors="surrogatepass")


@st.composite
def changed(draw: DrawFn, row: dict[str, Any]) -> dict[str, Any]:
    """A row with some keys gone, some values odd, and some keys nobody has heard of."""
    keys = st.sampled_from(sorted(row))
    broken = {key: value for key, value in row.items() if key not in draw(st.sets(keys, max_size=2))}
    broken |= draw(st.dictionaries(keys, VALUES, max_size=3))
    return broken | draw(st.dictionaries(TEXTS, VALUES, max_size=1))


@st.composite
def cut(draw: DrawFn, whole: bytes) -> bytes:
    """Bytes with some gone, some doubled, some flipped."""
    first, last = sorted(draw(st.tuples(*[st.integers(0, len(whole))] * 2)))
    match draw(st.sampled_from(["head", "middle", "twice", "flip"])):
        case "head":
            return whole[:first]
        case "middle":
            return whole[:first] + whole[last:]
        case "twice":
            return whole[:last] + whole[first:]
        case _:
            at = min(first, len(whole) - 1)
            return whole[:at] + bytes([whole[at] ^ (1 << draw(st.integers(0, 7)))]) + whole[at + 1 :]


@st.composite
def hurt(draw: DrawFn, frames: list[dict[str, Any]]) -> bytes:
    """
    Some bytes that came instead of a frame.

    Args:
        frames: good ones, each with a topic and rows.
    """
    frame = dict(draw(st.sampled_from(frames)))
    rows = list(frame["data"])
    match draw(st.sampled_from(["noise", "values", "envelope", "rows", "neighbours", "bytes"])):
        case "noise":
            return draw(NOISE)
        case "values":
            return encoded(draw(VALUES))
        case "envelope":
            return encoded(draw(changed(frame)))
        case "rows":
            return encoded(frame | {"data": draw(VALUES | st.lists(VALUES, max_size=3))})
        case "neighbours":
            at = draw(st.integers(0, len(rows)))
            return encoded(frame | {"data": [*rows[:at], draw(changed(rows[0])), *rows[at:]]})
        case _:
            return draw(cut(encoded(frame)))
