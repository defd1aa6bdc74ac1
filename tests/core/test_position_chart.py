from __future__ import annotations

from itertools import product

import pytest

from hean.core.chart import Interpreted
from hean.core.position_chart import FACTS, STATES, TABLE, PositionChart, PositionState, PositionStep, kinds_of
from hean.core.types import EventType, Side
from hean.errors import IllegalTransition

LONG, SHORT, FLAT = Side.BUY, Side.SELL, None
STATE = {FLAT: "FLAT", LONG: "LONG", SHORT: "SHORT"}
OPENED, UPDATED, CLOSED = EventType.POSITION_OPENED, EventType.POSITION_UPDATE, EventType.POSITION_CLOSED

# (fact, before, after): what is published. What is not here cannot come of a fold.
CELLS = {
    ("bought", FLAT, FLAT): (UPDATED,),
    ("bought", FLAT, LONG): (OPENED,),
    ("bought", LONG, LONG): (UPDATED,),
    ("bought", SHORT, SHORT): (UPDATED,),
    ("bought", SHORT, FLAT): (CLOSED,),
    ("bought", SHORT, LONG): (CLOSED, OPENED),
    ("sold", FLAT, FLAT): (UPDATED,),
    ("sold", FLAT, SHORT): (OPENED,),
    ("sold", SHORT, SHORT): (UPDATED,),
    ("sold", LONG, LONG): (UPDATED,),
    ("sold", LONG, FLAT): (CLOSED,),
    ("sold", LONG, SHORT): (CLOSED, OPENED),
    **{("fee_told", side, side): (UPDATED,) for side in (FLAT, LONG, SHORT)},
    **{("funded", side, side): (EventType.FUNDING,) for side in (FLAT, LONG, SHORT)},
    **{("adopted", *sides): (EventType.POSITION_ADOPTED,) for sides in product((FLAT, LONG, SHORT), repeat=2)},
}


@pytest.mark.parametrize("cell", list(CELLS), ids=str)
def test_each_fact_publishes_what_it_did_to_the_side(cell: tuple[str, Side | None, Side | None]):
    assert CELLS[cell] == kinds_of(*cell)


@pytest.mark.parametrize(
    "cell", sorted(set(product(FACTS, (FLAT, LONG, SHORT), (FLAT, LONG, SHORT))) - set(CELLS), key=str), ids=str
)
def test_a_side_that_no_fold_can_come_to_is_a_bug(cell: tuple[str, Side | None, Side | None]):
    with pytest.raises(AssertionError, match="the chart says"):
        kinds_of(*cell)


@pytest.mark.parametrize("cell", list(CELLS), ids=str)
def test_the_flat_table_agrees_with_the_library(cell: tuple[str, Side | None, Side | None]):
    fact, before, after = cell
    step = PositionStep(after)
    assert STATE[after] == Interpreted(PositionChart).step(step, STATE[before], fact)
    assert list(CELLS[cell]) == step.kinds


def test_the_texts_name_exactly_the_states_and_facts():
    assert set(PositionState) == set(TABLE.states) == set(STATES)
    assert set(TABLE.facts) == set(FACTS)


def test_a_position_begins_flat_and_never_ends():
    assert "FLAT" == TABLE.initial
    assert frozenset() == TABLE.final_states


def test_an_unknown_fact_is_refused():
    with pytest.raises(IllegalTransition):
        kinds_of("guessed", FLAT, LONG)
