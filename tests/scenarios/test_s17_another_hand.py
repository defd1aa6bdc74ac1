"""
S17 ADL, liquidation, settlement, a manual trade: the position moves, and no order of ours explains it.

An external actor accounts it, tells risk by policy, and links a take-profit or stop-loss to the order it hangs on.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from hean import DenyReason, EventType, OrderState, Router, Side
from hean.core.types import Category, ExecType
from hean.journal import JournalView
from tests.scenarios.world import WAIT_S, World, await_event, signal, until

FORCED = [
    ("adl", {}, "adl", ExecType.ADL_TRADE),
    ("liquidation", {}, "liquidation", ExecType.TRADE),
    ("liquidation", {"take_over": True}, "liquidation", ExecType.BUST_TRADE),
    ("settle", {}, "delivery", ExecType.DELIVERY),
    ("settle", {"exec_type": "Settle"}, "settlement", ExecType.SETTLE),
]
BY_HAND = [("manual_close", {"qty": "0.004"}), ("foreign_order", {"side": "Sell", "qty": "0.004"})]


def denial(router: Router, name: str, **changes: Any) -> DenyReason | None:
    return router.submit(signal(name, **changes)).snapshot().deny_reason


@pytest.mark.parametrize("fault, args, cause, exec_type", FORCED)
def test_s17_forced_trade_moves_the_position_and_freezes_its_symbol(
    fault: str, args: dict[str, Any], cause: str, exec_type: ExecType, plain_world: World
) -> None:
    world = plain_world
    with world.router() as router:
        router.submit(signal("in", qty="0.01")).wait(WAIT_S)
        armed = world.exchange.fault(fault, args={"symbol": "BTCUSDT", "qty": "0.004"} | args)
        assert 1 == armed["fired"]
        alert = await_event(router, EventType.RECONCILIATION_ALERT, reason=cause)
        assert alert.execution is not None
        assert (exec_type, Decimal("0.004")) == (alert.execution.exec_type, alert.execution.exec_qty)
        assert (True, ()) == (router.reconcile().equal, router.reconcile().found)
        assert Decimal("0.006") == router.positions["BTCUSDT"].size
        world.assert_books_equal(router)

        assert DenyReason.SYMBOL_HALTED is denial(router, "more")
        assert None is denial(router, "less", side=Side.SELL, qty="0.001", reduce_only=True)
        assert None is denial(router, "elsewhere", symbol="ETHUSDT", qty="0.05")
        router.resume(who="desk")
        assert None is denial(router, "again")


@pytest.mark.parametrize("fault, args", BY_HAND)
def test_s17_trade_by_another_hand_is_accounted_and_told(fault: str, args: dict[str, Any], plain_world: World) -> None:
    world = plain_world
    with world.router() as router:
        router.submit(signal("in", qty="0.01")).wait(WAIT_S)
        world.exchange.fault(fault, args={"symbol": "BTCUSDT"} | args)
        await_event(router, EventType.RECONCILIATION_ALERT, reason="manual")
        assert router.reconcile().equal
        assert Decimal("0.006") == router.positions["BTCUSDT"].size
        world.assert_books_equal(router)
        assert None is denial(router, "goes on")


def test_s17_policy_halts_everything_where_it_says_so(plain_world: World) -> None:
    world = plain_world
    with world.router(reconcile__manual="halt_all") as router:
        world.exchange.fault("foreign_order", args={"symbol": "BTCUSDT", "side": "Buy", "qty": "0.004"})
        await_event(router, EventType.KILLSWITCH_TRIGGERED)
        assert DenyReason.HALTED is denial(router, "denied")
        router.resume(who="desk")
        assert None is denial(router, "after")


def test_s17_foreign_order_that_rests_is_known_and_left_alone(plain_world: World) -> None:
    world = plain_world
    with world.router() as router:
        world.exchange.market("BTCUSDT", bid="95000", ask="95001")
        world.exchange.fault(
            "foreign_order", args={"symbol": "BTCUSDT", "side": "Buy", "qty": "0.002", "price": "94900"}
        )
        await_event(router, EventType.STATUS, reason="foreign_order")
        assert (True, ()) == (router.reconcile().equal, router.reconcile().found)
        assert {} == router.cancel_all()
        world.exchange.market("BTCUSDT", trade={"price": "94900", "qty": "0.002"})
        await_event(router, EventType.RECONCILIATION_ALERT, reason="manual")
        assert router.reconcile().equal
        assert Decimal("0.002") == router.positions["BTCUSDT"].size
        world.assert_books_equal(router)
    assert 0 == world.exchange.books()["counters"]["cancels_received"]


@pytest.mark.parametrize("link_id", ["empty", "derived"])
@pytest.mark.parametrize("away", [False, True], ids=["watched", "away"])
def test_s17_attached_order_is_linked_to_its_parent(link_id: str, away: bool, plain_world: World) -> None:
    world = plain_world
    world.exchange.behaviour(child_link_id=link_id)
    world.exchange.market("BTCUSDT", bid="95000", ask="95001")
    settings = {"reconcile__manual": "halt_all"}
    with world.router(**settings) as router:
        parent = router.submit(signal("guarded", take_profit="96000", stop_loss="94000"))
        assert OrderState.FILLED == parent.wait(WAIT_S).outcome
        child = await_event(router, EventType.STATUS, reason="child_order")
        assert (parent.correlation_id, "guarded") == (child.correlation_id, child.signal_id)
        if not away:
            world.exchange.market("BTCUSDT", bid="96001", ask="96002", last="96001")
            fired(world, router, parent.correlation_id)
    if away:
        world.exchange.market("BTCUSDT", bid="96001", ask="96002", last="96001")
        with world.router(**settings) as router:
            fired(world, router, parent.correlation_id)


def fired(world: World, router: Router, correlation_id: str) -> None:
    filled = [event for event in router_events(router) if event.reason == "child"]
    assert [correlation_id] == [event.correlation_id for event in filled]
    assert router.reconcile().equal
    assert not router.positions["BTCUSDT"].size
    assert not [event for event in router.events(0) if event.type is EventType.KILLSWITCH_TRIGGERED]
    world.assert_books_equal(router)


def router_events(router: Router) -> list[Any]:
    await_event(router, EventType.ORDER_FILLED, reason="child")
    return list(router.events(0))


def test_s17_hedged_position_is_moved_on_its_own_side(plain_world: World) -> None:
    world = plain_world
    with world.router() as router:
        router.switch_mode("BTCUSDT", 3)
        for name, side, idx in (("long", Side.BUY, 1), ("short", Side.SELL, 2)):
            ticket = router.submit(signal(name, side=side, qty="0.01", position_idx=idx))
            assert OrderState.FILLED == ticket.wait(WAIT_S).outcome
        world.exchange.fault("adl", args={"symbol": "BTCUSDT", "qty": "0.004", "position_idx": 2})
        world.exchange.fault("manual_close", args={"symbol": "BTCUSDT", "qty": "0.003", "position_idx": 1})
        world.exchange.fault("funding", args={"symbol": "BTCUSDT", "position_idx": 2})
        await_event(router, EventType.FUNDING)
        assert router.reconcile().equal
        assert [Decimal("0.007"), Decimal("0.006")] == [
            router.positions[Category.LINEAR, "BTCUSDT", idx].size for idx in (1, 2)
        ]
        assert () == router.positions[Category.LINEAR, "BTCUSDT", 1].funding
        world.assert_books_equal(router)
    with JournalView.read(world.journal) as view:
        assert {1, 2} == {entry.position_idx for entry in view.executions()}


# A symbol that nobody here has seen: is it one-way or hedged?


def nameless(world: World, side: str, idx: int, qty: str = "0.004") -> None:
    """A trade by another hand of which the execution alone is told, and its row names no position."""
    for topic in ("order", "position"):
        world.exchange.fault("drop_push", {"topic": topic})
    world.exchange.fault("foreign_order", args={"symbol": "BTCUSDT", "side": side, "qty": qty, "position_idx": idx})


def sizes(router: Router) -> dict[int, Decimal]:
    return {idx: held.size for (_, symbol, idx), held in router.positions.items() if held.size and symbol == "BTCUSDT"}


@pytest.mark.parametrize("mode, side, idx", [(3, "Buy", 1), (3, "Sell", 2), (0, "Sell", 0)])
def test_s17_trade_of_a_symbol_never_seen_moves_the_position_that_the_exchange_says(
    mode: int, side: str, idx: int, plain_world: World
) -> None:
    world = plain_world
    with world.router() as router:
        if mode:
            world.switch_by_hand("BTCUSDT", mode)
        nameless(world, side, idx)
        await_event(router, EventType.RECONCILIATION_ALERT, reason="manual")
        until(lambda: {idx: Decimal("0.004")} == sizes(router))
        assert (True, ()) == (router.reconcile().equal, router.reconcile().found)
        world.assert_books_equal(router)
        assert 0 == world.parked()


def test_s17_symbol_that_another_hand_switched_is_not_taken_for_what_it_was(plain_world: World) -> None:
    world = plain_world
    with world.router() as router:
        router.submit(signal("in")).wait(WAIT_S)
        router.submit(signal("out", side=Side.SELL)).wait(WAIT_S)
        world.switch_by_hand("BTCUSDT", 3)
        nameless(world, "Sell", 2)
        await_event(router, EventType.RECONCILIATION_ALERT, reason="manual")
        until(lambda: {2: Decimal("0.004")} == sizes(router))
        assert router.reconcile().equal
        world.assert_books_equal(router)


def test_s17_execution_waits_in_the_journal_until_its_position_is_known(plain_world: World) -> None:
    world = plain_world
    with world.router(reconcile__positions_s=600, reconcile__orders_s=600) as router:
        world.switch_by_hand("BTCUSDT", 3)
        world.exchange.fault("error", {"endpoint": "position/list"}, count=None, args={"ret_code": 10016})
        nameless(world, "Sell", 2)
        assert 1 == until(world.parked)
        # Asked again and again, and never guessed.
        until(lambda: 2 <= world.fired("error"))
        assert {} == sizes(router)
    world.exchange.clear_faults()
    # No list brings it a second time, and no row says how the symbol is held before it is asked for.
    world.exchange.fault("partial_page", {"endpoint": "execution/list"}, count=None, args={"rows": 0})
    with world.router(reconcile__positions_s=600, reconcile__orders_s=600) as router:
        until(lambda: {2: Decimal("0.004")} == sizes(router))
        assert router.reconcile().equal
        world.assert_books_equal(router)
        assert 0 == world.parked()
        assert 1 == [event.reason for event in router.events(0)].count("manual")
