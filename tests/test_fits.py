"""What fits a setting is read; what does not is refused with a ValueError, whatever it is."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hean import fits


class Word(StrEnum):
    ONE = "one"
    TWO = "two"


EVERY = [
    fits.whole(1, 9),
    fits.real(0.5, 9),
    fits.whole_or_none(1, 9),
    fits.url("https", "http"),
    fits.choice(Word),
    fits.path(),
    fits.token(),
]
ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.from_regex(r"https?://[^/]*(/.*)?"),
    st.lists(st.integers()),
    st.dictionaries(st.text(), st.text()),
)


@pytest.mark.parametrize("fit", EVERY, ids=lambda fit: fit.expected)
@given(seen=ANYTHING)
def test_anything_is_read_or_refused_with_a_value_error(fit: fits.Fit, seen: object) -> None:
    try:
        value = fit.read(seen)
    except ValueError:
        return
    assert value == fit.read(value)


@pytest.mark.parametrize(
    "fit, seen, expected",
    [
        (fits.whole(1, 9), 1, 1),
        (fits.whole(1, 9), "9", 9),
        (fits.real(0.5, 9), "0.5", 0.5),
        (fits.real(0.5, 9), 9, 9.0),
        (fits.whole_or_none(1, 9), None, None),
        (fits.whole_or_none(1, 9), "", None),
        (fits.whole_or_none(1, 9), "none", None),
        (fits.whole_or_none(1, 9), "3", 3),
        (fits.url("wss"), "wss://host:1/path", "wss://host:1/path"),
        (fits.choice(Word), "two", Word.TWO),
        (fits.path(), Path("/a/b"), Path("/a/b")),
        (fits.path(), "a/b", Path("a/b")),
        (fits.token(), "", ""),
        (fits.token(), "aB3-_", "aB3-_"),
    ],
)
def test_what_fits_is_read(fit: fits.Fit, seen: object, expected: object) -> None:
    assert (expected, type(expected)) == (fit.read(seen), type(fit.read(seen)))


@pytest.mark.parametrize(
    "fit, seen",
    [
        (fits.whole(1, 9), 0),
        (fits.whole(1, 9), 10),
        (fits.whole(1, 9), True),
        (fits.whole(1, 9), 5.0),
        (fits.real(0.5, 9), 0.4999),
        (fits.real(0.5, 9), 9.001),
        (fits.real(0.5, 9), True),
        (fits.real(0.5, 9), "nan"),
        (fits.real(0.5, 9), 10**400),
        (fits.whole_or_none(1, 9), 0),
        (fits.url("wss"), "ws://host"),
        (fits.url("wss"), "wss://host:0"),
        (fits.url("wss"), "wss://user@host"),
        (fits.choice(Word), "three"),
        (fits.path(), " "),
        (fits.path(), "~nobody-of-that-name/x"),
        (fits.token(), "two words"),
        (fits.token(), "line\n"),
    ],
)
def test_what_does_not_fit_is_refused(fit: fits.Fit, seen: object) -> None:
    with pytest.raises(ValueError):
        fit.read(seen)


def test_each_says_what_it_expects() -> None:
    assert [
        "an integer from 1 to 9",
        "a number from 0.5 to 9",
        "an integer from 1 to 9, or none",
        "an address https://host[:port][/path] or http://host[:port][/path]",
        "one of one, two",
        "a path to a file",
        "printable ASCII without spaces",
    ] == [fit.expected for fit in EVERY]
