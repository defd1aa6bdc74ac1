"""
S05 A reply finds nobody who waits for it.

A request is written down before its frame leaves; a reply after the deadline, or from a connection that is gone, is
kept in the journal, told to its order as the late hint it is, and ends nothing.
"""

from __future__ import annotations

import pytest

from hean import EventType, OrderState
from tests.scenarios.world import WAIT_S, World, await_event, resting, signal, types_of, until

REPLY_S = 0.3


@pytest.mark.parametrize("world", ["ws"], indirect=True)
def test_s05_reply_after_the_deadline_is_kept_and_ends_nothing(world: World) -> None:
    with world.router(bybit__reply_timeout_s=REPLY_S) as router:
        world.exchange.fault("delay_reply", world.create, args={"ms": 1_500})
        world.exchange.fault("delay_push", {"topic": "order"}, args={"ms": 2_500})
        world.exchange.fault("error", {"endpoint": "order/realtime"}, count=None, args={"ret_code": 10016})
        ticket = router.submit(resting("late"))
        unknown = await_event(router, EventType.ORDER_UNKNOWN, ticket)
        assert "deadline" in unknown.detail
        assert (OrderState.TIMEOUT, None) == (ticket.state, ticket.snapshot().order_id)
        until(lambda: len(world.records(ticket.order_link_id, "reply")) == 2)
        # Only the late reply can have told the order's ID so far; it is no evidence that the order rests.
        (row,) = world.orders(ticket.order_link_id)
        assert (OrderState.TIMEOUT, row["orderId"]) == (ticket.state, ticket.snapshot().order_id)
        world.exchange.clear_faults()
        assert OrderState.ACKNOWLEDGED == ticket.wait_for(OrderState.ACKNOWLEDGED, WAIT_S).state
        assert ["unknown", "accepted"] == [reply["kind"] for reply in world.records(ticket.order_link_id, "reply")]
        assert EventType.ORDER_REJECTED not in types_of(router, ticket)
    assert 1 == len(world.creates(ticket.order_link_id))


@pytest.mark.parametrize("world", ["ws"], indirect=True)
def test_s05_connection_lost_before_the_reply_leaves_nobody_waiting(world: World) -> None:
    with world.router(bybit__reply_timeout_s=60) as router:
        world.exchange.fault("delay_reply", world.create, count=3, args={"ms": 60_000})
        tickets = [router.submit(signal(f"cut{number}")) for number in range(3)]
        until(lambda: len(world.orders()) == 3)
        world.exchange.fault("cut_trade")
        assert [OrderState.FILLED] * 3 == [ticket.wait(WAIT_S).outcome for ticket in tickets]
        for ticket in tickets:
            told = until(lambda link_id=ticket.order_link_id: world.records(link_id, "reply"))
            assert ["unknown"] == [reply["kind"] for reply in told]
        after = router.submit(signal("after the cut"))
        assert OrderState.FILLED == after.wait(WAIT_S).outcome
        world.assert_books_equal(router)
    assert [1, 1, 1, 1] == [len(world.creates(ticket.order_link_id)) for ticket in [*tickets, after]]
    assert {"trade"} == {world.creates(ticket.order_link_id)[0]["channel"] for ticket in tickets}


@pytest.mark.parametrize("world", ["ws"], indirect=True)
def test_s05_orders_go_over_rest_while_the_trade_stream_is_away(world: World) -> None:
    with world.router() as router:
        world.exchange.fault("cut_trade", args={"refuse_s": 2})
        await_event(router, EventType.STATUS, reason="trade_BACKING_OFF")
        ticket = router.submit(signal("by the other door"))
        assert OrderState.FILLED == ticket.wait(WAIT_S).outcome
        world.assert_books_equal(router)
    assert ["http"] == [create["channel"] for create in world.creates(ticket.order_link_id)]
