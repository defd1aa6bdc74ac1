"""Tables are followed by their charts wherever they decide, and where the two part it is told."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from attrs import evolve
from statemachine import State, StateChart

from hean import OrderState, Side, Signal
from hean.core.chart import Table, compile_chart, stay
from hean.core.machines import MACHINES
from hean.errors import IllegalTransition
from tests.conftest import Routers
from tests.shadow import JUDGES, Judge, Shadow


class Door:
    """What a step of the door asks and does."""

    def __init__(self, *, locked: bool = False) -> None:
        self.locked = locked
        self.done: list[str] = []

    def is_locked(self) -> bool:
        return self.locked

    def creak(self) -> None:
        self.done.append("creak")

    def slam(self) -> None:
        self.done.append("slam")

    def stick(self) -> None:
        raise ValueError("stuck")


class Chart(StateChart["Door"]):
    allow_event_without_transition = False
    catch_errors_as_events = False
    enable_self_transition_entries = False
    atomic_configuration_update = True
    validate_final_reachability = False


class DoorChart(Chart):
    SHUT = State(initial=True, value="SHUT")
    OPEN = State(value="OPEN")

    pushed = stay(SHUT, cond="is_locked") | SHUT.to(OPEN, on="creak")
    pulled = OPEN.to(SHUT, on=["creak", "slam"])
    kicked = stay(OPEN, on="stick") | stay(SHUT, cond="is_locked")


class OtherEnd(Chart):
    SHUT = State(initial=True, value="SHUT")
    OPEN = State(value="OPEN")

    pushed = stay(SHUT, cond="is_locked") | stay(SHUT, on="creak")
    pulled = SHUT.to(OPEN) | OPEN.to(SHUT)


class OtherAction(Chart):
    SHUT = State(initial=True, value="SHUT")
    OPEN = State(value="OPEN")

    pushed = stay(SHUT, cond="is_locked") | SHUT.to(OPEN, on="slam")
    pulled = OPEN.to(SHUT)


class OtherOrder(Chart):
    SHUT = State(initial=True, value="SHUT")
    OPEN = State(value="OPEN")

    pushed = SHUT.to(OPEN, on="creak") | stay(SHUT, cond="is_locked")
    pulled = OPEN.to(SHUT)


class OtherGuard(Chart):
    SHUT = State(initial=True, value="SHUT")
    OPEN = State(value="OPEN")

    pushed = SHUT.to(OPEN, cond="is_locked", on="creak") | stay(SHUT)
    pulled = OPEN.to(SHUT)


class NoCell(Chart):
    SHUT = State(initial=True, value="SHUT")
    OPEN = State(value="OPEN")

    pulled = SHUT.to(OPEN) | OPEN.to(SHUT)


def followed(chart: type[StateChart[Any]] = DoorChart) -> tuple[Table[Door], Shadow]:
    """The door's table, with that chart in its shadow."""
    table = compile_chart(DoorChart, Door)
    return table, Shadow(judges={"door": Judge(table, DoorChart, Door, chart)})


@pytest.mark.parametrize("locked,after,done", [(True, "SHUT", []), (False, "OPEN", ["creak"])])
def test_a_table_in_the_shadow_decides_as_without_it(locked, after, done):
    table, shadow = followed()
    door = Door(locked=locked)
    with shadow.cast():
        assert after == table.step(door, "SHUT", "pushed")
    assert (done, []) == (door.done, shadow.disagreements())
    assert Counter({("door", "MainThread"): 1}) == shadow.seen


def test_a_refusal_is_judged_as_well():
    table, shadow = followed()
    with shadow.cast():
        for fact in ("pulled", "kicked", "nonsense"):
            with pytest.raises(IllegalTransition):
                table.step(Door(), "SHUT", fact)
    assert [] == shadow.disagreements()
    assert ["refused"] * 3 == [decision.after for decision in shadow.judged]


def test_what_an_action_raises_is_raised_in_the_shadow_too():
    table, shadow = followed()
    with shadow.cast(), pytest.raises(ValueError, match="stuck"):
        table.step(Door(), "OPEN", "kicked")
    assert [] == shadow.disagreements()
    assert ["raised"] == [decision.after for decision in shadow.judged]


@pytest.mark.parametrize("chart", [OtherEnd, OtherAction, OtherOrder, OtherGuard, NoCell])
def test_a_chart_that_decides_otherwise_is_told_each_time(chart):
    table, shadow = followed(chart)
    with shadow.cast():
        for _ in range(2):
            table.step(Door(), "SHUT", "pushed")
    wrong = shadow.disagreements()
    assert 2 == len(wrong)
    assert all("door, pushed in SHUT: the table says OPEN by" in each for each in wrong)
    assert [] == shadow.disagreements()


def test_the_same_decision_is_judged_once_and_counted_always():
    table, shadow = followed()
    with shadow.cast():
        for _ in range(5):
            table.step(Door(), "SHUT", "pushed")
    assert (5, 1) == (shadow.seen.total(), len(shadow.judged))


def test_a_table_is_as_it_was_once_the_shadow_is_gone():
    table, shadow = followed()
    step, before = Table.step, evolve(table)
    with shadow.cast():
        assert before != table
    assert (step, before) == (Table.step, table)
    table.step(Door(), "SHUT", "pushed")
    assert 0 == shadow.seen.total()


def test_every_machine_has_its_judge():
    assert {name: machine.table for name, machine in MACHINES.items()} == {
        name: judge.table for name, judge in JUDGES.items()
    }


def test_the_shadow_has_seen_what_the_actors_of_a_router_decided(router: Routers, shadow: Shadow) -> None:
    before = shadow.seen
    made = router()
    ticket = made.submit(Signal(strategy_id="seen", signal_id="1", symbol="BTCUSDT", side=Side.BUY, qty="0.001"))
    assert OrderState.CLOSED == ticket.wait(10).state
    seen = shadow.seen - before
    # The first step is taken where the signal is submitted; then sent and filled, by row and execution, and settled,
    # on whatever thread has the order's turn.
    assert 1 <= seen["order", "MainThread"]
    made_by: Counter[str] = Counter()
    for (machine, _), count in seen.items():
        made_by[machine] += count
    assert 4 <= made_by["order"]
    assert 1 <= made_by["position"]
    assert 5 <= seen["session", "StreamActor"]
    assert {"order", "position", "session", "breaker"} == {machine for machine, _ in seen}
