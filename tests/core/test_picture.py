from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from statemachine import State, StateChart

from hean.core.chart import compile_chart, stay
from hean.core.picture import (
    Folded,
    Group,
    Machine,
    Moved,
    Way,
    facts_table,
    fold,
    mermaid,
    path_of,
    role_of,
    states_table,
    total_table,
)


class DoorStep:
    """Guards and actions of the chart below; none is ever run here."""

    def locked(self) -> bool: ...
    def tired(self) -> bool: ...
    def ring(self) -> None: ...
    def creak(self) -> None: ...


class DoorChart(StateChart[Any]):
    """A door: enough states for each way of folding."""

    validate_final_reachability = False

    NEW = State(initial=True, value="NEW")
    SHUT = State(value="SHUT")
    AJAR = State(value="AJAR")
    OPEN = State(value="OPEN")
    STUCK = State(value="STUCK")
    GONE = State(value="GONE", final=True)

    hung = NEW.to(SHUT) | stay(SHUT, AJAR, OPEN)
    pushed = SHUT.to(AJAR, unless="locked", on="creak") | stay(SHUT, on="ring") | AJAR.to(OPEN) | stay(OPEN, on="creak")
    kicked = SHUT.to(OPEN, cond="tired", unless="locked") | SHUT.to(AJAR) | stay(AJAR, OPEN, on=["ring", "creak"])
    pulled = OPEN.to(SHUT) | AJAR.to(SHUT)
    slammed = OPEN.to(SHUT) | AJAR.to(SHUT)
    blown = OPEN.to(AJAR)
    oiled = STUCK.to(OPEN, cond="tired") | STUCK.to(AJAR) | stay(OPEN)
    swollen = NEW.to(STUCK) | SHUT.to(STUCK) | AJAR.to(STUCK) | OPEN.to(STUCK) | stay(STUCK)
    sold = NEW.to(GONE) | STUCK.to(GONE)
    burnt = AJAR.to(GONE)


DOOR = Machine(
    name="door",
    title="The life of a door",
    table=compile_chart(DoorChart, DoorStep),
    states={
        "NEW": "Not hung.",
        "SHUT": "Shut | latched.",
        "AJAR": "A bit open.",
        "OPEN": "Open.",
        "STUCK": "Damp.",
        "GONE": "Sold.",
    },
    facts={
        "hung": "put in place",
        "pushed": "force < 5 N",
        "kicked": "force",
        "pulled": "by the handle",
        "slammed": "by the wind",
        "blown": "by the wind",
        "oiled": "at the hinge",
        "swollen": "by rain",
        "sold": "for good",
        "burnt": "to ashes",
    },
    happy=(("NEW", "SHUT"), ("SHUT", "AJAR"), ("AJAR", "OPEN")),
    trouble=frozenset({"STUCK"}),
    groups=(Group(name="inward", title="lets one in", members=("AJAR", "OPEN")),),
    symbols={"ring": "!"},
    accounted=frozenset({"kicked"}),
    legend={"!": "alarm", "F": "force accounted"},
)


def arrow_of(folded: Folded, source: str, target: str):
    [arrow] = [arrow for arrow in folded.arrows if (arrow.source, arrow.target) == (source, target)]
    return arrow


def moved(before: str, fact: str, after: str) -> Moved:
    return Moved(before=before, fact=fact, after=after)


def test_edges_of_one_source_and_target_are_one_arrow():
    assert ("pushed", "kicked") == arrow_of(fold(DOOR), "SHUT", "AJAR").facts


def test_a_fact_that_moves_a_whole_group_is_one_arrow_from_the_group():
    assert ("pulled", "slammed") == arrow_of(fold(DOOR), "inward", "SHUT").facts


def test_arrows_to_every_member_of_a_group_are_one_arrow_to_the_group():
    arrow = arrow_of(fold(DOOR), "STUCK", "inward")
    assert frozenset({moved("STUCK", "oiled", "OPEN"), moved("STUCK", "oiled", "AJAR")}) == arrow.moves


def test_a_happy_arrow_is_never_swallowed_by_a_group():
    # SHUT reaches both members, but one of the two is part of the life that goes as wished.
    folded = fold(DOOR)
    assert Way.HAPPY is arrow_of(folded, "SHUT", "AJAR").way
    assert ("kicked",) == arrow_of(folded, "SHUT", "OPEN").facts


def test_a_fact_that_moves_every_state_to_one_is_told_once_as_a_note():
    folded = fold(DOOR)
    [note] = folded.notes
    assert ("STUCK", ("swollen: from any state but GONE",), Way.RECOVERY) == (note.target, note.lines, note.way)
    assert [] == [arrow for arrow in folded.arrows if arrow.target == "STUCK"]


def test_a_note_about_a_machine_without_a_final_state_spares_none():
    endless = [edge for edge in DOOR.table.edges if edge.after != "GONE"]
    states = tuple(state for state in DOOR.table.states if state != "GONE")
    table = evolve(DOOR.table, edges=tuple(endless), states=states, final_states=frozenset())
    assert ("swollen: from any state",) == fold(evolve(DOOR, table=table)).notes[0].lines


def test_a_fact_that_its_machine_wants_noted_names_where_it_leads_from():
    folded = fold(evolve(DOOR, noted=frozenset({("sold", "GONE"), ("burnt", "GONE")})))
    assert ("sold: from NEW, STUCK", "burnt: from AJAR") == folded.notes[1].lines
    assert Way.PLAIN is folded.notes[1].way
    assert [] == [arrow for arrow in folded.arrows if arrow.target == "GONE"]


def test_recoveries_are_told_apart_from_the_life_as_wished():
    folded = fold(DOOR)
    ways = {(arrow.source, arrow.target): arrow.way for arrow in folded.arrows}
    assert {
        ("NEW", "SHUT"): Way.HAPPY,
        ("SHUT", "AJAR"): Way.HAPPY,
        ("AJAR", "OPEN"): Way.HAPPY,
        ("NEW", "GONE"): Way.PLAIN,
        ("AJAR", "GONE"): Way.PLAIN,
        ("SHUT", "OPEN"): Way.PLAIN,
        ("inward", "SHUT"): Way.RECOVERY,
        ("OPEN", "AJAR"): Way.RECOVERY,
        ("STUCK", "inward"): Way.RECOVERY,
        ("STUCK", "GONE"): Way.RECOVERY,
    } == ways


def test_every_moving_edge_is_drawn_or_noted_and_nothing_else_is():
    folded = fold(DOOR)
    drawn = {move for arrow in folded.arrows for move in arrow.moves}
    noted = {(fact, note.target) for note in folded.notes for fact, _ in note.causes}
    told = drawn | {
        moved(e.before, e.fact, e.after) for e in DOOR.table.edges if e.moves and (e.fact, e.after) in noted
    }
    assert {moved(e.before, e.fact, e.after) for e in DOOR.table.edges if e.moves} == told


def test_a_group_whose_edges_are_all_happy_adds_no_arrow():
    happy = (*DOOR.happy, ("AJAR", "SHUT"), ("OPEN", "SHUT"))
    folded = fold(evolve(DOOR, happy=happy))
    assert [] == [arrow for arrow in folded.arrows if arrow.source == "inward"]


def test_a_groups_arrow_may_itself_be_part_of_the_life_as_wished():
    folded = fold(evolve(DOOR, happy=(("inward", "SHUT"),)))
    assert Way.HAPPY is arrow_of(folded, "inward", "SHUT").way


def test_a_label_names_the_first_facts_and_counts_the_rest():
    arrow = arrow_of(fold(DOOR), "SHUT", "AJAR")
    assert ("pushed", "kicked") == arrow.label
    assert ("a", "b", "c", "+2") == evolve(arrow, facts=("a", "b", "c", "d", "e")).label


def test_the_path_is_what_moved_in_the_order_of_the_records():
    bodies = [
        {"fact": "hung", "before": "NEW", "after": "SHUT"},
        {"fact": "hung", "before": "SHUT", "after": "SHUT"},
        {"request": "no fact of a machine"},
        {"fact": "pushed", "before": "SHUT", "after": "AJAR", "now_ms": 5},
        {"fact": "pushed", "before": None, "after": "AJAR"},
    ]
    assert (moved("NEW", "hung", "SHUT"), moved("SHUT", "pushed", "AJAR")) == path_of(bodies)


def test_steps_of_a_path_number_the_arrows_they_took():
    path = [moved("NEW", "hung", "SHUT"), moved("SHUT", "kicked", "OPEN"), moved("OPEN", "pulled", "SHUT")]
    folded = fold(DOOR, path)
    assert ("1. hung",) == arrow_of(folded, "NEW", "SHUT").label
    assert ("2. kicked",) == arrow_of(folded, "SHUT", "OPEN").label
    assert ("3. pulled",) == arrow_of(folded, "inward", "SHUT").label
    assert () == arrow_of(folded, "SHUT", "AJAR").steps
    assert {"NEW", "SHUT", "OPEN"} == folded.visited


def test_an_arrow_taken_twice_tells_both_steps():
    again = moved("SHUT", "pushed", "AJAR")
    folded = fold(DOOR, [again, moved("AJAR", "pulled", "SHUT"), again])
    assert ("1. pushed", "3. pushed") == arrow_of(folded, "SHUT", "AJAR").label


def test_a_happy_step_is_taken_on_its_own_arrow_and_not_on_its_groups():
    machine = evolve(DOOR, happy=(*DOOR.happy, ("OPEN", "SHUT")))
    folded = fold(machine, [moved("OPEN", "pulled", "SHUT")])
    assert ((1, "pulled"),) == arrow_of(folded, "OPEN", "SHUT").steps
    assert () == arrow_of(folded, "inward", "SHUT").steps


def test_a_step_that_a_note_tells_gets_an_arrow_of_its_own():
    folded = fold(DOOR, [moved("SHUT", "swollen", "STUCK")])
    assert ("1. swollen",) == arrow_of(folded, "SHUT", "STUCK").label


def test_a_step_of_an_older_chart_is_drawn_all_the_same():
    folded = fold(DOOR, [moved("NEW", "painted", "OPEN")])
    assert ("1. painted",) == arrow_of(folded, "NEW", "OPEN").label


def test_a_step_of_a_state_that_is_no_more_stays_in_the_path():
    path = (moved("NEW", "hung", "CAT_FLAP"),)
    folded = fold(DOOR, path)
    assert path == folded.path
    assert fold(DOOR).arrows == folded.arrows


def test_a_step_without_an_arrow_that_is_taken_twice_gets_one_arrow():
    folded = fold(
        DOOR, [moved("SHUT", "swollen", "STUCK"), moved("STUCK", "oiled", "OPEN"), moved("SHUT", "swollen", "STUCK")]
    )
    assert ("1. swollen", "3. swollen") == arrow_of(folded, "SHUT", "STUCK").label


def test_mermaid_links_are_styled_by_their_way():
    text = mermaid(fold(DOOR))
    assert '  NEW ==>|"hung"| SHUT' in text.splitlines()
    assert '  NEW -->|"sold"| GONE' in text.splitlines()
    assert '  STUCK -.->|"oiled"| inward' in text.splitlines()
    links = [line for line in text.splitlines() if any(mark in line for mark in ("==>", "-->", "-.->", " --- "))]
    styled = [int(number) for line in text.splitlines() if "linkStyle" in line for number in line.split()[1].split(",")]
    # Link 0 is the start's own.
    assert list(range(1, len(links))) == sorted(styled)


def test_mermaid_shows_start_groups_notes_final_and_visited_states():
    lines = mermaid(fold(DOOR, [moved("NEW", "hung", "SHUT")])).splitlines()
    assert "  start --> NEW" in lines
    assert '  inward{{"lets one in"}}:::note' in lines
    assert "  OPEN --- inward" in lines
    assert '  GONE(["GONE"]):::plain' in lines
    assert '  STUCK["STUCK"]:::trouble' in lines
    assert '  NEW["NEW"]:::visited' in lines
    assert '  to_STUCK["swollen: from any state but GONE"]:::note' in lines
    assert "  to_STUCK -.-> STUCK" in lines
    assert f"  linkStyle {len(fold(DOOR).arrows)} stroke:#0969da,stroke-width:4px" in lines


def test_mermaid_of_a_machine_without_groups_or_notes_has_none():
    small = evolve(DOOR, groups=(), table=evolve(DOOR.table, edges=DOOR.table.edges[:1]))
    text = mermaid(fold(small))
    assert "to_" not in text
    assert " --- " not in text


def test_a_state_is_coloured_by_its_part():
    assert ["happy", "trouble", "plain"] == [role_of(DOOR, state) for state in ("AJAR", "STUCK", "GONE")]


def test_the_states_table_tells_what_each_state_means():
    assert "| `SHUT` | Shut \\| latched. |" in states_table(DOOR).splitlines()
    assert len(DOOR.states) + 2 == len(states_table(DOOR).splitlines())


def test_the_facts_table_tells_what_triggers_each_fact_and_when_it_is_taken():
    told = evolve(DOOR, facts={"pushed": "force < 5 N"}, checks={"pushed": "not locked | stuck"})
    assert ["| `pushed` | force &lt; 5 N | not locked \\| stuck |"] == facts_table(told).splitlines()[2:]


@pytest.mark.parametrize(
    "row",
    [
        "| fact | NEW | SHUT | AJAR | OPEN | STUCK |",
        "| `hung`<br>put in place | ->SHUT | . | . | . | - |",
        "| `pushed`<br>force &lt; 5 N | - | ->AJAR <sup>1</sup><br>! | ->OPEN | creak | - |",
        "| `kicked`<br>force | - | ->OPEN <sup>2</sup><br>->AJAR | F ! | F ! | - |",
        "| `swollen`<br>by rain | ->STUCK | ->STUCK | ->STUCK | ->STUCK | . |",
        "- <sup>1</sup> `not locked`",
        "- <sup>2</sup> `tired and not locked`",
    ],
)
def test_the_total_table_decides_every_cell(row: str):
    assert row in total_table(DOOR).splitlines()


def test_the_total_tables_legend_explains_each_symbol_and_the_missing_column():
    [legend] = [line for line in total_table(DOOR).splitlines() if line.startswith("`->X`")]
    assert "`!` alarm, `F` force accounted" in legend
    assert legend.endswith("No column: `GONE` (final).")


def test_a_total_table_without_guards_has_no_footnotes():
    plain = evolve(
        DOOR, table=evolve(DOOR.table, edges=DOOR.table.edges[:1], final_states=frozenset()), facts={"hung": "x"}
    )
    text = total_table(plain)
    assert "Guards" not in text
    assert "No column" not in text


@given(
    st.lists(st.sampled_from(sorted({(e.before, e.fact, e.after) for e in DOOR.table.edges if e.moves})), max_size=9)
)
def test_every_step_of_any_path_is_shown_exactly_once(steps: list[tuple[str, str, str]]):
    folded = fold(DOOR, [moved(*step) for step in steps])
    shown = sorted(number for arrow in folded.arrows for number, _ in arrow.steps)
    assert list(range(1, len(steps) + 1)) == shown
