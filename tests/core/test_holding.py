"""One execution after the other: quantity, cost and the three sums of money."""

from __future__ import annotations

import decimal
from decimal import Decimal
from fractions import Fraction

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from hean.core.holding import Holding, signed_qty
from hean.core.types import Category, ExecId, ExecType, Execution, Ms, OrderId, OrderLinkId, Side

D = Decimal
BASE = Execution(
    category=Category.LINEAR,
    symbol="BTCUSDT",
    exec_id=ExecId("e1"),
    order_id=OrderId("o1"),
    order_link_id=OrderLinkId(""),
    side=Side.BUY,
    exec_type=ExecType.TRADE,
    exec_qty=D(1),
    exec_price=D(100),
    seq=1,
)


def fill(signed: str, price: str, **changes) -> Execution:
    qty = D(signed)
    side = Side.BUY if qty > 0 else Side.SELL
    return evolve(BASE, side=side, exec_qty=abs(qty), exec_price=D(price), **changes)


def held(*fills: Execution, inverse: bool = False) -> Holding:
    holding = Holding(inverse=inverse)
    for each in fills:
        holding = holding.after(each, "USDT")
    return holding


def facts(holding: Holding) -> tuple[Decimal, Decimal | None, Decimal]:
    return holding.qty, holding.avg_price, holding.realised_pnl


@pytest.mark.parametrize(
    "fills,expected",
    [
        ([], (D(0), None, D(0))),
        ([("1", "100")], (D(1), D(100), D(0))),
        ([("1", "100"), ("3", "104")], (D(4), D(103), D(0))),
        ([("4", "103"), ("-1", "113")], (D(3), D(103), D(10))),
        ([("4", "103"), ("-4", "102.5")], (D(0), None, D(-2))),
        ([("1", "100"), ("-3", "110")], (D(-2), D(110), D(10))),
        ([("-2", "110"), ("-2", "100"), ("1", "95"), ("3", "105")], (D(0), None, D(10))),
        ([("-1", "100"), ("2", "90")], (D(1), D(90), D(10))),
        ([("1", "100"), ("-1", "110"), ("1", "120")], (D(1), D(120), D(10))),
    ],
    ids=["nothing", "open", "add", "reduce", "close", "flip to short", "short", "flip to long", "open again"],
)
def test_linear_position(fills, expected):
    assert expected == facts(held(*(fill(*each) for each in fills)))


@pytest.mark.parametrize(
    "fills,expected",
    [
        ([("100", "50"), ("100", "100")], (D(200), D("66.66666666666666666666666667"), D(0))),
        ([("100", "50"), ("-100", "100")], (D(0), None, D(1))),
        ([("-100", "50"), ("100", "100")], (D(0), None, D(-1))),
        ([("100", "50"), ("-200", "100")], (D(-100), D(100), D(1))),
        ([("200", "50"), ("-100", "40")], (D(100), D(50), D("-0.5"))),
    ],
    ids=["average is harmonic", "long gains base coin", "short loses it", "flip", "reduce"],
)
def test_inverse_position(fills, expected):
    assert expected == facts(held(*(fill(*each) for each in fills), inverse=True))


def test_side_goes_with_the_sign():
    assert [None, Side.BUY, Side.SELL] == [
        held().side,
        held(fill("1", "100")).side,
        held(fill("-1", "100")).side,
    ]


@pytest.mark.parametrize("exec_type", [kind for kind in ExecType if kind is not ExecType.FUNDING])
def test_adl_bust_settle_and_delivery_move_the_position(exec_type):
    assert D(-1) == held(fill("-1", "100", exec_type=exec_type)).qty


def test_funding_moves_cash_alone():
    position = held(fill("1", "100", exec_fee=D("0.1"), fee_currency="USDT", exec_ms=Ms(5)))
    funded = position.after(
        fill("1", "100", exec_type=ExecType.FUNDING, exec_fee=D("-0.02"), seq=9, exec_ms=Ms(7)), "USDC"
    )
    assert evolve(position, funding=(("USDC", D("-0.02")),), updated_ms=Ms(7)) == funded
    assert (("USDT", D("0.1")),) == funded.fees


def test_unknown_fee_is_not_counted():
    assert ((), ()) == (held(fill("1", "100")).fees, held(fill("1", "100", exec_type=ExecType.FUNDING)).funding)


def test_signed_quantity_of_funding_is_zero():
    signed = [
        signed_qty(each) for each in (fill("2", "1"), fill("-2", "1"), fill("2", "1", exec_type=ExecType.FUNDING))
    ]
    assert [D(2), D(-2), D(0)] == signed


def test_position_entered_for_nothing_has_no_average():
    assert held(fill("1", "0")).avg_price is None


def test_inverse_price_of_zero_raises():
    with pytest.raises(decimal.DivisionByZero):
        held(fill("1", "0"), inverse=True)


def test_replaced_balance_keeps_the_sums():
    position = held(fill("3", "100", exec_fee=D(1)), fill("-1", "110", seq=4, exec_ms=Ms(50)))
    other = position.replaced(D(-5), D("99.5"), 7, Ms(40))
    assert (D(-5), D("99.5"), D(10)) == facts(other)
    assert (position.fees, 7, Ms(50)) == (other.fees, other.seq, other.updated_ms)
    assert (D(0), None, D(10)) == facts(other.replaced(D(0), None, 8, Ms(60)))


FILLS = st.lists(
    st.builds(
        fill,
        st.decimals(min_value=-9, max_value=9, places=3).filter(bool).map(str),
        st.decimals(min_value="0.1", max_value=999, places=2).map(str),
    ),
    max_size=30,
)


def brute_force(fills: list[Execution], *, inverse: bool) -> tuple[Fraction, Fraction | None, Fraction]:
    """The textbook, in fractions: an average entry that additions move and reductions do not."""
    qty, entry, realised = Fraction(0), None, Fraction(0)
    for each in fills:
        step, price = Fraction(each.exec_qty) * each.side.sign, Fraction(each.exec_price)
        if qty * step < 0:
            closed = min(abs(qty), abs(step)) * (1 if qty > 0 else -1)
            realised += closed * (1 / entry - 1 / price if inverse else price - entry)
            if abs(step) > abs(qty):
                entry = price
        elif inverse:
            entry = price if not qty else (qty + step) / (qty / entry + step / price)
        else:
            entry = price if not qty else (qty * entry + step * price) / (qty + step)
        qty += step
        if not qty:
            entry = None
    return qty, entry, realised


@given(FILLS, st.booleans())
def test_fold_equals_the_textbook(fills, inverse):
    qty, entry, realised = brute_force(fills, inverse=inverse)
    position = held(*fills, inverse=inverse)
    assert qty == Fraction(position.qty)
    assert abs(realised - Fraction(position.realised_pnl)) < Fraction(1, 10**40)
    assert (entry is None) == (position.avg_price is None)
    if entry is not None:
        assert abs(entry - Fraction(position.avg_price)) <= entry * Fraction(1, 10**27)


@given(FILLS.filter(len))
def test_realised_pnl_of_a_flat_linear_position_is_exact(fills):
    rest = held(*fills).qty
    closing = [*fills, fill(str(-rest), "123.45")] if rest else fills
    assert brute_force(closing, inverse=False)[2] == Fraction(held(*closing).realised_pnl)
