"""One correlation ID from the signal to the position: in each record and line, on every thread, in each life."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from loguru import logger

from hean import EventType, OrderState, Signal
from hean.core.types import Side
from hean.journal import JournalView
from tests.conftest import env_of
from tests.scenarios.dying import Point, die_at
from tests.scenarios.world import WAIT_S, World, resting, signal

GIVEN = Signal(
    strategy_id="storm", signal_id="given", symbol="BTCUSDT", side=Side.BUY, qty="0.001", correlation_id="desk-4711"
)


@pytest.fixture
def lines() -> Iterator[list[dict[str, Any]]]:
    """The keys of every log line."""
    seen: list[dict[str, Any]] = []
    sink = logger.add(lambda message: seen.append(message.record["extra"]))
    yield seen
    logger.remove(sink)


@pytest.mark.parametrize("wished", [signal("derived"), GIVEN], ids=["derived", "given"])
def test_one_correlation_id_from_the_signal_to_the_position(
    wished: Signal, world: World, lines: list[dict[str, Any]]
) -> None:
    with world.router() as router:
        neighbour = router.submit(resting("neighbour"))
        neighbour.wait_for(OrderState.ACKNOWLEDGED, WAIT_S)
        ticket = router.submit(wished)
        assert OrderState.FILLED == ticket.wait(WAIT_S).outcome
        told = list(router.events(0))
    link_id, correlation_id = ticket.order_link_id, ticket.correlation_id
    assert correlation_id == (wished.correlation_id or correlation_id) != neighbour.correlation_id
    mine = [event for event in told if event.order_link_id == link_id]
    assert {correlation_id} == {event.correlation_id for event in mine}
    assert {
        EventType.SIGNAL,
        EventType.ORDER_REQUEST,
        EventType.ORDER_PLACED,
        EventType.ORDER_FILLED,
        EventType.POSITION_OPENED,
        EventType.ORDER_SETTLED,
    } == {event.type for event in mine}
    assert {correlation_id} == world.correlations(link_id)
    assert {link_id} == {event.order_link_id for event in told if event.correlation_id == correlation_id}
    with JournalView.read(world.journal) as view:
        kinds = {record.kind for record in view.records(correlation_id=correlation_id)}
    assert {"signal", "fact", "reply", "event"} <= kinds
    about = [line for line in lines if line.get("order_link_id") == link_id]
    assert {correlation_id} == {line.get("correlation_id") for line in about}
    # The strategy's, the order's, and the portfolio's own.
    assert len({line["thread"] for line in about}) >= 3
    (row,) = world.orders(link_id)
    assert link_id == row["orderLinkId"]


def test_the_same_in_the_next_life(world: World, lines: list[dict[str, Any]]) -> None:
    die_at(Point.SENT, env_of(world.exchange, world.journal, **world.settings), signal("two lives"))
    with world.router() as router:
        ticket = router.submit(signal("two lives"))
        assert OrderState.FILLED == ticket.wait(WAIT_S).outcome
        told = [event for event in router.events(0) if event.order_link_id == ticket.order_link_id]
    assert {ticket.correlation_id} == {event.correlation_id for event in told}
    with JournalView.read(world.journal) as view:
        records = list(view.records(order_link_id=ticket.order_link_id))
    assert {ticket.correlation_id} == {record.correlation_id for record in records}
    assert {1, 2} == {record.epoch for record in records}
    about = [line for line in lines if line.get("order_link_id") == ticket.order_link_id]
    assert {ticket.correlation_id} == {line.get("correlation_id") for line in about}
