"""
S11 Funding comes as an execution of the whole position.

It moves cash, never quantity; a type that nobody has heard of is set aside and told, and moves nothing either.
"""

from __future__ import annotations

from decimal import Decimal

import pytest

from hean import EventType, OrderState, Router
from tests.scenarios.world import WAIT_S, World, await_event, events_until, signal


def paid(router: Router) -> Decimal:
    return dict(router.positions["BTCUSDT"].funding).get("USDT", Decimal(0))


def charged(world: World) -> Decimal:
    return sum((Decimal(row["execFee"]) for row in world.executions() if row["execType"] == "Funding"), Decimal(0))


@pytest.mark.parametrize("side", ["position", "opposite"])
def test_s11_funding_moves_cash_and_no_quantity(side: str, plain_world: World) -> None:
    world = plain_world
    world.exchange.behaviour(funding_side=side)
    with world.router() as router:
        assert OrderState.FILLED == router.submit(signal("in", qty="0.01")).wait(WAIT_S).outcome
        row = world.exchange.fault("funding", args={"symbol": "BTCUSDT", "rate": "0.0005"})
        assert 1 == row["fired"]
        event = await_event(router, EventType.FUNDING)
        assert event.position is not None
        assert (Decimal("0.01"), "Funding") == (event.position.size, event.reason)
        assert charged(world) == paid(router) > 0
        assert router.reconcile().equal
        world.assert_books_equal(router)
        assert 1 == len([event for event in router.events(0) if event.type is EventType.FUNDING])


def test_s11_funding_while_nobody_listened_is_booked_once_and_survives_a_restart(plain_world: World) -> None:
    world = plain_world
    with world.router() as router:
        router.submit(signal("in", qty="0.01")).wait(WAIT_S)
    world.exchange.fault("funding", args={"symbol": "BTCUSDT"})
    for _ in range(2):
        with world.router() as router:
            events_until(router, lambda event: event.reason == "stream_LIVE")
            assert router.reconcile().equal
            assert charged(world) == paid(router) != 0
            assert Decimal("0.01") == router.positions["BTCUSDT"].size
            world.assert_books_equal(router)


def test_s11_unheard_of_type_is_set_aside_and_moves_nothing(plain_world: World) -> None:
    world = plain_world
    with world.router(reconcile__positions_s=600) as router:
        router.submit(signal("in", qty="0.01")).wait(WAIT_S)
        world.exchange.fault(
            "unknown_enum", {"topic": "execution"}, args={"fields": {"execType": "MoonPhase", "execQty": "7"}}
        )
        world.exchange.fault("funding", args={"symbol": "BTCUSDT"})
        event = await_event(router, EventType.QUARANTINED)
        assert "MoonPhase" in event.detail
        assert 1 == world.fired("unknown_enum")
        assert Decimal("0.01") == router.positions["BTCUSDT"].size
        # The list tells what the push did not, and both sides are equal again.
        assert router.reconcile().equal
        assert charged(world) == paid(router) != 0
        world.assert_books_equal(router)
