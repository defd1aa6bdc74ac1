"""
One symbol's market: what other traders offer, the resting orders of our accounts, prices, and the match sequence.

Quotes of others and resting orders stand in one queue by price and time; `best` says who is next.
"""

from bisect import bisect_left, insort
from decimal import Decimal

import attrs

from tests.exchange.instruments import Instrument
from tests.exchange.orders import Order
from tests.exchange.wire import ZERO, Json, plain

FIRST_SEQ = 9_140_612_000_010
DEPTH = 5
DEEP = Decimal(1_000_000)


@attrs.define(eq=False)
class Level:
    """
    What others offer at one price.
    """

    price: Decimal
    qty: Decimal
    priority: int


def opposite(side: str) -> str:
    """
    The other side.
    """
    return "Sell" if side == "Buy" else "Buy"


def crosses(taker_side: str, limit: Decimal, price: Decimal) -> bool:
    """
    Whether an order of this side and limit takes an offer at this price.
    """
    return price <= limit if taker_side == "Buy" else price >= limit


class Market:
    """
    The market of one instrument.

    Attributes:
        refill: Quotes of others come back after they were taken (until `quote` fixes them).
        quotes: By side, best first.
        conditional: Orders that wait for a trigger, oldest first.
    """

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.seq = FIRST_SEQ
        self.refill = True
        self.last = self.mark = self.index = instrument.start_price
        self.quotes: dict[str, list[Level]] = {"Buy": [], "Sell": []}
        self._resting: dict[str, list[tuple[Decimal, int, Order]]] = {"Buy": [], "Sell": []}
        self.conditional: dict[str, Order] = {}
        start, tick = instrument.start_price, instrument.tick
        # A level holds what the largest market order needs: the first book is sane, not thin.
        size = instrument.max_market_qty
        for step in range(DEPTH):
            self.quotes["Buy"].append(Level(start - tick * step, size, 0))
            self.quotes["Sell"].append(Level(start + tick * (step + 1), size, 0))

    def next_seq(self) -> int:
        """
        The sequence number of the next event.
        """
        self.seq += 1
        return self.seq

    def add(self, order: Order) -> None:
        """
        Rest an order by price and time.
        """
        insort(self._resting[order.side], self._key(order))
        order.booked = True

    def remove(self, order: Order) -> None:
        """
        Take a resting order out; one that does not rest is left alone.
        """
        if order.booked:
            queue = self._resting[order.side]
            del queue[bisect_left(queue, self._key(order))]
            order.booked = False

    @staticmethod
    def _key(order: Order) -> tuple[Decimal, int, Order]:
        return (-order.price if order.side == "Buy" else order.price, order.priority, order)

    def resting(self, side: str) -> list[Order]:
        """
        The resting orders of one side, best first.
        """
        return [order for _, _, order in self._resting[side]]

    def first_resting(self, side: str) -> Order | None:
        """
        The best resting order of one side.
        """
        queue = self._resting[side]
        return queue[0][2] if queue else None

    def first_quote(self, side: str) -> Level | None:
        """
        The best quote of others on one side that has size left.
        """
        for level in self.quotes[side]:
            if level.qty > 0:
                return level
        return None

    def best(self, side: str) -> Level | Order | None:
        """
        Who is next on this side, by price, then time.
        """
        level, order = self.first_quote(side), self.first_resting(side)
        if level is None or order is None:
            return level or order
        if level.price != order.price:
            better = order.price > level.price if side == "Buy" else order.price < level.price
            return order if better else level
        return order if order.priority < level.priority else level

    def best_price(self, side: str) -> Decimal:
        """
        The best price of one side; zero when it is empty.
        """
        best = self.best(side)
        return ZERO if best is None else best.price

    def available(self, taker_side: str, limit: Decimal) -> Decimal:
        """
        What an order of this side could take up to its limit.
        """
        side = opposite(taker_side)
        offered = sum((level.qty for level in self.quotes[side] if crosses(taker_side, limit, level.price)), ZERO)
        return offered + sum((o.leaves for o in self.resting(side) if crosses(taker_side, limit, o.price)), ZERO)

    def quote(self, side: str, price: Decimal, qty: Decimal, priority: int) -> None:
        """
        Others now offer exactly this on one side; a zero price or qty empties it.
        """
        self.quotes[side] = [Level(price, qty, priority)] if price and qty else []

    def settle_prices(self) -> None:
        """
        Mark and index follow the middle of the quotes; the last price moves by trades alone.
        """
        bid, ask = self.first_quote("Buy"), self.first_quote("Sell")
        if bid and ask:
            self.mark = self.index = self.instrument.on_tick((bid.price + ask.price) / 2)
        elif bid or ask:
            self.mark = self.index = (bid or ask).price  # type: ignore[union-attr]

    def price_by(self, trigger_by: str) -> Decimal:
        """
        The price a trigger watches.
        """
        return {"MarkPrice": self.mark, "IndexPrice": self.index}.get(trigger_by, self.last)

    def band(self) -> tuple[Decimal, Decimal]:
        """
        (highest buy, lowest sell) an order may ask for. Source: Bybit V5 docs, market/order-price-limit.
        """
        ratio, tick = self.instrument.price_limit_ratio, self.instrument
        return tick.on_tick(self.mark * (1 + ratio), up=False), tick.on_tick(self.mark * (1 - ratio), up=True)

    def ticker(self) -> Json:
        """
        As market/tickers shows it.
        """
        bid, ask = self.best("Buy"), self.best("Sell")

        def offered(offer: Level | Order | None) -> str:
            if offer is None:
                return ""
            return plain(offer.qty if isinstance(offer, Level) else offer.leaves)

        row: Json = {
            "symbol": self.instrument.symbol,
            "lastPrice": plain(self.last),
            "bid1Price": plain(bid.price) if bid else "",
            "bid1Size": offered(bid),
            "ask1Price": plain(ask.price) if ask else "",
            "ask1Size": offered(ask),
            "prevPrice24h": plain(self.instrument.start_price),
            "price24hPcnt": "0",
            "highPrice24h": plain(self.last),
            "lowPrice24h": plain(self.last),
            "turnover24h": "0",
            "volume24h": "0",
        }
        if self.instrument.is_spot:
            return row | {"usdIndexPrice": plain(self.index)}
        return row | {
            "indexPrice": plain(self.index),
            "markPrice": plain(self.mark),
            "prevPrice1h": plain(self.last),
            "openInterest": "0",
            "openInterestValue": "0",
            "fundingRate": "0.0001",
            "nextFundingTime": "0",
            "predictedDeliveryPrice": "",
            "basisRate": "",
            "deliveryFeeRate": "",
            "deliveryTime": "0",
            "basis": "",
            "preOpenPrice": "",
            "preQty": "",
            "curPreListingPhase": "",
            "fundingIntervalHour": "8",
            "basisRateYear": "",
            "fundingCap": "0.005",
        }
