"""Numbers fit their instrument as they are, or are refused with what would fit."""

from __future__ import annotations

from decimal import Decimal

import pytest
from attrs import evolve

from hean.core import fit
from hean.core.types import Category, Denial, DenyReason, Instrument, OrderType, Side

BTCUSDT = Instrument(
    category=Category.LINEAR,
    symbol="BTCUSDT",
    base_coin="BTC",
    quote_coin="USDT",
    settle_coin="USDT",
    tick_size=Decimal("0.50"),
    qty_step=Decimal("0.001"),
    min_order_qty=Decimal("0.002"),
    max_order_qty=Decimal(100),
    max_market_qty=Decimal(50),
    min_notional=Decimal(5),
    min_price=Decimal(1),
    max_price=Decimal(200_000),
)
D = Decimal


def reason_of(verdict: object) -> DenyReason:
    assert isinstance(verdict, Denial), verdict
    return verdict.reason


@pytest.mark.parametrize(
    "value,order_type,verdict",
    [
        ("0.0020", OrderType.LIMIT, D("0.002")),
        ("100", OrderType.LIMIT, D(100)),
        ("50", OrderType.MARKET, D(50)),
        ("50.001", OrderType.MARKET, DenyReason.ABOVE_MAXIMUM),
        ("100.001", OrderType.LIMIT, DenyReason.ABOVE_MAXIMUM),
        ("0.001", OrderType.LIMIT, DenyReason.BELOW_MINIMUM),
        ("0.0025", OrderType.LIMIT, DenyReason.OFF_STEP),
        ("0", OrderType.LIMIT, DenyReason.BAD_QTY),
        (5, OrderType.LIMIT, DenyReason.BAD_QTY),
    ],
)
def test_quantity_fits_or_is_refused(value, order_type, verdict):
    qty = fit.qty_of(value, BTCUSDT, order_type)
    assert verdict == (qty if isinstance(qty, Decimal) else reason_of(qty))


@pytest.mark.parametrize(
    "value,verdict",
    [
        ("95000.50", D("95000.5")),
        ("1", D(1)),
        ("200000", D(200_000)),
        ("0.5", DenyReason.BAD_PRICE),
        ("200000.5", DenyReason.BAD_PRICE),
        ("95000.25", DenyReason.OFF_TICK),
        (95000.5, DenyReason.BAD_PRICE),
    ],
)
def test_price_fits_or_is_refused(value, verdict):
    price = fit.price_of("price", value, BTCUSDT)
    assert verdict == (price if isinstance(price, Decimal) else reason_of(price))


def test_no_price_is_no_price():
    assert fit.optional_price_of("stop_loss", None, BTCUSDT) is None


@pytest.mark.parametrize(
    "value,order_type,verdict",
    [
        ("2500", OrderType.LIMIT, D(2500)),
        ("2499.5", OrderType.LIMIT, DenyReason.BELOW_NOTIONAL),
        ("junk", OrderType.LIMIT, DenyReason.BAD_PRICE),
        (None, OrderType.LIMIT, DenyReason.MISSING_PRICE),
        ("2500", OrderType.MARKET, DenyReason.BAD_PRICE),
        (None, OrderType.MARKET, None),
    ],
)
def test_limit_price_reaches_the_notional_value(value, order_type, verdict):
    price = fit.limit_price_of(value, D("0.002"), BTCUSDT, order_type)
    assert verdict == (reason_of(price) if isinstance(price, Denial) else price)


def test_inverse_has_no_notional_value_in_quote_coin():
    assert D(1) == fit.limit_price_of("1", D("0.002"), evolve(BTCUSDT, category=Category.INVERSE), OrderType.LIMIT)


@pytest.mark.parametrize(
    "stop_loss,take_profit,side,entry,verdict",
    [
        ("99.5", "100.5", Side.BUY, D(100), (D("99.5"), D("100.5"))),
        ("100.5", "99.5", Side.SELL, D(100), (D("100.5"), D("99.5"))),
        ("100.5", "99.5", Side.BUY, None, (D("100.5"), D("99.5"))),
        (None, None, Side.BUY, D(100), (None, None)),
        ("100", None, Side.BUY, D(100), DenyReason.BAD_PRICE),
        ("100", None, Side.SELL, D(100), DenyReason.BAD_PRICE),
        (None, "100", Side.BUY, D(100), DenyReason.BAD_PRICE),
        (None, "100.5", Side.SELL, D(100), DenyReason.BAD_PRICE),
        (None, "100.3", Side.BUY, D(100), DenyReason.OFF_TICK),
    ],
)
def test_stop_loss_and_take_profit_lie_on_their_sides(stop_loss, take_profit, side, entry, verdict):
    attached = fit.attached_of(stop_loss, take_profit, side, entry, BTCUSDT)
    assert verdict == (reason_of(attached) if isinstance(attached, Denial) else attached)


def test_denial_says_what_was_expected_what_was_seen_and_what_to_do():
    assert Denial(
        reason=DenyReason.OFF_TICK,
        detail="price: expected a multiple of 0.50, was 95000.25; nearest are 95000 and 95000.5; hean does not choose",
    ) == fit.price_of("price", "95000.25", BTCUSDT)


def test_denial_shows_an_endless_number_by_its_type():
    denial = fit.denial(DenyReason.BAD_QTY, "qty", "a number", Decimal("1e999999999"), "none")
    assert "qty: expected a number, was Decimal('1E+999999999'); none" == denial.detail
