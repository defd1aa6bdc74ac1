"""
Take profits and stop losses attached to an order: the exchange makes orders of them, and they stay linked to theirs.

Source: Bybit V5 docs, order/create-order (tpslMode Full). Which link ID such an order carries is not documented.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import orjson
import pytest

from hean import EventType, OrderState, Router, Side, Ticket
from hean.core.types import OrderStatus
from tests.scenarios.world import WAIT_S, World, await_event, events_until, resting, signal, until

GUARDS = {"take_profit": "99000", "stop_loss": "90000"}


def their_children(world: World, ticket: Ticket) -> dict[str, dict[str, Any]]:
    """What the exchange made of the order, by its kind."""
    made = [row for row in world.orders() if row["parentOrderLinkId"] == ticket.order_link_id]
    return {row["stopOrderType"]: row for row in made}


def our_children(ticket: Ticket) -> dict[str, tuple[str, OrderStatus]]:
    return {child.stop_order_type: (child.order_id, child.status) for child in ticket.children}


def guarded(world: World, router: Router, **changes: Any) -> Ticket:
    """A filled order whose take profit and stop loss wait."""
    ticket = router.submit(signal("guarded", qty="0.003", **GUARDS | changes))
    assert OrderState.FILLED == ticket.wait(WAIT_S).outcome
    until(lambda: len(ticket.children) == 2)
    theirs = their_children(world, ticket)
    assert {kind: (row["orderId"], OrderStatus.UNTRIGGERED) for kind, row in theirs.items()} == our_children(ticket)
    return ticket


def assert_nothing_was_foreign(world: World, router: Router) -> None:
    alerts = [event for event in router.events(0) if event.type is EventType.RECONCILIATION_ALERT]
    assert [] == alerts
    world.assert_books_equal(router)


@pytest.mark.parametrize("link_id", ["empty", "derived"])
@pytest.mark.parametrize(
    "price, fires, spared", [("99000", "TakeProfit", "StopLoss"), ("90000", "StopLoss", "TakeProfit")]
)
def test_guard_that_fires_closes_the_position_and_spares_its_sibling(
    price: str, fires: str, spared: str, link_id: str, world: World
) -> None:
    world.exchange.behaviour(child_link_id=link_id)
    with world.router() as router:
        ticket = guarded(world, router)
        theirs = their_children(world, ticket)
        wanted = {"TakeProfit": Decimal(99_000), "StopLoss": Decimal(90_000)}
        assert wanted == {kind: Decimal(row["triggerPrice"]) for kind, row in theirs.items()}
        assert wanted == {child.stop_order_type: child.trigger_price for child in ticket.children}
        world.exchange.market("BTCUSDT", bid=price, ask=str(int(price) + 1), bid_qty="1", ask_qty="1", last=price)
        closed = await_event(router, EventType.POSITION_CLOSED)
        assert (ticket.correlation_id, theirs[fires]["orderId"]) == (closed.correlation_id, closed.order_id)
        until(lambda: {child.status.final for child in ticket.children} == {True})
        assert {fires: OrderStatus.FILLED, spared: OrderStatus.DEACTIVATED} == {
            kind: status for kind, (_, status) in our_children(ticket).items()
        }
        filled = events_until(router, lambda event: event.reason == "child")[-1]
        assert (EventType.ORDER_FILLED, ticket.order_link_id, ticket.correlation_id) == (
            filled.type,
            filled.parent_order_link_id,
            filled.correlation_id,
        )
        assert Decimal(0) == router.positions["BTCUSDT"].size
        assert_nothing_was_foreign(world, router)
        # The parent's story tells of its children.
        told = [orjson.loads(line.split(" ", 3)[3]) for line in ticket.trace() if line.split(" ", 3)[2] == "event"]
        assert {row["orderId"] for row in theirs.values()} == {
            event["order_id"] for event in told if event.get("parent_order_link_id") == ticket.order_link_id
        }


def test_guards_wait_for_the_fill_of_their_order(world: World) -> None:
    with world.router() as router:
        ticket = router.submit(resting("later", qty="0.003", take_profit="60000", stop_loss="40000"))
        ticket.wait_for(OrderState.ACKNOWLEDGED, WAIT_S)
        order = ticket.snapshot()
        assert (Decimal(60_000), Decimal(40_000)) == (order.take_profit, order.stop_loss)
        (row,) = world.orders()
        assert ("60000", "40000") == (row["takeProfit"], row["stopLoss"])
        assert {} == our_children(ticket)
        ticket.amend(take_profit="61000")
        until(lambda: ticket.snapshot().take_profit == Decimal(61_000))
        world.exchange.market("BTCUSDT", trade={"price": "50000", "qty": "1"})
        assert OrderState.FILLED == ticket.wait(WAIT_S).outcome
        until(lambda: len(ticket.children) == 2)
        assert {"TakeProfit": Decimal(61_000), "StopLoss": Decimal(40_000)} == {
            child.stop_order_type: child.trigger_price for child in ticket.children
        }
        assert_nothing_was_foreign(world, router)


def test_guards_go_with_the_position(world: World) -> None:
    with world.router() as router:
        ticket = guarded(world, router)
        close = router.submit(signal("close", side=Side.SELL, qty="0.003", reduce_only=True))
        assert OrderState.FILLED == close.wait(WAIT_S).outcome
        until(lambda: {child.status.final for child in ticket.children} == {True})
        assert {"Deactivated"} == {row["orderStatus"] for row in their_children(world, ticket).values()}
        assert_nothing_was_foreign(world, router)


def test_guard_is_cancelled_by_its_order_id(world: World) -> None:
    with world.router() as router:
        ticket = guarded(world, router)
        profit, loss = (our_children(ticket)[kind][0] for kind in ("TakeProfit", "StopLoss"))
        assert "sent" == router.cancel(profit, why="let it run").decided
        until(lambda: our_children(ticket)["TakeProfit"][1].final)
        assert ["Deactivated", "Untriggered"] == [
            their_children(world, ticket)[kind]["orderStatus"] for kind in ("TakeProfit", "StopLoss")
        ]
        again = router.cancel(profit)
        assert ("denied", True) == (again.decided, "not open" in again.why)
        # A refusal is told, and proves nothing.
        world.exchange.fault("error", world.cancel, args={"ret_code": 110001})
        assert "sent" == router.cancel(loss).decided
        await_event(router, EventType.STATUS, reason="child_cancel_failed")
        assert 1 == world.fired("error")
        assert "sent" == router.cancel(loss).decided
        until(lambda: our_children(ticket)["StopLoss"][1].final)
        assert_nothing_was_foreign(world, router)


def test_order_of_another_hand_is_never_cancelled(world: World) -> None:
    with world.router() as router:
        world.exchange.fault("foreign_order", args={"side": "Buy", "qty": "0.001", "price": "50000"})
        theirs = events_until(router, lambda event: event.reason == "foreign_order")[-1]
        assert "denied" == router.cancel(theirs.order_id).decided
        assert {} == router.cancel_all()
        assert ["New"] == [row["orderStatus"] for row in world.orders()]


def test_guards_are_still_linked_after_a_restart(plain_world: World) -> None:
    world = plain_world
    with world.router() as router:
        ticket = guarded(world, router)
        before = our_children(ticket)
    with world.router() as router:
        ticket = router.ticket(ticket.order_link_id)
        assert before == our_children(ticket)
        world.exchange.market("BTCUSDT", bid="99000", ask="99001", bid_qty="1", ask_qty="1", last="99000")
        closed = await_event(router, EventType.POSITION_CLOSED)
        assert ticket.correlation_id == closed.correlation_id
        assert_nothing_was_foreign(world, router)


def test_guard_that_fired_while_nobody_ran_closes_the_position(plain_world: World) -> None:
    world = plain_world
    with world.router() as router:
        ticket = guarded(world, router)
    world.exchange.market("BTCUSDT", bid="90000", ask="90001", bid_qty="1", ask_qty="1", last="90000")
    with world.router() as router:
        closed = await_event(router, EventType.POSITION_CLOSED)
        assert ticket.correlation_id == closed.correlation_id
        until(lambda: not router.positions["BTCUSDT"].size)
        assert_nothing_was_foreign(world, router)


@pytest.mark.parametrize("mode", [1, 2], ids=["long", "short"])
def test_guards_of_a_hedged_position_close_that_one(mode: int, world: World) -> None:
    with world.router() as router:
        router.switch_mode("BTCUSDT", 3)
        other = router.submit(signal("other", side=Side.SELL if mode == 1 else Side.BUY, position_idx=3 - mode))
        assert OrderState.FILLED == other.wait(WAIT_S).outcome
        side = Side.BUY if mode == 1 else Side.SELL
        guards = GUARDS if mode == 1 else {"take_profit": "90000", "stop_loss": "99000"}
        guarded(world, router, side=side, position_idx=mode, **guards)
        world.exchange.market("BTCUSDT", bid="99000", ask="99001", bid_qty="1", ask_qty="1", last="99000")
        await_event(router, EventType.POSITION_CLOSED)
        assert [Decimal(0), Decimal("0.001")] == [
            router.positions["linear", "BTCUSDT", idx].size for idx in (mode, 3 - mode)
        ]
        assert_nothing_was_foreign(world, router)
