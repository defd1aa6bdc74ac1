"""
Pre-trade checks: a signal becomes the request that may be sent, or a typed no.

A `Signal` may hold anything, so types are checked at run time, before a value is used. Nothing is rounded or repaired:
a number off the grid is a mistake of the strategy's, and the denial says what was expected, what was seen and what to
do. A denial is final for its signal; nothing was sent.

The order of the checks, first no wins:

1. identity: without one there is no order to speak of;
2. gates, in the order of `Gates`: stopped, halted, symbol halted, symbol reducing, breaker, live, age, bounds;
3. what is to be traded: category, symbol, instrument;
4. how: side, order type, time in force, flags, positions, metadata;
5. how much, at what price: quantity, price, notional value;
6. conditions: trigger, slippage, stop loss and take profit.

To add a check: a line in the step it belongs to, a `DenyReason`, and its row in the test.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Final, TypeVar

from attrs import frozen

from hean.core import exact, fit, ids
from hean.core.types import (
    ZERO,
    Amend,
    Category,
    Denial,
    DenyReason,
    Instrument,
    Ms,
    OrderRequest,
    OrderSnapshot,
    OrderType,
    Side,
    Signal,
    TimeInForce,
)

SUPPORTED: Final = frozenset({Category.LINEAR, Category.INVERSE})

# Source: Bybit V5 docs, order/create-order: slippageTolerance of type TickSize.
MAX_SLIPPAGE_TICKS: Final = 10_000

# Journalled with every signal, never sent: enough for notes, too little to swell the journal.
MAX_METADATA: Final = 64
MAX_METADATA_TEXT: Final = 1_024

Word = TypeVar("Word", bound=StrEnum)


@frozen(kw_only=True)
class Gates:
    """
    What may keep any signal out, whatever it says. In the order in which they are asked.

    Attributes:
        stopped: the router takes no more signals.
        halted: by the kill switch or the operator; nothing passes.
        halted_why: who and why, for the denial.
        symbol_halted: nothing passes for the signal's symbol.
        symbol_reducing: only reduce_only passes for the signal's symbol, e.g. after an overfill.
        symbol_why: why the symbol is halted or reducing.
        breaker_open: creates are not sent at present.
        breaker_why: what opened it.
        live: the streams are up, caught up and reconciled.
        live_why: what is missing where not.
        submitted_ms: our clock when the signal was first submitted, by the journal; None for the first time.
        max_age_ms: a create older than this is denied, never sent late.
        open_orders: orders that are tracked and not settled.
        max_open_orders: bound of the above.
        symbol_orders: active orders of the signal's symbol.
        max_symbol_orders: the exchange's bound. Source: Bybit V5 docs, order/create-order: 500 a symbol.
        symbol_conditionals: untriggered conditional orders of the signal's symbol.
        max_symbol_conditionals: the exchange's bound. Source: Bybit V5 docs, order/create-order: 10 a symbol.
    """

    stopped: bool = False
    halted: bool = False
    halted_why: str = ""
    symbol_halted: bool = False
    symbol_reducing: bool = False
    symbol_why: str = ""
    breaker_open: bool = False
    breaker_why: str = ""
    live: bool
    live_why: str = ""
    submitted_ms: Ms | None = None
    max_age_ms: int = 300_000
    open_orders: int = 0
    max_open_orders: int = 10_000
    symbol_orders: int = 0
    max_symbol_orders: int = 500
    symbol_conditionals: int = 0
    max_symbol_conditionals: int = 10


@frozen(kw_only=True)
class _Shape:
    """The words of a signal, each one the exchange knows."""

    side: Side
    order_type: OrderType
    time_in_force: TimeInForce
    reduce_only: bool


@frozen(kw_only=True)
class _Conditions:
    """The conditions of a signal, each one on the grid."""

    trigger_price: Decimal | None
    trigger_direction: int | None
    stop_loss: Decimal | None
    take_profit: Decimal | None


def check(signal: Signal, instrument: Instrument | None, gates: Gates, now_ms: Ms) -> OrderRequest | Denial:
    """
    What may be sent for a signal, or why nothing may.

    Never raises for what a signal holds. Numbers of the request are in plain notation.

    Args:
        signal: anything a strategy built.
        instrument: of the signal's category and symbol, None where the exchange lists none.
        gates: what may keep it out.
        now_ms: our clock.
    """
    denied = ids.identity_problem(signal) or _gate_problem(signal, gates, now_ms)
    if denied is not None:
        return denied
    traded = _instrument_of(signal, instrument)
    if isinstance(traded, Denial):
        return traded
    shape = _shape_of(signal, traded)
    if isinstance(shape, Denial):
        return shape
    qty = fit.qty_of(signal.qty, traded, shape.order_type)
    if isinstance(qty, Denial):
        return qty
    price = fit.limit_price_of(signal.price, qty, traded, shape.order_type)
    if isinstance(price, Denial):
        return price
    conditions = _conditions_of(signal, shape, price, traded)
    if isinstance(conditions, Denial):
        return conditions
    return OrderRequest(
        order_link_id=ids.order_link_id(signal.strategy_id, signal.signal_id, signal.leg),
        correlation_id=ids.correlation_id(signal),
        strategy_id=str.__str__(signal.strategy_id),
        signal_id=str.__str__(signal.signal_id),
        leg=signal.leg,
        category=traded.category,
        symbol=traded.symbol,
        side=shape.side,
        order_type=shape.order_type,
        qty=qty,
        price=price,
        time_in_force=shape.time_in_force,
        reduce_only=shape.reduce_only,
        close_on_trigger=signal.close_on_trigger,
        trigger_price=conditions.trigger_price,
        trigger_direction=conditions.trigger_direction,
        stop_loss=conditions.stop_loss,
        take_profit=conditions.take_profit,
        slippage_ticks=signal.slippage_ticks,
        position_idx=signal.position_idx,
        settle_coin=traded.settle_coin,
        submitted_ms=now_ms if gates.submitted_ms is None else gates.submitted_ms,
    )


def read_amend(
    *,
    qty: object = None,
    price: object = None,
    trigger_price: object = None,
    take_profit: object = None,
    stop_loss: object = None,
) -> Amend | Denial:
    """
    An amend out of whatever a caller gave; numbers as str or Decimal, None leaves a part as it is.

    Whether it fits its order is for `check_amend`.
    """
    given = {
        "qty": qty,
        "price": price,
        "trigger_price": trigger_price,
        "take_profit": take_profit,
        "stop_loss": stop_loss,
    }
    numbers: dict[str, Decimal] = {}
    for name, value in given.items():
        if value is None:
            continue
        number = exact.read_number(value)
        if number is None:
            return fit.not_a_number(DenyReason.BAD_QTY if name == "qty" else DenyReason.BAD_PRICE, name, value)
        numbers[name] = number
    return Amend(**numbers)


def check_amend(amend: Amend, order: OrderSnapshot, instrument: Instrument) -> Denial | None:
    """
    Why an amend does not fit its order, or None. Nothing was sent.

    Source: Bybit V5 docs, order/amend-order: qty is the new total and must exceed what is filled; "0" removes a take
    profit or stop loss.

    Args:
        amend: with plain numbers, as `read_amend` makes it.
        order: as hean holds it now.
        instrument: of the order.
    """
    if amend == Amend():
        return fit.denial(DenyReason.BAD_TYPE, "amend", "at least one change", None, "name what shall change")
    qty = order.qty
    if amend.qty is not None:
        new_qty = fit.qty_of(amend.qty, instrument, order.order_type)
        if isinstance(new_qty, Denial):
            return new_qty
        if new_qty <= order.cum_exec_qty:
            expected = f"more than the {order.cum_exec_qty:f} that are filled"
            return fit.denial(DenyReason.BAD_QTY, "qty", expected, new_qty, "qty is the new total; cancel to stop here")
        qty = new_qty
    price = order.price if order.order_type is OrderType.LIMIT else None
    if amend.price is not None or (amend.qty is not None and price is not None):
        new_price = fit.limit_price_of(price if amend.price is None else amend.price, qty, instrument, order.order_type)
        if isinstance(new_price, Denial):
            return new_price
        price = new_price
    trigger = order.trigger_price
    if amend.trigger_price is not None:
        if trigger is None:
            expected = "None, as the order is not conditional"
            return fit.denial(DenyReason.NOT_SUPPORTED, "trigger_price", expected, amend.trigger_price, "leave it out")
        new_trigger = fit.price_of("trigger_price", amend.trigger_price, instrument)
        if isinstance(new_trigger, Denial):
            return new_trigger
        trigger = new_trigger
    stop_loss = None if amend.stop_loss == ZERO else amend.stop_loss
    take_profit = None if amend.take_profit == ZERO else amend.take_profit
    if order.reduce_only:
        return _unattached(stop_loss, take_profit)
    attached = fit.attached_of(stop_loss, take_profit, order.side, trigger if price is None else price, instrument)
    return attached if isinstance(attached, Denial) else None


def _gate_problem(signal: Signal, gates: Gates, now_ms: Ms) -> Denial | None:
    age_ms = 0 if gates.submitted_ms is None else now_ms - gates.submitted_ms
    # Asked from the top; the first that is shut answers.
    if gates.stopped:
        return Denial(reason=DenyReason.STOPPED, detail="the router is stopped; start one and submit again")
    if gates.halted:
        return Denial(reason=DenyReason.HALTED, detail=f"halted: {gates.halted_why}; resume first")
    if gates.symbol_halted:
        return Denial(reason=DenyReason.SYMBOL_HALTED, detail=f"symbol halted: {gates.symbol_why}; resume it first")
    if gates.symbol_reducing and signal.reduce_only is not True:
        why = f"symbol takes reduce_only alone: {gates.symbol_why}; look at it, then resume"
        return Denial(reason=DenyReason.SYMBOL_HALTED, detail=why)
    if gates.breaker_open:
        return Denial(reason=DenyReason.BREAKER_OPEN, detail=f"breaker open: {gates.breaker_why}; it closes by itself")
    if not gates.live:
        return Denial(reason=DenyReason.NOT_LIVE, detail=f"not live: {gates.live_why}; wait until the router is live")
    if age_ms > gates.max_age_ms:
        return Denial(
            reason=DenyReason.TOO_OLD,
            detail=f"expected an age of at most {gates.max_age_ms} ms, was {age_ms} ms; decide anew",
        )
    if gates.open_orders >= gates.max_open_orders:
        return _too_many("open orders", gates.open_orders, gates.max_open_orders)
    if gates.symbol_orders >= gates.max_symbol_orders:
        return _too_many("active orders of the symbol", gates.symbol_orders, gates.max_symbol_orders)
    if signal.trigger_price is not None and gates.symbol_conditionals >= gates.max_symbol_conditionals:
        what = "conditional orders of the symbol"
        return _too_many(what, gates.symbol_conditionals, gates.max_symbol_conditionals)
    return None


def _too_many(what: str, count: int, limit: int) -> Denial:
    detail = f"{what}: expected fewer than {limit}, were {count}; cancel some or wait for them to settle"
    return Denial(reason=DenyReason.TOO_MANY_ORDERS, detail=detail)


def _instrument_of(signal: Signal, instrument: Instrument | None) -> Instrument | Denial:
    category = _word("category", signal.category, Category)
    if isinstance(category, Denial):
        return category
    if category not in SUPPORTED:
        supported = ", ".join(sorted(SUPPORTED))
        return fit.denial(DenyReason.NOT_SUPPORTED, "category", f"one of {supported}", category, "trade it elsewhere")
    named: object = signal.symbol
    if not isinstance(named, str) or not named:
        return fit.denial(DenyReason.BAD_SYMBOL, "symbol", "a str such as 'BTCUSDT'", named, "name the instrument")
    if instrument is None or (instrument.category, instrument.symbol) != (category, named):
        return fit.denial(DenyReason.BAD_SYMBOL, "symbol", f"an instrument of {category}", named, "check the spelling")
    if not instrument.trading:
        return fit.denial(
            DenyReason.BAD_SYMBOL, "symbol", "an instrument that trades now", named, "wait for its status"
        )
    if instrument.tick_size <= ZERO or instrument.qty_step <= ZERO:
        grid = f"tick {instrument.tick_size}, step {instrument.qty_step}"
        return fit.denial(DenyReason.BAD_SYMBOL, "instrument", "grids above zero", grid, "reload the instruments")
    return instrument


def _shape_of(signal: Signal, instrument: Instrument) -> _Shape | Denial:
    side = _word("side", signal.side, Side, DenyReason.BAD_SIDE)
    if isinstance(side, Denial):
        return side
    order_type = _word("order_type", signal.order_type, OrderType)
    if isinstance(order_type, Denial):
        return order_type
    time_in_force = _word("time_in_force", ids.resolved_time_in_force(signal), TimeInForce)
    if isinstance(time_in_force, Denial):
        return time_in_force
    if order_type is OrderType.MARKET and time_in_force is not TimeInForce.IOC:
        return fit.denial(DenyReason.BAD_TYPE, "time_in_force", "IOC for a market order", time_in_force, "leave it out")
    flags: tuple[tuple[str, object], ...] = (
        ("reduce_only", signal.reduce_only),
        ("close_on_trigger", signal.close_on_trigger),
    )
    for name, flag in flags:
        if type(flag) is not bool:
            return fit.denial(DenyReason.BAD_TYPE, name, "a bool", flag, "say True or False")
    # Source: Bybit V5 docs, order/create-order: closeOnTrigger may cancel other orders to find margin for a close.
    if signal.close_on_trigger and not signal.reduce_only:
        return fit.denial(DenyReason.NOT_SUPPORTED, "close_on_trigger", "reduce_only with it", False, "set reduce_only")
    indices = (0, 1, 2) if instrument.category is Category.LINEAR else (0,)
    if type(signal.position_idx) is not int or signal.position_idx not in indices:
        expected = "0 (one-way), 1 (hedge long) or 2 (hedge short)" if len(indices) > 1 else "0, there is no hedge mode"
        return fit.denial(DenyReason.BAD_TYPE, "position_idx", expected, signal.position_idx, "see the position mode")
    if not _is_metadata(signal.metadata):
        expected = f"a tuple of at most {MAX_METADATA} pairs of str of at most {MAX_METADATA_TEXT} characters"
        return fit.denial(DenyReason.BAD_TYPE, "metadata", expected, signal.metadata, "keep long notes elsewhere")
    return _Shape(side=side, order_type=order_type, time_in_force=time_in_force, reduce_only=signal.reduce_only)


def _conditions_of(
    signal: Signal, shape: _Shape, price: Decimal | None, instrument: Instrument
) -> _Conditions | Denial:
    trigger = fit.optional_price_of("trigger_price", signal.trigger_price, instrument)
    if isinstance(trigger, Denial):
        return trigger
    direction = ids.resolved_trigger_direction(signal)
    if trigger is None and direction is not None:
        return fit.denial(
            DenyReason.BAD_TYPE, "trigger_direction", "none without trigger_price", direction, "leave it out"
        )
    if trigger is not None and (type(direction) is not int or direction not in {1, 2}):
        expected = "1 (fires on a rise), 2 (on a fall) or None"
        return fit.denial(DenyReason.BAD_TYPE, "trigger_direction", expected, direction, "leave it out to derive it")
    if shape.reduce_only and (denied := _unattached(signal.stop_loss, signal.take_profit)):
        return denied
    plain_market = (
        shape.order_type is OrderType.MARKET
        and trigger is None
        and signal.stop_loss is None
        and signal.take_profit is None
    )
    ticks: object = signal.slippage_ticks
    if ticks is not None and not plain_market:
        expected = "None unless for a market order without trigger, stop loss and take profit"
        return fit.denial(DenyReason.NOT_SUPPORTED, "slippage_ticks", expected, ticks, "leave it out")
    if ticks is not None and (type(ticks) is not int or not 1 <= ticks <= MAX_SLIPPAGE_TICKS):
        expected = f"an int of 1-{MAX_SLIPPAGE_TICKS}"
        return fit.denial(
            DenyReason.BAD_TYPE, "slippage_ticks", expected, ticks, "leave it out for the venue's own cap"
        )
    entry = trigger if price is None else price
    attached = fit.attached_of(signal.stop_loss, signal.take_profit, shape.side, entry, instrument)
    if isinstance(attached, Denial):
        return attached
    return _Conditions(
        trigger_price=trigger, trigger_direction=direction, stop_loss=attached[0], take_profit=attached[1]
    )


def _unattached(stop_loss: object, take_profit: object) -> Denial | None:
    # Source: Bybit V5 docs, order/create-order: reduceOnly takes no take profit and stop loss.
    for name, value in (("stop_loss", stop_loss), ("take_profit", take_profit)):
        if value is not None:
            return fit.denial(DenyReason.NOT_SUPPORTED, name, "None with reduce_only", value, "leave one of them out")
    return None


def _is_metadata(value: object) -> bool:
    return (
        isinstance(value, tuple)
        and len(value) <= MAX_METADATA
        and all(
            isinstance(pair, tuple)
            and len(pair) == 2
            and all(isinstance(text, str) and len(text) <= MAX_METADATA_TEXT for text in pair)
            for pair in value
        )
    )


def _word(name: str, value: object, kind: type[Word], reason: DenyReason = DenyReason.BAD_TYPE) -> Word | Denial:
    if type(value) is kind:
        return value
    # Text alone is compared: nothing here calls the own code of whatever a signal holds.
    for word in kind if isinstance(value, str) else ():
        if value == word:
            return word
    return fit.denial(reason, name, f"one of {', '.join(kind)}", value, "spell it as the exchange does")
