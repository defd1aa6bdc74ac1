"""
From a statechart: its flat engine and its total table.

A `StateChart` class of python-statemachine is the one declaration of a machine; diagrams, tables, tests and the engine
are made from it. Interpreting it costs about a thousand times a dictionary look-up, so `compile_chart` turns the
declaration, once, at import, into a flat table that the actors run. `Interpreted` runs the same declaration through the
library itself: the two must agree on every cell and over every walk, which the tests hold.

Rules of a chart here:

- a fact is an event of the chart; guards (`cond`, `unless`) and actions (`on`) are names of methods of the machine's
  step object, which carries the draft, the fact and the effects;
- transitions of one cell are tried in the order they are declared; the first whose guards hold is taken;
- a cell that is not declared raises `IllegalTransition`, and nothing has changed;
- `stay` declares a cell that changes no state: a recorded no-op, or an action alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, TypeVar

from attrs import frozen
from statemachine import State, StateChart
from statemachine.callbacks import CallbackGroup
from statemachine.transition_list import TransitionList

from hean.errors import IllegalTransition

StepT = TypeVar("StepT")


def stay(*states: State, on: str | list[str] | None = None, cond: str | None = None) -> TransitionList:
    """Cells of `states` that change no state: internal self-transitions, so no entry or exit action runs."""
    cells = TransitionList()
    for state in states:
        cells = cells | state.to(state, internal=True, on=on, cond=cond)
    return cells


@frozen(kw_only=True)
class Edge:
    """
    One row of one cell.

    Attributes:
        guards: names of step methods with the answer that each must give.
        actions: names of step methods, in order.
    """

    before: str
    fact: str
    after: str
    guards: tuple[tuple[str, bool], ...]
    actions: tuple[str, ...]

    @property
    def moves(self) -> bool:
        return self.before != self.after


@frozen
class _Row(Generic[StepT]):
    guards: tuple[tuple[Callable[[StepT], bool], bool], ...]
    actions: tuple[Callable[[StepT], None], ...]
    after: str


@frozen
class Table(Generic[StepT]):
    """
    A compiled chart.

    Attributes:
        edges: every edge in declaration order, for pictures and tests.
    """

    name: str
    initial: str
    states: tuple[str, ...]
    final_states: frozenset[str]
    facts: tuple[str, ...]
    edges: tuple[Edge, ...]
    _cells: Mapping[tuple[str, str], tuple[_Row[StepT], ...]]

    def step(self, step: StepT, state: str, fact: str) -> str:
        """
        Take one fact: run the first row whose guards hold, and return the new state.

        Raises:
            IllegalTransition: the cell is undeclared or no guard holds. Nothing has changed.
        """
        for row in self._cells.get((state, fact), ()):
            for guard, wanted in row.guards:
                if guard(step) is not wanted:
                    break
            else:
                for action in row.actions:
                    action(step)
                return row.after
        raise IllegalTransition(
            f"{self.name}: no cell for {fact!r} in state {state}; expected one of {self.known(state)}"
        )

    def known(self, state: str) -> tuple[str, ...]:
        """Facts that `state` has a cell for."""
        return tuple(fact for fact in self.facts if (state, fact) in self._cells)

    def cell(self, state: str, fact: str) -> tuple[Edge, ...]:
        """The rows of one cell, in the order they are tried; empty when undeclared."""
        return tuple(edge for edge in self.edges if edge.before == state and edge.fact == fact)


def edges_of(chart: type[StateChart[Any]]) -> tuple[Edge, ...]:
    """Every edge that `chart` declares, in declaration order of states, then transitions."""
    return tuple(
        Edge(
            before=str(state.value),
            fact=fact.id,
            after=str(transition.target.value),
            guards=tuple((spec.func, spec.expected_value) for spec in _own(transition, CallbackGroup.COND)),
            actions=tuple(spec.func for spec in _own(transition, CallbackGroup.ON)),
        )
        for state in chart.states
        for transition in state.transitions
        for fact in transition.events
    )


def _own(transition: Any, group: CallbackGroup) -> Iterable[Any]:
    # The library adds callbacks by naming convention (on_transition, before_x ...); ours are the declared ones.
    return [spec for spec in transition._specs if spec.group is group and not spec.is_convention]  # noqa: SLF001


def compile_chart(chart: type[StateChart[Any]], step_class: type[StepT]) -> Table[StepT]:
    """
    Flatten `chart` for steps of `step_class`.

    Raises:
        AttributeError: the chart names a guard or action that `step_class` does not have; found at import, not in use.
    """
    edges = edges_of(chart)
    cells: dict[tuple[str, str], tuple[_Row[StepT], ...]] = {}
    for edge in edges:
        row = _Row[StepT](
            tuple((getattr(step_class, name), wanted) for name, wanted in edge.guards),
            tuple(getattr(step_class, name) for name in edge.actions),
            edge.after,
        )
        cells[edge.before, edge.fact] = (*cells.get((edge.before, edge.fact), ()), row)
    initial = chart.initial_state
    assert initial is not None, f"{chart.name} declares no initial state"
    return Table(
        chart.name,
        str(initial.value),
        tuple(str(state.value) for state in chart.states),
        frozenset(str(state.value) for state in chart.states if state.final),
        tuple(dict.fromkeys(edge.fact for edge in edges)),
        edges,
        cells,
    )


class Interpreted(Generic[StepT]):
    """The same declaration run by python-statemachine itself: slow, and the judge of the flat table."""

    def __init__(self, chart: type[StateChart[Any]]) -> None:
        self._chart = chart

    def step(self, step: StepT, state: str, fact: str) -> str:
        """
        As `Table.step`.

        Raises:
            IllegalTransition: the cell is undeclared or no guard holds. Nothing has changed.
        """
        machine = self._chart(model=step, state_field="chart_state", start_value=state)
        try:
            machine.send(fact)
        except machine.TransitionNotAllowed as refused:
            raise IllegalTransition(f"{self._chart.name}: no cell for {fact!r} in state {state}") from refused
        return str(step.chart_state)  # type: ignore[attr-defined]
