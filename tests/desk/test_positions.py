"""`hean positions` and `hean reconcile`: why do we say 0.5 and the exchange 0.3?"""

from __future__ import annotations

from typing import Any

import pytest

from hean import OrderState, Router
from hean.journal import Journal
from tests.conftest import Routers
from tests.desk.conftest import WAIT_S, Hean, hean_in, resting, signal
from tests.exchange import LoopbackExchange


@pytest.fixture(autouse=True)
def _looks_follow_each_other_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """On loopback nothing is on its way for long."""
    monkeypatch.setattr("hean.desk.sides._AGAIN_S", 0.05)


@pytest.fixture
def desk(router_env: dict[str, str]) -> Hean:
    return hean_in(router_env)


def by_hand(exchange: LoopbackExchange, qty: str) -> str:
    """Close a part by hand; the exec_id that comes of it."""
    known = {row["execId"] for row in exchange.books()["executions"]}
    exchange.fault("manual_close", args={"symbol": "BTCUSDT", "qty": qty})
    [new] = [row["execId"] for row in exchange.books()["executions"] if row["execId"] not in known]
    return str(new)


def bought(router: Any, qty: str) -> None:
    assert OrderState.FILLED == router.submit(signal("bought", qty=qty)).wait(WAIT_S).outcome


def test_two_sides_that_agree(router: Routers, desk: Hean):
    bought(router(), "0.5")
    ran = desk("positions", "-o", "json")
    assert (0, "hean.positions/1", False) == (ran.code, ran.data["schema"], ran.data["drift"])
    [row] = ran.data["rows"]
    assert ("Buy", "0.5", "Buy", "0.5", "0") == tuple(
        row[name] for name in ("ours_side", "ours_size", "theirs_side", "theirs_size", "difference")
    )
    text = desk("positions")
    assert 0 == text.code
    assert 2 == text.out.count("Buy 0.5")
    ran = desk("reconcile", "-o", "json")
    assert (0, False, []) == (ran.code, ran.data["drift"], ran.data["rows"])
    assert "both sides agree" in desk("reconcile").out


def test_why_do_we_differ_is_answered_by_one_command(
    router: Routers, desk: Hean, router_env: dict[str, str], exchange: LoopbackExchange
):
    made = router()
    bought(made, "0.5")
    made.stop()
    exec_id = by_hand(exchange, "0.2")
    ran = desk("positions")
    assert 4 == ran.code
    assert "BTCUSDT: we say 0.5, the exchange 0.3" in ran.out
    assert f"we lack    {exec_id}" in ran.out
    [row] = desk("positions", "-o", "json").data["rows"]
    assert ("0.2", [exec_id], [], True) == (row["difference"], row["we_lack"], row["they_lack"], row["drift"])
    head, *rows = desk("reconcile", "-o", "jsonl").rows
    assert (True, [exec_id]) == (head["drift"], rows[0]["exec_ids"])
    text = desk("reconcile")
    assert 4 == text.code
    assert exec_id in text.out
    with Router.from_env(router_env):
        assert 0 == desk("positions").code


def test_a_running_router_that_was_not_told_differs_until_it_looks(
    router: Routers, desk: Hean, exchange: LoopbackExchange
):
    made = router(reconcile__positions_s=600, reconcile__orders_s=600)
    bought(made, "0.5")
    exchange.fault("drop_push", match={"topic": "execution"}, count=None)
    exchange.fault("drop_push", match={"topic": "position"}, count=None)
    exchange.fault("drop_push", match={"topic": "order"}, count=None)
    exec_id = by_hand(exchange, "0.2")
    ran = desk("positions", "-o", "json")
    assert (4, [exec_id]) == (ran.code, ran.data["rows"][0]["we_lack"])
    exchange.clear_faults()
    assert made.reconcile(WAIT_S).equal
    assert 0 == desk("positions").code


def test_what_we_account_and_they_do_not_list_is_named(
    router: Routers, desk: Hean, router_env: dict[str, str], exchange: LoopbackExchange
):
    made = router()
    bought(made, "0.5")
    made.stop()
    exchange.fault("partial_page", match={"endpoint": "execution/list"}, count=None, args={"rows": 0})
    exchange.fault("manual_close", args={"symbol": "BTCUSDT", "qty": "0.5"})
    ran = desk("positions", "-o", "json")
    [row] = ran.data["rows"]
    assert (4, "0.5", None, "0") == (ran.code, row["difference"], row["theirs_side"], row["theirs_size"])
    assert [] == row["we_lack"]
    assert "no execution of the last seven days explains it" in desk("positions").out


def test_orders_of_only_one_side_are_found(router: Routers, desk: Hean, exchange: LoopbackExchange):
    made = router()
    ticket = made.submit(resting("ours"))
    ticket.wait_for(OrderState.ACKNOWLEDGED, WAIT_S)
    made.stop()
    exchange.fault("foreign_order", args={"symbol": "ETHUSDT", "side": "Buy", "qty": "0.1", "price": "1000"})
    ran = desk("reconcile", "-o", "json")
    assert 4 == ran.code
    assert ["order_only_there"] == [row["kind"] for row in ran.data["rows"]]
    assert 2 == ran.data["orders"]
    assert "order_only_there" in desk("reconcile").out


def test_a_journal_without_a_start_has_nothing_to_compare(desk: Hean, router_env: dict[str, str], tmp_path: Any):
    Journal.open(tmp_path / "journal.db", 1).close()
    for verb in ("positions", "reconcile"):
        ran = desk(verb)
        assert 3 == ran.code
        assert "nothing to compare" in ran.err


def test_an_exchange_that_does_not_answer_is_no_agreement(router: Routers, desk: Hean, exchange: LoopbackExchange):
    bought(router(), "0.001")
    exchange.fault("error", match={"endpoint": "position/list"}, count=None, args={"ret_code": 10003})
    for verb in ("positions", "reconcile"):
        ran = desk(verb)
        assert (5, "") == (ran.code, ran.out)
        assert "10003" in ran.err


def test_no_positions_at_all(router: Routers, desk: Hean):
    router()
    assert "no positions on either side" in desk("positions").out
