"""
The loopback exchange with a stop-watch: a process of its own that notes when each create came in and each fill left.

Times are of the monotonic clock, which all processes of one machine share, so they can be joined with a client's own.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.exchange.engine import API_KEY, API_SECRET, WALLET, Engine
from tests.exchange.instruments import default_rows
from tests.exchange.loopback import urls_of
from tests.exchange.server import Server

_LINK = re.compile(rb'"orderLinkId": ?"([^"]+)"')


class StopWatch:
    """First time that each order_link_id came in and that an execution of it left, in monotonic ns."""

    def __init__(self) -> None:
        self.came: dict[str, int] = {}
        self.left: dict[str, int] = {}

    def __call__(self, way: str, text: bytes | str) -> None:
        now_ns = time.monotonic_ns()
        raw = text if isinstance(text, bytes) else text.encode()
        stamps = self.came if way == "in" else self.left
        for link in _LINK.findall(raw):
            stamps.setdefault(link.decode(), now_ns)


class TimedExchange:
    """
    The exchange in a process of its own, without limits; `stamps` takes what it noted since the last call.

    Args:
        accounts: how many; a client sees what its account does, so each has its own.
        symbols: more instruments, beside the built-in ones.
        seed: of its IDs.
        core: the processor that it is kept on; None leaves that to the system.
    """

    def __init__(self, accounts: int = 1, symbols: int = 0, seed: int = 0, core: int | None = None) -> None:
        self._figures = [str(figure) for figure in (accounts, symbols, seed)]
        self._core = core

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.exchange", *self._figures],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).resolve().parent.parent.parent,
        )
        if self._core is not None:
            os.sched_setaffinity(self._process.pid, {self._core})
        assert self._process.stdout is not None
        self.urls: dict[str, str] = json.loads(self._process.stdout.readline())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait(10)

    def urls_of(self, account: int) -> dict[str, str]:
        """Where everything is, with that account's key."""
        return self.urls | dict(zip(("api_key", "api_secret"), _keys(account), strict=True))

    def stamps(self) -> dict[str, dict[str, int]]:
        """`came` and `left` by order_link_id."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("dump\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())  # type: ignore[no-any-return]


def symbols_of(count: int) -> list[str]:
    """The symbols beside the built-in ones; an exchange takes 500 orders of each."""
    return [f"B{number:03}USDT" for number in range(count)]


def _keys(account: int) -> tuple[str, str]:
    return (API_KEY, API_SECRET) if account == 0 else (f"LOOPBACKBENCH{account:05}", f"{API_SECRET}{account}")


def _instruments(count: int) -> str:
    """The built-in instruments, and as many more that are like the first."""
    rows = [row | {"category": category, "lastPrice": price} for category, row, price in default_rows()]
    alike = [rows[0] | {"symbol": symbol, "baseCoin": symbol.removesuffix("USDT")} for symbol in symbols_of(count)]
    return json.dumps(rows + alike)


async def _serve(accounts: int, symbols: int, seed: int) -> None:
    watch = StopWatch()
    engine = Engine(seed=seed, limits="none", instruments=_instruments(symbols))
    for account in range(1, accounts):
        engine.venue.add_account(*_keys(account), WALLET)
    server = Server(engine, watch=watch)
    await server.start()
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    print(json.dumps(urls_of(server.port, API_KEY, API_SECRET)), flush=True)  # noqa: T201

    def dump() -> None:
        if sys.stdin.readline():
            stamps: dict[str, Any] = {"came": watch.came, "left": watch.left}
            print(json.dumps(stamps), flush=True)  # noqa: T201
            watch.came, watch.left = {}, {}
        else:
            # Whoever asked is gone, killed perhaps: nobody else would end this.
            over.set()

    loop.add_reader(sys.stdin.fileno(), dump)
    await over.wait()


if __name__ == "__main__":
    asyncio.run(_serve(*map(int, sys.argv[1:4])))
