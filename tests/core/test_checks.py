"""A signal becomes the request that may be sent, or a typed no that explains itself."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from attrs import evolve, fields
from hypothesis import given
from hypothesis import strategies as st

from hean.core import ids
from hean.core.checks import Gates, check, check_amend, read_amend
from hean.core.types import (
    Amend,
    Category,
    Denial,
    DenyReason,
    Instrument,
    Ms,
    OrderLinkId,
    OrderRequest,
    OrderSnapshot,
    OrderState,
    OrderType,
    Side,
    Signal,
    TimeInForce,
)

NOW = Ms(1_700_000_000_000)
OPEN = Gates(live=True)
BTCUSDT = Instrument(
    category=Category.LINEAR,
    symbol="BTCUSDT",
    base_coin="BTC",
    quote_coin="USDT",
    settle_coin="USDT",
    tick_size=Decimal("0.10"),
    qty_step=Decimal("0.001"),
    min_order_qty=Decimal("0.001"),
    max_order_qty=Decimal("1190.000"),
    max_market_qty=Decimal("500.000"),
    min_notional=Decimal(5),
    min_price=Decimal("0.10"),
    max_price=Decimal("1999999.80"),
)
BTCUSD = evolve(
    BTCUSDT,
    category=Category.INVERSE,
    symbol="BTCUSD",
    quote_coin="USD",
    settle_coin="BTC",
    tick_size=Decimal("0.50"),
    qty_step=Decimal(1),
    min_order_qty=Decimal(1),
    max_order_qty=Decimal(25_000_000),
    max_market_qty=Decimal(5_000_000),
)
MARKET = Signal(strategy_id="trend", signal_id="s-1", symbol="BTCUSDT", side=Side.BUY, qty="0.010")
LIMIT = evolve(MARKET, order_type=OrderType.LIMIT, price="95000.00")
STOP = evolve(MARKET, trigger_price="96000", side=Side.BUY)


def checked(signal: Signal, **changes: Any) -> OrderRequest | Denial:
    return check(evolve(signal, **changes), BTCUSDT, OPEN, NOW)


def request_of(signal: Signal, **changes: Any) -> OrderRequest:
    request = checked(signal, **changes)
    assert isinstance(request, OrderRequest), request
    return request


def test_market_order_needs_nothing_else():
    assert OrderRequest(
        order_link_id=ids.order_link_id("trend", "s-1", 0),
        correlation_id=ids.correlation_id(MARKET),
        strategy_id="trend",
        signal_id="s-1",
        leg=0,
        category=Category.LINEAR,
        symbol="BTCUSDT",
        side=Side.BUY,
        order_type=OrderType.MARKET,
        qty=Decimal("0.01"),
        price=None,
        time_in_force=TimeInForce.IOC,
        settle_coin="USDT",
        submitted_ms=NOW,
    ) == checked(MARKET)


def test_every_field_reaches_the_request():
    signal = evolve(
        LIMIT,
        side="Sell",
        category="linear",
        order_type="Limit",
        qty=Decimal("1E+2"),
        price="9.5e4",
        time_in_force="PostOnly",
        trigger_price="94000.0",
        trigger_direction=1,
        stop_loss="96000",
        take_profit=Decimal("90000.00"),
        position_idx=2,
        correlation_id="mine",
        leg=7,
        metadata=(("why", "test"),),
    )
    request = request_of(signal)
    assert (
        OrderRequest(
            order_link_id=ids.order_link_id("trend", "s-1", 7),
            correlation_id="mine",
            strategy_id="trend",
            signal_id="s-1",
            leg=7,
            category=Category.LINEAR,
            symbol="BTCUSDT",
            side=Side.SELL,
            order_type=OrderType.LIMIT,
            qty=Decimal(100),
            price=Decimal(95000),
            time_in_force=TimeInForce.POST_ONLY,
            trigger_price=Decimal(94000),
            trigger_direction=1,
            stop_loss=Decimal(96000),
            take_profit=Decimal(90000),
            position_idx=2,
            settle_coin="USDT",
            submitted_ms=NOW,
        )
        == request
    )
    assert ("100", "95000", "90000") == (str(request.qty), str(request.price), str(request.take_profit))
    assert (Side.SELL, OrderType.LIMIT) == (request.side, request.order_type)
    assert isinstance(request.side, Side)


@pytest.mark.parametrize(
    "signal,changes,expected",
    [
        (LIMIT, {}, {"time_in_force": TimeInForce.GTC}),
        (LIMIT, {"time_in_force": TimeInForce.FOK}, {"time_in_force": TimeInForce.FOK}),
        (MARKET, {"time_in_force": TimeInForce.IOC}, {"time_in_force": TimeInForce.IOC}),
        (MARKET, {"reduce_only": True}, {"reduce_only": True}),
        (MARKET, {"reduce_only": True, "close_on_trigger": True}, {"close_on_trigger": True}),
        (MARKET, {"slippage_ticks": 1}, {"slippage_ticks": 1}),
        (MARKET, {"slippage_ticks": 10_000}, {"slippage_ticks": 10_000}),
        (MARKET, {"qty": "500"}, {"qty": Decimal(500)}),
        (LIMIT, {"qty": "1190"}, {"qty": Decimal(1190)}),
        (LIMIT, {"qty": "0.001", "price": "5000"}, {"price": Decimal(5000)}),
        (LIMIT, {"price": "0.1", "qty": "50"}, {"price": Decimal("0.1")}),
        (LIMIT, {"price": "1999999.8"}, {"price": Decimal("1999999.8")}),
        (STOP, {}, {"trigger_direction": 1}),
        (STOP, {"side": Side.SELL}, {"trigger_direction": 2}),
        (STOP, {"trigger_direction": 2}, {"trigger_direction": 2}),
        # A market order has no price of its own to compare with.
        (MARKET, {"stop_loss": "1", "take_profit": "1"}, {"stop_loss": Decimal(1), "take_profit": Decimal(1)}),
        (LIMIT, {"stop_loss": "94999.9", "take_profit": "95000.1"}, {"take_profit": Decimal("95000.1")}),
        (MARKET, {"metadata": tuple(("k", "v") for _ in range(64))}, {}),
    ],
)
def test_good_signal_passes(signal, changes, expected):
    request = request_of(signal, **changes)
    assert expected == {name: getattr(request, name) for name in expected}


@pytest.mark.parametrize(
    "signal,changes,reason,words",
    [
        (MARKET, {"strategy_id": ""}, DenyReason.BAD_IDENTITY, "strategy_id"),
        (MARKET, {"leg": 1.0}, DenyReason.BAD_IDENTITY, "leg"),
        (MARKET, {"category": "futures"}, DenyReason.BAD_TYPE, "one of linear, inverse, spot, option"),
        (MARKET, {"category": None}, DenyReason.BAD_TYPE, "was None"),
        (MARKET, {"category": Category.SPOT}, DenyReason.NOT_SUPPORTED, "one of inverse, linear"),
        (MARKET, {"category": "option"}, DenyReason.NOT_SUPPORTED, "category"),
        (MARKET, {"symbol": ""}, DenyReason.BAD_SYMBOL, "symbol"),
        (MARKET, {"symbol": 5}, DenyReason.BAD_SYMBOL, "was 5 (int)"),
        (MARKET, {"symbol": "BTCUSDX"}, DenyReason.BAD_SYMBOL, "was 'BTCUSDX'"),
        (MARKET, {"category": "inverse"}, DenyReason.BAD_SYMBOL, "an instrument of inverse"),
        (MARKET, {"side": "buy"}, DenyReason.BAD_SIDE, "one of Buy, Sell"),
        (MARKET, {"side": 1}, DenyReason.BAD_SIDE, "was 1 (int)"),
        (MARKET, {"order_type": "Stop"}, DenyReason.BAD_TYPE, "one of Market, Limit"),
        (LIMIT, {"time_in_force": "RPI"}, DenyReason.BAD_TYPE, "one of GTC, IOC, FOK, PostOnly"),
        (MARKET, {"time_in_force": TimeInForce.GTC}, DenyReason.BAD_TYPE, "IOC for a market order"),
        (MARKET, {"reduce_only": "yes"}, DenyReason.BAD_TYPE, "reduce_only"),
        (MARKET, {"reduce_only": 1}, DenyReason.BAD_TYPE, "reduce_only"),
        (MARKET, {"close_on_trigger": None}, DenyReason.BAD_TYPE, "close_on_trigger"),
        (MARKET, {"close_on_trigger": True}, DenyReason.NOT_SUPPORTED, "reduce_only with it"),
        (MARKET, {"position_idx": 3}, DenyReason.BAD_TYPE, "position_idx"),
        (MARKET, {"position_idx": -1}, DenyReason.BAD_TYPE, "position_idx"),
        (MARKET, {"position_idx": True}, DenyReason.BAD_TYPE, "position_idx"),
        (MARKET, {"metadata": {"a": "b"}}, DenyReason.BAD_TYPE, "metadata"),
        (MARKET, {"metadata": (("a", "b", "c"),)}, DenyReason.BAD_TYPE, "metadata"),
        (MARKET, {"metadata": (["a", "b"],)}, DenyReason.BAD_TYPE, "metadata"),
        (MARKET, {"metadata": (("a", 1),)}, DenyReason.BAD_TYPE, "metadata"),
        (MARKET, {"metadata": (("a", "b" * 1025),)}, DenyReason.BAD_TYPE, "metadata"),
        (MARKET, {"metadata": tuple(("k", "v") for _ in range(65))}, DenyReason.BAD_TYPE, "metadata"),
        (MARKET, {"qty": 0.01}, DenyReason.BAD_QTY, "was 0.01 (float)"),
        (MARKET, {"qty": "1e999999"}, DenyReason.BAD_QTY, "was '1e999999'"),
        (MARKET, {"qty": "0"}, DenyReason.BAD_QTY, "above zero, was 0"),
        (MARKET, {"qty": "-1"}, DenyReason.BAD_QTY, "above zero, was -1"),
        (MARKET, {"qty": "0.0015"}, DenyReason.OFF_STEP, "nearest are 0.001 and 0.002"),
        (MARKET, {"qty": "0.0009"}, DenyReason.BELOW_MINIMUM, "at least 0.001, was 0.0009"),
        (MARKET, {"qty": "500.001"}, DenyReason.ABOVE_MAXIMUM, "at most 500.000 in a Market order"),
        (MARKET, {"qty": "500.001", "reduce_only": True}, DenyReason.ABOVE_MAXIMUM, "at most 500.000"),
        (LIMIT, {"qty": "1190.001"}, DenyReason.ABOVE_MAXIMUM, "at most 1190.000 in a Limit order"),
        (LIMIT, {"price": None}, DenyReason.MISSING_PRICE, "price"),
        (LIMIT, {"price": 95000.0}, DenyReason.BAD_PRICE, "was 95000.0 (float)"),
        (LIMIT, {"price": "NaN"}, DenyReason.BAD_PRICE, "was 'NaN'"),
        (LIMIT, {"price": "0"}, DenyReason.BAD_PRICE, "at least 0.10"),
        (LIMIT, {"price": "-95000"}, DenyReason.BAD_PRICE, "at least 0.10, was -95000"),
        (LIMIT, {"price": "1999999.9"}, DenyReason.BAD_PRICE, "at most 1999999.80"),
        (LIMIT, {"price": "95000.05"}, DenyReason.OFF_TICK, "nearest are 95000 and 95000.1"),
        (LIMIT, {"qty": "0.001", "price": "4999.9"}, DenyReason.BELOW_NOTIONAL, "at least 5 USDT, was 4.9999"),
        (LIMIT, {"qty": "0.001", "price": "10", "reduce_only": True}, DenyReason.BELOW_NOTIONAL, "price x qty"),
        (MARKET, {"price": "95000"}, DenyReason.BAD_PRICE, "none for a market order"),
        (STOP, {"trigger_price": "96000.01"}, DenyReason.OFF_TICK, "trigger_price"),
        (STOP, {"trigger_price": "junk"}, DenyReason.BAD_PRICE, "trigger_price"),
        (STOP, {"trigger_direction": 3}, DenyReason.BAD_TYPE, "trigger_direction"),
        (STOP, {"trigger_direction": True}, DenyReason.BAD_TYPE, "trigger_direction"),
        (MARKET, {"trigger_direction": 1}, DenyReason.BAD_TYPE, "none without trigger_price"),
        (MARKET, {"slippage_ticks": 0}, DenyReason.BAD_TYPE, "1-10000"),
        (MARKET, {"slippage_ticks": 10_001}, DenyReason.BAD_TYPE, "1-10000"),
        (MARKET, {"slippage_ticks": "5"}, DenyReason.BAD_TYPE, "1-10000"),
        (MARKET, {"slippage_ticks": True}, DenyReason.BAD_TYPE, "1-10000"),
        (LIMIT, {"slippage_ticks": 5}, DenyReason.NOT_SUPPORTED, "slippage_ticks"),
        (STOP, {"slippage_ticks": 5}, DenyReason.NOT_SUPPORTED, "slippage_ticks"),
        (MARKET, {"slippage_ticks": 5, "stop_loss": "1"}, DenyReason.NOT_SUPPORTED, "slippage_ticks"),
        (MARKET, {"slippage_ticks": 5, "take_profit": "1"}, DenyReason.NOT_SUPPORTED, "slippage_ticks"),
        (LIMIT, {"stop_loss": "95000"}, DenyReason.BAD_PRICE, "a price below 95000, was 95000"),
        (LIMIT, {"stop_loss": "95000.1"}, DenyReason.BAD_PRICE, "a price below 95000"),
        (LIMIT, {"take_profit": "94999.9"}, DenyReason.BAD_PRICE, "a price above 95000"),
        (LIMIT, {"side": Side.SELL, "stop_loss": "94999.9"}, DenyReason.BAD_PRICE, "a price above 95000"),
        (LIMIT, {"side": Side.SELL, "take_profit": "95000.1"}, DenyReason.BAD_PRICE, "a price below 95000"),
        (STOP, {"stop_loss": "96000.1"}, DenyReason.BAD_PRICE, "a price below 96000"),
        (LIMIT, {"stop_loss": "94999.95"}, DenyReason.OFF_TICK, "stop_loss"),
        (LIMIT, {"take_profit": "0"}, DenyReason.BAD_PRICE, "take_profit"),
        (LIMIT, {"reduce_only": True, "stop_loss": "94000"}, DenyReason.NOT_SUPPORTED, "None with reduce_only"),
        (LIMIT, {"reduce_only": True, "take_profit": "96000"}, DenyReason.NOT_SUPPORTED, "None with reduce_only"),
    ],
)
def test_bad_signal_is_denied_with_its_reason(signal, changes, reason, words):
    denial = checked(signal, **changes)
    assert isinstance(denial, Denial)
    assert reason == denial.reason
    assert words in denial.detail


@pytest.mark.parametrize(
    "junk",
    [0.1, 1, True, None, "", "abc", "１", " 1 ", "1_000", "NaN", "Infinity", "1e999999", Decimal("NaN"), [], object()],  # noqa: RUF001
)
@pytest.mark.parametrize("field", ["qty", "price", "trigger_price", "stop_loss", "take_profit"])
def test_no_junk_is_a_number(field, junk):
    denial = checked(LIMIT, **{field: junk})
    if junk is None and field not in {"qty", "price"}:
        assert isinstance(denial, OrderRequest)
        return
    assert isinstance(denial, Denial)
    expected = DenyReason.BAD_QTY if field == "qty" else DenyReason.BAD_PRICE
    assert (DenyReason.MISSING_PRICE if (field, junk) == ("price", None) else expected) == denial.reason
    assert denial.detail.startswith(f"{field}: expected ")


def test_unlisted_instrument_is_denied():
    denial = check(MARKET, None, OPEN, NOW)
    assert isinstance(denial, Denial)
    assert DenyReason.BAD_SYMBOL == denial.reason


@pytest.mark.parametrize(
    "instrument,words",
    [
        (evolve(BTCUSDT, trading=False), "trades now"),
        (evolve(BTCUSDT, symbol="ETHUSDT"), "BTCUSDT"),
        (evolve(BTCUSDT, tick_size=Decimal(0)), "grids above zero"),
        (evolve(BTCUSDT, qty_step=Decimal(0)), "grids above zero"),
    ],
)
def test_instrument_that_cannot_be_traded_is_denied(instrument, words):
    denial = check(MARKET, instrument, OPEN, NOW)
    assert isinstance(denial, Denial)
    assert DenyReason.BAD_SYMBOL == denial.reason
    assert words in denial.detail


def test_price_needs_a_tick_where_no_minimum_is_named():
    unbounded = evolve(BTCUSDT, min_price=None, max_price=None)
    high = check(evolve(LIMIT, price="3000000"), unbounded, OPEN, NOW)
    assert isinstance(high, OrderRequest)
    low = check(evolve(LIMIT, price="0.05"), unbounded, OPEN, NOW)
    assert isinstance(low, Denial)
    assert DenyReason.BAD_PRICE == low.reason


def test_inverse_has_no_hedge_mode_and_no_notional_in_quote_coin():
    contracts = evolve(LIMIT, category=Category.INVERSE, symbol="BTCUSD", qty="1", price="0.5")
    assert isinstance(check(contracts, BTCUSD, OPEN, NOW), OrderRequest)
    hedged = check(evolve(contracts, position_idx=1), BTCUSD, OPEN, NOW)
    assert isinstance(hedged, Denial)
    assert DenyReason.BAD_TYPE == hedged.reason


SHUT = {
    "stopped": ({"stopped": True}, DenyReason.STOPPED, "stopped"),
    "halted": ({"halted": True, "halted_why": "operator"}, DenyReason.HALTED, "operator"),
    "symbol": ({"symbol_halted": True, "symbol_why": "drift"}, DenyReason.SYMBOL_HALTED, "drift"),
    "reducing": ({"symbol_reducing": True, "symbol_why": "overfill"}, DenyReason.SYMBOL_HALTED, "overfill"),
    "breaker": ({"breaker_open": True, "breaker_why": "403"}, DenyReason.BREAKER_OPEN, "403"),
    "live": ({"live": False, "live_why": "catching up"}, DenyReason.NOT_LIVE, "catching up"),
    "age": ({"submitted_ms": Ms(NOW - 300_001)}, DenyReason.TOO_OLD, "was 300001 ms"),
    "orders": ({"open_orders": 10_000}, DenyReason.TOO_MANY_ORDERS, "open orders"),
    "symbol_orders": ({"symbol_orders": 500}, DenyReason.TOO_MANY_ORDERS, "active orders"),
    "conditionals": ({"symbol_conditionals": 10}, DenyReason.TOO_MANY_ORDERS, "conditional orders"),
}


@pytest.mark.parametrize("name", SHUT)
def test_shut_gate_denies(name):
    changes, reason, words = SHUT[name]
    denial = check(STOP, BTCUSDT, evolve(OPEN, **changes), NOW)
    assert isinstance(denial, Denial)
    assert reason == denial.reason
    assert words in denial.detail


@pytest.mark.parametrize("first,second", list(zip(SHUT, list(SHUT)[1:], strict=False)))
def test_gates_answer_in_their_order(first, second):
    gates = evolve(OPEN, **SHUT[second][0] | SHUT[first][0])
    denial = check(STOP, BTCUSDT, gates, NOW)
    assert isinstance(denial, Denial)
    assert SHUT[first][2] in denial.detail


def test_gates_answer_before_the_signal_is_read():
    denial = check(evolve(MARKET, qty="junk"), None, evolve(OPEN, halted=True), NOW)
    assert isinstance(denial, Denial)
    assert DenyReason.HALTED == denial.reason


def test_identity_answers_before_the_gates():
    denial = check(evolve(MARKET, signal_id=""), None, evolve(OPEN, halted=True), NOW)
    assert isinstance(denial, Denial)
    assert DenyReason.BAD_IDENTITY == denial.reason


def test_reducing_symbol_still_takes_reduce_only():
    gates = evolve(OPEN, symbol_reducing=True)
    assert isinstance(check(evolve(MARKET, reduce_only=True), BTCUSDT, gates, NOW), OrderRequest)


def test_full_book_of_conditionals_takes_plain_orders():
    assert isinstance(check(MARKET, BTCUSDT, evolve(OPEN, symbol_conditionals=10), NOW), OrderRequest)


def test_age_counts_from_the_first_submit_in_the_journal():
    first = Ms(NOW - 300_000)
    request = check(MARKET, BTCUSDT, evolve(OPEN, submitted_ms=first), NOW)
    assert isinstance(request, OrderRequest)
    assert first == request.submitted_ms


JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.decimals(),
    st.text(max_size=8),
    st.binary(max_size=4),
    st.builds(object),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=2), st.text(max_size=2), max_size=2),
    st.sampled_from([*Side, *OrderType, *TimeInForce, *Category, "1e999999", Decimal("1e999999999"), "0.1", "95000"]),
)


@given(st.dictionaries(st.sampled_from([field.name for field in fields(Signal)]), JUNK))
def test_no_signal_makes_the_checks_raise(changes):
    verdict = checked(LIMIT, **changes)
    assert isinstance(verdict, OrderRequest | Denial)


GOOD = st.fixed_dictionaries(
    {
        "qty": st.decimals(min_value="0.001", max_value="600", places=4),
        "price": st.decimals(min_value="0.01", max_value="2000000", places=2),
    }
)


@given(GOOD)
def test_what_passes_fits_the_instrument_and_was_not_changed(numbers):
    request = checked(LIMIT, **numbers)
    if isinstance(request, Denial):
        assert request.reason in {
            DenyReason.OFF_STEP,
            DenyReason.OFF_TICK,
            DenyReason.BELOW_NOTIONAL,
            DenyReason.BAD_PRICE,
        }
        return
    assert (numbers["qty"], numbers["price"]) == (request.qty, request.price)
    assert request.price is not None
    assert (Decimal(0), Decimal(0)) == (request.qty % BTCUSDT.qty_step, request.price % BTCUSDT.tick_size)
    assert request.qty * request.price >= BTCUSDT.min_notional


RESTING = OrderSnapshot(
    order_link_id=OrderLinkId("h1-x"),
    correlation_id="c",
    strategy_id="trend",
    signal_id="s-1",
    category=Category.LINEAR,
    symbol="BTCUSDT",
    side=Side.BUY,
    order_type=OrderType.LIMIT,
    state=OrderState.PARTIAL_FILL,
    outcome=None,
    qty=Decimal("0.5"),
    price=Decimal(95000),
    cum_exec_qty=Decimal("0.2"),
    leaves_qty=Decimal("0.3"),
    avg_price=Decimal(95000),
)
# The exchange shows the price at which it protects a market order; it is not ours to amend.
WAITING = evolve(RESTING, order_type=OrderType.MARKET, trigger_price=Decimal(96000), cum_exec_qty=Decimal(0))


def test_amend_is_read_into_plain_numbers():
    assert Amend(qty=Decimal("0.4"), stop_loss=Decimal(0)) == read_amend(qty="0.40", stop_loss=Decimal("0.00"))
    assert Amend(price=Decimal(1000), trigger_price=Decimal(1), take_profit=Decimal(2)) == read_amend(
        price="1e3", trigger_price="1", take_profit="2.0"
    )


@pytest.mark.parametrize(
    "given,reason",
    [
        ({"qty": 0.4}, DenyReason.BAD_QTY),
        ({"price": "junk"}, DenyReason.BAD_PRICE),
        ({"stop_loss": 0}, DenyReason.BAD_PRICE),
    ],
)
def test_amend_with_junk_is_denied(given, reason):
    denial = read_amend(**given)
    assert isinstance(denial, Denial)
    assert reason == denial.reason


@pytest.mark.parametrize(
    "order,given",
    [
        (RESTING, {"qty": "0.201"}),
        (RESTING, {"price": "94000"}),
        (RESTING, {"qty": "1", "price": "94000"}),
        (RESTING, {"stop_loss": "94000", "take_profit": "96000"}),
        (RESTING, {"stop_loss": "0", "take_profit": "0"}),
        (evolve(RESTING, reduce_only=True), {"stop_loss": "0", "price": "94000"}),
        # An attached price is amended even where the instrument's notional has risen above the order since.
        (evolve(RESTING, price=Decimal(1), qty=Decimal("0.5")), {"take_profit": "2"}),
        (WAITING, {"qty": "1"}),
        (WAITING, {"trigger_price": "97000"}),
        (WAITING, {"trigger_price": "97000", "stop_loss": "96999.9"}),
        (evolve(WAITING, trigger_price=None), {"stop_loss": "200000"}),
    ],
)
def test_amend_that_fits_passes(order, given):
    amend = read_amend(**given)
    assert isinstance(amend, Amend)
    assert check_amend(amend, order, BTCUSDT) is None


@pytest.mark.parametrize(
    "order,given,reason,words",
    [
        (RESTING, {}, DenyReason.BAD_TYPE, "at least one change"),
        (RESTING, {"qty": "0.2"}, DenyReason.BAD_QTY, "more than the 0.2 that are filled"),
        (RESTING, {"qty": "0.2015"}, DenyReason.OFF_STEP, "nearest are 0.201 and 0.202"),
        (RESTING, {"qty": "2000"}, DenyReason.ABOVE_MAXIMUM, "1190"),
        (RESTING, {"price": "94000.05"}, DenyReason.OFF_TICK, "price"),
        (RESTING, {"price": "1"}, DenyReason.BELOW_NOTIONAL, "at least 5 USDT, was 0.5"),
        (evolve(RESTING, price=Decimal(10)), {"qty": "0.3"}, DenyReason.BELOW_NOTIONAL, "was 3"),
        (RESTING, {"trigger_price": "94000"}, DenyReason.NOT_SUPPORTED, "not conditional"),
        (RESTING, {"stop_loss": "95000"}, DenyReason.BAD_PRICE, "below 95000"),
        (RESTING, {"price": "94000", "stop_loss": "94000"}, DenyReason.BAD_PRICE, "below 94000"),
        (RESTING, {"take_profit": "96000.01"}, DenyReason.OFF_TICK, "take_profit"),
        (evolve(RESTING, reduce_only=True), {"take_profit": "96000"}, DenyReason.NOT_SUPPORTED, "reduce_only"),
        (WAITING, {"price": "95000"}, DenyReason.BAD_PRICE, "none for a market order"),
        (WAITING, {"trigger_price": "97000.01"}, DenyReason.OFF_TICK, "trigger_price"),
        (WAITING, {"trigger_price": "97000", "stop_loss": "97000"}, DenyReason.BAD_PRICE, "below 97000"),
    ],
)
def test_amend_that_does_not_fit_is_denied(order, given, reason, words):
    amend = read_amend(**given)
    assert isinstance(amend, Amend)
    denial = check_amend(amend, order, BTCUSDT)
    assert denial is not None
    assert reason == denial.reason
    assert words in denial.detail
