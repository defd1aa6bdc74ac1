"""
The position machine: what an execution, a fee or an adopted row makes of a position's side, and what is published.

Rules:

- the side follows the signed quantity, which the fold alone computes: the chart names what happened, it moves nothing;
- an execution that crosses zero closes one position and opens another, in this order;
- funding and a late fee move cash, never the side;
- an adopted row may put the position anywhere: it is the exchange's word on what happened before us.

To change what is published: its line in `PositionChart`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from statemachine import State, StateChart

from hean.core.chart import Table, compile_chart, stay
from hean.core.types import EventType, Side


class PositionState(StrEnum):
    """Where a position stands."""

    FLAT = "FLAT"
    LONG = "LONG"
    SHORT = "SHORT"


class PositionChart(StateChart["PositionStep"]):
    """The side of a position, one line per fact. The guards ask where the fold stands after it."""

    allow_event_without_transition = False
    catch_errors_as_events = False
    enable_self_transition_entries = False
    atomic_configuration_update = True
    validate_final_reachability = False

    FLAT = State(initial=True, value="FLAT")
    LONG = State(value="LONG")
    SHORT = State(value="SHORT")

    bought = (
        FLAT.to(LONG, cond="long_now", on="opened")
        | SHORT.to(FLAT, cond="flat_now", on="closed")
        | SHORT.to(LONG, cond="long_now", on=["closed", "opened"])
        # An execution of nothing leaves a flat position flat.
        | stay(FLAT, LONG, SHORT, on="updated")
    )
    sold = (
        FLAT.to(SHORT, cond="short_now", on="opened")
        | LONG.to(FLAT, cond="flat_now", on="closed")
        | LONG.to(SHORT, cond="short_now", on=["closed", "opened"])
        | stay(FLAT, LONG, SHORT, on="updated")
    )
    fee_told = stay(FLAT, LONG, SHORT, on="updated")
    funded = stay(FLAT, LONG, SHORT, on="funding")
    adopted = (
        FLAT.to(LONG, cond="long_now", on="adopt")
        | FLAT.to(SHORT, cond="short_now", on="adopt")
        | LONG.to(FLAT, cond="flat_now", on="adopt")
        | LONG.to(SHORT, cond="short_now", on="adopt")
        | SHORT.to(FLAT, cond="flat_now", on="adopt")
        | SHORT.to(LONG, cond="long_now", on="adopt")
        | stay(FLAT, LONG, SHORT, on="adopt")
    )


STATES: Final[Mapping[str, str]] = {
    "FLAT": "No quantity. Left by an execution, or by a row that is adopted.",
    "LONG": "Bought more than sold. A late execution goes to its place and the average is folded again.",
    "SHORT": "Sold more than bought. A late execution goes to its place and the average is folded again.",
}
"""What each state means; the README's table is made from it."""

FACTS: Final[Mapping[str, str]] = {
    "bought": "execution of a buy",
    "sold": "execution of a sell",
    "fee_told": "the fee of a known execution, told late",
    "funded": "funding",
    "adopted": "the exchange's row taken as the balance",
}
"""What each fact of the chart stands for, in the order of its table."""


class PositionStep:
    """One fact on its way through the chart: where the fold stands after it, and what is to be published."""

    __slots__ = ("_after", "chart_state", "kinds")

    def __init__(self, after: Side | None) -> None:
        self._after = after
        self.chart_state: str | None = None
        self.kinds: list[EventType] = []

    # Guards.

    def flat_now(self) -> bool:
        return self._after is None

    def long_now(self) -> bool:
        return self._after is Side.BUY

    def short_now(self) -> bool:
        return self._after is Side.SELL

    # Actions.

    def opened(self) -> None:
        self.kinds.append(EventType.POSITION_OPENED)

    def updated(self) -> None:
        self.kinds.append(EventType.POSITION_UPDATE)

    def closed(self) -> None:
        self.kinds.append(EventType.POSITION_CLOSED)

    def funding(self) -> None:
        self.kinds.append(EventType.FUNDING)

    def adopt(self) -> None:
        self.kinds.append(EventType.POSITION_ADOPTED)


TABLE: Final[Table[PositionStep]] = compile_chart(PositionChart, PositionStep)
"""The flat engine of `PositionChart`: what the book runs."""

_STATE_OF: Final[Mapping[Side | None, PositionState]] = {
    None: PositionState.FLAT,
    Side.BUY: PositionState.LONG,
    Side.SELL: PositionState.SHORT,
}


def kinds_of(fact: str, before: Side | None, after: Side | None) -> tuple[EventType, ...]:
    """
    What is to be published when `fact` took a position from one side to the other, in order.

    Args:
        fact: a name of `FACTS`.
        before: the side before it, None when flat.
        after: the side that the fold came to.
    """
    step = PositionStep(after)
    state = TABLE.step(step, _STATE_OF[before], fact)
    assert state == _STATE_OF[after], f"{fact} from {before}: the chart says {state}, the fold {after}"
    return tuple(step.kinds)
