"""`hean status`: how the router is, by its journal and its pulse."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from hean import OrderState
from hean.desk.desk import Desk
from hean.journal import Brake, Journal, post_command, pull_brake
from tests.conftest import Routers
from tests.desk.conftest import WAIT_S, Hean, Strategy, hean_in, resting, signal, until
from tests.exchange import LoopbackExchange


def test_a_router_that_is_gone_is_gone(hean: Hean):
    data = hean("status", "-o", "json").data
    assert ("hean.status/1", "gone", None, None) == (data["schema"], data["router"], data["pid"], data["live"])
    assert (False, 0, 0, {}) == (data["halted"], data["open_orders"], data["unresolved"], data["streams"])
    ran = hean("status")
    assert 0 == ran.code
    assert "gone" in ran.out


def test_a_running_router_shows_its_streams_orders_and_mailboxes(router: Routers, router_env: dict[str, str]):
    made, hean = router(), hean_in(router_env)
    made.submit(resting("open")).wait_for(OrderState.ACKNOWLEDGED, WAIT_S)
    assert until(lambda: bool(hean("status", "-o", "json").data["live"]))
    data = hean("status", "-o", "json").data
    assert ("running", 1, {"ACKNOWLEDGED": 1}) == (data["router"], data["open_orders"], data["orders"])
    assert "LIVE" == data["streams"]["private"]["state"]
    assert data["at_ms"] - data["streams"]["private"]["seen_ms"] < 30_000
    assert {"all", "create", "cancel"} <= data["breakers"].keys()
    assert {"supervisor", "gateway", "stream", "orders"} <= data["mailboxes"].keys()
    assert data["budgets"]["create"] > 0
    ran = hean("status")
    assert 0 == ran.code
    for told in ("running", "live", "private LIVE", "1 open", "all closed", "drift", "none", "supervisor"):
        assert told in ran.out


def test_a_halt_shows_with_its_reason_and_its_exit_code(router: Routers, router_env: dict[str, str]):
    made, hean = router(), hean_in(router_env)
    made.halt("lunch")
    assert until(lambda: hean("status", "-o", "json").data["halted"])
    ran = hean("status")
    assert 7 == ran.code
    assert "HALTED" in ran.out
    assert "lunch" in ran.out
    assert "hean resume" in ran.out


def test_a_halt_that_nobody_has_obeyed_shows_too(hean: Hean, journal: Path):
    pull_brake(journal, Brake(who="ann", why="smoke", at_ms=1))
    ran = hean("status", "-o", "json")
    assert (7, "ann: smoke", False) == (ran.code, ran.data["halt_asked"], ran.data["halted"])
    assert "ann: smoke" in hean("status").out


def test_a_router_that_hangs_is_silent(strategy: Strategy, router_env: dict[str, str], monkeypatch: pytest.MonkeyPatch):
    hean = hean_in(router_env)
    assert until(lambda: "running" == hean("status", "-o", "json").data["router"])
    strategy.hang()
    monkeypatch.setattr(Desk, "now_ms", lambda _: time.time_ns() // 1_000_000 + 6_000)
    assert "silent" == hean("status", "-o", "json").data["router"]
    ran = hean("status")
    assert f"SILENT: process {strategy.pid} has the journal" in ran.out
    assert "hean kill" in ran.out
    strategy.die()
    assert "gone" == hean("status", "-o", "json").data["router"]


def test_an_unknown_outcome_is_unresolved_and_has_an_age(
    router: Routers, router_env: dict[str, str], exchange: LoopbackExchange
):
    made, hean = router(), hean_in(router_env)
    exchange.fault("error", match={"endpoint": "order/realtime"}, count=None, args={"ret_code": 10016})
    exchange.fault("error", match={"op": "order.create"}, count=None, args={"ret_code": 10016})
    exchange.fault("error", match={"endpoint": "order/create"}, count=None, args={"ret_code": 10016})
    ticket = made.submit(signal("lost"))
    assert OrderState.TIMEOUT == ticket.wait_for(OrderState.TIMEOUT, WAIT_S).state or until(
        lambda: OrderState.TIMEOUT is ticket.state
    )
    data = hean("status", "-o", "json").data
    assert 1 == data["unresolved"]
    assert data["oldest_unresolved_s"] >= 0
    assert "1 unresolved" in hean("status").out


def test_a_waiting_command_is_counted(hean: Hean, journal: Path):
    with Journal.open(journal, 1):
        post_command(journal, at_ms=1, who="ann", verb="resume")
    assert 1 == hean("status", "-o", "json").data["commands"]
    assert "1 wait" in hean("status").out
