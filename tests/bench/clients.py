"""
What is measured: hean, the clients that people would use instead, and the floor below them all.

A client trades one order at a time or many; it says when the strategy spoke, when its call returned, and when the fill
was in the strategy's hands. Links are the client's own order IDs, so that its times can be joined with the exchange's.
"""

from __future__ import annotations

import hmac
import itertools
import json
import threading
import time
from pathlib import Path
from typing import Any, Protocol

SYMBOL = "BTCUSDT"
QTY = "0.001"
WAIT_S = 10.0


class Trip:
    """One order's times, monotonic ns; 0 for not yet."""

    __slots__ = ("done", "filled_ns", "link", "returned_ns", "spoke_ns")

    def __init__(self) -> None:
        self.link = ""
        self.spoke_ns = 0
        self.returned_ns = 0
        self.filled_ns = 0
        self.done = threading.Event()

    def filled(self) -> None:
        if not self.filled_ns:
            self.filled_ns = time.monotonic_ns()
            self.done.set()


class Client(Protocol):
    """Something that can trade."""

    name: str

    def start(self, urls: dict[str, str], scratch: Path) -> None: ...

    def trade(self, number: int) -> Trip:
        """Send one market order; returns when the call returned, the fill comes later."""

    def stop(self) -> None: ...


def side_of(number: int) -> str:
    return "Buy" if number % 2 else "Sell"


class Hean:
    """The router, whole: checks, journal, events, logs."""

    def __init__(self, entry: str) -> None:
        self.name = f"hean {entry}"
        self._entry = entry
        self._trips: dict[str, Trip] = {}

    def start(self, urls: dict[str, str], scratch: Path) -> None:
        # Imported when it is its turn: no client pays for another's imports.
        from hean import EventType, Router, Side, Signal  # noqa: PLC0415

        self._signal, self._sides = Signal, (Side.SELL, Side.BUY)
        self._run = f"{time.monotonic_ns()}"
        self.router = Router.from_env(
            {
                "BYBIT_API_KEY": urls["api_key"],
                "BYBIT_API_SECRET": urls["api_secret"],
                "HEAN_BYBIT__REST_URL": urls["rest"],
                "HEAN_BYBIT__PRIVATE_URL": urls["private"],
                "HEAN_BYBIT__TRADE_URL": urls["trade"],
                "HEAN_BYBIT__ENTRY": self._entry,
                "HEAN_JOURNAL__PATH": str(scratch / f"{self._entry}-{self._run}.db"),
                "HEAN_ORDERS__MAX_OPEN": "100000",
                "HEAN_GATEWAY__PACE": "1",
            }
        )
        self.router.start()
        self.router.subscribe(EventType.ORDER_FILLED, self._filled)

    def trade(self, number: int) -> Trip:
        trip = Trip()
        signal = self._signal(
            strategy_id="bench",
            signal_id=f"{self._run}-{number}",
            symbol=SYMBOL,
            side=self._sides[number % 2],
            qty=QTY,
        )
        trip.spoke_ns = time.monotonic_ns()
        ticket = self.router.submit(signal)
        trip.returned_ns = time.monotonic_ns()
        trip.link = ticket.order_link_id
        self._trips[trip.link] = trip
        if ticket.snapshot().cum_exec_qty > 0:
            # The fill overtook this bookkeeping of the benchmark's.
            trip.filled()
        return trip

    def stop(self) -> None:
        self.router.stop()

    def _filled(self, event: Any) -> None:
        trip = self._trips.get(event.order_link_id)
        if trip is not None:
            trip.filled()


class RawSocket:
    """The floor: a frame built live on a raw trade socket, fills read by a raw reader; no state, no journal."""

    name = "raw socket"

    def __init__(self) -> None:
        self._trips: dict[str, Trip] = {}
        self._numbers = itertools.count()

    def start(self, urls: dict[str, str], scratch: Path) -> None:
        import websocket  # noqa: PLC0415

        self._run = f"raw{time.monotonic_ns():x}"
        self._sockets = []
        for url, topics in ((urls["trade"], None), (urls["private"], ["execution"])):
            socket = websocket.create_connection(url, skip_utf8_validation=True)
            expires = int(time.time() * 1000) + 10_000
            text = f"GET/realtime{expires}".encode()
            sign = hmac.new(urls["api_secret"].encode(), text, "sha256").hexdigest()
            socket.send(json.dumps({"op": "auth", "args": [urls["api_key"], expires, sign]}))
            socket.recv()
            if topics:
                socket.send(json.dumps({"op": "subscribe", "args": topics}))
                socket.recv()
            self._sockets.append(socket)
            threading.Thread(target=self._read, args=(socket,), daemon=True).start()

    def trade(self, number: int) -> Trip:
        trip = Trip()
        trip.link = f"{self._run}-{number}"
        self._trips[trip.link] = trip
        trip.spoke_ns = time.monotonic_ns()
        self._sockets[0].send(  # formatted by %: braces of JSON and of format strings do not go together
            '{"reqId":"%s","header":{"X-BAPI-TIMESTAMP":"%d","X-BAPI-RECV-WINDOW":"5000"},"op":"order.create","args":['  # noqa: UP031
            '{"category":"linear","symbol":"%s","side":"%s","orderType":"Market","qty":"%s","orderLinkId":"%s"}]}'
            % (trip.link, int(time.time() * 1000), SYMBOL, side_of(number), QTY, trip.link)
        )
        trip.returned_ns = time.monotonic_ns()
        return trip

    def stop(self) -> None:
        for socket in self._sockets:
            socket.close()

    def _read(self, socket: Any) -> None:
        while True:
            try:
                text = socket.recv()
            except Exception:  # noqa: BLE001 - closed
                return
            if '"topic":"execution"' in text or '"topic": "execution"' in text:
                for row in json.loads(text)["data"]:
                    trip = self._trips.get(row["orderLinkId"])
                    if trip is not None:
                        trip.filled()


class Pybit:
    """The official client: no state, no journal, no idempotency."""

    def __init__(self, entry: str) -> None:
        self.name = f"pybit {entry}"
        self._entry = entry
        self._trips: dict[str, Trip] = {}

    def start(self, urls: dict[str, str], scratch: Path) -> None:
        from pybit.unified_trading import HTTP, WebSocket, WebSocketTrading  # noqa: PLC0415

        def aimed(kind: type[Any], target: str) -> Any:
            # pybit builds its URLs from constants; only where it connects to is changed.
            class Aimed(kind):  # type: ignore[misc]
                def _connect(self, url: str) -> None:
                    super()._connect(target)

            return Aimed

        self._run = f"py{time.monotonic_ns():x}"
        keys = {"testnet": True, "api_key": urls["api_key"], "api_secret": urls["api_secret"]}
        self._private = aimed(WebSocket, urls["private"])(channel_type="private", **keys)
        self._private.execution_stream(callback=self._executed)
        if self._entry == "ws":
            self._trading = aimed(WebSocketTrading, urls["trade"])(**keys)
        else:
            self._http = HTTP(**keys)
            self._http.endpoint = urls["rest"]

    def trade(self, number: int) -> Trip:
        trip = Trip()
        trip.link = f"{self._run}-{number}"
        self._trips[trip.link] = trip
        order = {
            "category": "linear",
            "symbol": SYMBOL,
            "side": side_of(number),
            "orderType": "Market",
            "qty": QTY,
            "orderLinkId": trip.link,
        }
        trip.spoke_ns = time.monotonic_ns()
        if self._entry == "ws":
            self._trading.place_order(_ignore, **order)
        else:
            self._http.place_order(**order)
        trip.returned_ns = time.monotonic_ns()
        return trip

    def stop(self) -> None:
        self._private.exit()
        if self._entry == "ws":
            self._trading.exit()

    def _executed(self, message: Any) -> None:
        for row in message["data"]:
            trip = self._trips.get(row["orderLinkId"])
            if trip is not None:
                trip.filled()


def _ignore(_: Any) -> None:
    """pybit wants a callback."""
