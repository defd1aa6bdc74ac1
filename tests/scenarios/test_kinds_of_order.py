"""
Every kind of order: what reaches the exchange, how it ends there, and how it ends here.

Where Bybit's documentation leaves open how an order ends, each answer is tried.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from hean import DenyReason, EventType, OrderState, OrderType, Router, Side, Ticket, TimeInForce
from hean.errors import OrderRejected
from tests.scenarios.world import WAIT_S, World, await_event, resting, signal, types_of, until

ZERO = Decimal(0)
CROSSING = {"order_type": OrderType.LIMIT, "price": "99000"}
STOP = {"trigger_price": "96000"}


def their(world: World, ticket: Ticket) -> dict[str, Any]:
    (row,) = world.orders(ticket.order_link_id)
    return row


def assert_ends(
    world: World, router: Router, ticket: Ticket, outcome: OrderState, *, executed: str = "0", reason: str = ""
) -> None:
    order = ticket.wait(WAIT_S)
    assert (OrderState.CLOSED, outcome, Decimal(executed)) == (order.state, order.outcome, order.cum_exec_qty)
    assert reason in order.reason
    assert Decimal(executed) == Decimal(their(world, ticket)["cumExecQty"])
    world.assert_books_equal(router)


# Times in force.


@pytest.mark.parametrize("time_in_force", [None, TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK])
def test_limit_order_that_crosses_fills(time_in_force: TimeInForce | None, world: World) -> None:
    with world.router() as router:
        ticket = router.submit(signal("limit", time_in_force=time_in_force, **CROSSING))
        assert_ends(world, router, ticket, OrderState.FILLED, executed="0.001")
        assert ("Limit", time_in_force or "GTC") == (
            their(world, ticket)["orderType"],
            their(world, ticket)["timeInForce"],
        )


@pytest.mark.parametrize("category", ["linear", "inverse"])
@pytest.mark.parametrize("status", ["Cancelled", "Rejected"])
@pytest.mark.parametrize(
    "changes, ended",
    [
        ({"time_in_force": TimeInForce.IOC}, ("2", "EC_CancelForNoFullFill")),
        ({"time_in_force": TimeInForce.IOC, "price": "50000"}, ("0", "EC_NoImmediateQtyToFill")),
        ({"time_in_force": TimeInForce.FOK}, ("0", "EC_NoEnoughQtyToFill")),
        ({"time_in_force": TimeInForce.POST_ONLY}, ("0", "EC_PostOnlyWillTakeLiquidity")),
        ({"order_type": OrderType.MARKET, "price": None}, ("2", "EC_CancelForNoFullFill")),
    ],
    ids=["ioc in part", "ioc", "fok", "post-only", "market"],
)
def test_order_that_cannot_be_honoured_ends_cancelled(
    changes: dict[str, Any], ended: tuple[str, str], status: str, category: str, plain_world: World
) -> None:
    # The exchange may say Rejected of what its matching ended: by its reason it is a cancel all the same.
    world, symbol = plain_world, "BTCUSDT" if category == "linear" else "BTCUSD"
    world.exchange.behaviour(post_only_inverse=status, fok_refusal=status)
    world.exchange.market(symbol, category, bid="94999", ask="95000", bid_qty="2", ask_qty="2")
    with world.router() as router:
        wish = {"symbol": symbol, "category": category, "qty": "3", **CROSSING} | changes
        ticket = router.submit(signal("cut", **wish))
        assert_ends(world, router, ticket, OrderState.CANCELLED, executed=ended[0], reason=ended[1])
        assert EventType.ORDER_REJECTED not in types_of(router, ticket)


@pytest.mark.parametrize("ticks, executed", [(3, "0.001"), (20, "0.003")])
def test_market_order_goes_no_further_than_its_slippage(ticks: int, executed: str, world: World) -> None:
    world.exchange.market("BTCUSDT", bid="94999", ask="95000", bid_qty="1", ask_qty="0.001")
    # Ten ticks beyond the best, somebody offers more.
    world.exchange.accounts("other", "secret")
    offer = {"side": "Sell", "price": "95001", "qty": "1"}
    world.exchange.fault("foreign_order", {"api_key": "other"}, args=offer)
    with world.router() as router:
        ticket = router.submit(signal("slip", qty="0.003", slippage_ticks=ticks))
        outcome = OrderState.FILLED if executed == "0.003" else OrderState.CANCELLED
        assert_ends(world, router, ticket, outcome, executed=executed)
        assert 1 == world.fired("foreign_order")
    # The limit is the exchange's to keep: what it was asked for says so.
    (row,) = world.orders(ticket.order_link_id)
    assert Decimal(row["price"]) == Decimal(95_000) + Decimal("0.1") * ticks


@pytest.mark.parametrize("policy", ["Cancelled", "110118", "10001"])
def test_market_order_without_a_market_is_a_stated_no(policy: str, world: World) -> None:
    world.exchange.behaviour(market_no_liquidity=policy)
    world.exchange.market("BTCUSDT", ask_qty="0")
    with world.router() as router:
        order = router.submit(signal("nobody")).wait(WAIT_S)
        outcome = OrderState.CANCELLED if policy == "Cancelled" else OrderState.REJECTED
        reason = "EC_NoImmediateQtyToFill" if policy == "Cancelled" else policy
        assert (OrderState.CLOSED, outcome, ZERO) == (order.state, order.outcome, order.cum_exec_qty)
        assert order.reason.startswith(reason)
        world.assert_books_equal(router)


def test_price_that_the_exchange_moves_is_adopted(world: World) -> None:
    with world.router() as router:
        world.exchange.fault("move_price_to_band", args={"price": "51000"})
        ticket = router.submit(resting("moved"))
        amended = await_event(router, EventType.ORDER_AMENDED, ticket)
        assert 1 == world.fired("move_price_to_band")
        assert "price 50000 -> 51000" in amended.detail
        assert Decimal(51_000) == ticket.snapshot().price == Decimal(their(world, ticket)["price"])
        ticket.cancel()
        assert_ends(world, router, ticket, OrderState.CANCELLED)


# Conditional orders.


@pytest.mark.parametrize("triggered_push", [True, False], ids=["shown triggered", "not shown triggered"])
@pytest.mark.parametrize("create_type", ["CreateByUser", "CreateByStopOrder"])
def test_stop_waits_fires_and_fills(triggered_push: bool, create_type: str, world: World) -> None:
    world.exchange.behaviour(triggered_push=triggered_push, trigger_create_type=create_type)
    with world.router() as router:
        ticket = router.submit(signal("stop", **STOP))
        order = ticket.wait_for(OrderState.ACKNOWLEDGED, WAIT_S)
        assert (OrderState.ACKNOWLEDGED, "Untriggered", Decimal(96_000)) == (
            order.state,
            order.status,
            order.trigger_price,
        )
        row = their(world, ticket)
        assert ("Untriggered", "Stop", 1) == (row["orderStatus"], row["stopOrderType"], row["triggerDirection"])
        world.exchange.market("BTCUSDT", trade={"price": "96000", "qty": "0.001"})
        assert_ends(world, router, ticket, OrderState.FILLED, executed="0.001")
        shown = [
            fact["what"]["row"]["status"]
            for fact in world.records(ticket.order_link_id, "fact")
            if "row" in fact["what"]
        ]
        assert ["Untriggered", *(["Triggered"] if triggered_push else []), "Filled"] == shown


@pytest.mark.parametrize("new_id", [False, True], ids=["same order_id", "new order_id"])
def test_stop_limit_that_fired_rests_and_can_be_amended_and_cancelled(new_id: bool, world: World) -> None:
    world.exchange.behaviour(trigger_new_order_id=new_id)
    with world.router() as router:
        ticket = router.submit(
            signal("stop", side=Side.SELL, order_type=OrderType.LIMIT, price="99000", trigger_price="94000")
        )
        ticket.wait_for(OrderState.ACKNOWLEDGED, WAIT_S)
        assert 2 == their(world, ticket)["triggerDirection"]
        before = ticket.snapshot().order_id
        world.exchange.market("BTCUSDT", trade={"price": "94000", "qty": "0.001"})
        until(lambda: ticket.snapshot().status == "New")
        order = ticket.snapshot()
        assert (OrderState.ACKNOWLEDGED, their(world, ticket)["orderId"]) == (order.state, order.order_id)
        assert new_id is (before != order.order_id)
        assert "sent" == ticket.amend(price="99001").decided
        until(lambda: ticket.snapshot().price == Decimal(99_001))
        assert "sent" == ticket.cancel().decided
        assert_ends(world, router, ticket, OrderState.CANCELLED, reason="CancelByUser")
    assert [1, 1] == [len(world.commands(verb, ticket)) for verb in ("amend", "cancel")]


@pytest.mark.parametrize("status", ["Deactivated", "Cancelled"])
def test_stop_that_is_cancelled_before_it_fires_is_deactivated(status: str, world: World) -> None:
    world.exchange.behaviour(untriggered_cancel=status)
    with world.router() as router:
        ticket = router.submit(signal("stop", **STOP))
        ticket.wait_for(OrderState.ACKNOWLEDGED, WAIT_S)
        ticket.cancel()
        assert_ends(world, router, ticket, OrderState.CANCELLED, reason="CancelByUser")
        assert (status, status) == (ticket.snapshot().status, their(world, ticket)["orderStatus"])


def test_stop_whose_trigger_was_passed_is_refused(world: World) -> None:
    with world.router() as router:
        order = router.submit(signal("late", trigger_price="90000", trigger_direction=1)).wait(WAIT_S)
        assert (OrderState.REJECTED, "110092") == (order.outcome, order.reason[:6])
        assert [] == world.orders()


def test_stop_loss_of_a_position_closes_it(world: World) -> None:
    with world.router() as router:
        assert OrderState.FILLED == router.submit(signal("open", qty="0.003")).wait(WAIT_S).outcome
        guard = {"side": Side.SELL, "reduce_only": True, "close_on_trigger": True, "trigger_price": "94000"}
        ticket = router.submit(signal("guard", qty="0.005", **guard))
        ticket.wait_for(OrderState.ACKNOWLEDGED, WAIT_S)
        row = their(world, ticket)
        assert (True, True) == (row["reduceOnly"], row["closeOnTrigger"])
        world.exchange.market("BTCUSDT", bid="94000", ask="94001", bid_qty="1", ask_qty="1", last="94000")
        order = ticket.wait(WAIT_S)
        # Never more than there is to close, whatever was wished for.
        assert Decimal("0.003") == order.cum_exec_qty
        assert ZERO == router.positions["BTCUSDT"].size
        assert {Side.BUY, None} >= {event.position.side for event in router.events(0) if event.position is not None}
        world.assert_books_equal(router)


# Modes of the account.


def test_hedge_mode_holds_both_sides_apart(world: World) -> None:
    with world.router() as router:
        router.switch_mode("BTCUSDT", 3)
        long = router.submit(signal("long", qty="0.003", position_idx=1))
        short = router.submit(signal("short", qty="0.002", side=Side.SELL, position_idx=2))
        assert [OrderState.FILLED] * 2 == [ticket.wait(WAIT_S).outcome for ticket in (long, short)]
        assert (Side.BUY, Decimal("0.003")) == held(router, 1)
        assert (Side.SELL, Decimal("0.002")) == held(router, 2)
        assert [1, 2] == [their(world, ticket)["positionIdx"] for ticket in (long, short)]
        world.assert_books_equal(router)
        less = router.submit(signal("less", qty="0.001", side=Side.SELL, position_idx=1, reduce_only=True))
        gone = router.submit(signal("gone", qty="0.002", position_idx=2, reduce_only=True))
        assert [OrderState.FILLED] * 2 == [ticket.wait(WAIT_S).outcome for ticket in (less, gone)]
        assert [(Side.BUY, Decimal("0.002")), (None, ZERO)] == [held(router, 1), held(router, 2)]
        world.assert_books_equal(router)
        refused = router.submit(signal("one-way")).wait(WAIT_S)
        assert (OrderState.REJECTED, "10001") == (refused.outcome, refused.reason[:5])
    with world.router() as router:
        # The two sides are told apart after a restart as well.
        assert [(Side.BUY, Decimal("0.002")), (None, ZERO)] == [held(router, 1), held(router, 2)]
        world.assert_books_equal(router)


def held(router: Router, position_idx: int) -> tuple[Side | None, Decimal]:
    position = router.positions["linear", "BTCUSDT", position_idx]
    return position.side, position.size


def test_mode_is_not_switched_under_a_position(world: World) -> None:
    with world.router() as router:
        router.submit(signal("open")).wait(WAIT_S)
        with pytest.raises(OrderRejected) as refused:
            router.switch_mode("BTCUSDT", 3)
        assert refused.value.ret_code in {110024, 110028, 110025, 110026}
        assert "switch" in str(refused.value).lower() or "SwitchMode" in str(refused.value)


def test_leverage_reaches_the_exchange(world: World) -> None:
    with world.router() as router:
        router.set_leverage("BTCUSDT", "25")
        router.submit(signal("open", qty="0.01")).wait(WAIT_S)
        # What it was before is no change, and no error.
        router.set_leverage("BTCUSDT", "25")
        with pytest.raises(OrderRejected):
            router.set_leverage("BTCUSDT", "100000")
    asked = [row["verdict"] for row in world.exchange.requests() if row.get("endpoint") == "position/set-leverage"]
    assert [0, 110043] == asked[:2]
    assert asked[2]


def test_inverse_order_is_counted_in_contracts(world: World) -> None:
    with world.router() as router:
        ticket = router.submit(signal("inverse", symbol="BTCUSD", category="inverse", qty="100"))
        assert_ends(world, router, ticket, OrderState.FILLED, executed="100")
        position = router.positions["inverse", "BTCUSD", 0]
        assert (Side.BUY, Decimal(100)) == (position.side, position.size)
        assert ["BTC"] == [coin for coin, _ in position.fees]
        hedged = router.submit(signal("hedged", symbol="BTCUSD", category="inverse", qty="100", position_idx=1))
        assert DenyReason.BAD_TYPE == hedged.snapshot().deny_reason
