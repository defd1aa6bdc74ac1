"""
The loopback exchange with a stop-watch: a process of its own that notes when each create came in and each fill left.

Times are of the monotonic clock, which all processes of one machine share, so they can be joined with a client's own.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.exchange.engine import API_KEY, API_SECRET, Engine
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
    """The exchange in a process of its own; `stamps` takes what it noted since the last call."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.exchange"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).resolve().parent.parent.parent,
        )
        assert self._process.stdout is not None
        self.urls: dict[str, str] = json.loads(self._process.stdout.readline())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait(10)

    def stamps(self) -> dict[str, dict[str, int]]:
        """`came` and `left` by order_link_id."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("dump\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())  # type: ignore[no-any-return]


async def _serve() -> None:
    watch = StopWatch()
    server = Server(Engine(limits="none"), watch=watch)
    await server.start()
    loop = asyncio.get_running_loop()
    print(json.dumps(urls_of(server.port, API_KEY, API_SECRET)), flush=True)  # noqa: T201

    def dump() -> None:
        if sys.stdin.readline():
            stamps: dict[str, Any] = {"came": watch.came, "left": watch.left}
            print(json.dumps(stamps), flush=True)  # noqa: T201
            watch.came, watch.left = {}, {}

    loop.add_reader(sys.stdin.fileno(), dump)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve())
