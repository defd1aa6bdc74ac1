"""
S09 Rejected, and yet something was executed.

Some markets say Rejected of an order that traded: it is a cancel with fills. The fills are ours, the reason is kept.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from hean import EventType, OrderState, Side
from tests.scenarios.world import WAIT_S, World, resting, signal, types_of

PART = Decimal("0.001")


@pytest.mark.parametrize("status", ["Rejected", "PartiallyFilledCanceled"])
@pytest.mark.parametrize("wish", [signal, resting], ids=["market", "limit"])
def test_s09_rejected_in_part_is_cancelled_with_its_fills(wish: Any, status: str, world: World) -> None:
    with world.router() as router:
        why = {"executed_qty": str(PART), "reject_reason": "EC_InvalidTriggerPrice", "status": status}
        world.exchange.fault("reject_after_ack", args=why)
        ticket = router.submit(wish("half", qty="0.003"))
        order = ticket.wait(WAIT_S)
        assert 1 == world.fired("reject_after_ack")
        assert (OrderState.CLOSED, OrderState.CANCELLED) == (order.state, order.outcome)
        assert (PART, PART, Decimal(0), Decimal(0)) == (
            order.cum_exec_qty,
            order.watermark,
            order.gap,
            order.leaves_qty,
        )
        assert "EC_InvalidTriggerPrice" == order.reason
        types = types_of(router, ticket)
        assert [1, 1, 0] == [
            types.count(type_)
            for type_ in (EventType.ORDER_FILLED, EventType.ORDER_CANCELLED, EventType.ORDER_REJECTED)
        ]
        (row,) = world.orders(ticket.order_link_id)
        assert (status, str(PART)) == (row["orderStatus"], row["cumExecQty"])
        assert (Side.BUY, PART) == (router.positions["BTCUSDT"].side, router.positions["BTCUSDT"].size)
        world.assert_books_equal(router)
    assert 1 == len(world.creates(ticket.order_link_id))


def test_s09_executions_that_the_stream_lost_are_fetched(world: World) -> None:
    with world.router() as router:
        world.exchange.fault("reject_after_ack", args={"executed_qty": str(PART)})
        world.exchange.fault("drop_push", {"topic": "execution"})
        ticket = router.submit(signal("lost", qty="0.003"))
        order = ticket.wait(WAIT_S)
        assert [1, 1] == [world.fired("reject_after_ack"), world.fired("drop_push")]
        assert (OrderState.CANCELLED, PART, Decimal(0)) == (order.outcome, order.cum_exec_qty, order.gap)
        world.assert_books_equal(router)


def test_s09_rejected_with_nothing_executed_stays_rejected(world: World) -> None:
    with world.router() as router:
        world.exchange.fault("reject_after_ack", args={"reject_reason": "EC_NoEnoughQtyToFill"})
        ticket = router.submit(signal("none"))
        order = ticket.wait(WAIT_S)
        assert 1 == world.fired("reject_after_ack")
        assert (OrderState.REJECTED, Decimal(0), "EC_NoEnoughQtyToFill") == (
            order.outcome,
            order.cum_exec_qty,
            order.reason,
        )
        assert {} == {key: held for key, held in router.positions.items() if held.size}
        world.assert_books_equal(router)
