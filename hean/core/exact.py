"""
Numbers that no thread's decimal context can bend.

The operators of `Decimal` round to the calling thread's context (28 digits, or whatever the host set), unary minus and
`abs` included. Sums of money may not, so they go through here: a sum or a product is exact, or raises; only a quotient
rounds, at a precision that is named. A strategy's number is read here too, by a grammar narrower than `Decimal`'s.
"""

from __future__ import annotations

import re
from decimal import (
    ROUND_HALF_EVEN,
    Clamped,
    Context,
    Decimal,
    DivisionByZero,
    Inexact,
    InvalidOperation,
    Overflow,
)
from typing import Final

from hean.core.types import ZERO

# The widest product of two numbers that `read_number` takes needs 80 digits, sums of millions a few more.
_EXACT_DIGITS: Final = 400
_EXPONENT_LIMIT: Final = 9_999

# Shared by all threads: the flags that a context collects are read by nobody, and nothing else of it ever changes.
_EXACT: Final = Context(
    prec=_EXACT_DIGITS,
    rounding=ROUND_HALF_EVEN,
    Emin=-_EXPONENT_LIMIT,
    Emax=_EXPONENT_LIMIT,
    capitals=1,
    clamp=0,
    flags=[],
    traps=[Inexact, InvalidOperation, Clamped, Overflow],
)
_ROUNDED: Final = Context(
    prec=_EXACT_DIGITS,
    rounding=ROUND_HALF_EVEN,
    Emin=-_EXPONENT_LIMIT,
    Emax=_EXPONENT_LIMIT,
    capitals=1,
    clamp=0,
    flags=[],
    traps=[InvalidOperation, DivisionByZero, Overflow],
)

# What an average is rounded to; more than any exchange shows.
AVERAGE_DIGITS: Final = 28

# No instrument has prices or lots beyond these, and every sum of such numbers stays far inside `_EXACT_DIGITS`.
_MAX_TEXT: Final = 64
_MAX_DIGITS: Final = 40
_MAX_MAGNITUDE: Final = 30

_ONE: Final = Decimal(1)
_NUMBER: Final = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,9})?")


def add(left: Decimal, right: Decimal) -> Decimal:
    """
    The exact sum.

    Raises:
        ArithmeticError: the sum does not fit 400 digits or is not finite. Nothing has changed.
    """
    total = _EXACT.add(left, right)
    return total if total.is_finite() else _finite(total)


def multiply(left: Decimal, right: Decimal) -> Decimal:
    """
    The exact product.

    Raises:
        ArithmeticError: the product does not fit 400 digits or is not finite. Nothing has changed.
    """
    return _finite(_EXACT.multiply(left, right))


def quotient(dividend: Decimal, divisor: Decimal, digits: int = AVERAGE_DIGITS) -> Decimal:
    """
    The quotient, half to even at this many significant digits.

    Raises:
        ArithmeticError: the divisor is zero, or a number is not finite. Nothing has changed.
    """
    context = _ROUNDED.copy()
    context.prec = digits
    return _finite(context.divide(dividend, divisor))


def remainder(value: Decimal, step: Decimal) -> Decimal:
    """
    What is left of a value over whole steps, exact, with the value's sign.

    Raises:
        ArithmeticError: the step is zero. Nothing has changed.
    """
    return _EXACT.remainder(value, step)


def round_to_step(value: Decimal, step: Decimal, rounding: str) -> Decimal:
    """
    The multiple of a step that is nearest in the given direction, in plain notation.

    For numbers that hean itself works out, such as the quantity of an operator's flatten. A strategy's number is never
    rounded: it is denied.

    Args:
        value: any finite number.
        step: the grid, above zero.
        rounding: a constant of `decimal`, e.g. ROUND_DOWN.

    Raises:
        ArithmeticError: the step is zero. Nothing has changed.
    """
    # A quotient that is neither whole nor a half is further from both than 400 digits can hide.
    steps = quotient(value, step, _EXACT_DIGITS).to_integral_value(rounding=rounding)
    return plain(multiply(steps, step))


def plain(value: Decimal) -> Decimal:
    """
    The same number without trailing zeros, exponent or negative zero: 1E+3 is 1000, 0.10 is 0.1.

    Raises:
        ArithmeticError: the number is not finite or beyond 400 digits when written out. Nothing has changed.
    """
    if value == ZERO:
        return ZERO
    short = value.normalize(_EXACT)
    exponent = short.as_tuple().exponent
    return short.quantize(_ONE, context=_EXACT) if isinstance(exponent, int) and exponent > 0 else short


def read_number(value: object) -> Decimal | None:
    """
    A strategy's number in plain notation, or None where it is not one.

    A `str` in ASCII digits with an optional sign, fraction and exponent, or a finite `Decimal`; at most 64 characters,
    40 significant digits and a magnitude of 10 to the power of +-30. So a float, an int, a bool, NaN, "Infinity",
    " 1 ", "1_000", full-width digits and "1e999999" are not numbers, and none of them is expanded to find that out.
    """
    if isinstance(value, Decimal):
        number = value
    elif isinstance(value, str) and len(value) <= _MAX_TEXT and _NUMBER.fullmatch(value):
        number = Decimal(value)
    else:
        return None
    if not number.is_finite():
        return None
    if number == ZERO:
        return ZERO
    if abs(number.adjusted()) > _MAX_MAGNITUDE or len(number.as_tuple().digits) > _MAX_DIGITS:
        return None
    return plain(number)


def _finite(result: Decimal) -> Decimal:
    # A quiet NaN and an infinity pass through arithmetic without a signal.
    if not result.is_finite():
        raise InvalidOperation(f"expected a finite number, was {result}")
    return result
