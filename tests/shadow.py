"""
The charts in the shadow of their tables: whatever a flat table decides during a test is decided by its chart as well.

`Shadow` writes down what each step of a table asked, was answered and did, and lets python-statemachine run the same
chart from the same state, on a stand-in that gives the same answers. The two must ask, do and end alike, or refuse
alike. A decision that was judged before, to the last answer, is only counted: there are some hundreds of them.

Processes that a test starts are not in the shadow.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, NamedTuple, TypeAlias

import attrs
from attrs import Factory, field, frozen
from statemachine import StateChart

from hean.core import breaker, order, position_chart, session, step
from hean.core.chart import Table, compile_chart
from hean.errors import IllegalTransition

# What a step was asked or told, by its method's name, and what it answered.
Note: TypeAlias = tuple[str, object]

REFUSED: Final = "refused"
_RAISED: Final = "raised"


class _RaisedAgain(Exception):
    """The stand-in raises where the step did."""


@frozen
class Judge:
    """A table in use, the chart that it was made from, the class of its steps, and the chart that must agree."""

    table: Table[Any]
    chart: type[StateChart[Any]]
    step_class: type[Any]
    right: type[StateChart[Any]] = field(default=Factory(lambda self: self.chart, takes_self=True))


JUDGES: Final[Mapping[str, Judge]] = {
    "order": Judge(order.TABLE, order.OrderChart, step.Step),
    "position": Judge(position_chart.TABLE, position_chart.PositionChart, position_chart.PositionStep),
    "session": Judge(session.TABLE, session.SessionChart, session.SessionStep),
    "breaker": Judge(breaker.TABLE, breaker.BreakerChart, breaker.BreakerStep),
}


class Decision(NamedTuple):
    """What one fact led to; `after` is a state, or how it ended otherwise."""

    machine: str
    state: str
    fact: str
    notes: tuple[Note, ...]
    after: str


@frozen
class Shadow:
    """
    What was decided, and what the charts said to it.

    Attributes:
        judges: by machine.
        judged: decisions that differ from each other, and what is wrong with each; "" where the chart agrees.
    """

    judges: Mapping[str, Judge] = JUDGES
    judged: dict[Decision, str] = field(factory=dict)
    _seen: Counter[tuple[str, str]] = field(factory=Counter)
    _stand_ins: dict[str, _StandIn] = field(factory=dict)
    _wrong: list[str] = field(factory=list)
    _lock: Any = field(factory=threading.Lock)
    _local: threading.local = field(factory=threading.local)

    @contextmanager
    def cast(self) -> Iterator[None]:
        """Follow every table that has a judge."""
        bare, names = Table.step, {id(judge.table): name for name, judge in self.judges.items()}
        before = [(judge.table, attrs.asdict(judge.table, recurse=False)) for judge in self.judges.values()]

        def shadowed(table: Table[Any], step: Any, state: str, fact: str) -> str:
            name = names.get(id(table))
            if name is None:
                return bare(table, step, state, fact)
            return self._follow(name, lambda: bare(table, step, state, fact), str(state), fact)

        for judge in self.judges.values():
            _put(judge.table, attrs.asdict(self._noting(judge), recurse=False))
        Table.step = shadowed  # type: ignore[method-assign,assignment]
        try:
            yield
        finally:
            Table.step = bare  # type: ignore[method-assign]
            for table, values in before:
                _put(table, values)

    @property
    def seen(self) -> Counter[tuple[str, str]]:
        """How many decisions were made, by machine and by the kind of thread they were made on."""
        seen: Counter[tuple[str, str]] = Counter()
        with self._lock:
            for (machine, thread), count in self._seen.items():
                seen[machine, re.sub(r"^hean-|-\d+$", "", thread)] += count
        return seen

    def disagreements(self) -> list[str]:
        """What has gone wrong since this was asked last."""
        with self._lock:
            wrong = list(self._wrong)
            self._wrong.clear()
        return wrong

    def _noting(self, judge: Judge) -> Table[Any]:
        """The table compiled once more, of methods that write down that they were called."""
        noting = {name: self._noted(name, getattr(judge.step_class, name)) for name in _methods(judge.table)}
        return compile_chart(judge.chart, type(judge.step_class.__name__, (judge.step_class,), noting))

    def _noted(self, name: str, method: Callable[[Any], object]) -> Callable[[Any], object]:
        def noted(step: Any) -> object:
            notes: list[Note] = getattr(self._local, "notes", [])
            notes.append((name, _RAISED))
            answer = method(step)
            notes[-1] = (name, answer)
            return answer

        return noted

    def _follow(self, machine: str, decide: Callable[[], str], state: str, fact: str) -> str:
        notes: list[Note] = []
        self._local.notes = notes
        after = _RAISED
        try:
            after = decide()
        except IllegalTransition:
            after = REFUSED
            raise
        finally:
            self._judge(Decision(machine, state, fact, tuple(notes), str(after)))
        return after

    def _judge(self, decision: Decision) -> None:
        thread = threading.current_thread().name
        with self._lock:
            wrong = self.judged.get(decision)
            if wrong is None:
                wrong = self.judged[decision] = self._stand_in(decision.machine).differs(decision)
            self._seen[decision.machine, thread] += 1
            if wrong:
                self._wrong.append(f"{wrong} (on {thread})")

    def _stand_in(self, machine: str) -> _StandIn:
        # An instance costs milliseconds, an event of one some hundredths of that.
        known = self._stand_ins.get(machine)
        if known is None or known.ended:
            known = self._stand_ins[machine] = _StandIn(self.judges[machine])
        return known


def _put(table: Table[Any], values: Mapping[str, object]) -> None:
    for name, value in values.items():
        object.__setattr__(table, name, value)


def _methods(table: Table[Any]) -> set[str]:
    return {name for edge in table.edges for name in (*edge.actions, *(guard for guard, _ in edge.guards))}


class _StandIn:
    """A machine of python-statemachine whose guards answer as a decision's notes say, and whose actions do nothing."""

    def __init__(self, judge: Judge) -> None:
        self._told: tuple[Note, ...] = ()
        self._notes: list[Note] = []
        methods = {name: self._method(name) for name in _methods(judge.table)}
        self._machine = judge.right(model=type("StandIn", (), methods)(), state_field="chart_state")

    @property
    def ended(self) -> bool:
        """It has reached a final state: it takes nothing more, not even a state."""
        return bool(self._machine.is_terminated)

    def differs(self, decision: Decision) -> str:
        """What the chart decides otherwise, or "" where it agrees."""
        self._told, self._notes = decision.notes, []
        machine = self._machine
        machine.current_state_value = decision.state
        try:
            machine.send(decision.fact)
            after = str(machine.current_state_value)
        except machine.TransitionNotAllowed:
            after = REFUSED
        except _RaisedAgain:
            after = _RAISED
        notes = tuple(self._notes)
        if (decision.notes, decision.after) == (notes, after):
            return ""
        cell = f"{decision.machine}, {decision.fact} in {decision.state}"
        return f"{cell}: the table says {decision.after} by {decision.notes}, the chart {after} by {notes}"

    def _method(self, name: str) -> Callable[[Any], object]:
        def method(_: Any) -> object:
            told, place = self._told, len(self._notes)
            # Where the two part there is no answer to give; any will do, the notes differ already.
            answer = told[place][1] if place < len(told) and told[place][0] == name else None
            self._notes.append((name, answer))
            if answer == _RAISED:
                raise _RaisedAgain
            return answer

        return method
