"""
Whether a number fits its instrument: quantity, price, notional value, and the prices attached to an order.

Each function takes whatever a strategy gave and returns the number in plain notation, or a typed no that says what was
expected, what was seen and what to do. Nothing is rounded: an off-grid number's denial names its two neighbours.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from hean.core import exact, ids
from hean.core.types import ZERO, Category, Denial, DenyReason, Instrument, OrderType, Side


def qty_of(value: object, instrument: Instrument, order_type: OrderType) -> Decimal | Denial:
    """A quantity: positive, of an allowed size, on the grid."""
    qty = exact.read_number(value)
    if qty is None:
        return not_a_number(DenyReason.BAD_QTY, "qty", value)
    if qty <= ZERO:
        return denial(DenyReason.BAD_QTY, "qty", "a number above zero", qty, "side says the direction")
    # Size before grid: a quantity below the minimum is often off the grid too, and the minimum is what to tell.
    if qty < instrument.min_order_qty:
        expected = f"at least {instrument.min_order_qty:f}"
        return denial(DenyReason.BELOW_MINIMUM, "qty", expected, qty, "order more or nothing")
    most = instrument.max_market_qty if order_type is OrderType.MARKET else instrument.max_order_qty
    if qty > most:
        return denial(DenyReason.ABOVE_MAXIMUM, "qty", f"at most {most:f} in a {order_type} order", qty, "split it")
    return _on_grid(DenyReason.OFF_STEP, "qty", qty, instrument.qty_step)


def limit_price_of(
    value: object, qty: Decimal, instrument: Instrument, order_type: OrderType
) -> Decimal | Denial | None:
    """The price of a limit order whose quantity this is, None for a market order."""
    if order_type is OrderType.MARKET:
        if value is None:
            return None
        expected = "none for a market order"
        return denial(DenyReason.BAD_PRICE, "price", expected, value, "leave it out, or send a limit order")
    if value is None:
        return denial(DenyReason.MISSING_PRICE, "price", "a price for a limit order", None, "name it")
    price = price_of("price", value, instrument)
    if isinstance(price, Denial) or instrument.category is Category.INVERSE:
        # An inverse quantity is money already; what its minimum value is measured in is not documented.
        return price
    # Market orders have no price to multiply. Whether the exchange exempts reduce-only orders is not documented, so
    # they are not exempt. Source: Bybit V5 docs, market/instrument: minNotionalValue; error 110094.
    notional = exact.multiply(price, qty)
    if notional < instrument.min_notional:
        expected = f"at least {instrument.min_notional:f} {instrument.quote_coin}"
        return denial(DenyReason.BELOW_NOTIONAL, "price x qty", expected, notional, "order more or nothing")
    return price


def attached_of(
    stop_loss: object, take_profit: object, side: Side, entry: Decimal | None, instrument: Instrument
) -> tuple[Decimal | None, Decimal | None] | Denial:
    """
    Stop loss and take profit: on the grid, and on the right side of the price at which the order would enter.

    Args:
        stop_loss: None for none.
        take_profit: None for none.
        side: of the order that they are attached to.
        entry: its limit or trigger price, None where it has neither: then each side will do.
        instrument: of the order.
    """
    stop = _beyond("stop_loss", stop_loss, entry, instrument, above=side is Side.SELL)
    if isinstance(stop, Denial):
        return stop
    target = _beyond("take_profit", take_profit, entry, instrument, above=side is Side.BUY)
    return target if isinstance(target, Denial) else (stop, target)


def _beyond(
    name: str, value: object, entry: Decimal | None, instrument: Instrument, *, above: bool
) -> Decimal | Denial | None:
    price = optional_price_of(name, value, instrument)
    if price is None or isinstance(price, Denial) or entry is None:
        return price
    if price == entry or (price > entry) is not above:
        expected = f"a price {'above' if above else 'below'} {entry:f}"
        return denial(DenyReason.BAD_PRICE, name, expected, price, "are stop loss and take profit mixed up?")
    return price


def optional_price_of(name: str, value: object, instrument: Instrument) -> Decimal | Denial | None:
    """A price, or None where none is given."""
    return None if value is None else price_of(name, value, instrument)


def price_of(name: str, value: object, instrument: Instrument) -> Decimal | Denial:
    """A price: within the instrument's bounds, on the grid."""
    price = exact.read_number(value)
    if price is None:
        return not_a_number(DenyReason.BAD_PRICE, name, value)
    least = max(instrument.tick_size, instrument.min_price or ZERO)
    if price < least:
        return denial(DenyReason.BAD_PRICE, name, f"at least {least:f}", price, "check the symbol and the unit")
    if instrument.max_price is not None and price > instrument.max_price:
        expected = f"at most {instrument.max_price:f}"
        return denial(DenyReason.BAD_PRICE, name, expected, price, "check the symbol and the unit")
    return _on_grid(DenyReason.OFF_TICK, name, price, instrument.tick_size)


def _on_grid(reason: DenyReason, name: str, value: Decimal, step: Decimal) -> Decimal | Denial:
    if exact.remainder(value, step) == ZERO:
        return value
    below = exact.round_to_step(value, step, ROUND_FLOOR)
    above = exact.round_to_step(value, step, ROUND_CEILING)
    expected = f"a multiple of {step:f}"
    return denial(reason, name, expected, value, f"nearest are {below:f} and {above:f}; hean does not choose")


def not_a_number(reason: DenyReason, name: str, value: object) -> Denial:
    """The no for what is not a number at all."""
    return denial(reason, name, "a finite number as str or Decimal", value, "write it as in '0.001'")


def denial(reason: DenyReason, name: str, expected: str, seen: object, advice: str) -> Denial:
    """A no in the house's words; the value seen is shown short."""
    return Denial(reason=reason, detail=f"{name}: expected {expected}, was {_plainly(seen)}; {advice}")


def _plainly(seen: object) -> str:
    return f"{seen:f}" if isinstance(seen, Decimal) and exact.read_number(seen) is not None else ids.shown(seen)
