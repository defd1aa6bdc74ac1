"""Sums and products are exact whatever the thread's context; only real numbers are read."""

from __future__ import annotations

import decimal
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_HALF_EVEN, ROUND_UP, Decimal
from fractions import Fraction
from math import floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hean.core import exact

NUMBERS = st.decimals(allow_nan=False, allow_infinity=False, places=12, min_value=-(10**18), max_value=10**18)
STEPS = st.decimals(min_value="0.000001", max_value=1000, places=6).filter(lambda step: step > 0)


@pytest.fixture(autouse=True)
def poor_context():
    """A host that set a context in which every operator of Decimal would be wrong."""
    with decimal.localcontext() as context:
        context.prec = 3
        yield


@given(NUMBERS, NUMBERS)
def test_sum_and_product_are_exact_in_any_context(left, right):
    with decimal.localcontext() as context:
        context.prec = 3
        assert Fraction(left) + Fraction(right) == Fraction(exact.add(left, right))
        assert Fraction(left) * Fraction(right) == Fraction(exact.multiply(left, right))


def test_sum_that_cannot_be_exact_raises():
    with pytest.raises(decimal.Inexact):
        exact.add(Decimal("1e300"), Decimal("1e-300"))


@pytest.mark.parametrize("function", [exact.add, exact.multiply, exact.quotient])
@pytest.mark.parametrize("junk", ["NaN", "sNaN", "Infinity", "-Infinity"])
def test_what_is_not_finite_raises(function, junk):
    with pytest.raises(decimal.InvalidOperation):
        function(Decimal(junk), Decimal(1))


def test_quotient_has_28_digits_unless_told():
    assert Decimal("0." + "3" * 28) == exact.quotient(Decimal(1), Decimal(3))
    assert Decimal("0.67") == exact.quotient(Decimal(2), Decimal(3), 2)


def test_quotient_by_zero_raises():
    with pytest.raises(decimal.DivisionByZero):
        exact.quotient(Decimal(1), Decimal(0))


def test_remainder_is_exact():
    assert Decimal("0.05") == exact.remainder(Decimal("123456789.15"), Decimal("0.1"))


@pytest.mark.parametrize(
    "rounding,rounded",
    [(ROUND_DOWN, "0.3"), (ROUND_UP, "0.6"), (ROUND_CEILING, "0.6"), (ROUND_HALF_EVEN, "0.6")],
)
def test_round_to_step_follows_the_rounding(rounding, rounded):
    assert Decimal(rounded) == exact.round_to_step(Decimal("0.45"), Decimal("0.3"), rounding)


@given(NUMBERS.filter(lambda value: value >= 0), STEPS)
def test_round_down_to_step_is_the_last_multiple(value, step):
    assert floor(Fraction(value) / Fraction(step)) * Fraction(step) == Fraction(
        exact.round_to_step(value, step, ROUND_DOWN)
    )


@pytest.mark.parametrize(
    "value,text",
    [("1E+3", "1000"), ("0.10", "0.1"), ("-0.00", "0"), ("100", "100"), ("0E+5", "0"), ("1234.5600", "1234.56")],
)
def test_plain_has_no_exponent_and_no_trailing_zeros(value, text):
    assert text == str(exact.plain(Decimal(value)))


@pytest.mark.parametrize(
    "value,number",
    [
        ("1", "1"),
        ("0.10", "0.1"),
        ("+2.50", "2.5"),
        ("-3", "-3"),
        ("1e3", "1000"),
        ("1E-3", "0.001"),
        ("00.5", "0.5"),
        ("0e999999", "0"),
        ("1234567.12345678", "1234567.12345678"),
        (Decimal("1E+3"), "1000"),
        (Decimal("-0"), "0"),
    ],
)
def test_numbers_are_read_in_plain_notation(value, number):
    assert number == str(exact.read_number(value))


@pytest.mark.parametrize(
    "value",
    [
        0.1,
        1,
        True,
        None,
        "",
        " 1 ",
        "1_000",
        "１",  # noqa: RUF001
        "1,5",
        ".5",
        "5.",
        "1\n",
        "0x10",
        "abc",
        "NaN",
        "Infinity",
        "1e999999",
        "1e-999999",
        "1e31",
        "1e99999999999999999999",
        "1" * 65,
        "0." + "1" * 41,
        b"1",
        ["1"],
        Decimal("NaN"),
        Decimal("sNaN"),
        Decimal("-Infinity"),
        Decimal("1e999999999"),
        Decimal("1e-999999999"),
        Decimal("1." + "1" * 40),
    ],
)
def test_junk_is_no_number(value):
    assert exact.read_number(value) is None
