"""
S06 A cancel races the fill.

The order is filled once, whatever the cancel's answer said; a cancel that is refused proves neither life nor death: one
look-up decides, an order that lives is cancelled again, and the repetitions are bounded.
"""

from __future__ import annotations

from decimal import Decimal

import pytest

from hean import EventType, OrderState
from tests.scenarios.world import WAIT_S, World, await_event, resting, types_of

GONE = [110001, 110008, 110010, 170213]


def test_s06_cancel_that_loses_leaves_one_filled_order(world: World) -> None:
    with world.router() as router:
        world.exchange.fault("double_filled")
        ticket = router.submit(resting("raced"))
        ticket.wait_for(OrderState.ACKNOWLEDGED, WAIT_S)
        assert "sent" == ticket.cancel().decided
        order = ticket.wait(WAIT_S)
        assert (OrderState.CLOSED, OrderState.FILLED) == (order.state, order.outcome)
        assert (Decimal("0.001"), "") == (order.cum_exec_qty, order.pending)
        assert 1 == world.fired("double_filled")
        types = types_of(router, ticket)
        assert [1, 0] == [types.count(EventType.ORDER_FILLED), types.count(EventType.ORDER_CANCELLED)]
        assert ["cancel not taken: lost the race: the order is FILLED"] == world.decisions(ticket.order_link_id)
        (row,) = world.orders(ticket.order_link_id)
        assert ("Filled", "0.001") == (row["orderStatus"], row["cumExecQty"])
        world.assert_books_equal(router)
    assert [0] == [cancel["verdict"] for cancel in world.commands("cancel", ticket)]


@pytest.mark.parametrize("code", GONE)
def test_s06_cancel_of_an_order_that_filled_unseen_is_answered_by_a_look_up(code: int, world: World) -> None:
    with world.router() as router:
        if code == 170213:
            world.exchange.fault("error", world.cancel, args={"ret_code": code})
        else:
            world.exchange.behaviour(gone_code=code)
        ticket = router.submit(resting("unseen"))
        ticket.wait_for(OrderState.ACKNOWLEDGED, WAIT_S)
        for topic in ("order", "execution", "position"):
            world.exchange.fault("drop_push", {"topic": topic}, count=None)
        world.exchange.market("BTCUSDT", trade={"price": "50000", "qty": "1"})
        assert OrderState.ACKNOWLEDGED == ticket.state
        assert "sent" == ticket.cancel().decided
        order = ticket.wait(WAIT_S)
        assert (OrderState.FILLED, Decimal("0.001")) == (order.outcome, order.cum_exec_qty)
        assert world.fired("drop_push")
        assert ["cancel not taken: lost the race: the order is FILLED"] == world.decisions(ticket.order_link_id)
        world.assert_books_equal(router)
    assert [code] == [cancel["verdict"] for cancel in world.commands("cancel", ticket)]


@pytest.mark.parametrize("code", GONE)
def test_s06_refused_cancel_is_no_proof_of_death(code: int, world: World) -> None:
    with world.router() as router:
        world.exchange.fault("error", world.cancel, args={"ret_code": code})
        ticket = router.submit(resting("alive"))
        ticket.wait_for(OrderState.ACKNOWLEDGED, WAIT_S)
        ticket.cancel()
        order = ticket.wait(WAIT_S)
        assert (OrderState.CANCELLED, Decimal(0)) == (order.outcome, order.cum_exec_qty)
        assert 1 == world.fired("error")
        assert ["Cancelled"] == [row["orderStatus"] for row in world.orders(ticket.order_link_id)]
        world.assert_books_equal(router)
    assert [code, 0] == [cancel["verdict"] for cancel in world.commands("cancel", ticket)]


def test_s06_cancels_that_are_refused_for_ever_are_bounded(world: World) -> None:
    with world.router() as router:
        world.exchange.fault("error", world.cancel, count=None, args={"ret_code": 110001})
        ticket = router.submit(resting("stubborn"))
        ticket.wait_for(OrderState.ACKNOWLEDGED, WAIT_S)
        ticket.cancel()
        await_event(router, EventType.ERROR, ticket, "cancel_failing")
        assert (OrderState.ACKNOWLEDGED, None) == (ticket.state, ticket.outcome)
        assert 10 == world.fired("error") == len(world.commands("cancel", ticket))
        world.exchange.clear_faults()
        # The wish is not forgotten, and asked again it has its tries back.
        assert "sent" == ticket.cancel().decided
        assert OrderState.CANCELLED == ticket.wait(WAIT_S).outcome
        assert ["Cancelled"] == [row["orderStatus"] for row in world.orders()]
    assert 11 == len(world.commands("cancel", ticket))


def test_s06_fill_of_a_part_before_the_cancel_is_kept(world: World) -> None:
    with world.router() as router:
        ticket = router.submit(resting("part", qty="0.003"))
        ticket.wait_for(OrderState.ACKNOWLEDGED, WAIT_S)
        world.exchange.market("BTCUSDT", trade={"price": "50000", "qty": "0.001"})
        ticket.wait_for(OrderState.PARTIAL_FILL, WAIT_S)
        ticket.cancel()
        order = ticket.wait(WAIT_S)
        assert (OrderState.CANCELLED, Decimal("0.001")) == (order.outcome, order.cum_exec_qty)
        assert Decimal(0) == order.leaves_qty
        world.assert_books_equal(router)
    assert ["0.001"] == [row["cumExecQty"] for row in world.orders(ticket.order_link_id)]
