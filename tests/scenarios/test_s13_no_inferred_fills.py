"""
S13 The order is shown Filled before its executions come.

The row is a watermark that is asked about until real executions add up to it; nothing is inferred, so nothing counts
twice when the real ones arrive.
"""

from __future__ import annotations

from decimal import Decimal

from hean import EventType, OrderState
from tests.scenarios.world import WAIT_S, World, await_event, events_until, signal


def test_s13_filled_row_waits_for_real_executions(plain_world: World) -> None:
    world = plain_world
    world.exchange.behaviour(order_before_execution=True)
    with world.router() as router:
        # Neither the stream nor the list has the executions for a while.
        world.exchange.fault("delay_push", {"topic": "execution"}, args={"ms": 1_500})
        world.exchange.fault("history_lag", {"endpoint": "execution/list"}, count=None, args={"ms": 60_000})
        ticket = router.submit(signal("early", qty="0.002"))
        shown = ticket.wait_for(OrderState.FILLED, WAIT_S)
        assert (OrderState.FILLED, Decimal(0), Decimal("0.002")) == (shown.state, shown.cum_exec_qty, shown.gap)
        assert "BTCUSDT" not in {key[1] for key, held in router.positions.items() if held.size}
        order = ticket.wait(WAIT_S)
        assert (OrderState.CLOSED, Decimal("0.002"), Decimal(0)) == (order.state, order.cum_exec_qty, order.gap)
        assert 1 == world.fired("delay_push")
        world.exchange.clear_faults()
        filled = [event for event in router.events(0) if event.type is EventType.ORDER_FILLED]
        assert [row["execId"] for row in world.executions()] == [event.exec_id for event in filled]
        assert router.reconcile().equal
        world.assert_books_equal(router)


def test_s13_fetched_execution_and_the_pushed_one_are_the_same(plain_world: World) -> None:
    world = plain_world
    world.exchange.behaviour(order_before_execution=True)
    with world.router() as router:
        world.exchange.fault("delay_push", {"topic": "execution"}, args={"ms": 2_000})
        ticket = router.submit(signal("both"))
        filled = await_event(router, EventType.ORDER_FILLED, ticket)
        assert "query" == str(filled.source)
        pushed = router.submit(signal("after"))
        assert OrderState.FILLED == pushed.wait(WAIT_S).outcome
        events_until(router, lambda event: event.type is EventType.ORDER_SETTLED)
        assert 1 == world.fired("delay_push")
        assert router.reconcile().equal
        assert Decimal("0.002") == router.positions["BTCUSDT"].size
        world.assert_books_equal(router)
