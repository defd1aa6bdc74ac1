"""Sending and sending again, settling, and a step by itself: what is proof for the next create."""

from __future__ import annotations

from decimal import Decimal

import pytest
from attrs import evolve

from hean.core.facts import (
    Broken,
    Command,
    ConfirmPosition,
    Denied,
    Halted,
    NotExecuted,
    NotSent,
    QueryDue,
    QueryOrder,
    Refused,
    Resolved,
    RetryDue,
    SendCancel,
    SendCreate,
    Settled,
    StartTimer,
    Timer,
    WithdrawCreate,
)
from hean.core.retry import RetryPolicy
from hean.core.step import Step
from hean.core.types import DenyReason, EventType, Ms, OrderState, OrderStatus
from tests.core.orders import (
    ACCEPTED,
    BLIND_MS,
    CANCEL,
    FULL,
    NEW,
    ORDER_ID,
    PART,
    POLICY,
    REFUSED,
    REQUEST,
    SENT,
    SHOWN_CANCELLED,
    SHOWN_FILLED,
    START_MS,
    UNKNOWN,
    Life,
    decisions,
    executed,
    in_state,
    last_event,
    life,
    shown,
)

# Sending, and sending again.


def test_create_leaves_with_its_expiry_and_its_intent_is_told():
    made = life(SENT)
    assert [
        SendCreate(request=REQUEST, attempt=1, expires_ms=Ms(START_MS + POLICY.max_age_ms)),
    ] == made.effects
    assert [(EventType.ORDER_REQUEST, "attempt 1")] == [(event.type, event.detail) for event in made.events]
    assert (1, 1, True, False) == (made.order.attempts, made.order.tries, made.order.in_flight, made.order.cleared)


@pytest.mark.parametrize("age_ms,state", [(299_999, OrderState.SUBMITTED), (300_000, OrderState.DENIED)])
def test_create_is_sent_only_while_younger_than_the_maximum_age(age_ms, state):
    made = Life()
    made.take(SENT, after_ms=age_ms)
    assert state is made.state


def test_order_that_is_too_old_says_how_old_and_what_was_allowed():
    made = Life()
    made.take(SENT, after_ms=300_000)
    assert DenyReason.TOO_OLD is made.order.deny_reason
    assert "300000 ms old, at most 300000 ms are allowed" == last_event(made).detail


def test_denial_keeps_the_reason_it_was_given():
    made = life(Denied(reason=DenyReason.OFF_TICK, detail="price 1.05, tick 0.1"))
    assert DenyReason.OFF_TICK is made.order.deny_reason
    event = last_event(made)
    assert (EventType.RISK_BLOCKED, "off_tick", "price 1.05, tick 0.1") == (event.type, event.reason, event.detail)
    assert "off_tick" == made.order.reason


def test_halted_order_is_denied_when_its_turn_comes():
    made = life(Halted(halted=True), SENT)
    assert (OrderState.DENIED, DenyReason.HALTED) == (made.state, made.order.deny_reason)
    assert 0 == made.wanted(SendCreate)


def test_resumed_order_is_sent():
    assert OrderState.SUBMITTED is life(Halted(halted=True), Halted(halted=False), SENT).state


def test_halt_takes_a_create_back_that_may_still_be_queued():
    made = life(SENT, Halted(halted=True))
    assert [WithdrawCreate(attempt=1)] == made.effects[1:]
    made.take(NotSent(attempt=1, why="withdrawn"))
    assert (OrderState.DENIED, DenyReason.HALTED) == (made.state, made.order.deny_reason)


def test_halt_after_the_reply_finds_nothing_to_take_back():
    assert 0 == life(SENT, ACCEPTED, Halted(halted=True)).wanted(WithdrawCreate)


def test_create_that_never_left_is_no_attempt_and_is_sent_again_without_a_look_up():
    made = life(SENT, NotSent(attempt=1, why="connection refused"))
    assert (OrderState.PENDING, 0, 1, True) == (made.state, made.order.attempts, made.order.tries, made.order.cleared)
    made.take(RetryDue(), after_ms=250)
    assert (OrderState.SUBMITTED, 0) == (made.state, made.wanted(QueryOrder))
    assert [1, 2] == [effect.attempt for effect in made.effects if isinstance(effect, SendCreate)]


def test_order_that_cannot_reach_the_exchange_is_denied_after_its_tries():
    made = Life()
    for attempt in range(1, 5):
        made.take(SENT if attempt == 1 else RetryDue(), after_ms=1)
        made.take(NotSent(attempt=attempt, why="connection refused"), after_ms=1)
    assert (OrderState.DENIED, DenyReason.UNREACHABLE) == (made.state, made.order.deny_reason)
    assert "connection refused; 4 of 4 tries used" == last_event(made).detail


def test_retry_beyond_the_tries_is_rejected_where_absence_was_proven():
    made = in_state(OrderState.PENDING, attempts=1, tries=4, cleared=True)
    made.take(RetryDue())
    assert (OrderState.REJECTED, "not_placed") == (made.state, made.order.reason)
    assert "proven never placed, and not sent again: 4 tries; 4 of 4 tries used" == last_event(made).detail


def test_refusal_before_matching_rejects_nothing_until_absence_is_proven():
    made = Life(policy=evolve(POLICY, create=RetryPolicy(max_tries=1)))
    made.take(SENT)
    made.take(NotExecuted(attempt=1, why="429 overloaded"), after_ms=1)
    made.take(RetryDue(), after_ms=250)
    assert (OrderState.TIMEOUT, 1) == (made.state, made.wanted(QueryOrder))
    assert (EventType.ORDER_UNKNOWN, "not_proven") == (last_event(made).type, last_event(made).reason)
    assert "not sent again: 1 tries; 1 of 1 tries used; asking" in last_event(made).detail
    made.look()
    assert OrderState.TIMEOUT is made.state
    made.look(after_ms=BLIND_MS)
    made.look()
    assert (OrderState.REJECTED, "not_placed", 1) == (made.state, made.order.reason, made.wanted(SendCreate))


def test_order_that_a_refusal_before_matching_left_alive_is_taken_as_it_is():
    made = life(SENT, NotExecuted(attempt=1, why="429 overloaded"), Halted(halted=True), RetryDue(), NEW)
    assert OrderState.ACKNOWLEDGED is made.state


def test_withdrawn_attempt_proves_nothing_of_the_one_before_it():
    made = life(SENT, NotExecuted(attempt=1, why="429 overloaded"), RetryDue())
    made.look()
    assert (OrderState.SUBMITTED, 2) == (made.state, made.order.tries)
    made.take(CANCEL, NotSent(attempt=2, why="withdrawn"))
    assert (OrderState.TIMEOUT, 1, False) == (made.state, made.order.attempts, made.order.cleared)


def test_look_up_that_comes_back_empty_once_nothing_may_be_sent_is_no_proof():
    made = life(SENT, NotExecuted(attempt=1, why="429 overloaded"), RetryDue(), Halted(halted=True))
    made.look()
    assert (OrderState.TIMEOUT, "not_proven") == (made.state, last_event(made).reason)
    assert Timer.QUERY is made.effects[-1].timer


def test_refusal_before_matching_is_looked_up_once_before_the_next_send():
    made = life(SENT, NotExecuted(attempt=1, why="10006 too many visits"))
    assert (OrderState.PENDING, False) == (made.state, made.order.in_flight)
    made.take(RetryDue(), after_ms=250)
    assert (OrderState.PENDING, 1, 1) == (made.state, made.wanted(QueryOrder), made.wanted(SendCreate))
    made.look()
    assert (OrderState.SUBMITTED, 2) == (made.state, made.wanted(SendCreate))


def test_failed_look_up_does_not_allow_the_next_send():
    made = life(SENT, NotExecuted(attempt=1, why="busy"), RetryDue())
    made.look(complete=False)
    assert (OrderState.PENDING, 1) == (made.state, made.wanted(SendCreate))


def test_look_up_that_nobody_waits_for_sends_nothing():
    made = Life()
    made.look()
    assert (OrderState.PENDING, []) == (made.state, made.effects)


@pytest.mark.parametrize(
    "reset_ms,delay_ms",
    [(None, 250), (100, 250), (1_500, 1_500), (9_000, 2_000)],
)
def test_throttled_create_waits_for_the_window_within_bounds(reset_ms, delay_ms):
    made = life(SENT)
    reset = None if reset_ms is None else Ms(made.now_ms + reset_ms)
    made.take(NotExecuted(attempt=1, why="10006", reset_ms=reset))
    assert StartTimer(timer=Timer.RETRY, delay_ms=delay_ms) == made.effects[-1]


def test_cancel_before_sending_is_a_denial():
    made = life(CANCEL)
    assert (OrderState.DENIED, DenyReason.CANCELLED_UNSENT) == (made.state, made.order.deny_reason)
    assert [(Command.CANCEL, True)] == decisions(made)


def test_cancel_between_attempts_ends_the_order_once_it_is_proven_never_placed():
    made = life(SENT, NotExecuted(attempt=1, why="busy"), CANCEL)
    assert (OrderState.TIMEOUT, []) == (made.state, decisions(made))
    made.look(after_ms=BLIND_MS)
    made.look()
    assert (OrderState.REJECTED, "not_placed") == (made.state, made.order.reason)
    assert [(Command.CANCEL, True)] == decisions(made)


def test_cancel_between_attempts_is_sent_once_the_order_is_shown():
    made = life(SENT, NotExecuted(attempt=1, why="busy"), CANCEL, NEW)
    assert (OrderState.ACKNOWLEDGED, 1) == (made.state, made.wanted(SendCancel))


def test_quarantined_order_learns_its_id_from_a_late_reply():
    made = in_state(OrderState.ERROR)
    assert made.order.order_id is None
    assert (OrderState.ERROR, ORDER_ID) == (made.take(ACCEPTED).order.state, made.order.order_id)


def test_refusal_of_the_only_attempt_is_proof_even_after_a_timeout():
    made = life(SENT, UNKNOWN, Refused(attempt=1, ret_code=110007, ret_msg="no balance", hint="deposit"))
    assert (OrderState.REJECTED, "110007 no balance") == (made.state, made.order.reason)
    assert ("110007", "110007 no balance. deposit") == (last_event(made).reason, last_event(made).detail)


@pytest.mark.parametrize("tries,state", [(3, OrderState.PENDING), (4, OrderState.REJECTED)])
def test_proven_absence_is_sent_again_while_tries_are_left(tries, state):
    made = in_state(OrderState.TIMEOUT, tries=tries)
    made.look(after_ms=BLIND_MS)
    made.look()
    assert (state, tries == 3) == (made.state, made.order.cleared)


def test_absence_after_the_last_try_is_rejected_and_says_why():
    made = in_state(OrderState.TIMEOUT, tries=4)
    made.look(after_ms=BLIND_MS)
    made.look()
    assert (OrderState.REJECTED, "not_placed") == (made.state, made.order.reason)


@pytest.mark.parametrize("order_qty", [None, Decimal(0)])
def test_execution_that_does_not_tell_the_orders_quantity_never_fills_it(order_qty):
    made = life(SENT, NEW, executed("e1", "1", order_qty=order_qty))
    assert (OrderState.PARTIAL_FILL, 1) == (made.state, made.wanted(QueryOrder))
    made.look(complete=False)
    made.take(QueryDue(), after_ms=500)
    assert 2 == made.wanted(QueryOrder)


# Settling.


def test_order_settles_when_the_position_agrees_at_its_last_execution():
    made = life(SENT, NEW, PART, FULL, SHOWN_FILLED)
    assert [ConfirmPosition(seq=30)] == [effect for effect in made.effects if isinstance(effect, ConfirmPosition)]
    made.take(Settled(seq=30))
    assert (OrderState.CLOSED, OrderState.FILLED) == (made.state, made.order.outcome)
    assert (EventType.ORDER_SETTLED, "FILLED") == (last_event(made).type, last_event(made).reason)


def test_order_does_not_settle_over_a_gap_and_is_asked_for_after_its_grace():
    made = life(SENT, NEW, PART, SHOWN_FILLED)
    assert (0, Decimal("0.6")) == (made.wanted(ConfirmPosition), made.order.gap)
    assert StartTimer(timer=Timer.QUERY, delay_ms=POLICY.gap_grace_ms) == made.effects[-1]
    made.take(QueryDue(), after_ms=500)
    made.take(FULL)
    assert 1 == made.wanted(ConfirmPosition)


def test_answer_about_an_older_execution_does_not_settle():
    made = life(SENT, NEW, PART, SHOWN_CANCELLED, executed("e9", "0.1", at=50))
    made.take(Settled(seq=20))
    assert OrderState.CANCELLED is made.state
    made.take(Settled(seq=50))
    assert (OrderState.CLOSED, OrderState.CANCELLED) == (made.state, made.order.outcome)


def test_position_is_asked_again_when_a_gap_came_between():
    made = life(SENT, NEW, PART, SHOWN_CANCELLED, shown(OrderStatus.CANCELLED, "0.5", at=50))
    made.take(Settled(seq=20))
    assert (OrderState.CANCELLED, 1) == (made.state, made.wanted(ConfirmPosition))
    made.take(Resolved(verdict="settled", who="ann", why="history lost it"))
    assert 2 == made.wanted(ConfirmPosition)
    made.take(Settled(seq=20))
    assert (OrderState.CLOSED, Decimal(0)) == (made.state, made.order.gap)


def test_late_fill_wakes_a_closed_order_and_it_settles_again():
    made = life(SENT, NEW, PART, SHOWN_CANCELLED, Settled(seq=20), executed("e9", "0.1", at=50))
    assert (OrderState.CANCELLED, None, OrderState.CANCELLED) == (
        made.state,
        made.order.settled_from,
        made.order.outcome,
    )
    made.take(Settled(seq=50))
    assert OrderState.CLOSED is made.state


def test_row_that_shows_more_than_a_closed_order_knows_is_asked_about():
    made = life(SENT, NEW, PART, SHOWN_CANCELLED, Settled(seq=20), shown(OrderStatus.CANCELLED, "0.5", at=50))
    assert OrderState.CLOSED is made.state
    made.take(QueryDue(), after_ms=500)
    assert 1 == made.wanted(QueryOrder)


def test_rejected_order_that_the_exchange_shows_open_does_not_settle():
    made = life(SENT, REFUSED, NEW)
    made.take(Settled(seq=-1))
    assert OrderState.REJECTED is made.state
    made.look(found=True)
    made.take(QueryDue(), after_ms=500)
    assert 2 == made.wanted(QueryOrder)
    made.take(shown(OrderStatus.CANCELLED, at=50))
    made.take(Settled(seq=-1))
    assert OrderState.CLOSED is made.state


def test_rejected_order_that_traded_is_asked_for_until_its_end_is_shown():
    made = life(SENT, REFUSED, PART)
    assert (OrderState.REJECTED, 1) == (made.state, made.wanted(QueryOrder))
    assert 1 == made.wanted(ConfirmPosition)
    made.take(Settled(seq=-1))
    assert OrderState.REJECTED is made.state
    made.take(SHOWN_CANCELLED)
    made.take(Settled(seq=20))
    assert (OrderState.CLOSED, OrderState.REJECTED) == (made.state, made.order.outcome)


def test_operator_may_end_the_contradiction_of_a_rejected_order():
    made = life(SENT, REFUSED, NEW, Settled(seq=-1))
    made.take(Resolved(verdict="settled", who="ann", why="support said so"))
    made.take(Settled(seq=-1))
    assert OrderState.CLOSED is made.state


def test_gap_that_opens_after_a_person_accepted_one_is_seen_and_asked_for():
    made = life(SENT, NEW, PART, SHOWN_CANCELLED)
    made.take(shown(OrderStatus.CANCELLED, "0.6", at=50))
    made.take(Resolved(verdict="settled", who="ann", why="history lost it"))
    assert (Decimal(0), False) == (made.order.gap, made.order.unresolved)
    made.take(shown(OrderStatus.CANCELLED, "0.9", at=60))
    assert (Decimal("0.3"), True) == (made.order.gap, made.order.unresolved)
    made.take(executed("e2", "0.3", at=60))
    assert (Decimal(0), False) == (made.order.gap, made.order.unresolved)


def test_execution_that_comes_after_all_takes_from_the_gap_that_a_person_accepted():
    made = life(SENT, NEW, PART, SHOWN_FILLED)
    made.take(Resolved(verdict="settled", who="ann", why="history lost it"))
    made.take(executed("e2", "0.5", at=25))
    assert Decimal("0.1") == made.order.conceded.qty
    made.take(shown(OrderStatus.FILLED, "1.2", at=70, qty=Decimal("1.2")))
    assert Decimal("0.2") == made.order.gap


def test_rejected_order_that_trades_after_a_person_decided_is_a_contradiction_again():
    made = in_state(OrderState.REJECTED)
    made.take(PART)
    made.take(Resolved(verdict="settled", who="ann", why="seen in the web"))
    assert not made.order.unresolved
    made.take(executed("e9", "0.1", at=90))
    assert made.order.unresolved


def test_order_that_a_person_resolved_settles_over_its_gap():
    made = life(SENT, shown(OrderStatus.PARTIALLY_FILLED, "0.4"), Broken(why="a handler crashed"))
    made.take(Resolved(verdict="cancelled", who="ann", why="support said so"), Settled(seq=-1))
    assert (OrderState.CLOSED, OrderState.CANCELLED, Decimal(0)) == (made.state, made.order.outcome, made.order.gap)


def test_operator_accepts_a_gap_by_name():
    made = life(SENT, NEW, PART, SHOWN_FILLED)
    made.take(Resolved(verdict="settled", who="ann", why="history lost it"))
    assert ("gap 0.6 accepted by ann: history lost it", Decimal(0)) == (last_event(made).detail, made.order.gap)


# A step by itself.


@pytest.mark.parametrize(
    "action",
    ["bind", "note_halt", "reject", "resolve", "accept_gap"],
)
def test_action_on_a_fact_that_is_not_its_own_does_nothing(action):
    order = in_state(OrderState.ACKNOWLEDGED).order
    step = Step(order, QueryDue(), Ms(5), POLICY, 0.5)
    getattr(step, action)()
    assert (evolve(order, updated_ms=Ms(5)), [], ()) == (step.order, step.effects, step.events_of("none"))
