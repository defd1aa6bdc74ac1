"""From a declared chart to its table: order of rows, guards, actions, and the cells that are not there."""

from __future__ import annotations

from typing import ClassVar

import pytest
from statemachine import State, StateChart

from hean.core.chart import Edge, Interpreted, compile_chart, edges_of, stay
from hean.errors import IllegalTransition


class Lamp:
    """What a step of the lamp asks and does."""

    def __init__(self, *, broken: bool = False) -> None:
        self.broken = broken
        self.done: list[str] = []
        self.chart_state: str | None = None

    def is_broken(self) -> bool:
        self.done.append("is_broken")
        return self.broken

    def spark(self) -> None:
        self.done.append("spark")

    def glow(self) -> None:
        self.done.append("glow")


class LampChart(StateChart["Lamp"]):
    allow_event_without_transition = False
    catch_errors_as_events = False
    enable_self_transition_entries = False
    atomic_configuration_update = True
    validate_final_reachability = False

    OFF = State(initial=True, value="OFF")
    ON = State(value="ON")
    DEAD = State(value="DEAD", final=True)

    pressed = OFF.to(DEAD, cond="is_broken", on="spark") | OFF.to(ON, unless="is_broken", on=["spark", "glow"])
    pressed |= ON.to(OFF)
    watched = stay(OFF, ON, on="glow")
    kicked = stay(ON, cond="is_broken")


TABLE = compile_chart(LampChart, Lamp)
ENGINES = pytest.mark.parametrize("engine", [TABLE, Interpreted(LampChart)], ids=["flat", "interpreted"])


def test_table_tells_states_facts_and_edges_in_the_order_of_their_declaration():
    assert ("LampChart", "OFF", ("OFF", "ON", "DEAD")) == (TABLE.name, TABLE.initial, TABLE.states)
    assert frozenset({"DEAD"}) == TABLE.final_states
    assert ("pressed", "watched", "kicked") == TABLE.facts
    assert edges_of(LampChart) == TABLE.edges
    assert (
        Edge(before="OFF", fact="pressed", after="DEAD", guards=(("is_broken", True),), actions=("spark",)),
        Edge(before="OFF", fact="pressed", after="ON", guards=(("is_broken", False),), actions=("spark", "glow")),
    ) == TABLE.cell("OFF", "pressed")


def test_edge_moves_unless_it_stays():
    assert [True, False] == [TABLE.cell("ON", fact)[0].moves for fact in ("pressed", "watched")]


def test_cell_that_is_not_declared_is_empty_and_unknown():
    assert () == TABLE.cell("DEAD", "pressed")
    assert ("pressed", "watched") == TABLE.known("OFF")
    assert () == TABLE.known("DEAD")


@ENGINES
@pytest.mark.parametrize(
    "broken,after,done",
    [(True, "DEAD", ["is_broken", "spark"]), (False, "ON", ["is_broken", "is_broken", "spark", "glow"])],
)
def test_first_row_whose_guards_hold_is_taken(engine, broken, after, done):
    lamp = Lamp(broken=broken)
    assert after == engine.step(lamp, "OFF", "pressed")
    assert done == lamp.done


@ENGINES
def test_stay_acts_and_changes_no_state(engine):
    lamp = Lamp()
    assert "ON" == engine.step(lamp, "ON", "watched")
    assert ["glow"] == lamp.done


@ENGINES
@pytest.mark.parametrize("state,fact", [("DEAD", "pressed"), ("OFF", "kicked"), ("ON", "nonsense")])
def test_undeclared_cell_raises_and_nothing_is_done(engine, state, fact):
    lamp = Lamp()
    with pytest.raises(IllegalTransition, match=f"no cell for '{fact}' in state {state}"):
        engine.step(lamp, state, fact)
    assert [] == lamp.done


@ENGINES
def test_cell_without_a_guard_that_holds_raises(engine):
    lamp = Lamp()
    with pytest.raises(IllegalTransition, match="no cell for 'kicked' in state ON"):
        engine.step(lamp, "ON", "kicked")
    assert ["is_broken"] == lamp.done


def test_flat_engine_tells_what_the_state_knows():
    with pytest.raises(IllegalTransition, match=r"expected one of \('pressed', 'watched'\)"):
        TABLE.step(Lamp(), "OFF", "kicked")


def test_what_an_action_raises_crosses_both_engines():
    class Hot(Lamp):
        def glow(self) -> None:
            raise ValueError("too hot")

    for engine in (compile_chart(LampChart, Hot), Interpreted(LampChart)):
        with pytest.raises(ValueError, match="too hot"):
            engine.step(Hot(), "ON", "watched")


def test_action_that_the_step_does_not_have_is_found_when_compiled():
    class Bare:
        spark: ClassVar[None] = None

    with pytest.raises(AttributeError, match="is_broken"):
        compile_chart(LampChart, Bare)


def test_chart_with_two_actions_of_the_librarys_own_naming_shows_only_the_declared_ones():
    class Named(StateChart["Lamp"]):
        UP = State(initial=True, value="UP")
        DOWN = State(value="DOWN", final=True)
        fall = UP.to(DOWN, on="spark")

        def on_fall(self) -> None:
            """The library calls this by its name; it is no action of ours."""

    assert [("spark",)] == [edge.actions for edge in edges_of(Named)]
