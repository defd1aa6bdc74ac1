"""The fill ledger: each execution once, exact, in any order."""

from __future__ import annotations

import decimal
from decimal import Decimal
from fractions import Fraction

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from hean.core.ledger import Ledger, value_of, with_fee
from hean.core.types import Category, ExecId, ExecType, Execution, Ms, OrderId, OrderLinkId, Side

FILL = Execution(
    category=Category.LINEAR,
    symbol="BTCUSDT",
    exec_id=ExecId("e1"),
    order_id=OrderId("o1"),
    order_link_id=OrderLinkId("h1-x"),
    side=Side.BUY,
    exec_type=ExecType.TRADE,
    exec_qty=Decimal("0.3"),
    exec_price=Decimal(60000),
    exec_value=Decimal(18000),
    exec_fee=Decimal("9.9"),
    fee_currency="USDT",
    seq=7,
    exec_ms=Ms(1000),
)

AMOUNTS = st.decimals(min_value="0.001", max_value=1000, places=3)
FILLS = st.lists(
    st.builds(
        Execution,
        category=st.just(Category.LINEAR),
        symbol=st.just("BTCUSDT"),
        exec_id=st.integers(0, 60).map(lambda number: ExecId(f"e{number}")),
        order_id=st.just(OrderId("o1")),
        order_link_id=st.just(OrderLinkId("h1-x")),
        side=st.just(Side.BUY),
        exec_type=st.sampled_from(list(ExecType)),
        exec_qty=AMOUNTS,
        exec_price=AMOUNTS,
        exec_fee=st.none() | AMOUNTS,
        fee_currency=st.sampled_from(["", "USDT", "MNT"]),
        seq=st.integers(0, 99),
        exec_ms=st.integers(0, 99).map(Ms),
    ),
    unique_by=lambda fill: fill.exec_id,
    max_size=40,
)


def ledger_of(*fills: Execution) -> Ledger:
    ledger = Ledger(settle_coin="USDT")
    for fill in fills:
        ledger = ledger.add(fill)
    return ledger


def test_one_fill_is_counted_whole():
    assert Ledger(
        settle_coin="USDT",
        cum_exec_qty=Decimal("0.3"),
        cum_value=Decimal(18000),
        fees=(("USDT", Decimal("9.9")),),
        last_seq=7,
        last_exec_ms=Ms(1000),
        id_runs=(frozenset({ExecId("e1")}),),
    ) == ledger_of(FILL)


def test_known_fill_changes_nothing():
    ledger = ledger_of(FILL)
    assert ledger.add(evolve(FILL, exec_qty=Decimal(9))) is ledger
    assert (True, False) == (ledger.knows(ExecId("e1")), ledger.knows(ExecId("e2")))


def test_funding_is_no_fill():
    ledger = Ledger()
    assert ledger.add(evolve(FILL, exec_type=ExecType.FUNDING)) is ledger


@pytest.mark.parametrize("exec_type", [kind for kind in ExecType if kind is not ExecType.FUNDING])
def test_every_other_type_moves_quantity(exec_type):
    assert Decimal("0.3") == ledger_of(evolve(FILL, exec_type=exec_type)).cum_exec_qty


def test_watermark_only_rises_and_the_gap_is_what_fills_do_not_explain():
    ledger = Ledger().seen(Decimal("0.5"))
    assert ledger.seen(Decimal("0.4")) is ledger
    assert Decimal("0.5") == ledger.gap
    assert Decimal("0.2") == ledger.add(FILL).gap
    assert Decimal(0) == ledger.add(FILL).add(evolve(FILL, exec_id=ExecId("e2"))).gap


def test_watermark_that_rises_changes_nothing_else():
    ledger = Ledger(category=Category.SPOT, settle_coin="USDC").add(evolve(FILL, exec_fee=None))
    seen = ledger.seen(Decimal("0.5"))
    assert (evolve(ledger, watermark=Decimal("0.5")), Decimal("0.5")) == (seen, seen.watermark)
    assert seen.add(evolve(FILL, exec_id=ExecId("e2"))).watermark == seen.watermark


@pytest.mark.parametrize("told,gap,overfill", [("0.30", "0.00", "0.00"), ("0.2", "0", "0.1"), ("1.00", "0.70", "0")])
def test_gap_and_overfill_show_the_digits_that_were_counted(told, gap, overfill):
    ledger = Ledger().add(FILL).seen(Decimal(told))
    assert (gap, overfill) == (str(ledger.gap), str(ledger.overfill(Decimal(told))))


def test_overfill_is_what_exceeds_the_order():
    assert Decimal("0.1") == ledger_of(FILL).overfill(Decimal("0.2"))
    assert Decimal(0) == ledger_of(FILL).overfill(Decimal("0.4"))


def test_average_price_is_value_over_quantity():
    second = evolve(FILL, exec_id=ExecId("e2"), exec_qty=Decimal("0.1"), exec_value=Decimal(6100))
    assert Ledger().avg_price is None
    assert Decimal(60250) == ledger_of(FILL, second).avg_price


def test_average_price_of_worthless_fills_is_unknown():
    assert ledger_of(evolve(FILL, exec_price=Decimal(0), exec_value=None)).avg_price is None


def test_inverse_average_price_is_harmonic():
    contracts = evolve(FILL, category=Category.INVERSE, exec_value=None, exec_qty=Decimal(100))
    ledger = Ledger(category=Category.INVERSE)
    ledger = ledger.add(evolve(contracts, exec_price=Decimal(50)))
    ledger = ledger.add(evolve(contracts, exec_price=Decimal(100), exec_id=ExecId("e2")))
    assert Decimal(3) == ledger.cum_value
    assert Decimal("66.66666666666666666666666667") == ledger.avg_price


def test_missing_value_is_computed():
    assert Decimal(18000) == value_of(evolve(FILL, exec_value=None))
    assert Decimal("0.000005") == value_of(evolve(FILL, exec_value=None, category=Category.INVERSE))


def test_inverse_fill_without_value_or_price_raises_and_changes_nothing():
    ledger = Ledger(category=Category.INVERSE)
    with pytest.raises(decimal.DivisionByZero):
        ledger.add(evolve(FILL, category=Category.INVERSE, exec_value=None, exec_price=Decimal(0)))
    assert Ledger(category=Category.INVERSE) == ledger


def test_fees_are_summed_per_coin_and_rebates_are_negative():
    rebate = evolve(FILL, exec_id=ExecId("e2"), exec_fee=Decimal("-0.4"))
    other = evolve(FILL, exec_id=ExecId("e3"), exec_fee=Decimal(1), fee_currency="MNT")
    assert (("MNT", Decimal(1)), ("USDT", Decimal("9.5"))) == ledger_of(FILL, rebate, other).fees


def test_fee_without_coin_is_in_the_settle_coin():
    assert (("USDC", Decimal("9.9")),) == Ledger(settle_coin="USDC").add(evolve(FILL, fee_currency="")).fees


def test_fee_is_unknown_until_a_later_row_tells_it():
    blind = ledger_of(evolve(FILL, exec_fee=None))
    assert not blind.fees_known
    assert blind.add(evolve(FILL, exec_fee=None)) is blind
    told = blind.add(evolve(FILL, exec_qty=Decimal(9), fee_currency=""))
    assert told.fees_known
    assert ledger_of(FILL) == told


def test_fees_do_not_round_in_a_poor_context():
    with decimal.localcontext() as context:
        context.prec = 2
        assert (("USDT", Decimal("1000.001")),) == with_fee((("USDT", Decimal(1000)),), "USDT", Decimal("0.001"))


@given(FILLS, st.randoms(use_true_random=False))
def test_any_order_with_any_duplicates_gives_the_same_ledger(fills, random):
    again = fills + random.sample(fills, len(fills) // 2)
    random.shuffle(again)
    assert ledger_of(*fills) == ledger_of(*again)


@given(FILLS)
def test_sums_equal_the_sums_of_the_executions(fills):
    ledger = ledger_of(*fills)
    moving = [fill for fill in fills if fill.exec_type is not ExecType.FUNDING]
    assert sum(Fraction(fill.exec_qty) for fill in moving) == Fraction(ledger.cum_exec_qty)
    assert sum(Fraction(fill.exec_qty) * Fraction(fill.exec_price) for fill in moving) == Fraction(ledger.cum_value)
    assert {fill.exec_id for fill in moving} == ledger.exec_ids
    assert len(moving) == ledger.count
    assert all(fill.exec_fee is not None for fill in moving) == ledger.fees_known
    assert sum(Fraction(fill.exec_fee) for fill in moving if fill.exec_fee is not None) == sum(
        Fraction(fee) for _, fee in ledger.fees
    )


def test_ten_thousand_ids_are_kept_in_few_runs():
    ledger = ledger_of(*(evolve(FILL, exec_id=ExecId(str(number))) for number in range(10_000)))
    assert 10_000 == ledger.count
    assert len(ledger.id_runs) <= 14
