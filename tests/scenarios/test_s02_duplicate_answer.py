"""
S02 A retry is answered "duplicate order_link_id".

That is proof that the order exists: it is looked up, adopted if it agrees with the intent, and never shown as rejected.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from hean import EventType, OrderState, OrderType
from tests.scenarios.world import WAIT_S, World, await_event, resting, signal, types_of

DUPLICATE = 110072


def test_s02_resent_create_that_is_a_duplicate_is_adopted(world: World) -> None:
    with world.router() as router:
        # The first create is taken, and then nothing shows it: not its answer, no push, no query.
        world.exchange.fault("lose_reply", world.create)
        world.exchange.fault("drop_push", {"topic": "order"})
        for endpoint in ("order/realtime", "order/history"):
            lag = "realtime_lag" if endpoint == "order/realtime" else "history_lag"
            world.exchange.fault(lag, {"endpoint": endpoint}, count=None, args={"ms": 3_600_000})
        ticket = router.submit(resting("twice"))
        await_event(router, EventType.ORDER_UNKNOWN, ticket, "Duplicate")
        asked = {EventType.ORDER_REQUEST, EventType.ORDER_UNKNOWN}
        assert [EventType.ORDER_REQUEST, EventType.ORDER_UNKNOWN] * 2 == [
            type_ for type_ in types_of(router, ticket) if type_ in asked
        ]
        assert OrderState.TIMEOUT == ticket.state
        world.exchange.clear_faults()
        assert OrderState.ACKNOWLEDGED == ticket.wait_for(OrderState.ACKNOWLEDGED, WAIT_S).state
        assert EventType.ORDER_REJECTED not in types_of(router, ticket)
        ticket.cancel()
        assert OrderState.CANCELLED == ticket.wait(WAIT_S).outcome
    (row,) = world.orders(ticket.order_link_id)
    assert row["orderId"] == ticket.snapshot().order_id
    assert [0, DUPLICATE] == [create["verdict"] for create in world.creates(ticket.order_link_id)]
    assert 1 == world.exchange.books()["counters"]["duplicates_refused"]


@pytest.mark.parametrize("code", [DUPLICATE, 110030, 170141])
def test_s02_duplicate_as_the_first_answer_is_adopted(code: int, world: World) -> None:
    with world.router() as router:
        world.exchange.fault("error", world.create, args={"ret_code": code, "executed": True})
        ticket = router.submit(signal("once"))
        assert OrderState.FILLED == ticket.wait(WAIT_S).outcome
        assert 1 == world.fired("error")
        world.assert_books_equal(router)
    assert 1 == len(world.creates(ticket.order_link_id))
    assert 1 == len(world.orders())


def lose_the_journal(world: World, tmp_path: Path) -> World:
    return World(world.exchange, tmp_path / "another.db", **world.settings)


def test_s02_replay_over_a_lost_journal_adopts_the_order(world: World, tmp_path: Path) -> None:
    with world.router() as router:
        first = router.submit(resting("replayed"))
        first.wait_for(OrderState.ACKNOWLEDGED, WAIT_S)
    with lose_the_journal(world, tmp_path).router() as router:
        again = router.submit(resting("replayed"))
        assert OrderState.ACKNOWLEDGED == again.wait_for(OrderState.ACKNOWLEDGED, WAIT_S).state
        assert (first.order_link_id, first.snapshot().order_id) == (again.order_link_id, again.snapshot().order_id)
        again.cancel()
        assert OrderState.CANCELLED == again.wait(WAIT_S).outcome
    assert 1 == len(world.orders())


@pytest.mark.parametrize(
    "other", [{"qty": "0.002"}, {"symbol": "ETHUSDT", "price": "1000", "qty": "0.1"}], ids=["qty", "symbol"]
)
def test_s02_duplicate_that_disagrees_with_the_intent_is_an_error(
    other: dict[str, Any], world: World, tmp_path: Path
) -> None:
    with world.router() as router:
        router.submit(resting("claimed")).wait_for(OrderState.ACKNOWLEDGED, WAIT_S)
    with lose_the_journal(world, tmp_path).router() as router:
        ticket = router.submit(resting("claimed", **other))
        alarm = await_event(router, EventType.ERROR, ticket, "broken")
        assert "expected" in alarm.detail
        assert OrderState.ERROR == ticket.state
        assert EventType.ORDER_REJECTED not in types_of(router, ticket)
    assert 1 == len(world.orders())


def test_s02_fills_of_an_order_in_error_are_accounted(world: World, tmp_path: Path) -> None:
    with world.router() as router:
        router.submit(resting("claimed")).wait_for(OrderState.ACKNOWLEDGED, WAIT_S)
    other = lose_the_journal(world, tmp_path)
    with other.router() as router:
        ticket = router.submit(resting("claimed", qty="0.003", order_type=OrderType.LIMIT))
        await_event(router, EventType.ERROR, ticket, "broken")
        world.exchange.market("BTCUSDT", bid="49000", ask="49999.9")
        filled = await_event(router, EventType.ORDER_FILLED, ticket)
        assert Decimal("0.001") == (filled.execution.exec_qty if filled.execution else None)
        position = await_event(router, EventType.POSITION_OPENED)
        assert Decimal("0.001") == (position.position.size if position.position else None)
        other.assert_books_equal(router)
