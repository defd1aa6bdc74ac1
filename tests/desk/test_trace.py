"""`hean trace`: the story of an order, found by any of its IDs."""

from __future__ import annotations

import io
import itertools
import json
import threading
from pathlib import Path

import pytest

from hean import OrderState
from hean.desk.cli import run
from hean.desk.desk import Desk
from hean.journal import JournalView
from tests.conftest import Routers
from tests.desk.conftest import WAIT_S, Hean, Terminal, hean_in, resting, signal
from tests.exchange import LoopbackExchange


def ids_of(journal: Path) -> dict[str, str]:
    """Every ID of the filled order."""
    with JournalView.read(journal) as view:
        [order] = view.orders(signal_id="filled")
        [execution] = view.executions(order_link_id=order.order_link_id)
    assert order.order_id is not None
    return {
        "order_link_id": order.order_link_id,
        "order_id": order.order_id,
        "correlation_id": order.correlation_id,
        "signal_id": "filled",
        "exec_id": execution.exec_id,
    }


@pytest.mark.parametrize("kind", ["order_link_id", "order_id", "correlation_id", "signal_id", "exec_id"])
def test_an_order_is_found_by_each_of_its_ids(kind: str, hean: Hean, journal: Path):
    ids = ids_of(journal)
    data = hean("trace", ids[kind], "-o", "json").data
    assert kind == data["found_by"]
    assert [ids["order_link_id"]] == [order["order_link_id"] for order in data["orders"]]
    assert {ids["order_link_id"]} == {line["order_link_id"] for line in data["rows"]}


def test_the_first_characters_of_a_link_id_are_enough(hean: Hean, journal: Path):
    ids = ids_of(journal)
    assert "filled" == hean("trace", ids["order_link_id"][:12], "-o", "json").data["orders"][0]["signal_id"]


def test_the_story_has_every_part_in_order_with_both_clocks(hean: Hean):
    lines = hean("trace", "filled", "-o", "json").data["rows"]
    kinds = [line["kind"] for line in lines]
    assert ["signal", "fact", "request", "reply"] == list(dict.fromkeys(kinds))[:4] or "request" in kinds
    assert {"SIGNAL", "sent", "accepted", "executed_full", "settled", "POSITION_OPENED"} <= {
        line["name"] for line in lines
    }
    path = [(line["before"], line["after"]) for line in lines if line["before"] != line["after"]]
    assert [("PENDING", "SUBMITTED"), ("SUBMITTED", "FILLED"), ("FILLED", "CLOSED")] == path
    assert lines[0]["since_ms"] is None
    assert all(later["at_ms"] - line["at_ms"] == later["since_ms"] for line, later in itertools.pairwise(lines))
    [executed] = [line for line in lines if line["name"] == "executed_full"]
    assert "stream" == executed["source"]
    assert executed["raw"]["what"]["execution"]["exec_ms"] == executed["event_ms"]
    [request] = [line for line in lines if line["kind"] == "request"]
    assert "BTCUSDT" in request["detail"]


def test_the_text_tells_the_same_at_80_columns_and_piped(hean: Hean, journal: Path):
    ran = hean("trace", "filled")
    assert 0 == ran.code
    for told in ("CLOSED (FILLED)", "gap 0", "SUBMITTED -> FILLED", "POSITION_OPENED", "ORDER_FILLED", "stream"):
        assert told in ran.out
    out = Terminal()
    run(["trace", "filled"], Desk({"HEAN_JOURNAL__PATH": str(journal), "COLUMNS": "80"}, out, io.StringIO()))
    assert all(len(line) <= 80 for line in out.text.splitlines())


def test_a_denied_signal_has_a_story(hean: Hean):
    data = hean("trace", "denied", "-o", "json").data
    assert ["SIGNAL", "RISK_BLOCKED"] == [line["name"] for line in data["rows"]]
    assert "off_step" in data["rows"][1]["detail"]


def test_an_unknown_id_is_a_failed_check(hean: Hean):
    ran = hean("trace", "nobody")
    assert 3 == ran.code
    assert "knows nothing of 'nobody'" in ran.err


def test_follow_shows_what_comes(router: Routers, router_env: dict[str, str]):
    made = router()
    ticket = made.submit(resting("followed"))
    ticket.wait_for(OrderState.ACKNOWLEDGED, WAIT_S)
    seen: list[str] = []
    shown, settled = threading.Event(), threading.Event()

    class Reader(io.StringIO):
        def write(self, text: str) -> int:
            row = json.loads(text)
            seen.append(row.get("name", row["schema"]))
            if seen[-1] == "shows_open":
                shown.set()
            if seen[-1] == "settled":
                settled.set()
                raise KeyboardInterrupt
            return len(text)

    arguments = ["trace", "followed", "-f", "-o", "jsonl"]
    following = threading.Thread(target=run, args=(arguments, Desk(router_env, Reader(), io.StringIO())))
    following.start()
    assert shown.wait(WAIT_S)
    ticket.cancel()
    assert settled.wait(WAIT_S)
    following.join(WAIT_S)
    assert not following.is_alive()
    assert 1 == seen.count("shows_open")


def test_why_twice_is_answered_by_one_command(router: Routers, router_env: dict[str, str], exchange: LoopbackExchange):
    made = router(reconcile__overlap_s=60)
    ticket = made.submit(signal("once"))
    ticket.wait(WAIT_S)
    exchange.fault("cut_private")
    hean = hean_in(router_env)

    def told_again() -> bool:
        return hean("trace", "once", "-o", "json").data["duplicates"] > 0

    waited = threading.Event()
    for _ in range(200):
        if told_again():
            break
        waited.wait(0.05)
    ran = hean("trace", ticket.order_link_id)
    assert "DUPLICATE of #" in ran.out
    assert "counted once" in ran.out
    assert "reconcile" in ran.out
    assert 1 == exchange.books()["counters"]["creates_accepted"]
    data = hean("trace", "once", "-o", "json").data
    [again] = [line for line in data["rows"] if line["duplicate_of"] is not None][:1]
    [first] = [line for line in data["rows"] if line["n"] == again["duplicate_of"] and line["kind"] == "fact"]
    assert ("stream", "reconcile") == (first["source"], again["source"])
    assert "0.001" == data["orders"][0]["cum_exec_qty"]
