from __future__ import annotations

import pytest

from hean.core.machines import MACHINES
from hean.core.picture import Machine, fold, total_table

ALL = pytest.mark.parametrize("machine", list(MACHINES.values()), ids=list(MACHINES))


def test_every_machine_is_there_under_its_name():
    assert ["order", "position", "session", "breaker"] == [machine.name for machine in MACHINES.values()]


@ALL
def test_the_texts_name_exactly_the_states_and_facts_of_the_table(machine: Machine):
    assert set(machine.table.states) == set(machine.states)
    assert set(machine.table.facts) == set(machine.facts)


@ALL
def test_each_state_and_note_has_its_own_place(machine: Machine):
    assert {*machine.table.states, *(note.name for note in fold(machine).notes)} == set(machine.places)
    assert len(machine.places) == len(set(machine.places.values()))


@ALL
def test_groups_name_states_once_and_are_no_states(machine: Machine):
    members = [member for group in machine.groups for member in group.members]
    assert set(members) <= set(machine.table.states)
    assert len(members) == len(set(members))
    assert set() == {group.name for group in machine.groups} & set(machine.table.states)


@ALL
def test_the_life_as_wished_is_drawn_arrow_by_arrow(machine: Machine):
    drawn = {(arrow.source, arrow.target) for arrow in fold(machine).arrows}
    assert set(machine.happy) <= drawn


@ALL
def test_trouble_symbols_and_accounted_facts_name_what_is_there(machine: Machine):
    assert machine.trouble <= set(machine.table.states)
    assert machine.accounted <= set(machine.table.facts)
    assert machine.noted <= {(edge.fact, edge.after) for edge in machine.table.edges}
    assert set(machine.symbols) <= {action for edge in machine.table.edges for action in edge.actions}
    assert set(machine.symbols.values()) <= set(machine.legend)


@ALL
def test_facts_are_checked_all_or_none(machine: Machine):
    assert set(machine.checks) in [set(), set(machine.facts)]


@ALL
def test_the_folded_picture_stays_readable(machine: Machine):
    # Beyond this a page of README width is a blot again.
    assert len(fold(machine).arrows) <= 25


def test_the_orders_total_table_decides_every_cell_as_the_lifecycle_says():
    lines = total_table(MACHINES["order"]).splitlines()
    [unknown] = [line for line in lines if line.startswith("| `unknown`")]
    assert "| . | ->TIMEOUT ! Q | Q | . | . | . | . | . | . | . |" in unknown
