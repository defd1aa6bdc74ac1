"""
S20 A callback raises, a frame is poison: the reader goes on, and so does the session.

What does not read is journalled raw, counted and told; its neighbours are applied.
"""

from __future__ import annotations

import threading
from decimal import Decimal
from typing import Any

import pytest

from hean import Event, EventType, OrderState
from hean.journal import JournalView
from tests.scenarios.world import WAIT_S, World, await_event, signal

KINDS = ["not_json", "extra_row", "broken_row"]


def kept_raw(world: World) -> list[str]:
    with JournalView.read(world.journal) as view:
        return [record.body for record in view.records(kind="quarantine")]


def test_s20_callback_that_raises_hurts_nobody(plain_world: World) -> None:
    world = plain_world
    with world.router() as router:
        told, called = [], threading.Event()

        def bad(event: Event) -> None:
            told.append(event.exec_id)
            raise KeyError("{")

        router.subscribe(EventType.ORDER_FILLED, bad)
        router.subscribe(EventType.ORDER_FILLED, lambda _: len(told) > 1 and called.set())
        for name in ("one", "two"):
            assert OrderState.FILLED == router.submit(signal(name)).wait(WAIT_S).outcome
        assert called.wait(WAIT_S)
        assert sorted(row["execId"] for row in world.executions()) == sorted(told)
        assert router.live
        world.assert_books_equal(router)


@pytest.mark.parametrize("topic", ["order", "execution", "position"])
@pytest.mark.parametrize("kind", KINDS)
def test_s20_poison_frame_is_kept_and_the_stream_goes_on(kind: str, topic: str, plain_world: World) -> None:
    world = plain_world
    with world.router() as router:
        world.exchange.fault("poison_frame", {"topic": topic}, args={"kind": kind})
        poisoned = router.submit(signal("poisoned"))
        event = await_event(router, EventType.QUARANTINED)
        assert event.detail
        assert OrderState.FILLED == poisoned.wait(WAIT_S).outcome
        assert OrderState.FILLED == router.submit(signal("after")).wait(WAIT_S).outcome
        assert 1 == world.fired("poison_frame")
        assert ["stream_LIVE"] == [e.reason for e in router.events(0) if e.reason in {"stream_LIVE", "stream_FAILED"}]
        assert router.reconcile().equal
        world.assert_books_equal(router)
    assert 1 == len(kept_raw(world))


def test_s20_broken_neighbour_costs_no_row_of_the_same_frame(plain_world: World) -> None:
    world = plain_world
    with world.router() as router:
        # Two fills in one frame, and a row that does not read before them.
        world.exchange.market("BTCUSDT", bid="94999", ask="95000", ask_qty="0.001")
        world.exchange.fault("poison_frame", {"topic": "execution"}, args={"kind": "extra_row"})
        ticket = router.submit(signal("swept", qty="0.001"))
        assert OrderState.FILLED == ticket.wait(WAIT_S).outcome
        await_event(router, EventType.QUARANTINED)
        filled = await_event(router, EventType.ORDER_FILLED, ticket)
        assert ("stream", Decimal("0.001")) == (str(filled.source), ticket.snapshot().cum_exec_qty)
        assert 1 == world.fired("poison_frame")
        world.assert_books_equal(router)


@pytest.mark.parametrize(
    "args",
    [{"text": "\x00\x01\x02"}, {"text": '{"topic":"execution","data":"' + "x" * 1_000_000}, {"text": "[]"}],
    ids=["control characters", "a megabyte", "a list"],
)
def test_s20_frame_of_any_shape_is_poison_at_most(args: dict[str, Any], plain_world: World) -> None:
    world = plain_world
    with world.router() as router:
        world.exchange.fault("poison_frame", {"topic": "execution"}, args={"kind": "not_json"} | args)
        assert OrderState.FILLED == router.submit(signal("in")).wait(WAIT_S).outcome
        await_event(router, EventType.QUARANTINED)
        assert 1 == world.fired("poison_frame")
        assert router.reconcile().equal
        world.assert_books_equal(router)
    (raw,) = kept_raw(world)
    assert len(raw) < 20_000
