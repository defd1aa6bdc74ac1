"""
S14 Something breaks between taking a fill in and telling of it.

The mark that a fill was seen and all that it changes are one transaction: wherever the handling breaks, the order's
actor comes back from the journal, goes on with the same mailbox, and the fill counts once.
"""

from __future__ import annotations

import threading
from decimal import Decimal
from typing import Any

import pytest
from attrs import evolve

from hean import OrderState, Router
from hean.actors.ports import Point, Ports
from hean.settings import Settings
from tests.conftest import env_of
from tests.scenarios.world import WAIT_S, World, signal

IN_AN_ORDER = [Point.APPLIED, Point.REMEMBERED, Point.PUBLISHED, Point.PERFORMED]


class Breaking(Router):
    """A router in which passing one point, for the n-th time, raises."""

    def __init__(self, settings: Any, point: Point, passage: int, error: BaseException) -> None:
        super().__init__(settings)
        self._strikes = (point, passage, error)
        self._passed = 0
        self._counting = threading.Lock()
        self.struck = False
        self.armed = False

    def _ports(self) -> Ports:
        return evolve(super()._ports(), point=self._strike)

    def _strike(self, point: Point) -> None:
        struck, passage, error = self._strikes
        if not self.armed or point is not struck:
            return
        with self._counting:
            self._passed += 1
            self.struck = self.struck or self._passed == passage
            if self._passed != passage:
                return
        raise error


def breaking(world: World, point: Point, passage: int, error: BaseException) -> Breaking:
    env = env_of(world.exchange, world.journal, **world.settings)
    return Breaking(Settings.load(env), point, passage, error)


def trade_once(world: World, router: Breaking) -> None:
    """One market order, with every row of it delivered twice."""
    with router:
        for topic in ("order", "execution", "position"):
            world.exchange.fault("duplicate_push", {"topic": topic}, count=None)
        router.armed = True
        ticket = router.submit(signal("struck"))
        order = ticket.wait(WAIT_S)
        assert (OrderState.CLOSED, OrderState.FILLED, Decimal("0.001")) == (
            order.state,
            order.outcome,
            order.cum_exec_qty,
        )
        assert router.struck
        facts = [record["fact"] for record in world.records(ticket.order_link_id, "fact")]
        assert [1, 1] == [facts.count("executed_full"), facts.count("settled")]
        assert [Decimal("0.001")] == [position.size for position in router.positions.values()]
        world.assert_books_equal(router)
    assert 1 == len(world.creates(ticket.order_link_id))


@pytest.mark.parametrize("passage", [1, 2, 3])
@pytest.mark.parametrize("point", IN_AN_ORDER)
def test_s14_crash_of_an_order_actor_loses_and_doubles_nothing(
    point: Point, passage: int, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each fact in a transaction of its own: so there are as many passages, whatever has queued when the actor looks.
    monkeypatch.setattr("hean.actors.order.TOGETHER", 1)
    trade_once(world, breaking(world, point, passage, RuntimeError("a mistake of ours")))


@pytest.mark.parametrize("passage", [1, 2])
@pytest.mark.parametrize("point", IN_AN_ORDER)
def test_s14_crash_with_several_facts_in_hand_loses_and_doubles_none(point: Point, passage: int, world: World) -> None:
    trade_once(world, breaking(world, point, passage, RuntimeError("a mistake of ours")))


@pytest.mark.parametrize("point", [Point.RECEIVED, Point.FOLDED, Point.SENDING, Point.SENT])
def test_s14_crash_of_a_shared_actor_loses_and_doubles_nothing(point: Point, world: World) -> None:
    trade_once(world, breaking(world, point, 1, RuntimeError("a mistake of ours")))
    # What the execution did to the position is told all the same, and once.
    assert [1] == list(world.told_of_positions().values())


@pytest.mark.parametrize("world", ["ws"], indirect=True)
def test_s14_even_an_interrupt_cannot_take_the_actors_down(world: World) -> None:
    trade_once(world, breaking(world, Point.REMEMBERED, 1, SystemExit("a host's mistake")))
