"""ccxt.pro: orders over the trade WebSocket, fills from `watch_my_trades`, on its event loop."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import ccxt.pro

from tests.bench.trip import Looped, Trip, qty_of, side_of, symbol_of

SETTINGS = {
    "enableRateLimit": False,
    "options": {"fetchMarkets": {"types": ["linear"]}, "enableUnifiedMargin": False, "enableUnifiedAccount": True},
}
"""No rate limit of its own, as nobody else has one here, and no questions that do not matter for trading."""
MARKETS = {"BTCUSDT": "BTC/USDT:USDT", "ETHUSDT": "ETH/USDT:USDT"}


class CcxtPro(Looped):
    """ccxt.pro."""

    async def connect(self, urls: dict[str, str], scratch: Path) -> None:
        self._exchange = ccxt.pro.bybit({"apiKey": urls["api_key"], "secret": urls["api_secret"]} | SETTINGS)
        self._exchange.has["fetchCurrencies"] = False
        self._exchange.urls["api"] = {"public": urls["rest"], "private": urls["rest"], "ws": self._streams(urls)}
        await self._exchange.load_markets()
        self._watching = asyncio.create_task(self._watch())
        await asyncio.sleep(0.5)  # waits because ccxt does not say when its stream is subscribed

    async def trade(self, trip: Trip, number: int) -> None:
        symbol, side, qty = MARKETS[symbol_of(number)], side_of(number).lower(), float(qty_of(number))
        trip.spoke_ns = time.monotonic_ns()
        await self._exchange.create_order_ws(symbol, "market", side, qty, None, {"orderLinkId": trip.link})
        trip.returned_ns = time.monotonic_ns()

    async def disconnect(self) -> None:
        self._watching.cancel()
        await self._exchange.close()

    async def _watch(self) -> None:
        while True:
            for fill in await self._exchange.watch_my_trades():
                self.filled(fill["info"]["orderLinkId"])

    @staticmethod
    def _streams(urls: dict[str, str]) -> dict[str, object]:
        private = {"spot": {"unified": urls["private"]}, "contract": urls["private"], "trade": urls["trade"]}
        return {"public": {"linear": urls["public"]}, "private": private}
