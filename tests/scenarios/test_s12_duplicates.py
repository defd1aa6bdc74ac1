"""
S12 The same execution comes again: by the stream twice, by a query too, minutes later, after a restart.

A durable unique key makes the second delivery a journalled no-op, with the door it came through.
"""

from __future__ import annotations

import json
import threading
import time
from decimal import Decimal

from hean import EventType, OrderState, Router
from hean.journal import JournalView
from tests.conftest import our_threads
from tests.scenarios.world import WAIT_S, World, await_event, await_nth, resting, signal


def known_again(world: World, order_link_id: str) -> list[str]:
    """Where the executions of that order came from that were known already."""
    facts = world.records(order_link_id, "fact")
    return [body["what"]["source"] for body in facts if body["fact"] == "executed_known"]


def duplicates(world: World) -> list[str]:
    """Where the executions came from that no order's machine was asked about again."""
    with JournalView.read(world.journal) as view:
        return [json.loads(record.body)["source"] for record in view.records(kind="duplicate")]


def await_duplicate(world: World) -> None:
    """Returns when a late one has been recorded."""
    deadline = time.monotonic() + WAIT_S
    while not duplicates(world):
        assert time.monotonic() < deadline, "no duplicate was recorded"
        threading.Event().wait(0.05)


def fills(router: Router) -> list[str]:
    return [event.exec_id for event in router.events(0) if event.type is EventType.ORDER_FILLED]


def test_s12_frames_that_come_twice_count_once(plain_world: World) -> None:
    world = plain_world
    with world.router() as router:
        world.exchange.fault("duplicate_push", {"topic": "execution"}, count=3)
        world.exchange.fault("duplicate_push", {"topic": "order"}, count=3)
        tickets = [router.submit(signal(f"twice-{number}")) for number in range(3)]
        for ticket in tickets:
            assert OrderState.FILLED == ticket.wait(WAIT_S).outcome
        assert 6 == world.fired("duplicate_push")
        assert Decimal("0.003") == router.positions["BTCUSDT"].size
        assert 3 == len(fills(router)) == len(set(fills(router)))
        world.assert_books_equal(router)
    assert {"stream"} == {source for ticket in tickets for source in known_again(world, ticket.order_link_id)}


def test_s12_execution_of_a_settled_order_wakes_nobody(plain_world: World) -> None:
    world = plain_world
    with world.router() as router:
        threads = len(our_threads())
        world.exchange.fault("delay_push", {"topic": "execution"}, args={"ms": 4_500})
        ticket = router.submit(signal("late"))
        assert OrderState.FILLED == ticket.wait(WAIT_S).outcome
        await_duplicate(world)
        assert 1 == world.fired("delay_push")
        assert ticket.order_link_id not in router.orders
        assert threads == len(our_threads())
        assert Decimal("0.001") == router.positions["BTCUSDT"].size
        world.assert_books_equal(router)


def test_s12_foreign_execution_that_comes_twice_counts_once(plain_world: World) -> None:
    world = plain_world
    with world.router() as router:
        world.exchange.fault("duplicate_push", {"topic": "execution"})
        world.exchange.fault("foreign_order", args={"symbol": "ETHUSDT", "side": "Buy", "qty": "0.05"})
        await_event(router, EventType.RECONCILIATION_ALERT, reason="manual")
        assert router.reconcile().equal
        assert 1 == world.fired("duplicate_push")
        assert Decimal("0.05") == router.positions["ETHUSDT"].size
        world.assert_books_equal(router)
    assert ["stream"] == duplicates(world)


def test_s12_catching_up_and_restarting_repeat_nothing(plain_world: World) -> None:
    world = plain_world
    with world.router() as router:
        world.exchange.market("BTCUSDT", bid="95000", ask="95001")
        router.submit(signal("done")).wait(WAIT_S)
        partly = router.submit(resting("partly", price="94900", qty="0.003"))
        partly.wait_for(OrderState.ACKNOWLEDGED, WAIT_S)
        world.exchange.market("BTCUSDT", trade={"price": "94900", "qty": "0.001"})
        assert OrderState.PARTIAL_FILL == partly.wait_for(OrderState.PARTIAL_FILL, WAIT_S).state
        world.exchange.fault("cut_private")
        await_nth(router, "stream_LIVE", 2)
        assert router.reconcile().equal
        assert 1 == world.fired("cut_private")
        assert 2 == len(fills(router))
        world.assert_books_equal(router)
    for _ in range(2):
        with world.router() as router:
            assert router.reconcile().equal
            assert [] == fills(router)
            assert Decimal("0.002") == router.positions["BTCUSDT"].size
            world.assert_books_equal(router)
