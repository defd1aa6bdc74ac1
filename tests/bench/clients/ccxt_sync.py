"""ccxt over HTTP, without a stream: who uses it asks for fills until they are there."""

from __future__ import annotations

import time
from pathlib import Path

import ccxt

from tests.bench.clients.ccxt_pro import MARKETS, SETTINGS
from tests.bench.trip import Threaded, Trip, qty_of, side_of, symbol_of


class CcxtSync(Threaded):
    """ccxt."""

    widest = 1

    def start(self, urls: dict[str, str], scratch: Path) -> None:
        self._exchange = ccxt.bybit({"apiKey": urls["api_key"], "secret": urls["api_secret"]} | SETTINGS)
        self._exchange.has["fetchCurrencies"] = False
        self._exchange.urls["api"] = {"public": urls["rest"], "private": urls["rest"]}
        self._exchange.load_markets()

    def trade(self, number: int) -> Trip:
        trip = self.new_trip(number)
        symbol, side, qty = MARKETS[symbol_of(number)], side_of(number).lower(), float(qty_of(number))
        trip.spoke_ns = time.monotonic_ns()
        order = self._exchange.create_order(symbol, "market", side, qty, None, {"orderLinkId": trip.link})
        trip.returned_ns = time.monotonic_ns()
        while not trip.filled_ns:
            if self._exchange.fetch_my_trades(symbol, params={"orderId": order["id"]}):
                trip.filled()
        return trip

    def stop(self) -> None: ...
