"""
Reading typed values out of decoded JSON, with one error for everything that does not fit.

The exchange sends numbers as decimal strings and "" for "not set"; some gateways send JSON numbers. Every reader
accepts both, never makes a float, and bounds what it returns, so that nothing later can be made to overflow.
"""

from __future__ import annotations

import re
from decimal import Decimal
from enum import Enum
from functools import cache
from typing import Final, TypeVar

import orjson

from hean.core.types import ZERO
from hean.errors import RemoteError

RAW_MAX_CHARS: Final = 8192
"""How much of something unreadable is kept: enough to see the row, small enough for a journal."""

_NUMBER: Final = re.compile(r"[+-]?(\d{1,40})(\.\d{0,40})?([eE][+-]?\d{1,2})?", re.ASCII)
_INTEGER: Final = re.compile(r"-?\d{1,19}", re.ASCII)
_INT64: Final = 2**63

E = TypeVar("E", bound=Enum)


@cache
def _members(kind: type[E]) -> dict[object, E]:
    """An enum's members by their words; calling the enum costs more than the rest of a field."""
    return {member.value: member for member in kind}


class CodecError(RemoteError):
    """What came from the exchange does not read as what it should be; nothing was made of it."""


def load(raw: bytes | str) -> object:
    """
    Decoded JSON.

    Raises:
        CodecError: not JSON. Nothing has changed.
    """
    try:
        decoded: object = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise CodecError(f"not JSON: {error}") from error
    return decoded


def show(value: object) -> str:
    """Anything unreadable as text, for keeping: cut at `RAW_MAX_CHARS`, never raises."""
    if isinstance(value, bytes):
        text = value[:RAW_MAX_CHARS].decode(errors="replace")
    elif isinstance(value, str):
        text = value[:RAW_MAX_CHARS].encode(errors="replace").decode()
    else:
        try:
            text = orjson.dumps(value).decode()[:RAW_MAX_CHARS]
        except orjson.JSONEncodeError:
            text = f"{type(value).__name__}, nested too deep to show"
    return text


class Row:
    """
    One JSON object, read field by field.

    Args:
        raw: what should be an object.
        what: names it in errors, e.g. "order".

    Raises:
        CodecError: it is not an object; every reader too, naming the field, what it was and what was expected.
    """

    __slots__ = ("_object", "what")

    def __init__(self, raw: object, what: str) -> None:
        if not isinstance(raw, dict):
            raise CodecError(f"{what}: expected an object, was {type(raw).__name__}")
        self._object: dict[str, object] = raw
        self.what = what

    def has(self, key: str) -> bool:
        """Whether the key is there with anything but null."""
        return self._object.get(key) is not None

    def text(self, key: str, default: str = "") -> str:
        """A string; a missing key or null is the default, a JSON integer its digits."""
        value = self._object.get(key)
        if value is None:
            return default
        if isinstance(value, str):
            return value
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        raise self.wrong(key, value, "text")

    def name(self, key: str) -> str:
        """A string that must be there and not empty."""
        value = self.text(key)
        if not value:
            raise self.wrong(key, self._object.get(key), "text")
        return value

    def number(self, key: str) -> Decimal | None:
        """A number; missing, null or "" is None."""
        value = self._object.get(key)
        if value is None or value == "":
            return None
        if type(value) is str:
            text = value
        elif isinstance(value, bool) or not isinstance(value, str | int | float):
            raise self.wrong(key, value, "a number")
        else:
            text = str(value)
        if not _NUMBER.fullmatch(text):
            raise self.wrong(key, value, "a number")
        return Decimal(text)

    def needed(self, key: str) -> Decimal:
        """A number that must be there and not negative."""
        value = self.number(key)
        if value is None or value < 0:
            raise self.wrong(key, self._object.get(key), "a number of at least 0")
        return value

    def amount(self, key: str) -> Decimal:
        """A number that is not negative; "not set" is 0."""
        value = self.number(key)
        if value is None:
            return ZERO
        if value < 0:
            raise self.wrong(key, value, "a number of at least 0")
        return value

    def positive(self, key: str) -> Decimal:
        """A number above 0 that must be there."""
        value = self.needed(key)
        if value == 0:
            raise self.wrong(key, value, "a number above 0")
        return value

    def price(self, key: str) -> Decimal | None:
        """A price; Bybit writes an unset one as "", "0" or "0.00", which are all None here."""
        return self.number(key) or None

    def integer(self, key: str, default: int = 0) -> int:
        """A 64-bit integer; missing, null or "" is the default."""
        value = self._object.get(key)
        if value is None or value == "":
            return default
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, str) and _INTEGER.fullmatch(value):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not -_INT64 <= value < _INT64:
            raise self.wrong(key, value, "an integer")
        return value

    def flag(self, key: str) -> bool | None:
        """A boolean; missing, null or "" is None."""
        value = self._object.get(key)
        if value is None or value == "":
            return None
        if not isinstance(value, bool):
            raise self.wrong(key, value, "true or false")
        return value

    def one_of(self, key: str, kind: type[E]) -> E:
        """A member of an enum; an unknown value is an error, for fields that decide something."""
        value = self._object.get(key)
        member: E | None = _members(kind).get(value) if isinstance(value, str | int) else None
        if member is None:
            raise self.wrong(key, value, f"one of {', '.join(str(member.value) for member in kind)}")
        return member

    def rows(self, key: str) -> list[object]:
        """A list that must be there."""
        value = self._object.get(key)
        if not isinstance(value, list):
            raise self.wrong(key, value, "a list")
        return value

    def row(self, key: str) -> Row:
        """A nested object; missing or null is an empty one."""
        value = self._object.get(key)
        return Row({} if value is None or value == "" else value, f"{self.what}.{key}")

    def raw(self, key: str) -> object:
        """The value as it was decoded; None where missing."""
        return self._object.get(key)

    def needed_key(self, key: str) -> None:
        """Raises unless the key is there with anything but null."""
        if not self.has(key):
            raise self.wrong(key, None, "there")

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of strings; missing or null is empty."""
        value = self._object.get(key)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.wrong(key, value, "a list of texts")
        return tuple(value)

    def items(self) -> list[tuple[str, object]]:
        return sorted(self._object.items())

    def wrong(self, key: str, value: object, expected: str) -> CodecError:
        """The error that says what did not fit."""
        was = "missing" if key not in self._object else show(value)[:120]
        return CodecError(f"{self.what}: expected {key} to be {expected}, was {was}")
