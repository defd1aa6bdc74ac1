"""
S10 An amend races a fill, or a cancel.

An amend is what the order stream shows, never what its answer said; qty is the new total, an older row brings nothing
back, and a fill is measured against the quantity that its own row names. Source: FIX 4.4, appendix D, C.3.
"""

from __future__ import annotations

from decimal import Decimal

import pytest

from hean import EventType, OrderSnapshot, OrderState, Router, Ticket
from tests.scenarios.world import WAIT_S, World, await_event, resting, types_of, until

REFUSALS = [110001, 110079, 110010, 10001]


def acknowledged(router: Router, qty: str) -> Ticket:
    ticket = router.submit(resting("amended", qty=qty))
    ticket.wait_for(OrderState.ACKNOWLEDGED, WAIT_S)
    return ticket


def trade(world: World, qty: str) -> None:
    """Others trade at the order's price."""
    world.exchange.market("BTCUSDT", trade={"price": "50000", "qty": qty})


def decided(world: World, ticket: Ticket) -> list[str]:
    """What became of the amend, once it is known."""
    told: list[str] = until(lambda: [text for text in world.decisions(ticket.order_link_id) if "amend" in text])
    return told


def shown(ticket: Ticket, qty: str) -> OrderSnapshot:
    until(lambda: ticket.snapshot().qty == Decimal(qty))
    return ticket.snapshot()


def test_s10_fills_beyond_the_old_quantity_are_no_overfill(world: World) -> None:
    with world.router() as router:
        ticket = acknowledged(router, "0.002")
        world.exchange.fault("delay_push", {"topic": "order"}, count=2, args={"ms": 500})
        assert "sent" == ticket.amend(qty="0.004").decided
        until(lambda: world.orders(ticket.order_link_id)[0]["qty"] == "0.004")
        trade(world, "0.003")
        filled = await_event(router, EventType.ORDER_FILLED, ticket)
        assert (False, OrderState.PARTIAL_FILL) == (filled.complete, ticket.state)
        order = shown(ticket, "0.004")
        assert (Decimal("0.003"), Decimal("0.001"), Decimal(0)) == (
            order.cum_exec_qty,
            order.leaves_qty,
            order.overfill_qty,
        )
        trade(world, "0.001")
        order = ticket.wait(WAIT_S)
        assert 2 == world.fired("delay_push")
        assert (OrderState.FILLED, Decimal("0.004"), Decimal(0)) == (
            order.outcome,
            order.cum_exec_qty,
            order.overfill_qty,
        )
        assert "overfill" not in [event.reason for event in router.events(0)]
        world.assert_books_equal(router)


def test_s10_row_of_before_the_amend_brings_nothing_back(world: World) -> None:
    with world.router() as router:
        ticket = acknowledged(router, "0.002")
        # The row of the partial fill, with the old quantity, comes behind the row of the amend.
        world.exchange.fault("delay_push", {"topic": "order"}, args={"ms": 600})
        trade(world, "0.001")
        ticket.wait_for(OrderState.PARTIAL_FILL, WAIT_S)
        ticket.amend(qty="0.004", price="50001")
        shown(ticket, "0.004")
        until(lambda: "shows_stale" in [fact["fact"] for fact in world.records(ticket.order_link_id, "fact")])
        assert 1 == world.fired("delay_push")
        order = ticket.snapshot()
        assert (Decimal("0.004"), Decimal(50_001), Decimal("0.001")) == (order.qty, order.price, order.cum_exec_qty)
        assert 1 == types_of(router, ticket).count(EventType.ORDER_AMENDED)
        (row,) = world.orders(ticket.order_link_id)
        assert ("0.004", "50001") == (row["qty"], row["price"])
        ticket.cancel()
        assert OrderState.CANCELLED == ticket.wait(WAIT_S).outcome
        world.assert_books_equal(router)


@pytest.mark.parametrize("executed", [True, False], ids=["it was done", "it was not"])
@pytest.mark.parametrize("code", REFUSALS)
def test_s10_answer_to_an_amend_proves_nothing(code: int, executed: bool, world: World) -> None:
    with world.router() as router:
        ticket = acknowledged(router, "0.002")
        world.exchange.fault("error", world.amend, args={"ret_code": code, "executed": executed})
        if executed:
            world.exchange.fault("drop_push", {"topic": "order"})
        ticket.amend(qty="0.004")
        told = decided(world, ticket)
        assert 1 == world.fired("error")
        assert [executed] == [text.startswith("amend taken") for text in told]
        order = ticket.snapshot()
        assert ("0.004" if executed else "0.002", "") == (str(order.qty), order.pending)
        assert [str(order.qty)] == [row["qty"] for row in world.orders(ticket.order_link_id)]
        # The order is as alive as before.
        assert "sent" == ticket.amend(qty="0.005").decided
        shown(ticket, "0.005")
        trade(world, "1")
        assert (OrderState.FILLED, Decimal("0.005")) == (ticket.wait(WAIT_S).outcome, ticket.snapshot().cum_exec_qty)
        world.assert_books_equal(router)


@pytest.mark.parametrize("code", REFUSALS)
def test_s10_fill_between_the_amend_and_its_refusal_is_kept(code: int, world: World) -> None:
    with world.router() as router:
        ticket = acknowledged(router, "0.002")
        world.exchange.fault("error", world.amend, args={"ret_code": code})
        world.exchange.fault("delay_push", {"topic": "execution"}, args={"ms": 300})
        world.exchange.fault("delay_push", {"topic": "order"}, args={"ms": 200})
        trade(world, "0.002")
        ticket.amend(qty="0.004")
        order = ticket.wait(WAIT_S)
        assert [1, 2] == [world.fired("error"), world.fired("delay_push")]
        assert (OrderState.FILLED, Decimal("0.002"), Decimal("0.002")) == (
            order.outcome,
            order.cum_exec_qty,
            order.qty,
        )
        assert ["amend not taken: lost the race: the order is FILLED"] == world.decisions(ticket.order_link_id)
        world.assert_books_equal(router)


def test_s10_amend_that_loses_against_the_fill_leaves_one_filled_order(world: World) -> None:
    with world.router() as router:
        ticket = acknowledged(router, "0.002")
        world.exchange.fault("double_filled")
        ticket.amend(price="50001")
        order = ticket.wait(WAIT_S)
        assert 1 == world.fired("double_filled")
        assert (OrderState.FILLED, Decimal("0.002")) == (order.outcome, order.cum_exec_qty)
        assert 1 == types_of(router, ticket).count(EventType.ORDER_FILLED)
        assert ["amend not taken: lost the race: the order is FILLED"] == world.decisions(ticket.order_link_id)
        world.assert_books_equal(router)


def test_s10_cancel_overtakes_an_amend(world: World) -> None:
    with world.router() as router:
        ticket = acknowledged(router, "0.002")
        world.exchange.fault("delay_reply", world.amend, args={"ms": 800})
        assert ["sent", "sent"] == [ticket.amend(qty="0.004").decided, ticket.cancel().decided]
        order = ticket.wait(WAIT_S)
        assert 1 == world.fired("delay_reply")
        assert (OrderState.CANCELLED, Decimal(0), "") == (order.outcome, order.cum_exec_qty, order.pending)
        until(lambda: len(world.records(ticket.order_link_id, "reply")) == 3)
        assert (OrderState.CLOSED, OrderState.CANCELLED) == (ticket.state, ticket.outcome)
        assert ["Cancelled"] == [row["orderStatus"] for row in world.orders(ticket.order_link_id)]
        assert "denied" == ticket.amend(qty="0.005").decided
        world.assert_books_equal(router)
    assert [1, 1] == [len(world.commands(verb, ticket)) for verb in ("amend", "cancel")]


def test_s10_quantity_amended_down_to_what_fills_is_filled(world: World) -> None:
    with world.router() as router:
        ticket = acknowledged(router, "0.004")
        trade(world, "0.001")
        ticket.wait_for(OrderState.PARTIAL_FILL, WAIT_S)
        assert "denied" == ticket.amend(qty="0.001").decided
        ticket.amend(qty="0.002")
        assert Decimal("0.001") == shown(ticket, "0.002").leaves_qty
        trade(world, "1")
        order = ticket.wait(WAIT_S)
        assert (OrderState.FILLED, Decimal("0.002"), Decimal("0.002")) == (
            order.outcome,
            order.qty,
            order.cum_exec_qty,
        )
        world.assert_books_equal(router)
    assert 1 == len(world.commands("amend", ticket))


def test_s10_quantity_amended_below_an_unseen_fill_changes_nothing(world: World) -> None:
    with world.router() as router:
        ticket = acknowledged(router, "0.004")
        for topic in ("order", "execution"):
            world.exchange.fault("delay_push", {"topic": topic}, args={"ms": 1_000})
        trade(world, "0.002")
        # The exchange knows better: what is filled cannot be amended away.
        assert "sent" == ticket.amend(qty="0.002").decided
        assert [True] == [text.startswith("amend not taken") for text in decided(world, ticket)]
        assert 2 == world.fired("delay_push")
        assert (OrderState.PARTIAL_FILL, Decimal("0.004")) == (ticket.state, ticket.snapshot().qty)
        ticket.cancel()
        assert (OrderState.CANCELLED, Decimal("0.002")) == (ticket.wait(WAIT_S).outcome, ticket.snapshot().cum_exec_qty)
        world.assert_books_equal(router)
    assert [110064] == [amend["verdict"] for amend in world.commands("amend", ticket)]
