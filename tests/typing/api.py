"""
The public API as a user would write it: `mypy --strict` must take it, and see what is wrong in it.

Nothing here runs; each `type: ignore` is a mistake that the types must catch, and mypy warns of one that they do not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import assert_type

from hean import (
    Category,
    Decision,
    DenyReason,
    Event,
    EventType,
    OrderSnapshot,
    OrderState,
    OrderType,
    PositionSnapshot,
    Router,
    Side,
    Signal,
    Ticket,
    TimeInForce,
)


def trade(env: Mapping[str, str]) -> None:
    with Router.from_env(env, orders__max_open=10) as router:
        assert_type(router, Router)
        signal = Signal(strategy_id="trend", signal_id="1", symbol="BTCUSDT", side=Side.BUY, qty="0.001")
        ticket = router.submit(signal)
        assert_type(ticket, Ticket)
        order = ticket.wait(timeout_s=10)
        assert_type(order, OrderSnapshot)
        assert_type(order.avg_price, Decimal | None)
        assert_type(order.deny_reason, DenyReason | None)
        assert_type(ticket.outcome, OrderState | None)
        assert_type(ticket.wait_for(OrderState.ACKNOWLEDGED, 5), OrderSnapshot)
        assert_type(ticket.cancel(), Decision)
        assert_type(ticket.amend(price="95000"), Decision)
        assert_type(router.positions["BTCUSDT"], PositionSnapshot)
        assert_type(router.positions[Category.LINEAR, "BTCUSDT", 0].size, Decimal)
        assert_type(router.events(timeout_s=1), Iterator[Event])
        router.subscribe(EventType.ORDER_FILLED, told)
        router.halt("lunch")
        router.resume()


def told(event: Event) -> None:
    assert_type(event.complete, bool | None)


def limit() -> Signal:
    return Signal(
        strategy_id="trend",
        signal_id="2",
        symbol="BTCUSDT",
        side=Side.SELL,
        qty=Decimal("0.001"),
        order_type=OrderType.LIMIT,
        price="95000",
        time_in_force=TimeInForce.POST_ONLY,
        reduce_only=True,
    )


def mistakes(router: Router, order: OrderSnapshot) -> None:
    Signal(strategy_id="s", signal_id="1", symbol="X", side=Side.BUY, qty=0.001)  # type: ignore[arg-type]
    Signal(strategy_id="s", signal_id="1", symbol="X", side="up", qty="1")  # type: ignore[arg-type]
    Signal("s", "1")  # type: ignore[call-arg]
    router.submit("buy")  # type: ignore[arg-type]
    order.qty = Decimal(1)  # type: ignore[misc]
