"""`hean kill`: stops what runs, what hangs and what is gone, and says so only when the exchange says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hean import DenyReason, OrderState, Router
from hean.journal import pulled_brake
from tests.conftest import Routers
from tests.desk.conftest import WAIT_S, Hean, Strategy, hean_in, resting, signal, until
from tests.exchange import LoopbackExchange

# What a kill waits for at its end is that nobody's request can be taken any more: this and a second.
QUICK = {"HEAN_BYBIT__RECV_WINDOW_MS": "500"}


def killer(env: dict[str, str]) -> Hean:
    return hean_in(env | QUICK)


def open_of(exchange: LoopbackExchange) -> list[Any]:
    final = {"Filled", "Cancelled", "Rejected", "Deactivated", "PartiallyFilledCanceled"}
    return [order for order in exchange.books()["orders"] if order["orderStatus"] not in final]


def size_of(exchange: LoopbackExchange) -> list[str]:
    return [position["size"] for position in exchange.books()["positions"] if position["size"] not in {"", "0"}]


def test_how_do_i_stop_it_is_answered_while_the_strategy_hangs(
    strategy: Strategy, router_env: dict[str, str], exchange: LoopbackExchange
):
    hean = killer(router_env)
    strategy.hang()
    assert 1 == len(open_of(exchange))
    ran = hean("kill", "--why", "it hangs")
    assert 0 == ran.code
    assert [] == open_of(exchange)
    assert "cancelled  1 orders" in ran.out
    assert "open       nothing" in ran.out
    assert f"process {strategy.pid} has the journal and does not answer" in ran.err
    assert ["0.003"] == size_of(exchange)
    strategy.go_on()
    assert until(lambda: hean("status", "-o", "json").data["halted"])
    assert "it hangs" in hean("status").out


def test_it_works_while_the_router_holds_the_journals_write_lock(
    strategy: Strategy, router_env: dict[str, str], exchange: LoopbackExchange
):
    strategy.hang_in_a_write()
    ran = killer(router_env)("kill", "--flatten", "-o", "json")
    assert (0, True, "left") == (ran.code, ran.data["complete"], ran.data["halt"])
    assert ("hean.kill/1", "loopback", 1) == (ran.data["schema"], ran.data["exchange"], len(ran.data["cancelled"]))
    assert ([], {}, []) == (ran.data["open_orders"], ran.data["positions"], size_of(exchange))
    assert 1 == len(ran.data["flattened"])


def test_it_works_when_the_router_is_gone_and_the_next_one_starts_halted(
    strategy: Strategy, router_env: dict[str, str], exchange: LoopbackExchange
):
    strategy.die()
    ran = killer(router_env)("kill", "--flatten")
    assert 0 == ran.code
    assert ([], []) == (open_of(exchange), size_of(exchange))
    with Router.from_env(router_env) as router:
        assert DenyReason.HALTED == router.submit(signal("too soon")).snapshot().deny_reason
        assert until(lambda: router.positions["BTCUSDT"].size == 0)


def test_a_router_that_runs_is_halted_and_finds_its_orders_cancelled(
    router: Routers, router_env: dict[str, str], exchange: LoopbackExchange
):
    made = router()
    tickets = [made.submit(resting(f"r{number}")) for number in range(5)]
    for ticket in tickets:
        ticket.wait_for(OrderState.ACKNOWLEDGED, WAIT_S)
    made.submit(signal("held", qty="0.002")).wait(WAIT_S)
    ran = killer(router_env)("kill", "--flatten", "-o", "json")
    assert (0, True) == (ran.code, ran.data["complete"])
    assert {OrderState.CANCELLED} == {ticket.wait(WAIT_S).outcome for ticket in tickets}
    assert DenyReason.HALTED == made.submit(signal("late")).snapshot().deny_reason
    assert until(lambda: made.positions["BTCUSDT"].size == 0)
    assert pulled_brake(Path(router_env["HEAN_JOURNAL__PATH"])) is None
    assert ([], []) == (open_of(exchange), size_of(exchange))


def test_an_exchange_that_cannot_be_asked_leaves_the_outcome_unknown(
    left_behind: None, router_env: dict[str, str], exchange: LoopbackExchange
):
    exchange.fault("error", match={"endpoint": "order/realtime"}, count=None, args={"ret_code": 10016})
    ran = killer(router_env)("kill", "--timeout", "1", "-o", "json")
    assert (6, False, None) == (ran.code, ran.data["complete"], ran.data["open_orders"])
    assert any("10016" in problem for problem in ran.data["problems"])


def test_a_key_that_is_refused_is_said_at_once(
    left_behind: None, router_env: dict[str, str], exchange: LoopbackExchange
):
    ran = killer(router_env | {"BYBIT_API_SECRET": "wrong"})("kill")
    assert 5 == ran.code
    assert "not known" in ran.out
    assert 1 == len(open_of(exchange))


def test_without_a_key_nothing_can_be_killed(router_env: dict[str, str]):
    del router_env["BYBIT_API_KEY"]
    ran = killer(router_env)("kill")
    assert 2 == ran.code
    assert "BYBIT_API_KEY" in ran.err


@pytest.mark.parametrize("ms", [-7_000, 7_000])
def test_a_clock_that_is_wrong_does_not_stop_it(
    ms: int, left_behind: None, router_env: dict[str, str], exchange: LoopbackExchange
):
    exchange.fault("clock_skew", count=None, args={"ms": ms})
    assert 0 == killer(router_env)("kill").code
    assert [] == open_of(exchange)
