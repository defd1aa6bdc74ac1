"""
Identity: what makes two signals the same order, and what makes a repeated one another order.

`order_link_id` is a pure function of (strategy_id, signal_id, leg): no clock, no random, no counter, so a signal that
is sent again after a retry, a reconnect or a crash is the same order here and at the exchange.
"""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache
from hashlib import blake2b
from typing import Final

from hean.core import exact
from hean.core.types import Denial, DenyReason, OrderLinkId, OrderType, Side, Signal, TimeInForce

MAX_STRATEGY_ID: Final = 64
MAX_SIGNAL_ID: Final = 256
MAX_CORRELATION_ID: Final = 128
MAX_LEG: Final = 999

# 160 bits are 32 characters of base 32: with the prefix, 35 of the 36 that the exchange takes.
# Source: Bybit V5 docs, order/create-order: orderLinkId.
_DIGEST_BYTES: Final = 20
_ALPHABET: Final = "abcdefghijklmnopqrstuvwxyz234567"
_PAIRS: Final = tuple(first + second for first in _ALPHABET for second in _ALPHABET)
_ORDER_PREFIX: Final = "h1-"
_DENIED_PREFIX: Final = "hd-"
_CORRELATION_PREFIX: Final = "c1-"


@lru_cache(maxsize=1024)
def order_link_id(strategy_id: str, signal_id: str, leg: int) -> OrderLinkId:
    """
    The client order ID of one leg of a signal: 35 characters of [a-z2-7-], "h1-" first.

    Lower case only, because whether the exchange tells IDs apart by case is not documented. Changing this function
    makes every replayed signal a new order: a new scheme needs a new prefix and both must be looked up.

    Args:
        strategy_id: a valid one; see `identity_problem`.
        signal_id: a valid one.
        leg: 0-999.
    """
    return OrderLinkId(_ORDER_PREFIX + _digest("order", strategy_id, signal_id, str(int(leg))))


def correlation_id(signal: Signal) -> str:
    """What follows a signal through every record: its own, or one derived from the same identity as its order's."""
    if signal.correlation_id is not None:
        return str.__str__(signal.correlation_id)
    return _CORRELATION_PREFIX + _digest("correlation", signal.strategy_id, signal.signal_id, str(int(signal.leg)))


def denied_link_id(signal: Signal) -> OrderLinkId:
    """
    The ID of a denied ticket that may not carry its signal's own one; never sent.

    For a known ID with another payload, and for a signal whose identity is no identity. The same refused signal gets
    the same ticket. Total: takes whatever a signal holds.
    """
    identity = [_spelled(part) for part in (signal.strategy_id, signal.signal_id, signal.leg)]
    return OrderLinkId(_DENIED_PREFIX + _digest("denied", *identity, payload_digest(signal)))


def identity_problem(signal: Signal) -> Denial | None:
    """Why a signal has no identity, or None: then, and only then, it has an `order_link_id`."""
    for name, value, limit in (
        ("strategy_id", signal.strategy_id, MAX_STRATEGY_ID),
        ("signal_id", signal.signal_id, MAX_SIGNAL_ID),
        ("correlation_id", "-" if signal.correlation_id is None else signal.correlation_id, MAX_CORRELATION_ID),
    ):
        if not _is_name(value, limit):
            return Denial(
                reason=DenyReason.BAD_IDENTITY,
                detail=f"{name}: expected 1-{limit} printable characters, was {shown(value)}; name the signal anew",
            )
    leg: object = signal.leg
    if type(leg) is not int or not 0 <= leg <= MAX_LEG:
        return Denial(
            reason=DenyReason.BAD_IDENTITY,
            detail=f"leg: expected an int of 0-{MAX_LEG}, was {shown(leg)}; name the signal anew",
        )
    return None


def payload_digest(signal: Signal) -> str:
    """
    A digest of everything in a signal that defines the order; two signals that mean the same order have the same.

    Numbers count by value ("0.10" is "0.1" is Decimal("0.1")), defaults as what they stand for. Identity,
    `correlation_id` and `metadata` are left out. Total: takes whatever a signal holds.
    """
    return _digest(
        "payload",
        _spelled(signal.category),
        _spelled(signal.symbol),
        _spelled(signal.side),
        _spelled(signal.order_type),
        _number(signal.qty),
        _number(signal.price),
        _spelled(resolved_time_in_force(signal)),
        _spelled(signal.reduce_only),
        _spelled(signal.close_on_trigger),
        _number(signal.trigger_price),
        _spelled(resolved_trigger_direction(signal)),
        _number(signal.stop_loss),
        _number(signal.take_profit),
        _spelled(signal.slippage_ticks),
        _spelled(signal.position_idx),
    )


def resolved_time_in_force(signal: Signal) -> TimeInForce:
    """What a signal's time in force stands for: GTC for a limit order unless told, IOC for a market order."""
    if signal.time_in_force is not None:
        return signal.time_in_force
    return TimeInForce.GTC if _is_word(signal.order_type, OrderType.LIMIT) else TimeInForce.IOC


def resolved_trigger_direction(signal: Signal) -> int | None:
    """What a signal's trigger direction stands for: buy stops fire on a rise (1), sell stops on a fall (2)."""
    if signal.trigger_direction is not None or signal.trigger_price is None:
        return signal.trigger_direction
    return 1 if _is_word(signal.side, Side.BUY) else 2


def shown(value: object) -> str:
    """A value for a message: its type unless it is text, and cut, so that junk cannot flood a log."""
    if isinstance(value, str):
        text = repr(str(value[:41]))
        return text if len(value) <= 40 else f"{text[:41]}... ({len(value)} characters)"
    if value is None or isinstance(value, bool | float):
        return f"{value!r} ({type(value).__name__})"
    if isinstance(value, int) and value.bit_length() <= 64:
        return f"{int(value)} (int)"
    if isinstance(value, Decimal) and len(value.as_tuple().digits) <= 40:
        return f"Decimal('{value}')"
    return f"a {type(value).__name__}"


def _is_name(value: object, limit: int) -> bool:
    # isprintable is false for controls, line breaks and lone surrogates, so what passes can be encoded and logged.
    return isinstance(value, str) and 0 < len(value) <= limit and value.isprintable()


def _is_word(value: object, word: str) -> bool:
    # Text alone is compared: an array's == is an array, and a stranger's may raise.
    return isinstance(value, str) and value == word


def _number(value: object) -> str:
    number = None if value is None else exact.read_number(value)
    return _spelled(value) if number is None else f"number {number:f}"


def _spelled(value: object) -> str:
    """One text per value, for whatever a signal holds; nothing here calls the value's own code."""
    if isinstance(value, str):
        return f"text {str.__str__(value)}"
    if value is None or isinstance(value, bool | float | Decimal):
        return f"{type(value).__name__} {value!r}"
    if isinstance(value, int):
        # In hexadecimal: a decimal text of a huge int is slow, and refused by the interpreter past 4300 digits.
        return f"int {value:x}"
    return f"object {type(value).__qualname__}"


def _digest(*parts: str) -> str:
    # Each part is led by its length, so that ("a", "bc") and ("ab", "c") are different bytes.
    data = [part.encode("utf-8", "surrogatepass") for part in parts]
    whole = b"".join([piece for text in data for piece in (len(text).to_bytes(8, "big"), text)])
    number = int.from_bytes(blake2b(whole, digest_size=_DIGEST_BYTES).digest(), "big")
    # Base 32 of RFC 4648, two characters at a time: the library's own takes longer than the digest.
    return "".join([_PAIRS[number >> shift & 1023] for shift in range(8 * _DIGEST_BYTES - 10, -1, -10)])
