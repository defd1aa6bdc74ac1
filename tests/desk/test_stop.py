"""`hean halt`, `resume`, `cancel`, `resolve`: obeyed within a second, journalled with who and why."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from hean import DenyReason, OrderState, Router
from hean.journal import JournalView, post_command, pulled_brake
from tests.conftest import Routers
from tests.desk.conftest import WAIT_S, Hean, Strategy, hean_in, resting, signal, until
from tests.exchange import LoopbackExchange


def commands_of(env: dict[str, str]) -> list[dict[str, Any]]:
    """The commands in the audit chain."""
    with JournalView.read(Path(env["HEAN_JOURNAL__PATH"])) as view:
        assert view.verify_chain() is None
        return [json.loads(record.body) for record in view.records(kind="command")]


def test_a_halt_is_obeyed_within_a_second_and_journalled(router: Routers, router_env: dict[str, str]):
    made, hean = router(), hean_in(router_env)
    began = time.monotonic()
    ran = hean("halt", "--who", "ann", "--why", "fills look wrong", "-o", "json")
    assert time.monotonic() - began < 1.0
    assert (0, "hean.command/1", "obeyed") == (ran.code, ran.data["schema"], ran.data["state"])
    denied = made.submit(signal("late")).snapshot()
    assert (OrderState.DENIED, DenyReason.HALTED) == (denied.state, denied.deny_reason)
    assert "fills look wrong" in denied.reason
    [command] = commands_of(router_env)
    assert ("halt", "ann", "fills look wrong", "obeyed") == tuple(
        command[name] for name in ("verb", "who", "why", "state")
    )


def test_a_resume_takes_signals_again(router: Routers, router_env: dict[str, str]):
    made, hean = router(), hean_in(router_env)
    assert 0 == hean("halt").code
    ran = hean("resume", "--why", "looked at it")
    assert (0, "obeyed: done: signals are taken again\n") == (ran.code, ran.out)
    assert OrderState.FILLED == made.submit(signal("after")).wait(WAIT_S).outcome
    assert ["halt", "resume"] == [command["verb"] for command in commands_of(router_env)]


def test_a_halt_outlives_a_restart_until_it_is_resumed(router: Routers, router_env: dict[str, str]):
    made, hean = router(), hean_in(router_env)
    assert 0 == hean("halt", "--why", "overnight").code
    made.stop()
    again = router()
    assert DenyReason.HALTED == again.submit(signal("morning")).snapshot().deny_reason
    assert 0 == hean("resume").code
    assert OrderState.FILLED == again.submit(signal("resumed")).wait(WAIT_S).outcome


def test_a_halt_without_a_router_is_found_by_the_next_one(router: Routers, router_env: dict[str, str]):
    router().stop()
    hean = hean_in(router_env)
    ran = hean("halt", "--who", "ann", "--why", "not today", "-o", "json")
    assert (0, "waiting") == (ran.code, ran.data["state"])
    made = router()
    denied = made.submit(signal("early")).snapshot()
    assert DenyReason.HALTED == denied.deny_reason
    assert "not today" in denied.reason
    assert until(lambda: pulled_brake(Path(router_env["HEAN_JOURNAL__PATH"])) is None)
    assert [("ann", "not today")] == [(command["who"], command["why"]) for command in commands_of(router_env)]


def test_a_cancel_ends_the_order_and_says_what_was_decided(
    router: Routers, router_env: dict[str, str], exchange: LoopbackExchange
):
    made, hean = router(), hean_in(router_env)
    ticket = made.submit(resting("stale"))
    ticket.wait_for(OrderState.ACKNOWLEDGED, WAIT_S)
    ran = hean("cancel", "stale", "--who", "ann", "--why", "stale", "-o", "json")
    assert (0, "obeyed", "sent", ticket.order_link_id) == (
        ran.code,
        ran.data["state"],
        ran.data["answer"],
        ran.data["order_link_id"],
    )
    assert OrderState.CANCELLED == ticket.wait(WAIT_S).outcome
    assert ["Cancelled"] == [order["orderStatus"] for order in exchange.books()["orders"]]
    lines = hean("trace", "stale", "-o", "json").data["rows"]
    assert ["cancel"] == [line["name"] for line in lines if line["kind"] == "command"]
    assert "ann" in {line["source"] for line in lines if line["name"] == "cancel_asked"}


def test_a_cancel_of_what_is_over_is_denied(router: Routers, router_env: dict[str, str]):
    made, hean = router(), hean_in(router_env)
    made.submit(signal("done")).wait(WAIT_S)
    ran = hean("cancel", "done")
    assert 3 == ran.code
    assert ran.out.startswith("denied: ")
    assert "CLOSED" in ran.out


def test_a_cancel_of_what_nobody_knows_asks_nobody(router: Routers, router_env: dict[str, str]):
    router()
    ran = hean_in(router_env)("cancel", "nobody")
    assert 3 == ran.code
    assert "knows no order 'nobody'" in ran.err
    assert [] == commands_of(router_env)


def test_a_resolve_that_evidence_can_still_settle_is_denied_and_journalled(router: Routers, router_env: dict[str, str]):
    made, hean = router(), hean_in(router_env)
    made.submit(resting("open")).wait_for(OrderState.ACKNOWLEDGED, WAIT_S)
    ran = hean("resolve", "open", "--as", "cancelled", "--who", "ann", "--why", "ticket 4711", "-o", "json")
    assert (3, "denied") == (ran.code, ran.data["state"])
    [command] = commands_of(router_env)
    assert ("resolve", "ann", "ticket 4711", "denied") == tuple(
        command[name] for name in ("verb", "who", "why", "state")
    )


def test_a_resolve_accepts_a_gap_that_no_history_explains(
    router: Routers, router_env: dict[str, str], exchange: LoopbackExchange
):
    made, hean = router(), hean_in(router_env)
    exchange.fault("drop_push", match={"topic": "execution"}, count=None)
    exchange.fault("error", match={"endpoint": "execution/list"}, count=None, args={"ret_code": 10016})
    ticket = made.submit(signal("unexplained"))
    assert until(lambda: ticket.snapshot().gap > 0)
    assert "gap 0.001" in hean("trace", "unexplained").out
    ran = hean("resolve", "unexplained", "--as", "settled", "--why", "no such fill", "-o", "json")
    assert (0, "obeyed") == (ran.code, ran.data["state"])
    assert until(lambda: ticket.snapshot().gap == 0)
    assert ticket.snapshot().cum_exec_qty == 0


def test_who_and_why_are_needed_to_resolve(hean: Hean):
    assert 2 == hean("resolve", "filled", "--as", "settled").code
    assert 2 == hean("resolve", "filled", "--why", "x").code
    assert 2 == hean("resolve", "filled", "--as", "filled", "--why", "x").code


def test_without_a_router_nobody_would_obey(hean: Hean):
    for arguments in (
        ["resume"],
        ["cancel", "filled"],
        ["resolve", "filled", "--as", "settled", "--why", "x"],
    ):
        ran = hean(*arguments)
        assert (3, "") == (ran.code, ran.out)
        assert "no router has" in ran.err


def test_a_router_that_hangs_leaves_the_outcome_unknown(strategy: Strategy, router_env: dict[str, str]):
    hean = hean_in(router_env)
    strategy.hang()
    ran = hean("cancel", "resting", "--timeout", 0.3)
    assert 6 == ran.code
    assert ran.out.startswith("waiting")
    with JournalView.read(Path(router_env["HEAN_JOURNAL__PATH"])) as view:
        [order] = view.orders(signal_id="resting")
    assert order.order_link_id in ran.err
    assert "hean kill" in ran.err


def test_a_halt_of_a_router_that_hangs_inside_a_write_is_obeyed_when_it_goes_on(
    strategy: Strategy, router_env: dict[str, str]
):
    hean, path = hean_in(router_env), Path(router_env["HEAN_JOURNAL__PATH"])
    strategy.hang_in_a_write()
    ran = hean("halt", "--why", "it hangs", "--timeout", 0.3)
    assert 6 == ran.code
    assert "hean kill" in ran.err
    assert 3 == hean("resume").code
    assert "it hangs" in str(pulled_brake(path))


def test_a_command_that_is_found_late_is_not_obeyed(router: Routers, router_env: dict[str, str]):
    router().stop()
    path = Path(router_env["HEAN_JOURNAL__PATH"])
    number = post_command(path, at_ms=1, who="ann", verb="resume")
    odd = post_command(path, at_ms=int(time.time() * 1000), who="ann", verb="dance", args="no json")
    with Router.from_env(router_env), JournalView.read(path) as view:
        late, unknown = view.command(number), view.command(odd)
    assert late is not None
    assert unknown is not None
    assert ("denied", True) == (late.state, "older than 60 s" in late.answer)
    assert ("denied", True) == (unknown.state, "was 'dance'" in unknown.answer)
