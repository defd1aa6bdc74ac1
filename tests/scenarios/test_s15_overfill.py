"""
S15 More is executed than was ordered.

What was executed is real: it is accounted, the surplus is counted and told, and the symbol takes reduce-only orders
alone until a person has looked, in this process and the next.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from hean import DenyReason, EventType, OrderState, Router, Side
from tests.scenarios.world import WAIT_S, World, await_event, resting, signal, types_of, until

SURPLUS = Decimal("0.002")


def overfilled(world: World, router: Router, wish: Any) -> None:
    """An order of 0.003 of which the exchange executes 0.005."""
    world.exchange.fault("overfill", args={"qty": str(SURPLUS)})
    ticket = router.submit(wish("over", qty="0.003"))
    if wish is resting:
        ticket.wait_for(OrderState.ACKNOWLEDGED, WAIT_S)
        for _ in range(2):
            world.exchange.market("BTCUSDT", trade={"price": "50000", "qty": "0.0015"})
    order = ticket.wait(WAIT_S)
    assert 1 == world.fired("overfill")
    assert (OrderState.CLOSED, OrderState.FILLED) == (order.state, order.outcome)
    assert (Decimal("0.005"), SURPLUS, Decimal(0)) == (order.cum_exec_qty, order.overfill_qty, order.leaves_qty)
    assert Decimal("0.005") == router.positions["BTCUSDT"].size
    alarm = await_event(router, EventType.ERROR, ticket, "overfill")
    assert "too much, kept and counted" in alarm.detail
    assert EventType.ORDER_REJECTED not in types_of(router, ticket)
    assert ["0.005"] == [row["cumExecQty"] for row in world.orders(ticket.order_link_id)]
    world.assert_books_equal(router)


@pytest.mark.parametrize("wish", [signal, resting], ids=["market", "limit"])
def test_s15_overfill_is_kept_and_its_symbol_only_reduced(wish: Any, world: World) -> None:
    with world.router() as router:
        overfilled(world, router, wish)
        denied = router.submit(signal("more"))
        assert (OrderState.DENIED, DenyReason.SYMBOL_HALTED) == (denied.state, denied.snapshot().deny_reason)
        assert "too much" in denied.snapshot().reason
        # Other symbols, and the way out, stay open.
        assert OrderState.FILLED == router.submit(signal("other", symbol="ETHUSDT", qty="0.1")).wait(WAIT_S).outcome
        close = router.submit(signal("close", side=Side.SELL, qty="0.005", reduce_only=True))
        assert OrderState.FILLED == close.wait(WAIT_S).outcome
        assert Decimal(0) == router.positions["BTCUSDT"].size
        router.resume()
        assert OrderState.FILLED == router.submit(signal("resumed")).wait(WAIT_S).outcome
        world.assert_books_equal(router)
    assert [] == world.creates(denied.order_link_id)


def test_s15_overfill_leads_to_a_comparison_of_both_sides(plain_world: World) -> None:
    with plain_world.router(reconcile__confirm_s=0.1) as router:
        overfilled(plain_world, router, signal)
        frozen = await_event(router, EventType.STATUS, reason="symbol_frozen")
        # Open orders are listed as a whole by nothing but a comparison, once the stream is live.
        until(lambda: [at_ms for at_ms in listings(plain_world) if at_ms >= frozen.at_ms])
        assert [] == [event for event in router.events(0) if event.type is EventType.RECONCILIATION_ALERT]


def listings(world: World) -> list[int]:
    """When open orders were asked for as a whole."""
    asked = [row for row in world.exchange.requests() if row.get("endpoint") == "order/realtime"]
    return [row["time"] for row in asked if not row["orderLinkId"] and not row["orderId"]]


def test_s15_freeze_outlives_a_restart_and_ends_with_a_resume(plain_world: World) -> None:
    with plain_world.router() as router:
        overfilled(plain_world, router, signal)
    with plain_world.router() as router:
        denied = router.submit(signal("after the restart"))
        assert DenyReason.SYMBOL_HALTED == denied.snapshot().deny_reason
        router.resume()
        assert OrderState.FILLED == router.submit(signal("resumed")).wait(WAIT_S).outcome
    with plain_world.router() as router:
        assert OrderState.FILLED == router.submit(signal("and stays so")).wait(WAIT_S).outcome
        plain_world.assert_books_equal(router)
