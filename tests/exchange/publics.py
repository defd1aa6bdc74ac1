"""
The public endpoints: time, instruments, tickers, price limit.

Source: Bybit V5 docs, market/*.
"""

import re

from tests.exchange.calls import Answer
from tests.exchange.validation import category_of, instrument_of
from tests.exchange.venue import Venue
from tests.exchange.wire import Json, Refusal, plain

TOKEN = "first%3D{0}%26last%3D{0}"
TOKEN_SYMBOL = re.compile(r"last(?:=|%3D|%253D)([A-Z0-9-]+)")


class Publics:
    """
    Handlers that need no key.
    """

    def __init__(self, venue: Venue) -> None:
        self._venue = venue

    def time(self, params: Json) -> Answer:
        """
        GET market/time.
        """
        del params
        clock_ms = self._venue.clock_ms
        return Answer({"timeSecond": str(clock_ms // 1000), "timeNano": f"{clock_ms}000000"})

    def instruments(self, params: Json) -> Answer:
        """
        GET market/instruments-info; spot has no paging.
        """
        category, symbol = category_of(params), str(params.get("symbol") or "")
        base, status = str(params.get("baseCoin") or ""), str(params.get("status") or "Trading")
        found = [
            i.row
            for i in self._venue.instruments.values()
            if i.category == category
            and (i.symbol == symbol if symbol else i.row["status"] == status and (not base or i.base_coin == base))
        ]
        if symbol and not found:
            raise Refusal(10001, "params error: symbol invalid")
        if category == "spot":
            return Answer({"category": category, "list": found})
        text = str(params.get("limit") or "500")
        if not text.isdigit():
            raise Refusal(10001, "params error: limit invalid")
        size = max(1, min(1000, int(text)))
        cursor = str(params.get("cursor") or "")
        if cursor:
            names = [row["symbol"] for row in found]
            last = TOKEN_SYMBOL.search(cursor)
            found = found[names.index(last.group(1)) + 1 :] if last and last.group(1) in names else []
        page = found[:size]
        more = TOKEN.format(page[-1]["symbol"]) if len(found) > size else ""
        return Answer({"category": category, "list": page, "nextPageCursor": more})

    def tickers(self, params: Json) -> Answer:
        """
        GET market/tickers.
        """
        category, symbol = category_of(params), str(params.get("symbol") or "")
        rows = [
            market.ticker()
            for (kind, name), market in self._venue.markets.items()
            if kind == category and (not symbol or name == symbol)
        ]
        if symbol and not rows:
            raise Refusal(10001, "params error: symbol invalid")
        return Answer({"category": category, "list": rows})

    def price_limit(self, params: Json) -> Answer:
        """
        GET market/price-limit.
        """
        instrument = instrument_of(self._venue, {"category": "linear"} | params)
        highest, lowest = self._venue.market(instrument).band()
        limits = {"symbol": instrument.symbol, "buyLmt": plain(highest), "sellLmt": plain(lowest)}
        return Answer(limits | {"ts": str(self._venue.clock_ms)}, "")
