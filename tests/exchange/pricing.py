"""
Prices the exchange makes itself: the protected limit of a market order, and the price band.
"""

from decimal import Decimal

from tests.exchange.market import Market, opposite
from tests.exchange.wire import ZERO, Refusal

PROTECTION = Decimal("0.05")


def protected_price(market: Market, side: str, slippage_type: str = "", slippage: str = "") -> Decimal:
    """
    The limit a market order is converted to. Source: Bybit V5 docs, order/create-order.

    Raises:
        Refusal: The slippage tolerance is out of range.
    """
    instrument, up = market.instrument, side == "Buy"
    sign = 1 if up else -1
    best = market.best_price(opposite(side)) or market.mark
    if slippage_type == "TickSize":
        ticks = Decimal(slippage or "0")
        if not 1 <= ticks <= 10_000 or ticks != int(ticks):
            raise Refusal(110108, "slippage tolerance must be 1 to 10000 ticks")
        return max(instrument.tick, best + sign * ticks * instrument.tick)
    if slippage_type == "Percent":
        percent = Decimal(slippage or "0")
        if not Decimal("0.01") <= percent <= 10:
            raise Refusal(110109, "slippage tolerance must be 0.01 to 10 percent")
        return max(instrument.tick, instrument.on_tick(best * (1 + sign * percent / 100), up=not up))
    return max(instrument.tick, instrument.on_tick(market.mark * (1 + sign * PROTECTION), up=not up))


def into_band(market: Market, side: str, price: Decimal, policy: str) -> Decimal:
    """
    The price, moved to the edge of the band or refused.

    Raises:
        Refusal: Outside, and the policy is ``reject``.
    """
    highest, lowest = market.band()
    inside = min(price, highest) if side == "Buy" else max(price, lowest)
    if inside == price or policy == "move":
        return inside
    if market.instrument.is_spot:
        code = 170193 if side == "Buy" else 170194
        raise Refusal(
            code,
            "Buy order price cannot be higher than the limit."
            if side == "Buy"
            else "Sell order price cannot be lower than the limit.",
        )
    raise Refusal(110003, "Order price exceeds the allowable range.")


def on_grid(value: Decimal, step: Decimal) -> bool:
    """
    Whether a value is a whole number of steps.
    """
    return value % step == ZERO
