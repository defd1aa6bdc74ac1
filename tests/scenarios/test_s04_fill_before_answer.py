"""
S04 Executions, and even Filled, overtake the answer to the create.

The order is known by its link ID before its bytes leave, and by its order ID as soon as anything tells it; executions
that name neither wait, durably, until the order ID is known. The late answer changes nothing.
"""

from __future__ import annotations

from hean import EventType, OrderState
from tests.scenarios.world import WAIT_S, World, signal, types_of, until

WHOLE_LIFE = [
    EventType.SIGNAL,
    EventType.ORDER_REQUEST,
    EventType.ORDER_PLACED,
    EventType.ORDER_FILLED,
    EventType.POSITION_OPENED,
    EventType.ORDER_SETTLED,
]


def test_s04_fill_that_overtakes_the_answer_is_kept(world: World) -> None:
    with world.router() as router:
        world.exchange.fault("push_before_ack", world.create, args={"ms": 400})
        ticket = router.submit(signal("overtaken"))
        order = ticket.wait(WAIT_S)
        assert (OrderState.CLOSED, OrderState.FILLED) == (order.state, order.outcome)
        assert 1 == world.fired("push_before_ack")
        # Settled before the answer came; then it comes.
        assert [] == world.records(ticket.order_link_id, "reply")
        replies = until(lambda: world.records(ticket.order_link_id, "reply"))
        assert ["accepted"] == [reply["kind"] for reply in replies]
        assert (OrderState.CLOSED, OrderState.FILLED) == (ticket.state, ticket.outcome)
        assert WHOLE_LIFE == types_of(router, ticket)
        world.assert_books_equal(router)
    assert 1 == len(world.creates(ticket.order_link_id))


def test_s04_execution_before_the_order_row_is_kept(world: World) -> None:
    with world.router() as router:
        world.exchange.fault("fill_before_order_push", args={"ms": 300})
        ticket = router.submit(signal("inverted"))
        assert OrderState.FILLED == ticket.wait(WAIT_S).outcome
        assert 1 == world.fired("fill_before_order_push")
        assert WHOLE_LIFE == types_of(router, ticket)
        world.assert_books_equal(router)


def test_s04_execution_without_a_link_id_waits_for_its_order(world: World) -> None:
    with world.router() as router:
        world.exchange.fault("push_before_ack", world.create, args={"ms": 600})
        world.exchange.fault("empty_numbers", {"topic": "execution"}, args={"fields": ["orderLinkId"]})
        world.exchange.fault("delay_push", {"topic": "order"}, args={"ms": 400})
        ticket = router.submit(signal("nameless"))
        assert 1 == until(world.parked)
        assert ticket.snapshot().order_id is None
        assert OrderState.FILLED == ticket.wait(WAIT_S).outcome
        assert 1 == world.fired("empty_numbers")
        assert EventType.RECONCILIATION_ALERT not in [event.type for event in router.events(0)]
        assert 1 == types_of(router, ticket).count(EventType.ORDER_FILLED)
        world.assert_books_equal(router)
        assert 0 == world.parked()


def test_s04_parked_execution_outlives_the_process(world: World) -> None:
    with world.router() as router:
        world.exchange.fault("push_before_ack", world.create, args={"ms": 3_000})
        world.exchange.fault("empty_numbers", {"topic": "execution"}, args={"fields": ["orderLinkId"]})
        world.exchange.fault("drop_push", {"topic": "order"}, count=None)
        world.exchange.fault("drop_push", {"topic": "position"}, count=None)
        ticket = router.submit(signal("kept"))
        until(world.parked)
        assert ticket.outcome is None
    world.exchange.clear_faults()
    # No list has it any more: what was parked is all that is left of it.
    world.exchange.fault("partial_page", {"endpoint": "execution/list"}, count=None, args={"rows": 0})
    with world.router() as router:
        assert OrderState.FILLED == router.ticket(ticket.order_link_id).wait(WAIT_S).outcome
        world.assert_books_equal(router)
        assert 0 == world.parked()
    assert 1 == len(world.orders())
