"""
What fits a setting: each kind reads text or a native value, and says in words what it expects.

A reader raises ValueError for everything that does not fit, whatever its type; who calls it knows the setting and the
source, and tells both.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

from attrs import frozen


@frozen
class Fit:
    """
    What fits a setting.

    Attributes:
        expected: in words, for the message of a ConfigError.
        read: text or a native value to the setting's value; raises ValueError where it does not fit.
    """

    expected: str
    read: Callable[[object], object]


def whole(low: int, high: int) -> Fit:
    """Fit an integer within bounds, both included."""

    def read(seen: object) -> int:
        if isinstance(seen, bool) or not isinstance(seen, int | str) or not low <= int(seen) <= high:
            raise ValueError
        return int(seen)

    return Fit(f"an integer from {low} to {high}", read)


def real(low: float, high: float) -> Fit:
    """Fit a finite number within bounds, both included."""

    def read(seen: object) -> float:
        number = float(seen) if isinstance(seen, str) else seen
        # Written so that not-a-number, of which no comparison holds, does not fit.
        if isinstance(number, bool) or not isinstance(number, int | float) or not low <= number <= high:
            raise ValueError
        return float(number)

    return Fit(f"a number from {low:g} to {high:g}", read)


def whole_or_none(low: int, high: int) -> Fit:
    """Fit an integer within bounds, or nothing: "" and "none" in text."""
    some = whole(low, high)
    return Fit(f"{some.expected}, or none", lambda seen: None if _is_none(seen) else some.read(seen))


def url(*schemes: str) -> Fit:
    """Fit an address of one of these schemes, without credentials, query or fragment."""

    def read(seen: object) -> str:
        if not isinstance(seen, str) or not seen.isprintable() or " " in seen:
            raise ValueError
        parts = urlsplit(seen)
        # Reading .port raises ValueError for one that is no port.
        port_fits = parts.port is None or parts.port > 0
        plain = not (parts.query or parts.fragment or parts.username or parts.password)
        if parts.scheme not in schemes or not parts.hostname or not plain or not port_fits:
            raise ValueError
        return seen

    return Fit(f"an address {' or '.join(f'{scheme}://host[:port][/path]' for scheme in schemes)}", read)


def choice(words: type[StrEnum]) -> Fit:
    """Fit one of the words of an enum."""
    return Fit(f"one of {', '.join(words)}", lambda seen: words(str(seen)))


def path() -> Fit:
    """Fit a path to a file; "~" is expanded."""

    def read(seen: object) -> Path:
        if not isinstance(seen, str | Path) or not str(seen).strip() or "\0" in str(seen):
            raise ValueError
        try:
            return Path(seen).expanduser()
        except RuntimeError as error:  # no such user, no home
            raise ValueError from error

    return Fit("a path to a file", read)


def token() -> Fit:
    """Fit an API key or secret; a line end pasted with it would otherwise travel in a header."""

    def read(seen: object) -> str:
        if not isinstance(seen, str) or not seen.isascii() or not seen.isprintable() or " " in seen:
            raise ValueError
        return seen

    return Fit("printable ASCII without spaces", read)


def _is_none(seen: object) -> bool:
    return seen is None or (isinstance(seen, str) and seen in {"", "none"})
