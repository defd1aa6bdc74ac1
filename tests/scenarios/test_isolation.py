"""
Wire surprises inside otherwise good frames, one at a time: the row is set aside at most, and its neighbours count.

Whatever a push did not tell, both sides are equal after the next comparison.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from hean import EventType, OrderState, Router
from hean.journal import JournalView
from tests.scenarios.world import WAIT_S, World, await_event, signal

# Fault, topic, arguments: what a client reads past.
READ_PAST: list[tuple[str, str, dict[str, Any]]] = [
    ("missing_key", "execution", {}),
    ("missing_key", "order", {}),
    ("missing_key", "position", {}),
    ("empty_numbers", "execution", {}),
    ("empty_numbers", "order", {}),
    ("empty_numbers", "order", {"fields": ["cumExecQty"]}),
    ("empty_numbers", "position", {}),
    ("unknown_enum", "execution", {"fields": {"newField": {"a": [1]}, "createType": "CreateByMoon"}}),
    ("unknown_enum", "order", {"fields": {"newField": "x", "stopOrderType": "Moon", "cancelType": "CancelByMoon"}}),
    ("unknown_enum", "position", {}),
]
# The same, where the row cannot be understood.
SET_ASIDE: list[tuple[str, str, dict[str, Any]]] = [
    ("unknown_enum", "order", {}),
    ("unknown_enum", "execution", {}),
    ("unknown_enum", "order", {"fields": {"side": "Both"}}),
    ("unknown_enum", "execution", {"fields": {"execQty": {"value": "1"}}}),
    ("unknown_enum", "execution", {"fields": {"execQty": True}}),
    ("unknown_enum", "execution", {"fields": {"execQty": "NaN"}}),
    ("unknown_enum", "execution", {"fields": {"execQty": "1e999999999"}}),
    ("unknown_enum", "order", {"fields": {"symbol": ["BTCUSDT"]}}),
    ("unknown_enum", "position", {"fields": {"size": []}}),
    ("missing_key", "execution", {"fields": ["execId"]}),
    ("missing_key", "order", {"fields": ["orderStatus"]}),
    ("missing_key", "position", {"fields": ["size"]}),
    ("empty_numbers", "execution", {"fields": ["execQty"]}),
    ("empty_numbers", "position", {"fields": ["size"]}),
    ("poison_frame", "execution", {"kind": "not_json", "text": '{"topic":"execution","data":[{"execId":"1'}),
    ("poison_frame", "execution", {"kind": "binary", "text": "\xff\xfe\x00\x01"}),
    ("poison_frame", "execution", {"kind": "not_json", "text": '{"topic":"execution","data":"' + "x" * 1_000_000}),
]


def label(value: object) -> str:
    return value if isinstance(value, str) else repr(value)[:50]


def trade(world: World, router: Router, fault: str, topic: str, args: dict[str, Any]) -> None:
    """One order whose frames are hurt, and one after it."""
    world.exchange.fault(fault, {"topic": topic}, args=args)
    hurt = router.submit(signal("hurt"))
    order = hurt.wait(WAIT_S)
    assert (OrderState.CLOSED, OrderState.FILLED, Decimal("0.001")) == (order.state, order.outcome, order.cum_exec_qty)
    assert OrderState.FILLED == router.submit(signal("after")).wait(WAIT_S).outcome
    assert 1 == world.fired(fault)
    assert router.reconcile().equal
    assert Decimal("0.002") == router.positions["BTCUSDT"].size
    world.assert_books_equal(router)
    assert router.live


@pytest.mark.parametrize("fault, topic, args", READ_PAST, ids=label)
def test_surprise_that_decides_nothing_is_read_past(
    fault: str, topic: str, args: dict[str, Any], plain_world: World
) -> None:
    with plain_world.router() as router:
        trade(plain_world, router, fault, topic, args)
        assert not [event for event in router.events(0) if event.type is EventType.QUARANTINED]


def test_fee_whose_row_names_no_coin_is_in_the_coin_that_the_symbol_settles_in(plain_world: World) -> None:
    world = plain_world
    with world.router() as router:
        world.exchange.fault("empty_numbers", {"topic": "execution"}, args={"fields": ["feeCurrency"]})
        order = router.submit(signal("coinless")).wait(WAIT_S)
        assert 1 == world.fired("empty_numbers")
        assert ["USDT"] == [coin for coin, _ in order.fees]
        assert order.fees == router.positions["BTCUSDT"].fees
        world.assert_books_equal(router)


@pytest.mark.parametrize("fault, topic, args", SET_ASIDE, ids=label)
def test_row_that_cannot_be_understood_is_kept_raw_and_costs_nothing(
    fault: str, topic: str, args: dict[str, Any], plain_world: World
) -> None:
    world = plain_world
    with world.router() as router:
        trade(world, router, fault, topic, args)
        event = await_event(router, EventType.QUARANTINED)
        assert event.detail
    with JournalView.read(world.journal) as view:
        (raw,) = [record.body for record in view.records(kind="quarantine")]
        assert 0 < len(raw) < 20_000


def test_what_did_not_read_is_soon_asked_for(plain_world: World) -> None:
    world = plain_world
    with world.router(reconcile__positions_s=600, reconcile__orders_s=600, reconcile__confirm_s=0.1) as router:
        world.exchange.fault("poison_frame", {"topic": "execution"}, args={"kind": "broken_row"})
        world.exchange.fault("foreign_order", args={"symbol": "BTCUSDT", "side": "Buy", "qty": "0.004"})
        await_event(router, EventType.QUARANTINED)
        await_event(router, EventType.POSITION_OPENED)
        assert Decimal("0.004") == router.positions["BTCUSDT"].size
        world.assert_books_equal(router)


@pytest.mark.parametrize(
    "endpoint, fields",
    [("execution/list", {"execType": "Moon"}), ("order/realtime", {"orderStatus": "Moon"}), ("position/list", {})],
)
def test_list_with_a_row_that_does_not_read_is_still_caught_up_with(
    endpoint: str, fields: dict[str, str], plain_world: World
) -> None:
    world = plain_world
    with world.router() as router:
        router.submit(signal("in")).wait(WAIT_S)
    args = {"fields": fields or {"side": "Both"}}
    # What happened while nobody listened can only be learnt from the list.
    world.exchange.fault("foreign_order", args={"symbol": "BTCUSDT", "side": "Buy", "qty": "0.004", "price": "50000"})
    world.exchange.fault("foreign_order", args={"symbol": "BTCUSDT", "side": "Buy", "qty": "0.002"})
    world.exchange.fault("unknown_enum", {"endpoint": endpoint}, args=args)
    with world.router(reconcile__positions_s=600, reconcile__orders_s=600) as router:
        assert 1 == world.fired("unknown_enum")
        await_event(router, EventType.QUARANTINED)
        assert router.live
        assert router.reconcile().equal
        assert Decimal("0.003") == router.positions["BTCUSDT"].size
        world.assert_books_equal(router)
