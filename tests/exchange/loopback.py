"""
The exchange for a test: a thread, its URLs, and the control API as plain calls.
"""

import asyncio
import http.client
import json
import threading
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

from tests.exchange.engine import API_KEY, API_SECRET, Engine
from tests.exchange.server import HOST, Server
from tests.exchange.wire import Json

START_S = 10
CONTROL_S = 30


def urls_of(port: int, api_key: str, api_secret: str) -> dict[str, str]:
    """
    Where everything is, as the ready line of `scripts/exchange.py` says it.
    """
    return {
        "rest": f"http://{HOST}:{port}",
        "private": f"ws://{HOST}:{port}/v5/private",
        "trade": f"ws://{HOST}:{port}/v5/trade",
        "public": f"ws://{HOST}:{port}/v5/public",
        "control": f"http://{HOST}:{port}/control",
        "api_key": api_key,
        "api_secret": api_secret,
    }


class ControlRefused(Exception):
    """
    The control API did not understand; nothing has changed.
    """


class LoopbackExchange:
    """
    One exchange in a thread of this process.

    Args:
        port: 0 takes a free one.
        seed: Of IDs, fault probabilities and drawn delays.
        limits: ``bybit`` or ``none``.
        instruments: JSON of instruments; None means the built-in ones.

    Attributes:
        urls: ``rest``, ``private``, ``trade``, ``public``, ``control``, ``api_key``, ``api_secret``; set by `start`.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        api_key: str = API_KEY,
        api_secret: str = API_SECRET,
        seed: int = 0,
        limits: str = "bybit",
        instruments: str | None = None,
    ) -> None:
        self._engine = Engine(seed=seed, limits=limits, instruments=instruments, api_key=api_key, api_secret=api_secret)
        self._server = Server(self._engine, port=port)
        self._keys = (api_key, api_secret)
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="loopback-exchange", daemon=True)
        self.urls: dict[str, str] = {}

    def start(self) -> Self:
        """
        Listen; returns when a first request can be answered.

        Raises:
            RuntimeError: It did not come up.
        """
        self._thread.start()
        if not self._ready.wait(START_S) or self._failure is not None:
            raise RuntimeError("the loopback exchange did not start") from self._failure
        self.urls = urls_of(self._server.port, *self._keys)
        return self

    def stop(self) -> None:
        """
        Close every socket and end the thread.
        """
        if self._loop is not None and self._stopping is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
        if self._thread.ident is not None:
            self._thread.join(START_S)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            self._failure = error
            self._ready.set()
            raise

    async def _serve(self) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        await self._server.start()
        self._ready.set()
        await self._stopping.wait()
        await self._server.stop()

    # The control API

    def control(self, method: str, name: str, params: Json | None = None) -> Any:
        """
        One call of the control API.

        Raises:
            ControlRefused: It answered anything but 200.
        """
        path, body = f"/control/{name}", None
        if method == "POST":
            body = json.dumps(params or {})
        elif params:
            path += "?" + urlencode(params)
        connection = http.client.HTTPConnection(HOST, self._server.port, timeout=CONTROL_S)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            answer = json.loads(response.read())
        finally:
            connection.close()
        if response.status != http.client.OK:
            raise ControlRefused(answer.get("error", answer))
        return answer

    def books(self, api_key: str | None = None) -> Any:
        """
        What really happened to one account: orders, executions, positions, wallet, counters.
        """
        return self.control("GET", "books", {"api_key": api_key} if api_key else None)

    def requests(self, api_key: str | None = None) -> Any:
        """
        Every request in order; None means of all accounts.
        """
        return self.control("GET", "requests", {"api_key": api_key} if api_key else None)

    def fault(
        self,
        name: str,
        match: Json | None = None,
        count: int | None = 1,
        probability: float = 1.0,
        args: Json | None = None,
    ) -> Any:
        """
        Arm a fault, or let happen what happens at once.
        """
        asked = {"fault": name, "match": match or {}, "count": count, "probability": probability, "args": args or {}}
        return self.control("POST", "faults", asked)

    def faults(self) -> Any:
        """
        Every fault since the last clear, with how often it fired.
        """
        return self.control("GET", "faults")

    def clear_faults(self) -> None:
        """
        Forget them all; silent sockets speak again.
        """
        self.control("DELETE", "faults")

    def market(self, symbol: str, category: str = "linear", **figures: Any) -> Any:
        """
        Set what others offer, or print a ``trade``; without figures only look.
        """
        asked = {"symbol": symbol, "category": category} | figures
        return self.control("POST" if figures else "GET", "market", asked)

    def limits(self, **limits: Any) -> Any:
        """
        Set one limit: ``endpoint`` and ``per_s``, or ``open_orders_per_symbol``, for ``api_key`` (default: the first).
        """
        return self.control("POST", "limits", limits)

    def behaviour(self, **values: Any) -> Any:
        """
        Set open points of Bybit's documentation; returns all of them.
        """
        return self.control("POST" if values else "GET", "behaviour", values)

    def accounts(self, api_key: str, api_secret: str, wallet: dict[str, str] | None = None, **more: Any) -> Any:
        """
        Serve one more API key.
        """
        asked: Json = {"api_key": api_key, "api_secret": api_secret} | more
        return self.control("POST", "accounts", asked | ({"wallet": wallet} if wallet is not None else {}))
