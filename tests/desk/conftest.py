"""What tests of the desk need: a command line in this process, and journals with a story in them."""

from __future__ import annotations

import io
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from hean import OrderState, OrderType, Router, Side, Signal
from hean.desk.cli import run
from hean.desk.desk import Desk
from tests.conftest import env_of
from tests.exchange import LoopbackExchange

WAIT_S = 20.0


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
