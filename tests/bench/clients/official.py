"""pybit, the exchange's own client: no state, no journal, nothing against a second order."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

from pybit.unified_trading import HTTP, WebSocket, WebSocketTrading

from tests.bench.trip import Threaded, Trip, qty_of, side_of, symbol_of


def _aimed(kind: type[Any], target: str) -> Any:
    """pybit builds its URLs from constants; only where it connects to is changed."""

    class Aimed(kind):  # type: ignore[misc]
        def _connect(self, url: str) -> None:
            super()._connect(target)

    return Aimed


class _Pybit(Threaded):
    def start(self, urls: dict[str, str], scratch: Path) -> None:
        # It registers a request after it was sent, and warns where the reply was faster.
        logging.getLogger("pybit").setLevel(logging.ERROR)
        keys = {"testnet": True, "api_key": urls["api_key"], "api_secret": urls["api_secret"]}
        self._private = _aimed(WebSocket, urls["private"])(channel_type="private", **keys)
        self._private.execution_stream(callback=self._executed)
        self._enter(urls, keys)

    def trade(self, number: int) -> Trip:
        trip = self.new_trip(number)
        order = {
            "category": "linear",
            "symbol": symbol_of(number),
            "side": side_of(number),
            "orderType": "Market",
            "qty": qty_of(number),
            "orderLinkId": trip.link,
        }
        trip.spoke_ns = time.monotonic_ns()
        self._place(order)
        trip.returned_ns = time.monotonic_ns()
        return trip

    def stop(self) -> None:
        self._private.exit()

    def _enter(self, urls: dict[str, str], keys: dict[str, Any]) -> None:
        raise NotImplementedError

    def _place(self, order: dict[str, str]) -> None:
        raise NotImplementedError

    def _executed(self, message: Any) -> None:
        for row in message["data"]:
            self.filled(row["orderLinkId"])


class PybitWs(_Pybit):
    """Orders over the trade WebSocket."""

    def _enter(self, urls: dict[str, str], keys: dict[str, Any]) -> None:
        self._trading = _aimed(WebSocketTrading, urls["trade"])(**keys)

    def _place(self, order: dict[str, str]) -> None:
        self._trading.place_order(_ignore, **order)

    def stop(self) -> None:
        super().stop()
        self._trading.exit()


class PybitHttp(_Pybit):
    """Orders over HTTP."""

    widest = 1

    def _enter(self, urls: dict[str, str], keys: dict[str, Any]) -> None:
        self._http = HTTP(**keys)
        self._http.endpoint = urls["rest"]

    def _place(self, order: dict[str, str]) -> None:
        self._http.place_order(**order)


def _ignore(_: Any) -> None:
    """pybit wants a callback."""
