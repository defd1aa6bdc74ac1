"""Viewers only look: at a journal in use, and at one whose process died in the middle."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from hean import OrderState, Router
from tests.conftest import Routers
from tests.desk.conftest import WAIT_S, hean_in, resting, signal

VIEWERS = ["status", "signals", "orders", "trace done", "trace open --raw", "replay", "diagram order --order done"]


def parts(path: Path) -> dict[str, bytes]:
    """The journal's own bytes; the index beside them is shared memory of those who look."""
    return {end: path.with_name(path.name + end).read_bytes() for end in ("", "-wal")}


@pytest.fixture
def made(router: Routers) -> Router:
    """A router with an order that is done and one that is open."""
    made = router()
    made.submit(signal("done")).wait(WAIT_S)
    made.submit(resting("open")).wait_for(OrderState.ACKNOWLEDGED, WAIT_S)
    return made


def test_no_byte_of_a_journal_whose_process_died_is_changed(made: Router, router_env: dict[str, str], tmp_path: Path):
    alive, dead = Path(router_env["HEAN_JOURNAL__PATH"]), tmp_path / "dead" / "journal.db"
    dead.parent.mkdir()
    # As a kill leaves it: what was not yet copied from the log ahead stays there. Nobody writes meanwhile.
    with closing(sqlite3.connect(alive, timeout=WAIT_S, isolation_level=None)) as lock:
        lock.execute("BEGIN IMMEDIATE")
        for end in ("", "-wal"):
            shutil.copy(alive.with_name(alive.name + end), dead.with_name(dead.name + end))
    before = parts(dead)
    assert before["-wal"]
    hean = hean_in({"HEAN_JOURNAL__PATH": str(dead)})
    for line in VIEWERS:
        assert (line, 0) == (line, hean(*line.split()).code)
    assert ("gone", 1) == tuple(hean("status", "-o", "json").data[name] for name in ("router", "open_orders"))
    assert before == parts(dead)
    assert {"journal.db", "journal.db-wal", "journal.db-shm"} >= {path.name for path in dead.parent.iterdir()}


def test_a_running_router_is_not_disturbed(made: Router, router_env: dict[str, str]):
    hean = hean_in(router_env)
    for line in VIEWERS:
        assert (line, 0) == (line, hean(*line.split()).code)
    assert OrderState.FILLED == made.submit(signal("after")).wait(WAIT_S).outcome
    assert "FILLED" in hean("trace", "after").out
