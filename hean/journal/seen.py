"""Which IDs a table may hold: a filter that answers for an ID that never came without asking sqlite."""

from __future__ import annotations

from typing import Final

# 2 MiB: of a million IDs, one unknown ID in a hundred is still asked for.
_BITS: Final = 1 << 24


class Seen:
    """
    A Bloom filter of two bits an ID. A no is sure; a maybe must be asked.

    Written under its owner's lock, read without one.
    """

    __slots__ = ("_bits",)

    def __init__(self) -> None:
        self._bits = bytearray(_BITS // 8)

    def add(self, name: str) -> None:
        """Remember an ID."""
        number, bits = hash(name), self._bits
        for place in (number % _BITS, (number >> 32) % _BITS):
            bits[place >> 3] |= 1 << (place & 7)

    def may_hold(self, name: str) -> bool:
        """Whether it was added; False is sure."""
        number, bits = hash(name), self._bits
        one, two = number % _BITS, (number >> 32) % _BITS
        return bool(bits[one >> 3] >> (one & 7) & bits[two >> 3] >> (two & 7) & 1)
