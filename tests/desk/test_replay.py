"""`hean replay`: the journal through the core gives the same again, and what was tampered with shows."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from hean import OrderState, Router, Side
from tests.conftest import Routers
from tests.desk.conftest import WAIT_S, Hean, hean_in, resting, signal, until
from tests.exchange import LoopbackExchange


def alter(journal: Path, statement: str) -> None:
    connection = sqlite3.connect(journal)
    with connection:
        connection.execute(statement)
    connection.close()


def test_a_whole_journal_comes_out_the_same(hean: Hean):
    ran = hean("replay", "-o", "json")
    assert (0, "hean.replay/1", "sound", None, 0) == (
        ran.code,
        ran.data["schema"],
        ran.data["chain"],
        ran.data["first_bad_record"],
        ran.data["differences"],
    )
    assert (3, 1) == (ran.data["orders"], ran.data["positions"])
    assert ran.data["facts"] >= 9
    text = hean("replay")
    assert 0 == text.code
    assert "the chain is sound" in text.out
    assert "no difference" in text.out


def test_a_changed_record_breaks_the_chain_and_is_named(hean: Hean, journal: Path):
    alter(journal, "UPDATE records SET body = replace(body, '\"BTCUSDT\"', '\"ETHUSDT\"') WHERE kind = 'signal'")
    ran = hean("replay", "-o", "json")
    assert (4, "broken") == (ran.code, ran.data["chain"])
    with sqlite3.connect(journal) as connection:
        [(first,)] = connection.execute("SELECT min(n) FROM records WHERE kind = 'signal'").fetchall()
    connection.close()
    assert first == ran.data["first_bad_record"]
    assert f"record {first}" in hean("replay").out


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM records WHERE n = 12",
        "UPDATE records SET at_ms = at_ms + 1 WHERE n = 12",
        "UPDATE records SET order_link_id = 'h1-x' WHERE n = 12",
        "UPDATE records SET hash = zeroblob(32) WHERE n = (SELECT max(n) FROM records)",
        "UPDATE records SET n = n + 1 WHERE n = (SELECT max(n) FROM records)",
    ],
)
def test_every_kind_of_tampering_breaks_the_chain(statement: str, hean: Hean, journal: Path):
    alter(journal, statement)
    assert "broken" == hean("replay", "-o", "json").data["chain"]


def test_the_first_difference_is_shown_with_both_sides(hean: Hean, journal: Path):
    alter(journal, 'UPDATE records SET body = replace(body, \'"after":"FILLED"\', \'"after":"CANCELLED"\')')
    ran = hean("replay")
    assert 4 == ran.code
    assert "state after" in ran.out
    assert "journal  CANCELLED" in ran.out
    assert "replay   FILLED" in ran.out
    head, first, *_ = hean("replay", "-o", "jsonl").rows
    assert ("hean.difference/1", "state after", "CANCELLED", "FILLED") == (
        first["schema"],
        first["what"],
        first["journal"],
        first["replay"],
    )
    assert head["differences"] >= 1


@pytest.mark.parametrize(
    "statement,what",
    [
        ('UPDATE orders SET body = replace(body, \'"qty":"0.001"\', \'"qty":"0.1"\')', "the request: qty"),
        ('UPDATE orders SET body = replace(body, \'"side":"Buy"\', \'"side":"Sell"\')', "the request: side"),
        ("UPDATE orders SET digest = 'x' WHERE state = 'CLOSED'", "the request: digest"),
        (
            'UPDATE orders SET body = replace(body, \'"watermark":"0.001"\', \'"watermark":"0.002"\')',
            "the order's end state",
        ),
        ("UPDATE orders SET body = replace(body, 'off_step', 'bad_qty')", "the denial"),
        ("DELETE FROM executions", "the ledger's executions"),
        ("DELETE FROM orders WHERE state = 'CLOSED'", "the order"),
        ('UPDATE executions SET body = replace(body, \'"exec_qty":"0.001"\', \'"exec_qty":"0.002"\')', "size"),
    ],
)
def test_what_the_chain_does_not_cover_is_compared_with_what_it_does(
    statement: str, what: str, hean: Hean, journal: Path
):
    alter(journal, statement)
    ran = hean("replay", "-o", "json")
    assert (4, "sound") == (ran.code, ran.data["chain"])
    assert what in {row["what"] for row in ran.data["rows"]}


def test_a_journal_of_trouble_and_restarts_comes_out_the_same(router_env: dict[str, str], exchange: LoopbackExchange):
    env = router_env | {"HEAN_BYBIT__RECV_WINDOW_MS": "300", "HEAN_ORDERS__VISIBILITY_DELAY_S": "1.4"}
    with Router.from_env(env) as first:
        exchange.fault("lose_reply", match={"endpoint": "order/create"})
        exchange.fault("duplicate_push", count=3)
        first.submit(signal("one", qty="0.01")).wait(WAIT_S)
        exchange.fault("cut_private")
        first.submit(signal("two", side=Side.SELL, qty="0.02"))
        late = first.submit(resting("three"))
        late.wait_for(OrderState.ACKNOWLEDGED, WAIT_S)
        exchange.fault("manual_close", args={"symbol": "BTCUSDT", "qty": "0.005"})
        exchange.fault("funding", args={"symbol": "BTCUSDT"})
    with Router.from_env(env | {"HEAN_ORDERS__QUERY_BASE_S": "0.1"}) as second:
        second.ticket(late.order_link_id).cancel()
        second.ticket(late.order_link_id).wait(WAIT_S)
        assert second.reconcile(WAIT_S).equal
        desk = hean_in(env)
        assert until(lambda: 0 == desk("replay").code)
    ran = desk("replay", "-o", "json")
    assert (0, 0, 3) == (ran.code, ran.data["differences"], ran.data["orders"])


def test_a_running_router_is_replayed_as_it_stands(router: Routers, router_env: dict[str, str]):
    made = router()
    tickets = [made.submit(signal(f"n{number}")) for number in range(8)]
    assert 0 == hean_in(router_env)("replay").code
    for ticket in tickets:
        ticket.wait(WAIT_S)
    assert 0 == hean_in(router_env)("replay").code


def test_a_start_without_its_policy_is_said(hean: Hean, journal: Path):
    alter(journal, "UPDATE records SET kind = 'event2' WHERE kind = 'start'")
    assert "the defaults were taken" in hean("replay").out
