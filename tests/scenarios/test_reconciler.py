"""
Both sides compared over real sockets: at the first start, on timers, on demand; and what a difference leads to.
"""

from __future__ import annotations

import threading
from decimal import Decimal
from typing import Any

import pytest

from hean import EventType, OrderState, RemoteError, Router, Side
from hean.core.types import Category, Finding, FindingKind
from hean.journal import JournalView
from tests.scenarios.world import WAIT_S, World, await_event, await_nth, resting, signal

SOON = {"reconcile__orders_s": 0.3, "reconcile__positions_s": 0.3, "reconcile__confirm_s": 0.1}


def foreign(world: World, qty: str, **more: str) -> None:
    world.exchange.fault("foreign_order", args={"symbol": "BTCUSDT", "side": "Buy", "qty": qty} | more)


def alerts(router: Router) -> list[Finding]:
    events = [event for event in router.events(0) if event.type is EventType.RECONCILIATION_ALERT]
    return [event.finding for event in events if event.finding is not None]


# The start.


def test_first_start_takes_over_what_the_exchange_holds_and_folds_none_of_it_again(plain_world: World) -> None:
    world = plain_world
    foreign(world, "0.005")
    with world.router() as router:
        event = await_event(router, EventType.POSITION_ADOPTED)
        (row,) = world.exchange.books()["positions"]
        assert ("opening_balance", True) == (event.reason, f"seq {row['seq']}" in event.detail)
        assert (True, ()) == (router.reconcile().equal, router.reconcile().found)
        assert Decimal("0.005") == router.positions["BTCUSDT"].size
        router.submit(signal("more")).wait(WAIT_S)
    with world.router() as router:
        assert (True, ()) == (router.reconcile().equal, router.reconcile().found)
        assert Decimal("0.006") == router.positions["BTCUSDT"].size
        assert not [event for event in router.events(0) if event.type is EventType.POSITION_ADOPTED]
    with JournalView.read(world.journal) as view:
        assert ["0.001"] == [row["execQty"] for row in world.executions() if row["orderLinkId"]]
        assert 1 == len(list(view.executions()))


def test_start_returns_when_both_sides_were_compared(plain_world: World) -> None:
    world = plain_world
    with world.router() as router:
        names = [event.reason for event in router.events(0)]
        assert "stream_LIVE" in names
        report = router.reconcile()
        assert (True, 1) == (report.equal, report.looks)


def test_start_without_a_whole_picture_says_why_not(plain_world: World) -> None:
    world = plain_world
    world.exchange.fault("error", {"endpoint": "execution/list"}, count=None, args={"ret_code": 10016})
    with pytest.raises(RemoteError, match="not LIVE within 1"), world.router(start__timeout_s=1):
        pass
    assert 1 <= world.fired("error")


# Other categories.


def test_inverse_contracts_are_compared_as_well(plain_world: World) -> None:
    world = plain_world
    coin = {"symbol": "BTCUSD", "category": "inverse"}
    with world.router(**SOON) as router:
        bought = router.submit(signal("in", symbol="BTCUSD", category=Category.INVERSE, qty="100"))
        assert OrderState.FILLED == bought.wait(WAIT_S).outcome
        for topic in ("order", "execution", "position"):
            world.exchange.fault("drop_push", {"topic": topic}, count=None)
        world.exchange.fault("settle", args=coin | {"qty": "40"})
        world.exchange.fault("funding", args=coin)
        await_event(router, EventType.RECONCILIATION_ALERT, reason="settlement")
        await_event(router, EventType.FUNDING)
        assert 1 <= world.fired("drop_push")
        world.exchange.clear_faults()
        assert router.reconcile().equal
        assert Decimal(60) == router.positions[Category.INVERSE, "BTCUSD", 0].size
        world.assert_books_equal(router)


def test_spot_trade_by_another_hand_is_kept_and_is_no_position(plain_world: World) -> None:
    world = plain_world
    for _ in range(2):
        with world.router() as router:
            world.exchange.fault(
                "foreign_order", args={"symbol": "BTCUSDT", "category": "spot", "side": "Buy", "qty": "0.01"}
            )
            await_event(router, EventType.RECONCILIATION_ALERT, reason="manual")
            assert (True, ()) == (router.reconcile().equal, router.reconcile().found)
            assert not router.positions
            world.assert_books_equal(router)


# Timers.


def dropped(world: World, router: Router) -> None:
    """An order's whole end is not told."""
    world.exchange.market("BTCUSDT", bid="95000", ask="95001")
    ticket = router.submit(resting("lost", price="94900"))
    assert OrderState.ACKNOWLEDGED == ticket.wait_for(OrderState.ACKNOWLEDGED, WAIT_S).state
    for topic in ("order", "execution", "position"):
        world.exchange.fault("drop_push", {"topic": topic})
    world.exchange.market("BTCUSDT", trade={"price": "94900", "qty": "0.001"})
    assert OrderState.FILLED == ticket.wait(WAIT_S).outcome


def test_pushes_that_never_came_are_found_by_the_timer(plain_world: World) -> None:
    world = plain_world
    with world.router(**SOON) as router:
        dropped(world, router)
        await_event(router, EventType.RECONCILIATION_ALERT)
        assert 3 == world.fired("drop_push")
        assert {FindingKind.ORDER_ONLY_HERE, FindingKind.EXECUTION_ONLY_THERE} >= {
            found.kind for found in alerts(router)
        }
        assert (True, ()) == (router.reconcile().equal, router.reconcile().found)
        world.assert_books_equal(router)


@pytest.mark.parametrize(
    "kind, fault, args",
    [
        (FindingKind.EXECUTION_ONLY_THERE, "foreign_order", {"side": "Sell", "qty": "0.004"}),
        (FindingKind.EXECUTION_ONLY_THERE, "manual_close", {"qty": "0.002"}),
        (FindingKind.EXECUTION_ONLY_THERE, "adl", {"qty": "0.003"}),
        (FindingKind.EXECUTION_ONLY_THERE, "funding", {}),
        (FindingKind.ORDER_ONLY_THERE, "foreign_order", {"side": "Buy", "qty": "0.001", "price": "90000"}),
    ],
)
def test_whatever_another_hand_did_unheard_is_found_named_and_taken_in(
    kind: FindingKind, fault: str, args: dict[str, str], plain_world: World
) -> None:
    world = plain_world
    with world.router(**SOON) as router:
        router.submit(signal("in", qty="0.01")).wait(WAIT_S)
        for topic in ("order", "execution", "position"):
            world.exchange.fault("drop_push", {"topic": topic}, count=None)
        world.exchange.fault(fault, args={"symbol": "BTCUSDT"} | args)
        event = await_event(router, EventType.RECONCILIATION_ALERT, reason=str(kind))
        finding = event.finding
        assert finding is not None
        assert 1 <= world.fired("drop_push")
        if kind is FindingKind.EXECUTION_ONLY_THERE:
            assert [row["execId"] for row in world.executions() if not row["orderLinkId"]] == list(finding.exec_ids)
        else:
            assert [row["orderId"] for row in world.orders() if not row["orderLinkId"]] == [finding.order_id]
        world.exchange.clear_faults()
        assert router.reconcile().equal
        assert (True, ()) == (router.reconcile().equal, router.reconcile().found)
        world.assert_books_equal(router)


def test_busy_router_is_told_of_nothing(plain_world: World) -> None:
    world = plain_world
    world.exchange.limits(endpoint="order/create", per_s=1000)
    with world.router(reconcile__orders_s=0.05, reconcile__positions_s=0.1) as router:
        tickets = [router.submit(signal(f"busy-{number}")) for number in range(60)]
        resting_ones = [router.submit(resting(f"rest-{number}")) for number in range(20)]
        for ticket in resting_ones:
            ticket.wait_for(OrderState.ACKNOWLEDGED, WAIT_S)
            ticket.cancel()
        assert {OrderState.CLOSED} == {ticket.wait(WAIT_S).state for ticket in (*tickets, *resting_ones)}
        assert (True, ()) == (router.reconcile().equal, router.reconcile().found)
        assert [] == alerts(router)
        world.assert_books_equal(router)


# Policies.


def hidden(world: World, router: Router) -> None:
    """A position moves, and no execution tells why."""
    router.submit(signal("first")).wait(WAIT_S)
    world.exchange.fault("drop_push", {"topic": "execution"})
    world.exchange.fault("drop_push", {"topic": "position"}, count=None)
    world.exchange.fault("partial_page", {"endpoint": "execution/list"}, count=None, args={"rows": 0})
    foreign(world, "0.004")


def test_policy_adopt_takes_the_exchanges_position_over_and_keeps_it_over_a_restart(plain_world: World) -> None:
    world = plain_world
    with world.router(reconcile__position_differs="adopt") as router:
        hidden(world, router)
        report = router.reconcile()
        assert (True, ["position_differs"]) == (report.equal, [str(found.kind) for found in report.found])
        event = await_event(router, EventType.POSITION_ADOPTED)
        assert ("difference", True) == (event.reason, "was Buy 0.001" in event.detail)
        assert Decimal("0.005") == router.positions["BTCUSDT"].size
        world.exchange.clear_faults()
        # What was below the balance that was taken over is accounted, and not folded again.
        assert router.reconcile().equal
        assert Decimal("0.005") == router.positions["BTCUSDT"].size
        router.submit(signal("out", side=Side.SELL)).wait(WAIT_S)
        held = router.positions["BTCUSDT"]
        assert (True, Decimal("0.004")) == (bool(held.fees), held.size)
    with world.router() as router:
        assert (True, ()) == (router.reconcile().equal, router.reconcile().found)
        # The sums of money go on too: what was paid before the balance was taken over stays paid.
        assert held == router.positions["BTCUSDT"]


@pytest.mark.parametrize(
    "reaction, outcome",
    [("alert", OrderState.FILLED), ("halt_symbol", OrderState.DENIED), ("halt_all", OrderState.DENIED)],
)
def test_policy_says_how_hard_a_difference_brakes(reaction: str, outcome: OrderState, plain_world: World) -> None:
    world = plain_world
    settings: dict[str, Any] = {"reconcile__position_differs": reaction}
    with world.router(**settings) as router:
        hidden(world, router)
        assert ["position_differs"] == [str(found.kind) for found in router.reconcile().found]
        assert outcome is router.submit(signal("next")).wait_for(OrderState.FILLED, WAIT_S).outcome
        elsewhere = OrderState.DENIED if reaction == "halt_all" else OrderState.FILLED
        other = router.submit(signal("else", symbol="ETHUSDT", qty="0.05"))
        assert elsewhere is other.wait_for(OrderState.FILLED, WAIT_S).outcome


# Reports.


def test_comparison_while_the_stream_is_away_is_whole_all_the_same(plain_world: World) -> None:
    world = plain_world
    with world.router() as router:
        world.exchange.fault("cut_private", args={"refuse_s": 60})
        await_nth(router, "stream_BACKING_OFF", 1)
        foreign(world, "0.002")
        report = router.reconcile()
        assert ([FindingKind.EXECUTION_ONLY_THERE], True) == ([found.kind for found in report.found], report.equal)
        assert Decimal("0.002") == router.positions["BTCUSDT"].size
        world.assert_books_equal(router)


def test_callers_at_once_are_all_answered(plain_world: World) -> None:
    with plain_world.router() as router:
        reports: list[bool] = []
        threads = [
            threading.Thread(target=lambda: reports.append(router.reconcile().equal), name=f"caller-{number}")
            for number in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WAIT_S)
        assert [True] * 8 == reports
