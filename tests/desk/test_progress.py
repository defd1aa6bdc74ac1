"""What takes its time says so to a person, on stderr; a pipe, a file and a program see nothing of it."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hean.desk.again import Again
from hean.desk.cli import run
from hean.desk.desk import Desk
from hean.journal import JournalView
from tests.conftest import Routers
from tests.desk.conftest import Hean, Strategy, Terminal, hean_in
from tests.exchange import LoopbackExchange

QUICK = {"HEAN_BYBIT__RECV_WINDOW_MS": "500"}
SLOW = {
    "replay": "replaying",
    "doctor": "checking",
    "positions": "asking the exchange",
    "reconcile": "asking the exchange",
    "kill": "killing",
}


def err_of(line: str, env: dict[str, str], err: io.StringIO) -> str:
    out = io.StringIO()
    run(line.split(), Desk(env, out, err))
    assert "\x1b" not in out.getvalue()
    return err.text if isinstance(err, Terminal) else err.getvalue()


def test_whoever_waits_at_a_terminal_is_told_for_what(router: Routers, router_env: dict[str, str]):
    router()
    for line, told in SLOW.items():
        shown = err_of(line, router_env | QUICK, Terminal())
        assert (line, True) == (line, told in shown)


def test_a_program_and_a_file_are_told_nothing(hean: Hean, journal: Path):
    env = {"HEAN_JOURNAL__PATH": str(journal)}
    assert "replaying" in err_of("replay", env, Terminal())
    # An object that is asked for is for a program, wherever its errors go.
    assert "" == err_of("replay -o json", env, Terminal())
    assert "" == err_of("replay", env, io.StringIO())


def test_who_waits_for_a_router_is_told_for_which(strategy: Strategy, router_env: dict[str, str]):
    strategy.hang()
    shown = err_of("halt --timeout 0.3", router_env, Terminal())
    assert f"waiting for process {strategy.pid}" in shown


def test_a_replay_tells_how_far_it_is(journal: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("hean.desk.again._TELL_EVERY", 5)
    told: list[str] = []
    with JournalView.read(journal) as view:
        assert [] == list(Again(view, told.append).run())
        last = view.last_n
    assert f"record 5 of {last}, {500 // last} %" == told[0]


def test_what_takes_more_than_a_moment_to_count_is_told(monkeypatch: pytest.MonkeyPatch):
    desk = Desk({}, io.StringIO(), Terminal())
    told: list[str] = []

    @contextmanager
    def progress(self: Desk, what: str) -> Iterator[Callable[[str], None]]:
        told.append(what)
        yield told.append

    monkeypatch.setattr(Desk, "progress", progress)
    many = list(range(1000))
    assert (many, []) == (list(desk.counted("counting", many)), told)
    monkeypatch.setattr("hean.desk.desk._MOMENT_S", -1.0)
    assert many == list(desk.counted("counting", many))
    assert ["counting", "512", "768"] == told
    assert [] == list(desk.counted("counting", []))


def test_nothing_is_drawn_where_nobody_looks(router_env: dict[str, str], exchange: LoopbackExchange):
    before = "rich" in sys.modules
    assert "" == hean_in(router_env)("doctor").err
    assert before == ("rich" in sys.modules)
