"""
The order machine: every cell of (state, fact), and the rules behind the cells.

A cell says what one fact does to one order of that state: `>STATE` where it moves, then a letter for each effect and
each event. Effects: C SendCreate, W WithdrawCreate, X SendCancel, A SendAmend, Q QueryOrder, T query timer, R retry
timer, F Account, P ConfirmPosition, Z FreezeSymbol, N a command decided "no", Y decided "yes". Events: u ORDER_UNKNOWN,
p ORDER_PLACED, f ORDER_FILLED, c ORDER_CANCELLED, j ORDER_REJECTED, d RISK_BLOCKED, o ORDER_REQUEST, s ORDER_SETTLED,
x ORDER_CANCEL_REQUESTED, a ORDER_AMEND_REQUESTED, m ORDER_AMENDED, i STATUS, ! ERROR. `.` is a recorded no-op,
`-` cannot happen by construction: it raises, and nothing has changed. States are told by their first three letters.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest
from attrs import define, evolve

from hean.core.chart import Edge, Interpreted, compile_chart
from hean.core.facts import (
    Accepted,
    Account,
    AmendAsked,
    Broken,
    CancelAsked,
    Command,
    CommandAccepted,
    CommandFailed,
    ConfirmPosition,
    Decide,
    Denied,
    Duplicate,
    Fact,
    FreezeSymbol,
    Halted,
    LookedUp,
    NotExecuted,
    NotSent,
    OutcomeUnknown,
    QueryDue,
    QueryOrder,
    Resolved,
    Restarted,
    RetryDue,
    SendAmend,
    SendCancel,
    SendCreate,
    Sent,
    Settled,
    Shown,
    StartTimer,
    Timer,
    WithdrawCreate,
)
from hean.core.ledger import Ledger
from hean.core.order import TABLE, Applied, OrderChart, apply
from hean.core.order_words import CHECKS, FACTS, STATES
from hean.core.record import PendingRequest, View
from hean.core.step import Step
from hean.core.types import (
    ZERO,
    Amend,
    DenyReason,
    EventType,
    ExecType,
    Ms,
    OrderState,
    OrderStatus,
    Side,
)
from hean.errors import IllegalTransition
from tests.core.orders import (
    ACCEPTED,
    FULL,
    LOOK_FAILED,
    NEW,
    ORDER_ID,
    PART,
    POLICY,
    REFUSED,
    SENT,
    SHOWN_CANCELLED,
    SHOWN_FILLED,
    START_MS,
    UNKNOWN,
    Life,
    answered,
    executed,
    in_state,
    life,
    shown,
)

EMPTY = LookedUp(complete=True, found=False, started_ms=Ms(START_MS))
FOUND = LookedUp(complete=True, found=True, started_ms=Ms(START_MS))
CANCEL_SENT = PendingRequest(command=Command.CANCEL, sent_ms=Ms(START_MS))
SHOWN = View(status=OrderStatus.NEW, price=Decimal(100), cum_exec_qty=ZERO, updated_ms=Ms(10))
INTERPRETED = Interpreted(OrderChart)

# One fact of each kind that the chart knows.
FACT_OF: dict[str, Fact] = {
    "denied": Denied(reason=DenyReason.HALTED),
    "sent": SENT,
    "not_sent": NotSent(attempt=1, why="connecting failed"),
    "retry_due": RetryDue(),
    "restarted": Restarted(),
    "accepted": ACCEPTED,
    "refused": REFUSED,
    "not_executed": NotExecuted(attempt=1, why="busy"),
    "unknown": UNKNOWN,
    "duplicate": Duplicate(attempt=1, ret_code=110072),
    "answered_before": OutcomeUnknown(attempt=0, why="late"),
    "query_due": QueryDue(),
    "query_failed": LOOK_FAILED,
    "looked_up": FOUND,
    "nothing_found": EMPTY,
    "absence_proven": EMPTY,
    "shows_open": shown(OrderStatus.NEW, at=100),
    "shows_partly": shown(OrderStatus.PARTIALLY_FILLED, "0.4", at=100),
    "shows_filled": shown(OrderStatus.FILLED, "1", at=100),
    "shows_cancelled": shown(OrderStatus.CANCELLED, "0.4", at=100),
    "shows_rejected": shown(OrderStatus.REJECTED, at=100, reject_reason="EC_Others"),
    "shows_rejected_part": shown(OrderStatus.REJECTED, "0.4", at=100, reject_reason="EC_Others"),
    "shows_stale": shown(OrderStatus.CREATED, at=0),
    "executed_part": executed("e9", "0.1", at=100),
    "executed_full": executed("e9", "1", at=100),
    "executed_over": executed("e9", "1.5", at=100),
    "executed_known": PART,
    "cancel_asked": CancelAsked(),
    "amend_asked": AmendAsked(amend=Amend(price=Decimal(101))),
    "command_accepted": CommandAccepted(command=Command.CANCEL),
    "command_failed": CommandFailed(command=Command.CANCEL, why="110001 order not exists or too late"),
    "halted": Halted(halted=True),
    "resolved": Resolved(verdict="cancelled", who="ann", why="support said so"),
    "broken": Broken(why="a handler crashed"),
    "settled_stale": Settled(seq=1),
    "settled": Settled(seq=30),
}

# What an order must have known for a fact to be what its name says.
KNOWN: dict[str, dict[str, Any]] = {
    "shows_stale": {"view": SHOWN},
    "executed_known": {"ledger": Ledger().add(PART.execution)},
    "command_accepted": {"pending": CANCEL_SENT},
    "command_failed": {"pending": CANCEL_SENT},
}

CELLS = """
                   |PEN        |SUB        |TIM        |ACK       |PAR       |FIL    |CAN    |REJ    |ERR     |CLO
denied             |>DEN d     |-          |-          |-         |-         |-      |-      |-      |-       |-
sent               |>SUB Co    |!          |!          |!         |!         |!      |!      |!      |!       |!
not_sent           |.          |>PEN R     |.          |!         |!         |!      |!      |!      |!       |!
retry_due          |>SUB Co    |.          |Q          |.         |.         |.      |.      |.      |.       |.
restarted          |>TIM Qu    |>TIM WQu   |WQ         |Q         |Q         |QP     |QP     |QP     |Q       |.
accepted           |>TIM Qu    |T          |Q          |.         |.         |.      |.      |Q!     |.       |.
refused            |.          |>REJ Pj    |>REJ Pj    |Q!        |Q!        |Q!     |.      |.      |Q       |.
not_executed       |.          |>PEN R     |Q          |.         |.         |.      |.      |.      |Q       |.
unknown            |.          |>TIM Qu    |Q          |.         |.         |.      |.      |.      |.       |.
duplicate          |>TIM Qu    |>TIM Qu    |Q          |.         |.         |.      |.      |Q!     |Q       |.
answered_before    |.          |.          |.          |.         |.         |.      |.      |.      |.       |.
query_due          |.          |.          |Q          |.         |.         |.      |.      |.      |Q       |.
query_failed       |T          |T          |T          |T         |T         |T      |T      |T      |T       |.
looked_up          |.          |.          |T          |.         |.         |.      |.      |.      |T       |.
nothing_found      |.          |T          |T          |T         |T         |T      |T      |T      |T       |.
absence_proven     |-          |T          |>PEN R     |T         |T         |.      |.      |.      |>REJ Pj |.
shows_open         |>ACK p     |>ACK p     |>ACK p     |.         |.         |.      |.      |Qp!    |Tp      |.
shows_partly       |>PAR Tp    |>PAR Tp    |>PAR Tp    |>PAR T    |.         |.      |.      |TQp!   |TTp     |.
shows_filled       |>FIL Tp    |>FIL Tp    |>FIL Tp    |>FIL T    |>FIL T    |.      |TQ!    |TQp!   |>FIL Tp |.
shows_cancelled    |>CAN Tpc   |>CAN Tpc   |>CAN Tpc   |>CAN Tc   |>CAN Pc   |Q!     |.      |Tp     |>CAN Tpc|.
shows_rejected     |>REJ Pj    |>REJ Pj    |>REJ Pj    |>REJ Pj   |Q!        |Q!     |.      |.      |>REJ Pj |.
shows_rejected_part|>CAN Tpc   |>CAN Tpc   |>CAN Tpc   |>CAN Tc   |>CAN Pc   |Q!     |.      |TQp!   |>CAN Tpc|.
shows_stale        |.          |.          |.          |.         |.         |.      |.      |.      |.       |.
executed_part      |>PAR Fpf   |>PAR Fpf   |>PAR Fpf   |>PAR Ff   |Ff        |FPf!   |FPf!   |FQpf!  |Fpf     |>FIL FPf!
executed_full      |>FIL FPpf  |>FIL FPpf  |>FIL FPpf  |>FIL FPf  |>FIL FPf  |FPf!   |FPf!   |FQpf!  |Fpf     |>FIL FPf!
executed_over      |>FIL FZPpf!|>FIL FZPpf!|>FIL FZPpf!|>FIL FZPf!|>FIL FZPf!|FZPf!! |FZPf!! |FZQpf! |FZpf!   |>FIL FZPf!!
executed_known     |.          |.          |.          |.         |.         |.      |.      |.      |.       |.
cancel_asked       |>DEN Yd    |W          |Q          |Xx        |Xx        |N      |N      |N      |Xx      |N
amend_asked        |N          |.          |N          |Aa        |Aa        |N      |N      |N      |N       |N
command_accepted   |.          |T          |T          |T         |T         |.      |.      |.      |T       |.
command_failed     |.          |Q          |Q          |Q         |Q         |.      |.      |.      |Q       |.
halted             |.          |W          |.          |.         |.         |.      |.      |.      |.       |.
resolved           |N          |N          |N          |N         |N         |i      |i      |i      |>CAN Pc |N
broken             |>ERR T!    |>ERR T!    |>ERR T!    |>ERR T!   |>ERR T!   |>ERR T!|>ERR T!|>ERR T!|.       |>ERR T!
settled_stale      |.          |.          |.          |.         |.         |.      |.      |.      |.       |.
settled            |-          |-          |-          |-         |-         |>CLO s |>CLO s |>CLO s |-       |-
"""  # noqa: E501

# The rows of a cell beyond the first: state, fact, what the record or the fact is like, what happens.
ATTEMPTED = {"attempts": 1, "tries": 1, "cleared": False, "in_flight": False}
ABSENT = {**ATTEMPTED, "cleared": True}
OUT_OF_TRIES = {"attempts": 1, "tries": 4}
REJECTED_VIEW = evolve(SHOWN, status=OrderStatus.REJECTED)
WOKEN = {"executed_part": "F", "executed_full": "F", "executed_over": "FZ"}
BRANCHES: list[tuple[OrderState, str, dict[str, Any], str]] = [
    (OrderState.PENDING, "denied", ATTEMPTED, ">TIM Qu"),
    (OrderState.PENDING, "denied", ABSENT, ">REJ Pj"),
    (OrderState.PENDING, "retry_due", ATTEMPTED, "Q"),
    (OrderState.PENDING, "nothing_found", ATTEMPTED, ">SUB Co"),
    (OrderState.PENDING, "nothing_found", {**ATTEMPTED, "halted": True}, ">TIM Tu"),
    (OrderState.PENDING, "query_due", ATTEMPTED, "Q"),
    (OrderState.PENDING, "cancel_asked", ATTEMPTED, ">TIM Qu"),
    (OrderState.PENDING, "cancel_asked", ABSENT, ">REJ YPj"),
    (OrderState.SUBMITTED, "not_sent", OUT_OF_TRIES, ">DEN d"),
    (OrderState.SUBMITTED, "not_sent", {"attempts": 2, "tries": 4}, ">TIM Qu"),
    (OrderState.SUBMITTED, "not_sent", {"halted": True}, ">DEN d"),
    (OrderState.SUBMITTED, "not_sent", {"wish_cancel": True}, ">DEN Yd"),
    (OrderState.SUBMITTED, "accepted", {"wish_cancel": True}, "TXx"),
    (OrderState.SUBMITTED, "query_due", {"in_flight": False}, "Q"),
    (OrderState.SUBMITTED, "halted", {"in_flight": False}, "."),
    (OrderState.SUBMITTED, "cancel_asked", {"in_flight": False}, "Xx"),
    (OrderState.SUBMITTED, "absence_proven", {"misses": 4, "missing_ms": Ms(0)}, ">ERR T!"),
    (OrderState.TIMEOUT, "refused", {"attempts": 2}, "Q"),
    (OrderState.TIMEOUT, "absence_proven", {"order_id": ORDER_ID}, "T"),
    (OrderState.TIMEOUT, "absence_proven", {"doubted": True}, "T"),
    (OrderState.TIMEOUT, "absence_proven", {"doubted": True, "misses": 4, "missing_ms": Ms(0)}, ">ERR T!"),
    (OrderState.TIMEOUT, "absence_proven", OUT_OF_TRIES, ">REJ Pj"),
    (OrderState.TIMEOUT, "absence_proven", {"halted": True}, ">REJ Pj"),
    (OrderState.TIMEOUT, "absence_proven", {"wish_cancel": True}, ">REJ YPj"),
    (OrderState.ACKNOWLEDGED, "absence_proven", {"misses": 4, "missing_ms": Ms(0)}, ">ERR T!"),
    (OrderState.ACKNOWLEDGED, "query_due", {"misses": 1}, "Q"),
    (OrderState.PARTIAL_FILL, "absence_proven", {"misses": 4, "missing_ms": Ms(0)}, ">ERR T!"),
    (OrderState.ACKNOWLEDGED, "amend_asked", {"wish_cancel": True, "pending": CANCEL_SENT}, "N"),
    (OrderState.FILLED, "absence_proven", {"ledger": Ledger(watermark=Decimal(1))}, "T"),
    (OrderState.FILLED, "query_due", {"ledger": Ledger(watermark=Decimal(1))}, "Q"),
    (OrderState.REJECTED, "accepted", {"view": REJECTED_VIEW}, "."),
    (OrderState.ERROR, "absence_proven", {"view": SHOWN}, "T"),
    (OrderState.ERROR, "absence_proven", {"order_id": ORDER_ID}, "T"),
    *(
        (OrderState.CLOSED, fact, {"settled_from": OrderState.CANCELLED}, f">CAN {F}Pf{'!' * len(F)}")
        for fact, F in WOKEN.items()
    ),
    *(
        (OrderState.CLOSED, fact, {"settled_from": OrderState.REJECTED, "view": None}, f">REJ {F}Qf!")
        for fact, F in WOKEN.items()
    ),
]

_EFFECTS = {
    SendCreate: "C",
    WithdrawCreate: "W",
    SendCancel: "X",
    SendAmend: "A",
    QueryOrder: "Q",
    Account: "F",
    ConfirmPosition: "P",
    FreezeSymbol: "Z",
}
_EVENTS = {
    EventType.ORDER_UNKNOWN: "u",
    EventType.ORDER_PLACED: "p",
    EventType.ORDER_FILLED: "f",
    EventType.ORDER_CANCELLED: "c",
    EventType.ORDER_REJECTED: "j",
    EventType.RISK_BLOCKED: "d",
    EventType.ORDER_REQUEST: "o",
    EventType.ORDER_SETTLED: "s",
    EventType.ORDER_CANCEL_REQUESTED: "x",
    EventType.ORDER_AMEND_REQUESTED: "a",
    EventType.ORDER_AMENDED: "m",
    EventType.STATUS: "i",
    EventType.ERROR: "!",
}


@define
class Forced:
    """Takes this cell of the chart whatever the fact is, and remembers the row that was taken."""

    fact: str
    engine: Any = TABLE
    taken: Edge | None = None

    def step(self, step: Any, state: str, fact: str, /) -> str:
        for edge in TABLE.cell(state, self.fact):
            if all(getattr(step, name)() is wanted for name, wanted in edge.guards):
                self.taken = edge
                break
        return self.engine.step(step, state, self.fact)


def letter_of(effect: object) -> str:
    match effect:
        case StartTimer():
            return "R" if effect.timer is Timer.RETRY else "T"
        case Decide():
            return "Y" if effect.taken else "N"
        case _:
            return _EFFECTS[type(effect)]


def text_of(result: Applied) -> str:
    """A result as a cell tells it."""
    move = "" if result.before is result.order.state else f">{result.order.state[:3]} "
    letters = [letter_of(effect) for effect in result.effects] + [_EVENTS[event.type] for event in result.events]
    return (move + "".join(letters)).strip() or "."


def cell_text(state: OrderState, fact: str, **changes: Any) -> str:
    """What the cell does, by both engines alike."""
    texts = set()
    for engine in (TABLE, INTERPRETED):
        made = in_state(state, **{**KNOWN.get(fact, {}), **changes})
        made.engine = Forced(fact, engine)
        before = made.order
        try:
            texts.add(text_of(made.take(FACT_OF[fact], after_ms=1)))
        except IllegalTransition:
            assert before is made.order
            texts.add("-")
    assert 1 == len(texts), f"the engines disagree: {texts}"
    return texts.pop()


def cells_of(text: str) -> Mapping[tuple[OrderState, str], str]:
    head, *lines = [[cell.strip() for cell in line.split("|")] for line in text.strip("\n").splitlines()]
    by_prefix = {state[:3]: state for state in OrderState}
    return {
        (by_prefix[column], line[0]): cell for line in lines for column, cell in zip(head[1:], line[1:], strict=True)
    }


@pytest.mark.parametrize("state,fact,expected", [(*key, cell) for key, cell in cells_of(CELLS).items()])
def test_cell(state, fact, expected):
    assert expected == cell_text(state, fact)


@pytest.mark.parametrize("state, fact, changes, expected", BRANCHES)
def test_other_row_of_a_cell(state, fact, changes, expected):
    assert expected == cell_text(state, fact, **changes)


def test_resolved_as_rejected_is_rejected_only_where_nothing_was_executed():
    rejected = Resolved(verdict="rejected", who="ann", why="support said so")
    untouched, touched = in_state(OrderState.ERROR), in_state(OrderState.ERROR)
    touched.take(executed("e1", "0.1"))
    assert ">REJ Pj" == text_of(untouched.take(rejected))
    assert ">CAN Pc" == text_of(touched.take(rejected))
    assert "resolved as rejected by ann: support said so" == untouched.order.reason


def test_table_names_exactly_the_machines_states_and_facts():
    cells = cells_of(CELLS)
    assert {state.value for state, _ in cells} | {"DENIED"} == set(TABLE.states)
    assert {fact for _, fact in cells} == set(TABLE.facts)
    assert set(TABLE.states) == {state.value for state in OrderState} == set(STATES)
    assert set(TABLE.facts) == set(FACTS) == set(CHECKS) == set(FACT_OF)
    assert len(cells) == (len(TABLE.states) - 1) * len(TABLE.facts)
    assert "PENDING" == TABLE.initial
    assert frozenset({"DENIED"}) == TABLE.final_states


def test_undeclared_cells_are_exactly_those_that_cannot_happen():
    cells = cells_of(CELLS)
    undeclared = {(state, fact) for (state, fact) in cells if not TABLE.cell(state, fact)}
    assert {key for key, cell in cells.items() if cell == "-"} == undeclared
    assert all(not TABLE.cell("DENIED", fact) for fact in TABLE.facts)


def test_every_row_of_the_chart_was_taken_by_a_cell_above():
    taken = set()
    rejected = Resolved(verdict="rejected", who="ann", why="support said so")
    cases = [(state, fact, {}, FACT_OF[fact]) for state, fact in cells_of(CELLS)]
    cases += [(state, fact, changes, FACT_OF[fact]) for state, fact, changes, _ in BRANCHES]
    cases.append((OrderState.ERROR, "resolved", {}, rejected))
    for state, fact, changes, value in cases:
        made = in_state(state, **{**KNOWN.get(fact, {}), **changes})
        forced = Forced(fact)
        made.engine = forced
        if TABLE.cell(state, fact):
            made.take(value, after_ms=1)
            taken.add(forced.taken)
    assert set() == set(TABLE.edges) - taken


def test_no_action_or_guard_is_named_as_a_fact_or_state():
    # python-statemachine would take such a name for the event of that name, and send it for ever.
    names = {name for edge in TABLE.edges for name in (*edge.actions, *(guard for guard, _ in edge.guards))}
    assert set() == names & {*TABLE.facts, *TABLE.states}


@pytest.mark.parametrize("fact", [Denied(reason=DenyReason.HALTED), Settled(seq=1)])
def test_fact_that_cannot_happen_raises_and_changes_nothing(fact):
    made = in_state(OrderState.ACKNOWLEDGED)
    before = made.order
    if isinstance(fact, Settled):
        made.engine = Forced("settled")
    with pytest.raises(IllegalTransition, match="no cell for"):
        made.take(fact)
    assert (before, [], []) == (made.order, made.effects, made.events)


DENIED_CELLS: list[tuple[Fact, str]] = [
    (CancelAsked(), "N"),
    (FACT_OF["amend_asked"], "N"),
    (FACT_OF["resolved"], "N"),
    (Halted(halted=True), "."),
    (QueryDue(), "."),
    (RetryDue(), "."),
    (EMPTY, "."),
    (Restarted(), "."),
    (NEW, "!"),
    (ACCEPTED, "!"),
    (FACT_OF["duplicate"], "!"),
    (FACT_OF["broken"], "!"),
    # The order is not ours, yet the fill moved our position.
    (PART, "Fpf!"),
    (evolve(PART, execution=evolve(PART.execution, exec_type=ExecType.FUNDING)), "F"),
    (Denied(reason=DenyReason.HALTED), "-"),
    (SENT, "-"),
    (UNKNOWN, "-"),
    (REFUSED, "-"),
    (FACT_OF["not_sent"], "-"),
    (FACT_OF["not_executed"], "-"),
    (FACT_OF["command_accepted"], "-"),
    (FACT_OF["command_failed"], "-"),
    (Settled(seq=-1), "-"),
]


@pytest.mark.parametrize("fact, expected", DENIED_CELLS)
def test_denied_order_alarms_on_evidence_and_denies_commands(fact, expected):
    made = in_state(OrderState.DENIED)
    before = made.order
    try:
        assert expected == text_of(made.take(fact))
    except IllegalTransition:
        assert "-" == expected
        assert before is made.order
    assert OrderState.DENIED is made.state


@pytest.mark.parametrize(
    "facts,name",
    [
        ([CancelAsked(), FACT_OF["amend_asked"], FACT_OF["resolved"]], "command_denied"),
        ([PART, NEW, ACCEPTED, FACT_OF["duplicate"], FACT_OF["broken"]], "contradiction"),
        ([Halted(halted=True), QueryDue(), RetryDue(), EMPTY, Restarted()], "answered_before"),
    ],
)
def test_fact_about_a_denied_order_is_named_in_the_journal(facts, name):
    assert {name} == {in_state(OrderState.DENIED).take(fact).fact for fact in facts}


def test_denied_column_names_every_kind_of_fact():
    assert set(Fact.__args__) == {type(fact) for fact, _ in DENIED_CELLS}


def test_second_delivery_of_a_fill_to_a_denied_order_is_a_no_op():
    made = in_state(OrderState.DENIED)
    made.take(PART)
    assert "." == text_of(made.take(PART))


# Which name of the chart a fact gets.

NAMES: list[tuple[OrderState, dict[str, Any], Fact, str]] = [
    (OrderState.PENDING, {}, SENT, "sent"),
    (OrderState.PENDING, {"halted": True}, SENT, "denied"),
    (OrderState.PENDING, {}, RetryDue(), "retry_due"),
    (OrderState.PENDING, {"halted": True}, RetryDue(), "denied"),
    (OrderState.TIMEOUT, {"halted": True}, RetryDue(), "retry_due"),
    (OrderState.SUBMITTED, {"tries": 2}, UNKNOWN, "answered_before"),
    (OrderState.SUBMITTED, {"tries": 2}, REFUSED, "answered_before"),
    (OrderState.SUBMITTED, {"tries": 2}, FACT_OF["not_sent"], "answered_before"),
    (OrderState.SUBMITTED, {"tries": 2}, FACT_OF["not_executed"], "answered_before"),
    # An acceptance or a duplicate proves that the order exists, whichever attempt it answers.
    (OrderState.SUBMITTED, {"tries": 2}, ACCEPTED, "accepted"),
    (OrderState.SUBMITTED, {"tries": 2}, FACT_OF["duplicate"], "duplicate"),
    # What was there before our only create, and is of another size, is not ours.
    (OrderState.ACKNOWLEDGED, {"first_qty": Decimal(2)}, FACT_OF["duplicate"], "broken"),
    (OrderState.ACKNOWLEDGED, {"known_qty": Decimal(2), "tries": 2}, FACT_OF["duplicate"], "duplicate"),
    (OrderState.SUBMITTED, {}, NEW, "shows_open"),
    (OrderState.SUBMITTED, {}, shown(OrderStatus.CREATED), "shows_open"),
    (OrderState.SUBMITTED, {}, shown(OrderStatus.UNTRIGGERED), "shows_open"),
    (OrderState.SUBMITTED, {}, shown(OrderStatus.TRIGGERED), "shows_open"),
    (OrderState.SUBMITTED, {}, shown(OrderStatus.PENDING_CANCEL), "shows_open"),
    (OrderState.SUBMITTED, {}, shown(OrderStatus.PARTIALLY_FILLED, "0.1"), "shows_partly"),
    (OrderState.SUBMITTED, {}, shown(OrderStatus.FILLED, "1"), "shows_filled"),
    (OrderState.SUBMITTED, {}, shown(OrderStatus.CANCELLED), "shows_cancelled"),
    (OrderState.SUBMITTED, {}, shown(OrderStatus.PARTIALLY_FILLED_CANCELED, "0.1"), "shows_cancelled"),
    (OrderState.SUBMITTED, {}, shown(OrderStatus.DEACTIVATED), "shows_cancelled"),
    (OrderState.SUBMITTED, {}, shown(OrderStatus.REJECTED), "shows_rejected"),
    (OrderState.SUBMITTED, {}, shown(OrderStatus.REJECTED, "0.1"), "shows_rejected_part"),
    (OrderState.SUBMITTED, {}, shown(OrderStatus.REJECTED, reject_reason="EC_CancelForNoFullFill"), "shows_cancelled"),
    (OrderState.ACKNOWLEDGED, {}, shown(OrderStatus.NEW, at=9), "shows_stale"),
    (OrderState.SUBMITTED, {}, shown(OrderStatus.NEW, side=Side.SELL), "broken"),
    (OrderState.ACKNOWLEDGED, {}, executed("e1", "0.4"), "executed_part"),
    (OrderState.ACKNOWLEDGED, {}, executed("e1", "1"), "executed_full"),
    (OrderState.ACKNOWLEDGED, {}, executed("e1", "1.1"), "executed_over"),
    (OrderState.PARTIAL_FILL, {}, PART, "executed_known"),
    (OrderState.ACKNOWLEDGED, {}, executed("e1", "1", side=Side.SELL), "broken"),
    (OrderState.FILLED, {}, Settled(seq=30), "settled"),
    (OrderState.FILLED, {}, Settled(seq=29), "settled_stale"),
    (OrderState.TIMEOUT, {}, LOOK_FAILED, "query_failed"),
    (OrderState.TIMEOUT, {}, FOUND, "looked_up"),
    (OrderState.TIMEOUT, {}, EMPTY, "nothing_found"),
    (OrderState.TIMEOUT, {"attempts": 0}, EMPTY, "absence_proven"),
    (OrderState.TIMEOUT, {}, Restarted(), "restarted"),
    (OrderState.TIMEOUT, {}, QueryDue(), "query_due"),
    (OrderState.TIMEOUT, {}, CancelAsked(), "cancel_asked"),
    (OrderState.TIMEOUT, {}, FACT_OF["amend_asked"], "amend_asked"),
    (OrderState.TIMEOUT, {}, FACT_OF["command_accepted"], "command_accepted"),
    (OrderState.TIMEOUT, {}, FACT_OF["command_failed"], "command_failed"),
    (OrderState.TIMEOUT, {}, FACT_OF["resolved"], "resolved"),
    (OrderState.TIMEOUT, {}, FACT_OF["halted"], "halted"),
    (OrderState.TIMEOUT, {}, FACT_OF["broken"], "broken"),
]


@pytest.mark.parametrize("state, changes, fact, expected", NAMES)
def test_fact_is_named(state, changes, fact, expected):
    assert expected == in_state(state, **changes).take(fact, after_ms=1).fact


def test_every_status_of_the_exchange_has_a_name():
    assert set(OrderStatus) == {
        fact.row.status for _, _, fact, name in NAMES if isinstance(fact, Shown) and name.startswith("shows")
    }


def test_what_is_no_fact_is_refused_and_changes_nothing():
    made = in_state(OrderState.ACKNOWLEDGED)
    before = made.order
    with pytest.raises(AssertionError, match="unreachable"):
        made.take(object())
    assert before is made.order


def test_a_fact_leaves_the_record_it_was_given_untouched():
    made = in_state(OrderState.ACKNOWLEDGED)
    before, kept = made.order, evolve(made.order)
    made.take(PART, SHOWN_CANCELLED, CancelAsked())
    assert kept == before


def test_result_names_the_fact_and_the_state_it_found():
    result = in_state(OrderState.ACKNOWLEDGED).take(PART)
    assert ("executed_part", OrderState.ACKNOWLEDGED) == (result.fact, result.before)


# The stories, each from its first fact to its last.


def test_s01_phantom_reject_fills_are_applied_while_the_outcome_is_unknown():
    made = life(SENT, UNKNOWN, PART)
    assert (OrderState.PARTIAL_FILL, Decimal("0.4")) == (made.state, made.order.ledger.cum_exec_qty)
    made.take(RetryDue(), FULL, SHOWN_FILLED)
    assert (OrderState.FILLED, 1) == (made.state, made.wanted(SendCreate))


def test_s02_duplicate_reply_adopts_the_order():
    made = life(SENT, UNKNOWN, LOOK_FAILED)
    made.look(after_ms=POLICY.visibility_ms)
    made.look()
    made.take(RetryDue(), Duplicate(attempt=2, ret_code=110072), NEW, after_ms=250)
    assert (OrderState.ACKNOWLEDGED, ORDER_ID) == (made.state, made.order.order_id)
    assert (0, 1) == (made.told(EventType.ORDER_REJECTED), made.told(EventType.ORDER_PLACED))


def test_s03_unanswered_queries_never_end_an_order():
    made = life(SENT, UNKNOWN)
    for _ in range(50):
        made.take(LOOK_FAILED, QueryDue(), after_ms=30_000)
    assert (OrderState.TIMEOUT, 4) == (made.state, made.told(EventType.ERROR))
    made.take(executed("e1", "1"))
    assert OrderState.FILLED is made.state


@pytest.mark.parametrize("facts", list(itertools.permutations([ACCEPTED, PART, FULL, SHOWN_FILLED])))
def test_s04_fills_row_and_reply_end_alike_in_any_order(facts):
    made = life(SENT, *facts)
    assert (OrderState.FILLED, Decimal(1), ORDER_ID, Decimal(0)) == (
        made.state,
        made.order.ledger.cum_exec_qty,
        made.order.order_id,
        made.order.gap,
    )
    assert (1, 2, 0) == (
        made.told(EventType.ORDER_PLACED),
        made.told(EventType.ORDER_FILLED),
        made.told(EventType.ERROR),
    )


LOST = shown(OrderStatus.FILLED, "1", at=35, cancel_type="CancelByUser", reject_reason="EC_OrigClOrdIDDoesNotExist")
RACE = [CommandAccepted(command=Command.CANCEL), executed("e1", "1", at=30), SHOWN_FILLED, LOST]


@pytest.mark.parametrize("facts", list(itertools.permutations(RACE)))
def test_s06_cancel_that_loses_fills_the_order_once_in_any_order(facts):
    made = life(SENT, NEW, CancelAsked(), *facts)
    assert (OrderState.FILLED, 1, 1, 0) == (
        made.state,
        made.told(EventType.ORDER_FILLED),
        made.wanted(SendCancel),
        made.told(EventType.ERROR),
    )


def test_s07_late_fill_after_cancelled_moves_quantity_and_nothing_else():
    made = life(SENT, NEW, PART, SHOWN_CANCELLED, Settled(seq=20))
    assert OrderState.CLOSED is made.state
    made.take(executed("e9", "0.1", at=50))
    assert (OrderState.CANCELLED, OrderState.CANCELLED, Decimal("0.5")) == (
        made.state,
        made.order.outcome,
        made.order.ledger.cum_exec_qty,
    )
    made.take(Settled(seq=50))
    assert (OrderState.CLOSED, 1) == (made.state, made.told(EventType.ORDER_CANCELLED))


def test_s08_cancelled_with_missing_executions_is_asked_until_they_add_up():
    made = life(SENT, NEW, SHOWN_CANCELLED)
    for _ in range(3):
        made.take(QueryDue(), after_ms=500)
        made.look(found=True)
    assert (OrderState.CANCELLED, 3, 0) == (made.state, made.wanted(QueryOrder), made.wanted(ConfirmPosition))
    made.take(PART, Settled(seq=20))
    assert OrderState.CLOSED is made.state


def test_s09_rejected_after_fills_is_cancelled_with_fills():
    made = life(SENT, NEW, PART, shown(OrderStatus.REJECTED, "0.4", at=50, reject_reason="EC_NoEnoughQtyToFill"))
    assert (OrderState.CANCELLED, "EC_NoEnoughQtyToFill", 0) == (
        made.state,
        made.order.reason,
        made.told(EventType.ORDER_REJECTED),
    )


TWO = Decimal(2)
AMENDED = [
    executed("e1", "0.6", at=40, order_qty=Decimal(1)),
    shown(OrderStatus.PARTIALLY_FILLED, "0.6", at=41),
    shown(OrderStatus.PARTIALLY_FILLED, "0.6", at=50, qty=TWO),
    CommandFailed(command=Command.AMEND, why="110079 order is being processed"),
]


@pytest.mark.parametrize("facts", list(itertools.permutations(AMENDED)))
def test_s10_amend_is_applied_from_the_row_alone_in_any_order(facts):
    made = life(SENT, NEW, AmendAsked(amend=Amend(qty=TWO)), *facts)
    assert (OrderState.PARTIAL_FILL, TWO, Decimal("0.6"), 0) == (
        made.state,
        made.order.qty,
        made.order.ledger.cum_exec_qty,
        made.told(EventType.ERROR),
    )
    assert [True] == [effect.taken for effect in made.effects if isinstance(effect, Decide)]


def test_s15_overfill_is_accepted_and_freezes_the_symbol():
    made = life(SENT, NEW, PART, executed("e2", "0.7", at=30))
    assert (OrderState.FILLED, Decimal("1.1"), 1) == (
        made.state,
        made.order.ledger.cum_exec_qty,
        made.wanted(FreezeSymbol),
    )


def test_s23_restart_sends_nothing_and_a_second_one_tells_nothing_new():
    made = life(SENT, NEW, PART)
    made.effects.clear()
    made.events.clear()
    for _ in range(2):
        made.take(Restarted(), after_ms=1000)
        made.take(answered(OrderStatus.PARTIALLY_FILLED, "0.4", at=21, asked_ms=made.now_ms), PART)
        made.look(found=True)
    assert ([], {QueryOrder}) == (made.events, {type(effect) for effect in made.effects})


# Both engines over long walks.


def any_fact(rng: random.Random, made: Life) -> Fact:
    """A fact that could come next, true or not."""
    order, now_ms = made.order, made.now_ms
    attempt = max(order.tries - (rng.random() < 0.1), 0)
    total = order.ledger.cum_exec_qty
    kind = rng.randrange(22)
    match kind:
        case 0:
            return Sent() if order.tries == 0 else RetryDue()
        case 1:
            return rng.choice([NotSent(attempt=attempt, why="x"), NotExecuted(attempt=attempt, why="x")])
        case 2:
            return rng.choice([Accepted(attempt=attempt, order_id=ORDER_ID), UNKNOWN, REFUSED])
        case 3:
            return Duplicate(attempt=attempt, ret_code=110072)
        case 4 | 5 | 6:
            return LookedUp(complete=rng.random() < 0.8, found=rng.random() < 0.2, started_ms=Ms(now_ms))
        case 7 | 8 | 9 | 10:
            cum = str(rng.choice([total, order.ledger.watermark, Decimal(rng.randrange(12)) / 10]))
            row = shown(
                rng.choice(list(OrderStatus)), cum, at=rng.randrange(now_ms), qty=Decimal(rng.choice([1, 1, 2]))
            )
            return evolve(row, asked_ms=rng.choice([None, Ms(now_ms)]))
        case 11 | 12 | 13:
            fee = rng.choice([None, Decimal("0.1")])
            qty = rng.choice(["0.1", "0.1", "0.3", "1"])
            at = rng.randrange(1, now_ms)
            return executed(f"e{rng.randrange(12)}", qty, at=at, exec_fee=fee, order_qty=rng.choice([None, Decimal(1)]))
        case 14:
            return CancelAsked()
        case 15:
            return AmendAsked(amend=Amend(qty=Decimal(rng.choice([1, 2]))))
        case 16:
            return CommandAccepted(command=rng.choice(list(Command)))
        case 17:
            return CommandFailed(command=rng.choice(list(Command)), why="x", retry_ms=rng.choice([0, 100]))
        case 18:
            return rng.choice([Restarted(), Halted(halted=rng.random() < 0.3)])
        case 19:
            return Settled(seq=rng.choice([order.ledger.last_seq, 3]))
        case 20:
            verdict = rng.choice(["cancelled", "rejected", "settled"])
            return rng.choice([QueryDue(), QueryDue(), Resolved(verdict=verdict, who="ann", why="x")])
        case _:
            return rng.choice([QueryDue(), RetryDue(), RetryDue(), Broken(why="x")])


class Failing(Step):
    __slots__ = ()

    def send_create(self) -> None:
        raise ZeroDivisionError


@pytest.mark.parametrize("engine", [compile_chart(OrderChart, Failing), INTERPRETED], ids=["flat", "interpreted"])
def test_error_of_an_action_reaches_whoever_gave_the_fact_and_moves_nothing(engine):
    step = Failing(life().order, SENT, Ms(1), POLICY, 0.5)
    with pytest.raises(ZeroDivisionError):
        engine.step(step, "PENDING", "sent")
    assert step.chart_state in {None, "PENDING"}


def test_jitter_that_nobody_drew_is_half_of_its_range():
    order = in_state(OrderState.TIMEOUT).order
    assert apply(order, LOOK_FAILED, Ms(5), POLICY, unit=0.5) == apply(order, LOOK_FAILED, Ms(5), POLICY)


def test_what_broke_is_the_reason_of_the_quarantine():
    assert "a handler crashed" == life(SENT, Broken(why="a handler crashed")).order.reason


@pytest.mark.parametrize("seed", range(8))
def test_both_engines_agree_over_long_walks(seed):
    rng = random.Random(seed)
    visited = set()
    for _ in range(3):
        flat = Life(unit=rng.random())
        judge = Life(unit=flat.unit, engine=INTERPRETED)
        for _ in range(20):
            fact, after_ms = any_fact(rng, flat), rng.choice([0, 1, 300, 5000, 20_000])
            results = []
            for made in (flat, judge):
                try:
                    results.append(made.take(fact, after_ms=after_ms))
                except IllegalTransition:
                    results.append(None)
            assert results[0] == results[1]
            assert flat.order == judge.order
            visited.add(flat.state)
    assert len(visited) >= 4
