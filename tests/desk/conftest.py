"""What tests of the desk need: a command line in this process, and journals with a story in them."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal as signals
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from hean import OrderState, OrderType, Router, Side, Signal
from hean.desk.cli import run
from hean.desk.desk import Desk
from tests.conftest import Routers, env_of
from tests.desk.strategy import BOUGHT, RESTING
from tests.exchange import LoopbackExchange

WAIT_S = 20.0
ROOT = Path(__file__).resolve().parents[2]


@frozen(kw_only=True)
class Ran:
    """How a command line ended."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """The one object of -o json."""
        return json.loads(self.out)

    @property
    def rows(self) -> list[Any]:
        """The objects of -o jsonl, the head first."""
        return [json.loads(line) for line in self.out.splitlines()]


Hean = Callable[..., Ran]


def hean_in(env: dict[str, str]) -> Hean:
    """A command line in an environment."""

    def hean(*arguments: object) -> Ran:
        out, err = io.StringIO(), io.StringIO()
        code = run([str(argument) for argument in arguments], Desk(env, out, err))
        return Ran(code=int(code), out=out.getvalue(), err=err.getvalue())

    return hean


class Terminal(io.StringIO):
    """A stdout that a person looks at."""

    def isatty(self) -> bool:
        return True

    @property
    def text(self) -> str:
        """What was written, without its colours."""
        return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self.getvalue())


def signal(signal_id: str, **parts: Any) -> Signal:
    """A small market buy unless told."""
    asked: dict[str, Any] = {"symbol": "BTCUSDT", "side": Side.BUY, "qty": "0.001"} | parts
    return Signal(strategy_id="trend", signal_id=signal_id, **asked)


def resting(signal_id: str, **parts: Any) -> Signal:
    """A limit buy far below the market."""
    return signal(signal_id, **({"order_type": OrderType.LIMIT, "price": "50000"} | parts))


@pytest.fixture(scope="session")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The journal of a router that is gone: one order filled, one cancelled, one signal denied."""
    path = tmp_path_factory.mktemp("lived") / "journal.db"
    with LoopbackExchange() as exchange, Router.from_env(env_of(exchange, path)) as router:
        assert OrderState.FILLED == router.submit(signal("filled")).wait(WAIT_S).outcome
        ticket = router.submit(resting("cancelled"))
        ticket.wait_for(OrderState.ACKNOWLEDGED, WAIT_S)
        ticket.cancel()
        assert OrderState.CANCELLED == ticket.wait(WAIT_S).outcome
        assert OrderState.DENIED == router.submit(signal("denied", qty="0.0015")).state
    return path


@pytest.fixture
def journal(lived: Path, tmp_path: Path) -> Path:
    """A copy of that journal, for this test alone."""
    return Path(shutil.copy(lived, tmp_path / "journal.db"))


@pytest.fixture
def hean(journal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hean:
    """A command line on that journal; no router runs, and there is no exchange."""
    monkeypatch.chdir(tmp_path)
    return hean_in({"HEAN_JOURNAL__PATH": str(journal), "HOME": str(tmp_path)})


class Strategy:
    """A strategy in a process of its own; see strategy.py."""

    def __init__(self, env: dict[str, str]) -> None:
        self._journal = env["HEAN_JOURNAL__PATH"]
        self._process = subprocess.Popen(
            [sys.executable, str(ROOT / "tests" / "desk" / "strategy.py")],
            cwd=ROOT,
            env=dict(os.environ) | env | {"PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert "ready\n" == self._read()

    @property
    def pid(self) -> int:
        return self._process.pid

    def hang(self) -> None:
        """Stop it, as a debugger would, at a moment when it is inside no write of the journal."""
        # Whoever has the write lock knows that nobody else has.
        with closing(sqlite3.connect(self._journal, timeout=WAIT_S, isolation_level=None)) as own:
            own.execute("BEGIN IMMEDIATE")
            self._stop()

    def hang_in_a_write(self) -> None:
        """Stop it while it holds the journal's write lock, as a full disk would."""
        self._say("lock\n")
        assert "locked\n" == self._read()
        self._stop()

    def go_on(self) -> None:
        self._process.send_signal(signals.SIGCONT)

    def die(self) -> None:
        self._process.kill()
        self._process.wait(WAIT_S)

    def end(self) -> None:
        """End it, however it is."""
        self._process.kill()
        self._process.communicate(timeout=WAIT_S)

    def _stop(self) -> None:
        self._process.send_signal(signals.SIGSTOP)
        # The signal was only sent: each of its threads may have some instructions left.
        os.waitid(os.P_PID, self.pid, os.WSTOPPED)

    def _say(self, text: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(text)
        self._process.stdin.flush()

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


@pytest.fixture
def left_behind(router: Routers) -> None:
    """A resting order and a position of a router that is gone."""
    made = router()
    made.submit(BOUGHT).wait(WAIT_S)
    made.submit(RESTING).wait_for(OrderState.ACKNOWLEDGED, WAIT_S)
    made.stop()


@pytest.fixture
def strategy(router_env: dict[str, str]) -> Iterator[Strategy]:
    """A strategy with a resting order and a position, in a process of its own."""
    started = Strategy(router_env)
    yield started
    started.end()


def until(true: Callable[[], bool], timeout_s: float = WAIT_S) -> bool:
    """Whether it came true in time; for what happens in another process."""
    deadline, pause = time.monotonic() + timeout_s, threading.Event()
    while not true():
        if time.monotonic() > deadline:
            return False
        pause.wait(0.02)
    return True
