"""
S03 The exchange is slow: every look-up fails or is empty, then the fill comes.

After any number of look-ups the order stays TIMEOUT and alarms; only evidence ends it, and the late fill is applied.
"""

from __future__ import annotations

import pytest

from hean import EventType, OrderState, Ticket
from hean.core.doubt import MISSES_FOR_PROOF
from hean.core.types import Source
from tests.scenarios.world import VISIBLE_MS, WAIT_S, World, await_event, signal, types_of, until

QUERIES = ("order/realtime", "order/history", "execution/list")


@pytest.mark.parametrize("empty", [False, True], ids=["failing", "empty"])
def test_s03_late_fill_ends_the_timeout_and_nothing_else_does(empty: bool, world: World) -> None:
    # Empty answers prove an absence once it may be seen, so here they come before.
    settings = {"orders__visibility_delay_s": 60} if empty else {}
    with world.router(**settings) as router:
        for endpoint in QUERIES:
            match = {"endpoint": endpoint}
            if empty:
                world.exchange.fault("partial_page", match, count=None, args={"rows": 0})
            else:
                world.exchange.fault("error", match, count=None, args={"ret_code": 10016})
        world.exchange.fault("lose_reply", world.create)
        for topic in ("order", "execution", "position"):
            world.exchange.fault("delay_push", {"topic": topic}, count=None, args={"ms": 2_500})
        ticket = router.submit(signal("slow"))
        alarm = await_event(router, EventType.ERROR, ticket, "unresolved")
        assert "5 look-ups settled nothing" in alarm.detail
        assert OrderState.TIMEOUT == ticket.state
        filled = await_event(router, EventType.ORDER_FILLED, ticket)
        assert (Source.STREAM, True) == (filled.source, filled.complete)
        assert world.fired("partial_page" if empty else "error") >= 5
        seen = types_of(router, ticket)
        assert not {EventType.ORDER_REJECTED, EventType.ORDER_CANCELLED} & set(seen)
        world.exchange.clear_faults()
        assert OrderState.FILLED == ticket.wait(WAIT_S).outcome
        world.assert_books_equal(router)
    assert 1 == len(world.creates(ticket.order_link_id))
    assert 1 == len(world.orders())


def unanswered(world: World, ticket: Ticket) -> list[int]:
    """When executions of that order were asked for, once an absence could have been seen."""
    # Looked at in this order: whatever was asked about a create came after it.
    asked = world.exchange.requests()
    sent = [create["time"] for create in world.creates(ticket.order_link_id)]
    return [
        row["time"]
        for row in asked
        if (row.get("endpoint"), row["orderLinkId"]) == ("execution/list", ticket.order_link_id)
        and row["time"] > sent[0] + VISIBLE_MS
    ]


def test_s03_a_failed_query_is_never_taken_for_an_absence(world: World) -> None:
    with world.router() as router:
        world.exchange.fault("error", {"endpoint": "execution/list"}, count=None, args={"ret_code": 10016})
        world.exchange.fault("lose_request", world.create)
        ticket = router.submit(signal("incomplete"))
        # Realtime and history say "nothing", again and again and past the visibility delay; executions do not answer.
        until(lambda: len(unanswered(world, ticket)) > MISSES_FOR_PROOF)
        assert (OrderState.TIMEOUT, 1) == (ticket.state, ticket.snapshot().attempts)
        assert 1 == len(world.creates(ticket.order_link_id))
        world.exchange.clear_faults()
        assert (OrderState.FILLED, 2) == (ticket.wait(WAIT_S).outcome, ticket.snapshot().attempts)
        world.assert_books_equal(router)
