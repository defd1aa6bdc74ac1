"""
The races of S04, S06, S07 and S10: every order of arrival that keeps each channel's own ends alike.

What a person asked for comes first, for nothing that follows from it can come before; answers, rows and executions are
three channels, between which the exchange promises no order.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from attrs import frozen

from hean.core.facts import (
    AmendAsked,
    CancelAsked,
    Command,
    CommandAccepted,
    CommandFailed,
    Fact,
    Sent,
)
from hean.core.types import Amend, EventType, OrderState, OrderStatus
from tests.core.orders import ACCEPTED, Life, executed, life, shown

CANCEL_TOO_LATE = CommandFailed(command=Command.CANCEL, why="too late", ret_code=110001)
AMEND_TOO_LATE = CommandFailed(command=Command.AMEND, why="too late", ret_code=110001)
NEW = shown(OrderStatus.NEW, at=10)
LOST_RACE = {"cancel_type": "CancelByUser", "reject_reason": "EC_OrigClOrdIDDoesNotExist"}


@frozen
class Race:
    """
    What arrives, by channel, and how it must end.

    Attributes:
        asked: before anything arrives.
        alarms: reasons of ERROR events that some orders of arrival may lead to.
    """

    channels: tuple[tuple[Fact, ...], ...]
    state: OrderState
    executed: str
    qty: str = "1"
    asked: tuple[Fact, ...] = ()
    alarms: frozenset[str] = frozenset()

    def arrivals(self) -> Iterator[tuple[Fact, ...]]:
        """Every order that keeps each channel's own."""
        yield from _merged(self.channels)


def _merged(channels: tuple[tuple[Fact, ...], ...]) -> Iterator[tuple[Fact, ...]]:
    if not any(channels):
        yield ()
    for index, channel in enumerate(channels):
        if channel:
            rest = (*channels[:index], channel[1:], *channels[index + 1 :])
            for tail in _merged(rest):
                yield (channel[0], *tail)


PART_ROW = shown(OrderStatus.PARTIALLY_FILLED, "0.4", at=20)
FILLED_ROW = shown(OrderStatus.FILLED, "1", at=30)
TWO_FILLS = (executed("e1", "0.4", at=20), executed("e2", "0.6", at=30))
AMENDED: dict[str, Any] = {"qty": Decimal(2)}
TO_TWO = AmendAsked(amend=Amend(qty=Decimal(2)))

RACES = {
    "s04 fills and Filled before the answer": Race(
        channels=((ACCEPTED,), (NEW, PART_ROW, FILLED_ROW), TWO_FILLS), state=OrderState.FILLED, executed="1"
    ),
    "s06 the cancel is taken, and loses": Race(
        asked=(CancelAsked(),),
        channels=(
            (ACCEPTED, CommandAccepted(command=Command.CANCEL)),
            (NEW, FILLED_ROW, shown(OrderStatus.FILLED, "1", at=31, **LOST_RACE)),
            TWO_FILLS,
        ),
        state=OrderState.FILLED,
        executed="1",
    ),
    "s06 the cancel is refused, for it is filled": Race(
        asked=(CancelAsked(),),
        channels=((ACCEPTED, CANCEL_TOO_LATE), (NEW, PART_ROW, FILLED_ROW), TWO_FILLS),
        state=OrderState.FILLED,
        executed="1",
    ),
    "s07 a fill after Cancelled": Race(
        asked=(CancelAsked(),),
        channels=(
            (ACCEPTED, CommandAccepted(command=Command.CANCEL)),
            (NEW, PART_ROW, shown(OrderStatus.CANCELLED, "0.4", at=30, cancel_type="CancelByUser")),
            (executed("e1", "0.4", at=20), executed("late", "0.1", at=40)),
        ),
        state=OrderState.CANCELLED,
        executed="0.5",
        alarms=frozenset({"late_fill"}),
    ),
    "s10 a fill between an amend and its row": Race(
        asked=(TO_TWO,),
        channels=(
            (ACCEPTED, CommandAccepted(command=Command.AMEND)),
            (
                NEW,
                shown(OrderStatus.NEW, at=15, **AMENDED),
                shown(OrderStatus.PARTIALLY_FILLED, "0.6", at=20, **AMENDED),
            ),
            (executed("e1", "0.6", at=20, order_qty=Decimal(2)),),
        ),
        state=OrderState.PARTIAL_FILL,
        executed="0.6",
        qty="2",
    ),
    "s10 the amend was done, its answer says no": Race(
        asked=(TO_TWO,),
        channels=(
            (ACCEPTED, AMEND_TOO_LATE),
            (NEW, shown(OrderStatus.PARTIALLY_FILLED, "1.2", at=20, **AMENDED)),
            (executed("e1", "0.6", at=18, order_qty=Decimal(2)), executed("e2", "0.6", at=20, order_qty=Decimal(2))),
        ),
        state=OrderState.PARTIAL_FILL,
        executed="1.2",
        qty="2",
    ),
    "s10 the amend came too late": Race(
        asked=(TO_TWO,),
        channels=((ACCEPTED, AMEND_TOO_LATE), (NEW, PART_ROW, FILLED_ROW), TWO_FILLS),
        state=OrderState.FILLED,
        executed="1",
    ),
    "s10 a cancel overtakes the amend": Race(
        asked=(TO_TWO, CancelAsked()),
        channels=(
            (ACCEPTED, CommandAccepted(command=Command.CANCEL), AMEND_TOO_LATE),
            (
                NEW,
                shown(OrderStatus.NEW, at=15, **AMENDED),
                shown(OrderStatus.CANCELLED, "0.6", at=30, cancel_type="CancelByUser", **AMENDED),
            ),
            (executed("e1", "0.6", at=20, order_qty=Decimal(2)),),
        ),
        state=OrderState.CANCELLED,
        executed="0.6",
        qty="2",
    ),
    "s10 amended down to what is filled": Race(
        asked=(AmendAsked(amend=Amend(qty=Decimal("0.4"))),),
        channels=(
            (ACCEPTED, CommandAccepted(command=Command.AMEND)),
            (NEW, PART_ROW, shown(OrderStatus.FILLED, "0.4", at=30, qty=Decimal("0.4"))),
            (executed("e1", "0.4", at=20),),
        ),
        state=OrderState.FILLED,
        executed="0.4",
        qty="0.4",
    ),
}


def assert_ended(race: Race, made: Life, arrival: tuple[Fact, ...]) -> None:
    order = made.order
    told = [type(fact).__name__ for fact in arrival]
    assert (race.state, Decimal(race.executed), Decimal(race.qty)) == (
        order.state,
        order.ledger.cum_exec_qty,
        order.qty,
    ), told
    assert Decimal(0) == order.gap, told
    assert race.alarms >= {event.reason for event in made.events if event.type is EventType.ERROR}, told
    assert 1 == made.told(EventType.ORDER_PLACED), told


@pytest.mark.parametrize("race", RACES.values(), ids=RACES)
def test_race_ends_alike_whatever_arrives_first(race):
    count = 0
    for arrival in race.arrivals():
        made = life(Sent(), *race.asked, *arrival)
        assert_ended(race, made, arrival)
        for fact in arrival:
            # A second delivery of everything changes nothing.
            made.take(fact)
        assert_ended(race, made, arrival)
        count += 1
    assert count >= 10
