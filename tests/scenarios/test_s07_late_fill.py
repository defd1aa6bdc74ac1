"""
S07 A fill comes after Cancelled, or after Rejected.

The status stays, the quantity and the position move, a person is told; what was settled is settled again only once
everything adds up. Source: FIX 4.4, appendix D, J.1.b.
"""

from __future__ import annotations

from decimal import Decimal

import pytest

from hean import EventType, OrderState, Router, Ticket
from tests.scenarios.world import WAIT_S, World, await_event, await_nth, resting, signal, types_of, until

PART = Decimal("0.001")
WHOLE = Decimal("0.003")


def cancelled_in_part(world: World, router: Router, late_ms: int) -> Ticket:
    """An order of which a third filled before its cancel, and the rest fills after it."""
    ticket = router.submit(resting("late", qty=str(WHOLE)))
    ticket.wait_for(OrderState.ACKNOWLEDGED, WAIT_S)
    world.exchange.market("BTCUSDT", trade={"price": "50000", "qty": str(PART)})
    ticket.wait_for(OrderState.PARTIAL_FILL, WAIT_S)
    world.exchange.fault("late_fill", args={"ms": late_ms})
    ticket.cancel()
    return ticket


def assert_late_fill_is_kept(world: World, router: Router, ticket: Ticket) -> None:
    order = ticket.wait(WAIT_S)
    assert (OrderState.CLOSED, OrderState.CANCELLED) == (order.state, order.outcome)
    assert (WHOLE, Decimal(0), Decimal(50_000)) == (order.cum_exec_qty, order.gap, order.avg_price)
    assert WHOLE == router.positions["BTCUSDT"].size
    assert ["Cancelled"] == [row["orderStatus"] for row in world.orders(ticket.order_link_id)]
    world.assert_books_equal(router)


def test_s07_late_fill_reopens_a_settled_order_and_settles_it_again(world: World) -> None:
    with world.router() as router:
        ticket = cancelled_in_part(world, router, late_ms=1_000)
        order = ticket.wait(WAIT_S)
        assert (OrderState.CLOSED, OrderState.CANCELLED, PART) == (order.state, order.outcome, order.cum_exec_qty)
        alarm = await_event(router, EventType.ERROR, ticket, "late_fill")
        # The event carries the order as the fill left it: awake, and no more settled than its fills are.
        assert OrderState.CANCELLED == (alarm.order.state if alarm.order else None)
        await_nth(router, "CANCELLED", 2)
        assert 1 == world.fired("late_fill")
        assert_late_fill_is_kept(world, router, ticket)
        types = types_of(router, ticket)
        assert [2, 1, 2] == [
            types.count(type_) for type_ in (EventType.ORDER_FILLED, EventType.ORDER_CANCELLED, EventType.ORDER_SETTLED)
        ]
        moves = [(fact["before"], fact["after"]) for fact in world.records(ticket.order_link_id, "fact")]
        assert [("CANCELLED", "CLOSED"), ("CLOSED", "CANCELLED"), ("CANCELLED", "CLOSED")] == [
            (before, after) for before, after in moves if before != after and "CLOSED" in {before, after}
        ]


def test_s07_late_fill_before_the_order_settled_is_kept(world: World) -> None:
    with world.router() as router:
        world.exchange.fault("drop_push", {"topic": "position"}, count=None)
        ticket = cancelled_in_part(world, router, late_ms=100)
        await_event(router, EventType.ERROR, ticket, "late_fill")
        assert 1 == world.fired("late_fill")
        assert_late_fill_is_kept(world, router, ticket)


def test_s07_late_fill_that_the_stream_lost_is_found_by_the_catch_up(plain_world: World) -> None:
    with plain_world.router() as router:
        ticket = cancelled_in_part(plain_world, router, late_ms=700)
        assert PART == ticket.wait(WAIT_S).cum_exec_qty
        for topic in ("execution", "position"):
            plain_world.exchange.fault("drop_push", {"topic": topic}, count=None)
        until(lambda: len(plain_world.executions(ticket.order_link_id)) == 2)
        assert PART == ticket.snapshot().cum_exec_qty
        assert plain_world.fired("drop_push")
        plain_world.exchange.fault("cut_private")
        await_event(router, EventType.ERROR, ticket, "late_fill")
        assert_late_fill_is_kept(plain_world, router, ticket)


def test_s07_late_fill_while_nobody_ran_is_found_by_the_restart(plain_world: World) -> None:
    with plain_world.router() as router:
        ticket = cancelled_in_part(plain_world, router, late_ms=1_500)
        assert PART == ticket.wait(WAIT_S).cum_exec_qty
    until(lambda: len(plain_world.executions(ticket.order_link_id)) == 2)
    with plain_world.router() as router:
        ticket = router.ticket(ticket.order_link_id)
        await_event(router, EventType.ERROR, ticket, "late_fill")
        await_event(router, EventType.ORDER_SETTLED, ticket)
        assert_late_fill_is_kept(plain_world, router, ticket)


@pytest.mark.parametrize("rejected", ["before its fill", "after its fill"])
def test_s07_fill_of_a_rejected_order_moves_the_position(rejected: str, world: World) -> None:
    with world.router() as router:
        world.exchange.fault("reject_after_ack", args={"executed_qty": str(PART)})
        # The row says that nothing was executed; the execution says otherwise, now or later.
        world.exchange.fault("empty_numbers", {"topic": "order"}, args={"fields": ["cumExecQty"]})
        if rejected == "before its fill":
            world.exchange.fault("delay_push", {"topic": "execution"}, args={"ms": 500})
        ticket = router.submit(signal("rejected", qty=str(WHOLE)))
        await_event(router, EventType.ORDER_SETTLED, ticket)
        until(lambda: ticket.snapshot().cum_exec_qty and ticket.snapshot().settled)
        assert [1, 1] == [world.fired("reject_after_ack"), world.fired("empty_numbers")]
        order = ticket.snapshot()
        outcome = OrderState.REJECTED if rejected == "before its fill" else OrderState.CANCELLED
        assert (outcome, PART, Decimal(0)) == (order.outcome, order.cum_exec_qty, order.gap)
        assert PART == router.positions["BTCUSDT"].size
        world.assert_books_equal(router)
