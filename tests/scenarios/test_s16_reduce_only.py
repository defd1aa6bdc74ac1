"""
S16 A reduce-only order is shrunk, split, or ended by the exchange.

The quantity is the exchange's, and no position turns to its other side because of what we had wished for. A reduce-only
fill that would cross zero in our books says that our books are wrong: both sides are compared.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from hean import EventType, OrderState, OrderType, Router, Side
from tests.scenarios.world import WAIT_S, World, await_event, signal, types_of, until

ZERO = Decimal(0)
HELD = Decimal("0.003")


def hold(router: Router) -> None:
    """Open a long position."""
    assert OrderState.FILLED == router.submit(signal("open", qty=str(HELD))).wait(WAIT_S).outcome


def closing(name: str, qty: str, **changes: Any) -> Any:
    return signal(name, **{"side": Side.SELL, "qty": qty, "reduce_only": True} | changes)


def resting_close(name: str, qty: str) -> Any:
    """A take profit far above the market."""
    return closing(name, qty, order_type=OrderType.LIMIT, price="99000")


def size_of(router: Router) -> Decimal:
    held = router.positions.get(("linear", "BTCUSDT", 0))
    return ZERO if held is None else held.size


def assert_nothing_crossed(world: World, router: Router) -> None:
    alarms = {
        event.reason for event in router.events(0) if event.type in {EventType.RECONCILIATION_ALERT, EventType.ERROR}
    }
    assert set() == alarms
    sides = {event.position.side for event in router.events(0) if event.position is not None}
    assert sides <= {Side.BUY, None}
    world.assert_books_equal(router)


@pytest.mark.parametrize("excess", ["truncate", "cap"])
def test_s16_close_larger_than_its_position_ends_flat(excess: str, world: World) -> None:
    world.exchange.behaviour(reduce_only_excess=excess)
    with world.router() as router:
        hold(router)
        order = router.submit(closing("close", "0.005")).wait(WAIT_S)
        outcome, qty = (OrderState.FILLED, HELD) if excess == "truncate" else (OrderState.CANCELLED, Decimal("0.005"))
        assert (OrderState.CLOSED, outcome, HELD, qty) == (order.state, order.outcome, order.cum_exec_qty, order.qty)
        assert ZERO == order.overfill_qty == size_of(router)
        assert_nothing_crossed(world, router)


def test_s16_shrunk_at_the_create_is_shown(world: World) -> None:
    with world.router() as router:
        hold(router)
        world.exchange.fault("shrink_reduce_only", args={"qty": "0.001"})
        order = router.submit(closing("shrunk", "0.003")).wait(WAIT_S)
        assert 1 == world.fired("shrink_reduce_only")
        assert (OrderState.FILLED, Decimal("0.001"), Decimal("0.001")) == (
            order.outcome,
            order.qty,
            order.cum_exec_qty,
        )
        assert Decimal("0.002") == size_of(router)
        assert_nothing_crossed(world, router)


@pytest.mark.parametrize("policy", ["keep", "rewrite", "cancel"])
def test_s16_position_that_shrinks_takes_its_resting_close_along(policy: str, world: World) -> None:
    world.exchange.behaviour(reduce_only_resting=policy)
    with world.router() as router:
        hold(router)
        ticket = router.submit(resting_close("resting", "0.003"))
        ticket.wait_for(OrderState.ACKNOWLEDGED, WAIT_S)
        assert OrderState.FILLED == router.submit(closing("part", "0.002")).wait(WAIT_S).outcome
        if policy == "cancel":
            order = ticket.wait(WAIT_S)
            assert (OrderState.CANCELLED, ZERO) == (order.outcome, order.cum_exec_qty)
            assert "CancelByReduceOnly" in order.reason
        else:
            qty = Decimal("0.001") if policy == "rewrite" else HELD
            until(lambda: ticket.snapshot().qty == qty)
            world.exchange.market("BTCUSDT", trade={"price": "99000", "qty": "1"})
            order = ticket.wait(WAIT_S)
            outcome = OrderState.FILLED if policy == "rewrite" else OrderState.CANCELLED
            assert (outcome, Decimal("0.001"), qty) == (order.outcome, order.cum_exec_qty, order.qty)
            assert ZERO == size_of(router)
        amended = types_of(router, ticket).count(EventType.ORDER_AMENDED)
        assert (1 if policy == "rewrite" else 0) == amended
        assert_nothing_crossed(world, router)


def test_s16_position_that_is_gone_ends_its_resting_close(world: World) -> None:
    with world.router() as router:
        hold(router)
        ticket = router.submit(resting_close("resting", "0.003"))
        ticket.wait_for(OrderState.ACKNOWLEDGED, WAIT_S)
        assert OrderState.FILLED == router.submit(closing("all", "0.003")).wait(WAIT_S).outcome
        order = ticket.wait(WAIT_S)
        assert (OrderState.CANCELLED, ZERO) == (order.outcome, order.cum_exec_qty)
        assert "CancelByReduceOnly" in order.reason
        assert ZERO == size_of(router)
        late = router.submit(closing("nothing left", "0.003")).wait(WAIT_S)
        assert OrderState.REJECTED == late.outcome
        assert late.reason.startswith("110017")
        assert_nothing_crossed(world, router)


@pytest.mark.parametrize("lost", ["", "execution", "order"], ids=["all told", "no execution told", "no order told"])
@pytest.mark.parametrize("link_id", ["empty", "same"])
def test_s16_split_close_is_accounted_whole(link_id: str, lost: str, world: World) -> None:
    world.exchange.behaviour(split_link_id=link_id)
    with world.router(reconcile__confirm_s=0.1, reconcile__positions_s=1) as router:
        hold(router)
        world.exchange.fault("split_reduce_only", args={"parts": 2})
        if lost:
            world.exchange.fault("drop_push", {"topic": lost}, count=2)
        ticket = router.submit(closing("split", "0.003"))
        order = ticket.wait(WAIT_S)
        assert 1 == world.fired("split_reduce_only")
        until(lambda: size_of(router) == ZERO)
        pieces = [row for row in world.orders() if row["side"] == "Sell"]
        assert ["0.001", "0.002"] == sorted(row["cumExecQty"] for row in pieces)
        order = ticket.wait(WAIT_S)
        (ours,) = [row for row in pieces if row["orderId"] == order.order_id]
        assert (OrderState.CLOSED, OrderState.FILLED) == (order.state, order.outcome)
        assert (Decimal(ours["qty"]), ZERO) == (order.cum_exec_qty, order.overfill_qty)
        world.assert_books_equal(router)
        denied = [event for event in router.events(0) if event.type is EventType.ERROR]
        assert [] == denied
        assert OrderState.FILLED == router.submit(signal("again")).wait(WAIT_S).outcome


def test_s16_reduce_only_fill_that_crosses_zero_in_our_books_is_an_alarm(world: World) -> None:
    with world.router(reconcile__confirm_s=0.1) as router:
        hold(router)
        # Somebody adds to the position, and we hear nothing of it.
        for topic in ("order", "execution", "position"):
            world.exchange.fault("drop_push", {"topic": topic})
        world.exchange.fault("foreign_order", args={"side": "Buy", "qty": "0.002"})
        assert [3, 1] == [world.fired("drop_push"), world.fired("foreign_order")]
        ticket = router.submit(closing("all of it", "0.005"))
        alarm = await_event(router, EventType.RECONCILIATION_ALERT, reason="crossed_zero")
        assert ticket.order_link_id == alarm.order_link_id
        # The comparison that it asked for finds what explains it; until then the order does not settle.
        order = ticket.wait(WAIT_S)
        assert (OrderState.CLOSED, OrderState.FILLED, Decimal("0.005")) == (
            order.state,
            order.outcome,
            order.cum_exec_qty,
        )
        assert ZERO == size_of(router)
        await_event(router, EventType.RECONCILIATION_ALERT, reason="manual")
        assert [] == [held for held in router.positions.values() if held.size]
        world.assert_books_equal(router)
