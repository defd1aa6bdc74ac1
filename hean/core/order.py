"""
The order machine: every transition of an order's life is in this file.

Rules:

- only evidence moves an order: a row of the exchange or an execution. A reply to create, amend or cancel says "accepted
  for processing"; a time-out, an error or an absence is a hint that starts a query;
- quantity comes from executions alone, by exec_id, once. A row gives the status and the watermark; a gap between the
  two is queried until it is zero;
- nothing is sent twice before proof;
- the table is total: every cell of (state, fact) is declared, but for those that cannot happen by construction, which
  raise `IllegalTransition` and change nothing;
- a fact goes in with `now`, a new `Order`, effects and events come out. Nothing is performed here.

To change a transition: its line in `OrderChart`. To add a fact: its class in `core/facts.py`, its line in `OrderChart`,
its case in `_name_of`, its sentences in `core/order_words.py`. What guards ask and actions do is in `core/step.py` and
the files that it names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol, assert_never

from attrs import frozen
from statemachine import State, StateChart

from hean.core.chart import compile_chart, stay
from hean.core.facts import (
    Accepted,
    AmendAsked,
    Broken,
    CancelAsked,
    CommandAccepted,
    CommandFailed,
    Denied,
    Duplicate,
    Effect,
    Executed,
    Fact,
    Halted,
    LookedUp,
    NotExecuted,
    NotSent,
    OutcomeUnknown,
    QueryDue,
    Refused,
    Resolved,
    Restarted,
    RetryDue,
    Sent,
    Settled,
    Shown,
)
from hean.core.record import Order, OrderPolicy
from hean.core.step import Step
from hean.core.types import Event, Ms, OrderState, OrderStatus
from hean.errors import IllegalTransition


class OrderChart(StateChart["Step"]):
    """The life-cycle, one line per fact. An odd edge has its reason on the line above."""

    allow_event_without_transition = False
    catch_errors_as_events = False
    enable_self_transition_entries = False
    atomic_configuration_update = True
    # Only DENIED is declared final: python-statemachine refuses any edge on a final state, and a late fill must still
    # find CLOSED awake.
    validate_final_reachability = False

    PENDING = State(initial=True, value="PENDING")
    SUBMITTED = State(value="SUBMITTED")
    TIMEOUT = State(value="TIMEOUT")
    ACKNOWLEDGED = State(value="ACKNOWLEDGED")
    PARTIAL_FILL = State(value="PARTIAL_FILL")
    FILLED = State(value="FILLED")
    CANCELLED = State(value="CANCELLED")
    REJECTED = State(value="REJECTED")
    DENIED = State(value="DENIED", final=True)
    ERROR = State(value="ERROR")
    CLOSED = State(value="CLOSED")

    # What we do and what the gateway tells of it.
    denied = (
        PENDING.to(DENIED, unless="attempted", on="deny")
        | PENDING.to(REJECTED, cond="cleared", on="reject_not_placed")
        # That a code says "refused before matching" is for some codes our reading of it: enough to try again under the
        # same ID, not to tell a strategy that nothing was placed.
        | PENDING.to(TIMEOUT, on=["not_proven", "query"])
    )
    sent = PENDING.to(SUBMITTED, on="send_create") | stay(
        SUBMITTED, TIMEOUT, ACKNOWLEDGED, PARTIAL_FILL, FILLED, CANCELLED, REJECTED, ERROR, CLOSED, on="alarm"
    )
    not_sent = (
        SUBMITTED.to(PENDING, cond="may_resend", on=["take_back", "schedule_retry"])
        | SUBMITTED.to(DENIED, cond="only_attempt", on=["take_back", "deny_unsent"])
        # This attempt never left; an earlier one did, and all that is known of it may be one early look-up.
        | SUBMITTED.to(TIMEOUT, on=["take_back", "not_proven", "query"])
        | stay(PENDING, TIMEOUT)
        | stay(ACKNOWLEDGED, PARTIAL_FILL, FILLED, CANCELLED, REJECTED, ERROR, CLOSED, on="alarm")
    )
    retry_due = (
        PENDING.to(SUBMITTED, cond="cleared", on="send_create")
        # An earlier attempt was made: one look-up by link ID precedes the re-send.
        | stay(PENDING, TIMEOUT, on="query")
        | stay(SUBMITTED, ACKNOWLEDGED, PARTIAL_FILL, FILLED, CANCELLED, REJECTED, ERROR, CLOSED)
    )
    restarted = (
        PENDING.to(TIMEOUT, on=["forget_flight", "unknown_alarm", "query"])
        | SUBMITTED.to(TIMEOUT, on=["forget_flight", "unknown_alarm", "query"])
        | stay(TIMEOUT, ACKNOWLEDGED, PARTIAL_FILL, FILLED, CANCELLED, REJECTED, ERROR, on=["forget_flight", "query"])
        | stay(CLOSED)
    )

    # Replies to create.
    accepted = (
        PENDING.to(TIMEOUT, on=["bind", "unknown_alarm", "query"])
        | stay(SUBMITTED, on=["bind", "expect_row"])
        | stay(TIMEOUT, on=["bind", "query"])
        # `retCode 0` after a Rejected row is the normal asynchronous no; without such a row it contradicts us.
        | stay(REJECTED, cond="exchange_rejected", on="bind")
        | stay(REJECTED, on=["bind", "alarm", "query"])
        | stay(ACKNOWLEDGED, PARTIAL_FILL, FILLED, CANCELLED, ERROR, CLOSED, on="bind")
    )
    refused = (
        SUBMITTED.to(REJECTED, on="reject")
        | TIMEOUT.to(REJECTED, cond="answers_only_attempt", on="reject")
        | stay(TIMEOUT, ERROR, on="query")
        | stay(ACKNOWLEDGED, PARTIAL_FILL, FILLED, on=["alarm", "query"])
        | stay(PENDING, CANCELLED, REJECTED, CLOSED)
    )
    not_executed = (
        SUBMITTED.to(PENDING, on="schedule_retry")
        | stay(TIMEOUT, ERROR, on="query")
        | stay(PENDING, ACKNOWLEDGED, PARTIAL_FILL, FILLED, CANCELLED, REJECTED, CLOSED)
    )
    unknown = (
        SUBMITTED.to(TIMEOUT, on=["unknown_alarm", "query"])
        | stay(TIMEOUT, on="query")
        | stay(PENDING, ACKNOWLEDGED, PARTIAL_FILL, FILLED, CANCELLED, REJECTED, ERROR, CLOSED)
    )
    duplicate = (
        PENDING.to(TIMEOUT, on=["doubt", "unknown_alarm", "query"])
        | SUBMITTED.to(TIMEOUT, on=["doubt", "unknown_alarm", "query"])
        | stay(TIMEOUT, on=["doubt", "query"])
        | stay(REJECTED, on=["alarm", "query"])
        | stay(ERROR, on="query")
        | stay(ACKNOWLEDGED, PARTIAL_FILL, FILLED, CANCELLED, CLOSED)
    )

    # A reply to an earlier attempt says nothing about this one.
    answered_before = stay(
        PENDING, SUBMITTED, TIMEOUT, ACKNOWLEDGED, PARTIAL_FILL, FILLED, CANCELLED, REJECTED, ERROR, CLOSED
    )

    # Looking up.
    query_due = stay(
        PENDING, SUBMITTED, TIMEOUT, ACKNOWLEDGED, PARTIAL_FILL, FILLED, CANCELLED, REJECTED, ERROR, CLOSED,
        on="query_if_unresolved",
    )  # fmt: skip
    query_failed = stay(CLOSED) | stay(
        PENDING, SUBMITTED, TIMEOUT, ACKNOWLEDGED, PARTIAL_FILL, FILLED, CANCELLED, REJECTED, ERROR, on="back_off"
    )
    looked_up = stay(
        PENDING, SUBMITTED, TIMEOUT, ACKNOWLEDGED, PARTIAL_FILL, FILLED, CANCELLED, REJECTED, ERROR, CLOSED,
        on="back_off_if_unresolved",
    )  # fmt: skip
    nothing_found = (
        # The look-up that precedes a re-send came back empty, after a refusal before matching: should that have been
        # none, the same ID keeps a second order out. One that nobody waits for sends nothing.
        stay(PENDING, cond="cleared")
        | PENDING.to(SUBMITTED, cond="may_send", on="send_create")
        # Not sent again, so the ID protects nobody: one look-up, however early, is no proof.
        | PENDING.to(TIMEOUT, on=["not_proven", "back_off"])
        | stay(CLOSED)
        | stay(SUBMITTED, TIMEOUT, ACKNOWLEDGED, PARTIAL_FILL, FILLED, CANCELLED, REJECTED, ERROR, on="back_off")
    )
    absence_proven = (
        # The exchange accepted it, or called it a duplicate: absence contradicts that, and proves nothing. It is asked
        # again, ever more slowly, and alarmed; a person may decide once it is in ERROR.
        TIMEOUT.to(ERROR, cond=["claimed", "missed_again"], on=["vanished", "back_off"])
        | stay(TIMEOUT, cond="claimed", on="back_off")
        | TIMEOUT.to(PENDING, cond="may_resend", on=["clear", "schedule_retry"])
        | TIMEOUT.to(REJECTED, on="reject_not_placed")
        | SUBMITTED.to(ERROR, cond="missed_again", on=["vanished", "back_off"])
        | stay(SUBMITTED, on="back_off")
        | ACKNOWLEDGED.to(ERROR, cond="missed_again", on=["vanished", "back_off"])
        | PARTIAL_FILL.to(ERROR, cond="missed_again", on=["vanished", "back_off"])
        | stay(ACKNOWLEDGED, PARTIAL_FILL, on="back_off")
        | ERROR.to(REJECTED, cond="never_seen", on="reject_not_placed")
        | stay(ERROR, on="back_off")
        # Aged out of the exchange's memory, or not there yet: a gap stays open, and is asked for ever more slowly.
        | stay(FILLED, CANCELLED, REJECTED, on="back_off_if_unresolved")
        | stay(CLOSED)
    )

    # Rows of the exchange, past the monotonic guard.
    shows_open = (
        PENDING.to(ACKNOWLEDGED)
        | SUBMITTED.to(ACKNOWLEDGED)
        | TIMEOUT.to(ACKNOWLEDGED)
        | stay(ACKNOWLEDGED, PARTIAL_FILL, FILLED, CANCELLED, CLOSED)
        | stay(REJECTED, on=["alarm", "query"])
        | stay(ERROR, on="query_later")
    )
    shows_partly = (
        PENDING.to(PARTIAL_FILL)
        | SUBMITTED.to(PARTIAL_FILL)
        | TIMEOUT.to(PARTIAL_FILL)
        | ACKNOWLEDGED.to(PARTIAL_FILL)
        | stay(PARTIAL_FILL, FILLED, CANCELLED, CLOSED)
        | stay(REJECTED, on=["alarm", "query"])
        | stay(ERROR, on="query_later")
    )
    shows_filled = (
        PENDING.to(FILLED)
        | SUBMITTED.to(FILLED)
        | TIMEOUT.to(FILLED)
        | ACKNOWLEDGED.to(FILLED)
        | PARTIAL_FILL.to(FILLED)
        | ERROR.to(FILLED)
        # A second Filled row is our cancel that lost the race: filled once.
        | stay(FILLED, CLOSED)
        | stay(CANCELLED, REJECTED, on=["alarm", "query"])
    )
    shows_cancelled = (
        PENDING.to(CANCELLED, on="cancelled")
        | SUBMITTED.to(CANCELLED, on="cancelled")
        | TIMEOUT.to(CANCELLED, on="cancelled")
        | ACKNOWLEDGED.to(CANCELLED, on="cancelled")
        | PARTIAL_FILL.to(CANCELLED, on="cancelled")
        | ERROR.to(CANCELLED, on="cancelled")
        | stay(FILLED, on=["alarm", "query"])
        | stay(CANCELLED, REJECTED, CLOSED)
    )
    shows_rejected = (
        PENDING.to(REJECTED, on="rejected_by_row")
        | SUBMITTED.to(REJECTED, on="rejected_by_row")
        | TIMEOUT.to(REJECTED, on="rejected_by_row")
        | ACKNOWLEDGED.to(REJECTED, on="rejected_by_row")
        | ERROR.to(REJECTED, on="rejected_by_row")
        | stay(PARTIAL_FILL, FILLED, on=["alarm", "query"])
        | stay(CANCELLED, REJECTED, CLOSED)
    )
    # Spot says Rejected of an order that traded: it is a cancel with fills, and the fills are ours.
    shows_rejected_part = (
        PENDING.to(CANCELLED, on="cancelled")
        | SUBMITTED.to(CANCELLED, on="cancelled")
        | TIMEOUT.to(CANCELLED, on="cancelled")
        | ACKNOWLEDGED.to(CANCELLED, on="cancelled")
        | PARTIAL_FILL.to(CANCELLED, on="cancelled")
        | ERROR.to(CANCELLED, on="cancelled")
        | stay(FILLED, REJECTED, on=["alarm", "query"])
        | stay(CANCELLED, CLOSED)
    )
    # A row that goes back in quantity, status or time: recorded, and nothing else.
    shows_stale = stay(
        PENDING, SUBMITTED, TIMEOUT, ACKNOWLEDGED, PARTIAL_FILL, FILLED, CANCELLED, REJECTED, ERROR, CLOSED
    )

    # Executions; the ledger has them already when the life-cycle is asked.
    executed_part = (
        PENDING.to(PARTIAL_FILL)
        | SUBMITTED.to(PARTIAL_FILL)
        | TIMEOUT.to(PARTIAL_FILL)
        | ACKNOWLEDGED.to(PARTIAL_FILL)
        | CLOSED.to(FILLED, cond="settled_filled")
        | CLOSED.to(CANCELLED, cond="settled_cancelled")
        | CLOSED.to(REJECTED, on=["alarm", "query"])
        | stay(PARTIAL_FILL, FILLED, CANCELLED, ERROR)
        | stay(REJECTED, on=["alarm", "query"])
    )
    executed_full = (
        PENDING.to(FILLED)
        | SUBMITTED.to(FILLED)
        | TIMEOUT.to(FILLED)
        | ACKNOWLEDGED.to(FILLED)
        | PARTIAL_FILL.to(FILLED)
        | CLOSED.to(FILLED, cond="settled_filled")
        | CLOSED.to(CANCELLED, cond="settled_cancelled")
        | CLOSED.to(REJECTED, on=["alarm", "query"])
        | stay(FILLED, CANCELLED, ERROR)
        | stay(REJECTED, on=["alarm", "query"])
    )
    executed_over = (
        PENDING.to(FILLED, on="overfilled")
        | SUBMITTED.to(FILLED, on="overfilled")
        | TIMEOUT.to(FILLED, on="overfilled")
        | ACKNOWLEDGED.to(FILLED, on="overfilled")
        | PARTIAL_FILL.to(FILLED, on="overfilled")
        | CLOSED.to(FILLED, cond="settled_filled", on="overfilled")
        | CLOSED.to(CANCELLED, cond="settled_cancelled", on="overfilled")
        | CLOSED.to(REJECTED, on=["overfilled", "query"])
        | stay(FILLED, CANCELLED, ERROR, on="overfilled")
        | stay(REJECTED, on=["overfilled", "query"])
    )
    executed_known = stay(
        PENDING, SUBMITTED, TIMEOUT, ACKNOWLEDGED, PARTIAL_FILL, FILLED, CANCELLED, REJECTED, ERROR, CLOSED
    )

    # Commands and what comes of them.
    cancel_asked = (
        PENDING.to(DENIED, unless="attempted", on="deny_cancelled")
        | PENDING.to(REJECTED, cond="cleared", on=["note_wish", "reject_not_placed"])
        | PENDING.to(TIMEOUT, on=["wish_cancel", "not_proven", "query"])
        | stay(SUBMITTED, on=["wish_cancel", "withdraw"])
        | stay(TIMEOUT, on=["wish_cancel", "query"])
        | stay(ACKNOWLEDGED, PARTIAL_FILL, ERROR, on="wish_cancel")
        | stay(FILLED, CANCELLED, REJECTED, CLOSED, on="deny_command")
    )
    amend_asked = stay(SUBMITTED, ACKNOWLEDGED, PARTIAL_FILL, on="wish_amend") | stay(
        PENDING, TIMEOUT, FILLED, CANCELLED, REJECTED, ERROR, CLOSED, on="deny_command"
    )
    # "Taken for processing" may come to nothing as well: what is not seen in time is asked for.
    command_accepted = stay(SUBMITTED, TIMEOUT, ACKNOWLEDGED, PARTIAL_FILL, ERROR, on="take_command") | stay(
        PENDING, FILLED, CANCELLED, REJECTED, CLOSED
    )
    command_failed = (
        stay(SUBMITTED, TIMEOUT, ACKNOWLEDGED, PARTIAL_FILL, ERROR, on=["fail_command", "query"])
        # The end of the order has cleared what was out.
        | stay(PENDING, FILLED, CANCELLED, REJECTED, CLOSED)
    )
    halted = stay(
        PENDING, SUBMITTED, TIMEOUT, ACKNOWLEDGED, PARTIAL_FILL, FILLED, CANCELLED, REJECTED, ERROR, CLOSED,
        on="note_halt",
    )  # fmt: skip

    # The end, and what breaks.
    resolved = (
        ERROR.to(REJECTED, cond="resolved_rejected", on="resolve")
        | ERROR.to(CANCELLED, on="resolve")
        | stay(FILLED, CANCELLED, REJECTED, on="accept_gap")
        | stay(PENDING, SUBMITTED, TIMEOUT, ACKNOWLEDGED, PARTIAL_FILL, CLOSED, on="deny_command")
    )
    # Evidence ends ERROR, so it is asked for.
    broken = (
        PENDING.to(ERROR, on=["break_down", "back_off"])
        | SUBMITTED.to(ERROR, on=["break_down", "back_off"])
        | TIMEOUT.to(ERROR, on=["break_down", "back_off"])
        | ACKNOWLEDGED.to(ERROR, on=["break_down", "back_off"])
        | PARTIAL_FILL.to(ERROR, on=["break_down", "back_off"])
        | FILLED.to(ERROR, on=["break_down", "back_off"])
        | CANCELLED.to(ERROR, on=["break_down", "back_off"])
        | REJECTED.to(ERROR, on=["break_down", "back_off"])
        | CLOSED.to(ERROR, on=["break_down", "back_off"])
        | stay(ERROR)
    )
    # Anything that came between the question and this answer makes it an answer to another question.
    settled_stale = stay(
        PENDING, SUBMITTED, TIMEOUT, ACKNOWLEDGED, PARTIAL_FILL, FILLED, CANCELLED, REJECTED, ERROR, CLOSED
    )
    settled = FILLED.to(CLOSED, on="close") | CANCELLED.to(CLOSED, on="close") | REJECTED.to(CLOSED, on="close")


class Engine(Protocol):
    """Runs one fact through the chart: the flat table, or the chart itself."""

    def step(self, step: Any, state: str, fact: str, /) -> str: ...


TABLE: Final = compile_chart(OrderChart, Step)
"""The flat engine of `OrderChart`: what the actors run."""


@frozen(kw_only=True)
class Applied:
    """
    What one fact did.

    Attributes:
        order: the record after it.
        fact: the chart's name for it.
        before: the state it found.
        effects: to perform, in order, once the record is in the journal.
        events: to publish, in order, once the record is in the journal.
    """

    order: Order
    fact: str
    before: OrderState
    effects: tuple[Effect, ...]
    events: tuple[Event, ...]


def apply(
    order: Order, fact: Fact, now_ms: Ms, policy: OrderPolicy, *, unit: float = 0.5, engine: Engine = TABLE
) -> Applied:
    """
    Take one fact.

    Args:
        order: the record before it.
        fact: what happened.
        now_ms: our clock.
        policy: the figures to live by.
        unit: a random number of [0, 1), spent on the jitter of at most one timer.
        engine: the flat table, or `Interpreted(OrderChart)` to check it.

    Raises:
        IllegalTransition: the fact cannot happen in this state by construction. Nothing has changed.
    """
    step = Step(order, fact, now_ms, policy, unit)
    if order.state is OrderState.DENIED:
        name = _about_denied(step, fact)
    else:
        name = _name_of(step, fact)
        step.finish(_STATES[engine.step(step, order.state, name)])
    return Applied(
        order=step.order, fact=name, before=order.state, effects=tuple(step.effects), events=step.events_of(name)
    )


def _about_denied(step: Step, fact: Fact) -> str:
    # No attempt was ever made, so evidence about a denied order is somebody else's order under our ID.
    match fact:
        case CancelAsked() | AmendAsked() | Resolved():
            step.deny_command()
            return "command_denied"
        case Executed():
            # The order is not ours, its fill moved our position all the same.
            if step.take_execution(fact) != "executed_known":
                step.alarm()
            return "contradiction"
        case Shown() | Accepted() | Duplicate() | Broken():
            step.alarm()
            return "contradiction"
        case Halted() | QueryDue() | RetryDue() | LookedUp() | Restarted():
            return "answered_before"
        case _:
            raise IllegalTransition(
                f"order {step.order.request.order_link_id}: {fact!r} about a DENIED order, of which no attempt was made"
            )


def _name_of(step: Step, fact: Fact) -> str:
    """The chart's name for `fact`, once the record has taken in what is true of it in every state."""
    match fact:
        case Denied():
            return "denied"
        case Sent():
            return "sent" if step.may_start else "denied"
        case RetryDue():
            return "retry_due" if step.may_retry else "denied"
        case NotSent() | NotExecuted() | OutcomeUnknown() | Refused() if not step.answers_newest(fact.attempt):
            return "answered_before"
        case Accepted() | NotSent() | NotExecuted() | OutcomeUnknown() | Refused() | Duplicate():
            step.landed(fact.attempt)
            if isinstance(fact, Duplicate) and step.shown_otherwise():
                return "broken"
            return _REPLIES[type(fact)]
        case LookedUp():
            return step.looked_up(fact)
        case Shown():
            refusal = step.contradiction(fact.row)
            if refusal:
                step.why = refusal
                return "broken"
            if step.stale(fact):
                return "shows_stale"
            step.take_row(fact)
            if fact.row.status is OrderStatus.REJECTED:
                if step.matched_out(fact.row):
                    return "shows_cancelled"
                return "shows_rejected_part" if step.something_executed else "shows_rejected"
            return _SHOWS[fact.row.status]
        case Executed():
            return step.take_execution(fact)
        case Settled():
            return "settled" if step.settles(fact.seq) else "settled_stale"
        case Broken():
            step.why = fact.why
            return "broken"
        case (
            QueryDue()
            | Restarted()
            | CancelAsked()
            | AmendAsked()
            | CommandAccepted()
            | CommandFailed()
            | Resolved()
            | Halted()
        ):
            return _PLAIN[type(fact)]
    assert_never(fact)


# Enum's own look-up by value is two calls of Python.
_STATES: Final[Mapping[str, OrderState]] = {state.value: state for state in OrderState}
_REPLIES: Final[Mapping[type[Fact], str]] = {
    Accepted: "accepted",
    NotSent: "not_sent",
    NotExecuted: "not_executed",
    OutcomeUnknown: "unknown",
    Refused: "refused",
    Duplicate: "duplicate",
}
_PLAIN: Final[Mapping[type[Fact], str]] = {
    QueryDue: "query_due",
    Restarted: "restarted",
    CancelAsked: "cancel_asked",
    AmendAsked: "amend_asked",
    CommandAccepted: "command_accepted",
    CommandFailed: "command_failed",
    Resolved: "resolved",
    Halted: "halted",
}
_SHOWS: Final[Mapping[OrderStatus, str]] = {
    OrderStatus.CREATED: "shows_open",
    OrderStatus.NEW: "shows_open",
    OrderStatus.UNTRIGGERED: "shows_open",
    OrderStatus.TRIGGERED: "shows_open",
    OrderStatus.PENDING_CANCEL: "shows_open",
    OrderStatus.PARTIALLY_FILLED: "shows_partly",
    OrderStatus.FILLED: "shows_filled",
    OrderStatus.CANCELLED: "shows_cancelled",
    OrderStatus.PARTIALLY_FILLED_CANCELED: "shows_cancelled",
    OrderStatus.DEACTIVATED: "shows_cancelled",
}
