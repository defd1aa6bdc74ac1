"""What is explained as unreachable is in the table, once, and the sums of coverage add up."""

from __future__ import annotations

from tests.simulator.coverage import CRASHES, EXPLAINED, FAULTS, UNREACHABLE, Coverage, all_cells
from tests.simulator.runner import play_chunk


def test_every_explained_cell_is_a_cell_of_the_table() -> None:
    assert set() == EXPLAINED.keys() - all_cells()


def test_no_cell_is_explained_twice() -> None:
    named = [(state, fact) for _, facts, states in UNREACHABLE for fact in facts for state in states]
    assert len(named) == len(set(named))


def test_worlds_reach_no_cell_that_is_explained_as_unreachable() -> None:
    _, _, broken, coverage = play_chunk((0, 30))
    assert [] == broken
    assert set() == EXPLAINED.keys() & coverage["cells"].keys()
    assert "PENDING sent" in coverage["cells"]


def test_coverage_of_two_runs_adds_up() -> None:
    one, two = Coverage(), Coverage()
    one.cell("PENDING", "sent")
    one.struck("ban", 2)
    two.cell("PENDING", "sent")
    two.crashed("turn")
    one.add(two.plain())
    assert {"cells": {"PENDING sent": 2}, "faults": {"ban": 2}, "points": {}, "crashes": {"turn": 1}} == one.plain()


def test_named_moments_and_faults_are_many() -> None:
    assert 50 <= len(FAULTS)
    assert 25 <= len(CRASHES)
