"""
S01 Phantom reject: the create's answer is lost, the order lives.

Unknown is not rejected: the stream or a look-up by order_link_id decides, fills are applied meanwhile, and no second
create leaves before the first is proven absent.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from hean import EventType, OrderState, OrderType
from tests.scenarios.world import VISIBLE_MS, WAIT_S, World, await_event, resting, signal, types_of

UNKNOWN = [
    ("lose_reply", {}),
    ("error", {"ret_code": 10000, "executed": True}),
    ("error", {"ret_code": 10016, "executed": True}),
    ("error", {"ret_code": 987654, "executed": True}),
]
OVER_HTTP = [
    ("error", {"http_status": 504, "executed": True}),
    ("error", {"http_status": 200, "body": "<html>a proxy's page</html>", "executed": True}),
    ("error", {"http_status": 200, "body": '{"retCode": 0, "retMsg": "OK", "result": {}', "executed": True}),
]
NEVER_ARRIVED = [("lose_request", {}), ("error", {"ret_code": 10016, "executed": False})]


def ids_of(cases: list[tuple[str, dict[str, Any]]]) -> list[str]:
    return ["-".join([name, *(str(value)[:20] for value in args.values())]) for name, args in cases]


@pytest.mark.parametrize("fault, args", UNKNOWN, ids=ids_of(UNKNOWN))
def test_s01_order_behind_a_lost_answer_is_found_by_a_look_up(fault: str, args: dict[str, Any], world: World) -> None:
    found_by_a_look_up(world, fault, args)


@pytest.mark.parametrize("fault, args", OVER_HTTP, ids=ids_of(OVER_HTTP))
@pytest.mark.parametrize("world", ["rest"], indirect=True)
def test_s01_order_behind_an_unreadable_answer_is_found(fault: str, args: dict[str, Any], world: World) -> None:
    found_by_a_look_up(world, fault, args)


def found_by_a_look_up(world: World, fault: str, args: dict[str, Any]) -> None:
    with world.router() as router:
        world.exchange.fault("drop_push", {"topic": "order"})
        world.exchange.fault(fault, world.create, args=args)
        ticket = router.submit(resting("phantom"))
        assert OrderState.ACKNOWLEDGED == ticket.wait_for(OrderState.ACKNOWLEDGED, WAIT_S).state
        assert ticket.order_link_id == router.submit(resting("phantom")).order_link_id
        assert [1, 1] == [world.fired(fault), world.fired("drop_push")]
        assert [EventType.SIGNAL, EventType.ORDER_REQUEST, EventType.ORDER_UNKNOWN, EventType.ORDER_PLACED] == types_of(
            router, ticket
        )
        (row,) = world.orders(ticket.order_link_id)
        assert ("New", row["orderId"]) == (row["orderStatus"], ticket.snapshot().order_id)
        ticket.cancel()
        assert OrderState.CANCELLED == ticket.wait(WAIT_S).outcome
    assert [True] == [create["executed"] for create in world.creates(ticket.order_link_id)]


def test_s01_stream_settles_what_the_answer_left_open(world: World) -> None:
    with world.router() as router:
        world.exchange.fault("lose_reply", world.create)
        ticket = router.submit(signal("streamed"))
        order = ticket.wait(WAIT_S)
        assert (OrderState.CLOSED, OrderState.FILLED) == (order.state, order.outcome)
        assert 1 == world.fired("lose_reply")
        assert EventType.ORDER_REJECTED not in types_of(router, ticket)
        world.assert_books_equal(router)
    assert 1 == len(world.creates(ticket.order_link_id))


@pytest.mark.parametrize("fault, args", NEVER_ARRIVED, ids=ids_of(NEVER_ARRIVED))
def test_s01_nothing_is_sent_again_before_absence_is_proven(fault: str, args: dict[str, Any], world: World) -> None:
    with world.router() as router:
        world.exchange.fault(fault, world.create, args=args)
        ticket = router.submit(signal("absent"))
        await_event(router, EventType.ORDER_UNKNOWN, ticket)
        assert OrderState.TIMEOUT == ticket.state
        assert ticket.order_link_id == router.submit(signal("absent")).order_link_id
        order = ticket.wait(WAIT_S)
        assert (OrderState.FILLED, 2) == (order.outcome, order.attempts)
        assert 1 == world.fired(fault)
        world.assert_books_equal(router)
    first, second = world.creates(ticket.order_link_id)
    assert (False, True) == (first["executed"], second["executed"])
    assert VISIBLE_MS <= second["time"] - first["time"]
    assert 1 == len(world.orders(ticket.order_link_id))


def test_s01_absence_of_an_aged_order_is_a_stated_no(world: World) -> None:
    with world.router(orders__max_age_s=1) as router:
        world.exchange.fault("lose_request", world.create)
        ticket = router.submit(signal("aged"))
        order = ticket.wait(WAIT_S)
        assert (OrderState.CLOSED, OrderState.REJECTED, "not_placed") == (order.state, order.outcome, order.reason)
        assert [] == world.orders()
    assert 1 == len(world.creates(ticket.order_link_id))


def test_s01_fills_are_applied_while_the_outcome_is_unknown(world: World) -> None:
    with world.router() as router:
        world.exchange.market("BTCUSDT", ask="95000", ask_qty="0.001")
        world.exchange.fault("lose_reply", world.create)
        world.exchange.fault("drop_push", {"topic": "order"}, count=None)
        world.exchange.fault("delay_push", {"topic": "execution"}, args={"ms": 500})
        world.exchange.fault("error", {"endpoint": "order/realtime"}, count=None, args={"ret_code": 10016})
        ticket = router.submit(signal("early", qty="0.003", order_type=OrderType.LIMIT, price="95000"))
        await_event(router, EventType.ORDER_UNKNOWN, ticket)
        assert OrderState.TIMEOUT == ticket.state
        filled = await_event(router, EventType.ORDER_FILLED, ticket)
        assert (OrderState.PARTIAL_FILL, Decimal("0.001")) == (ticket.state, ticket.snapshot().cum_exec_qty)
        assert (False, OrderState.PARTIAL_FILL) == (filled.complete, filled.order.state if filled.order else None)
        assert world.fired("error")
        world.exchange.clear_faults()
        world.exchange.market("BTCUSDT", ask="95000", ask_qty="5")
        assert (OrderState.FILLED, Decimal("0.003")) == (ticket.wait(WAIT_S).outcome, ticket.snapshot().cum_exec_qty)
        world.assert_books_equal(router)
    assert 1 == len(world.creates(ticket.order_link_id))
