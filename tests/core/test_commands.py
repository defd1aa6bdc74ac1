"""Cancels and amends: when they leave, what decides them, and who is told."""

from __future__ import annotations

from decimal import Decimal

import pytest
from attrs import evolve

from hean.core.facts import (
    AmendAsked,
    Command,
    CommandAccepted,
    CommandFailed,
    Decide,
    NotSent,
    QueryDue,
    QueryOrder,
    SendAmend,
    SendCancel,
    SendCreate,
    StartTimer,
    Timer,
    WithdrawCreate,
)
from hean.core.step import Step
from hean.core.types import Amend, DenyReason, EventType, Ms, OrderState, OrderStatus
from tests.core.orders import (
    ACCEPTED,
    AMEND,
    BLIND_MS,
    CANCEL,
    FULL,
    GONE,
    NEW,
    PART,
    POLICY,
    SENT,
    SHOWN_CANCELLED,
    SHOWN_FILLED,
    answered,
    decisions,
    executed,
    in_state,
    last_event,
    life,
    shown,
)

# Cancels.


def test_cancel_withdraws_a_create_that_is_still_queued():
    made = life(SENT, CANCEL, NotSent(attempt=1, why="withdrawn"))
    assert (OrderState.DENIED, DenyReason.CANCELLED_UNSENT) == (made.state, made.order.deny_reason)
    assert [(Command.CANCEL, True)] == decisions(made)
    assert (1, 0) == (made.wanted(WithdrawCreate), made.wanted(SendCancel))


def test_cancel_leaves_as_soon_as_the_create_is_answered():
    made = life(SENT, CANCEL)
    assert 0 == made.wanted(SendCancel)
    made.take(ACCEPTED)
    assert (OrderState.SUBMITTED, 1) == (made.state, made.wanted(SendCancel))
    made.take(NEW)
    assert 1 == made.wanted(SendCancel)


def test_cancel_leaves_as_soon_as_the_order_is_shown():
    made = life(SENT, CANCEL, NEW)
    assert (1, "cancel") == (made.wanted(SendCancel), made.order.snapshot().pending)


def test_cancel_of_an_unknown_order_asks_first():
    made = in_state(OrderState.TIMEOUT)
    made.take(CANCEL)
    assert (1, 0) == (made.wanted(QueryOrder), made.wanted(SendCancel))
    made.take(NEW)
    assert 1 == made.wanted(SendCancel)


def test_cancel_of_an_order_that_was_never_placed_keeps_it_from_being_sent():
    made = in_state(OrderState.TIMEOUT)
    made.take(CANCEL)
    made.look(after_ms=BLIND_MS)
    made.look()
    assert (OrderState.REJECTED, [(Command.CANCEL, True)], 0) == (made.state, decisions(made), made.wanted(SendCreate))


def test_cancel_that_succeeds_is_decided_yes():
    made = life(SENT, NEW, PART, CANCEL, SHOWN_CANCELLED)
    assert [(Command.CANCEL, True)] == decisions(made)
    assert (None, False) == (made.order.pending, made.order.wish_cancel)


def test_cancel_that_loses_fills_the_order_once():
    made = life(SENT, NEW, PART, CANCEL, FULL)
    made.take(SHOWN_FILLED)
    made.take(
        shown(OrderStatus.FILLED, "1", at=35, cancel_type="CancelByUser", reject_reason="EC_OrigClOrdIDDoesNotExist")
    )
    assert (OrderState.FILLED, 2, 0) == (made.state, made.told(EventType.ORDER_FILLED), made.told(EventType.ERROR))
    assert [(Command.CANCEL, False)] == decisions(made)


def test_refused_cancel_is_no_proof_and_one_query_decides():
    made = life(SENT, NEW, CANCEL, GONE)
    assert (OrderState.ACKNOWLEDGED, 1) == (made.state, made.wanted(QueryOrder))
    assert "cancel failed: 110001 order not exists or too late" == made.effects[-1].why
    made.take(answered(OrderStatus.NEW, asked_ms=made.now_ms))
    assert 2 == made.wanted(SendCancel)


@pytest.mark.parametrize("early_ms,cancels", [(0, 2), (1, 1)])
def test_row_asked_for_before_the_refusal_says_nothing_about_it(early_ms, cancels):
    made = life(SENT, NEW, CANCEL, GONE)
    made.take(answered(OrderStatus.NEW, asked_ms=made.now_ms - early_ms))
    assert cancels == made.wanted(SendCancel)


def test_row_of_the_stream_does_not_prove_that_a_refused_cancel_did_nothing():
    made = life(SENT, NEW, CANCEL, GONE, shown(OrderStatus.NEW, at=11))
    assert 1 == made.wanted(SendCancel)


def test_failed_query_keeps_asking_what_became_of_a_refused_cancel():
    made = life(SENT, NEW, CANCEL, GONE)
    made.look(complete=False)
    made.take(QueryDue(), after_ms=500)
    assert 2 == made.wanted(QueryOrder)


def test_cancels_are_capped_told_and_given_back_their_tries_by_a_new_wish():
    made = life(SENT, NEW, CANCEL)
    for _ in range(15):
        made.take(GONE, after_ms=1)
        made.take(answered(OrderStatus.NEW, asked_ms=made.now_ms))
        made.look(found=True)
    assert POLICY.max_cancels == made.wanted(SendCancel)
    alarms = [event for event in made.events if event.type is EventType.ERROR]
    assert ["cancel_failing"] == [event.reason for event in alarms]
    assert alarms[0].detail.startswith("10 cancels did not end the order")
    made.take(CANCEL)
    assert POLICY.max_cancels + 1 == made.wanted(SendCancel)


def test_repeated_wish_does_not_send_a_second_cancel_beside_the_first():
    assert 1 == life(SENT, NEW, CANCEL, CANCEL).wanted(SendCancel)


def test_accepted_cancel_of_which_nothing_is_seen_is_asked_for_and_sent_again():
    made = life(SENT, NEW, CANCEL, CommandAccepted(command=Command.CANCEL))
    assert StartTimer(timer=Timer.QUERY, delay_ms=POLICY.shown_ms) == made.effects[-1]
    made.take(QueryDue(), after_ms=POLICY.shown_ms)
    assert 1 == made.wanted(QueryOrder)
    assert "accepted, yet nothing was seen of it" == made.order.pending.why
    made.take(answered(OrderStatus.NEW, asked_ms=made.now_ms))
    assert 2 == made.wanted(SendCancel)


def test_refusal_of_a_cancel_that_comes_after_the_end_is_no_news():
    made = life(SENT, NEW, PART, CANCEL, SHOWN_CANCELLED, GONE)
    assert (None, 0) == (made.order.pending, made.wanted(QueryOrder))


def test_cancel_in_error_is_sent():
    made = in_state(OrderState.ERROR)
    made.take(CANCEL)
    assert 1 == made.wanted(SendCancel)


def test_reply_to_a_command_that_is_decided_is_no_news():
    made = in_state(OrderState.ACKNOWLEDGED)
    made.take(CommandAccepted(command=Command.AMEND))
    assert [] == made.effects
    made.take(CommandFailed(command=Command.AMEND, why="late"))
    assert None is made.order.pending


# Amends.


def test_amend_is_sent_told_and_decided_by_the_row_alone():
    made = life(SENT, NEW, AMEND)
    assert [SendAmend(amend=AMEND.amend)] == made.effects[1:]
    assert (EventType.ORDER_AMEND_REQUESTED, "qty 2") == (last_event(made).type, last_event(made).detail)
    made.take(CommandAccepted(command=Command.AMEND))
    assert (Decimal(1), "amend", []) == (made.order.qty, made.order.snapshot().pending, decisions(made))
    made.take(shown(OrderStatus.NEW, at=20, qty=Decimal(2)))
    assert (Decimal(2), None, [(Command.AMEND, True)]) == (made.order.qty, made.order.pending, decisions(made))


def test_row_that_shows_only_a_part_of_the_amend_does_not_decide_it():
    both = AmendAsked(amend=Amend(qty=Decimal(2), price=Decimal(101)))
    made = life(SENT, NEW, both, shown(OrderStatus.NEW, at=20, qty=Decimal(2)))
    assert ([], "amend") == (decisions(made), made.order.snapshot().pending)


def test_amend_that_takes_a_stop_loss_away_is_shown_by_its_absence():
    made = life(SENT, NEW, AmendAsked(amend=Amend(stop_loss=Decimal(0))), shown(OrderStatus.NEW, at=20))
    assert [(Command.AMEND, True)] == decisions(made)


def test_amend_before_evidence_waits_for_it():
    made = life(SENT, AMEND)
    assert 0 == made.wanted(SendAmend)
    made.take(ACCEPTED)
    assert 0 == made.wanted(SendAmend)
    made.take(NEW)
    assert 1 == made.wanted(SendAmend)


def test_second_amend_waits_for_the_first():
    made = life(SENT, NEW, AMEND, AmendAsked(amend=Amend(price=Decimal(101))))
    assert 1 == made.wanted(SendAmend)
    made.take(shown(OrderStatus.NEW, at=20, qty=Decimal(2)))
    assert 2 == made.wanted(SendAmend)


def test_amend_that_waits_is_told_when_a_newer_one_takes_its_place():
    made = life(SENT, AMEND)
    assert [] == decisions(made)
    made.take(AmendAsked(amend=Amend(price=Decimal(101))))
    superseded = Decide(
        command=Command.AMEND,
        taken=False,
        why="superseded by a newer amend; qty 2 was not sent",
        earlier=True,
    )
    assert [superseded] == made.effects[-1:]
    made.take(NEW)
    assert [SendAmend(amend=Amend(price=Decimal(101)))] == [e for e in made.effects if isinstance(e, SendAmend)]


def test_amend_that_is_out_is_not_superseded_by_one_that_waits():
    made = life(SENT, NEW, AMEND, AmendAsked(amend=Amend(price=Decimal(101))))
    assert [] == decisions(made)


def test_refused_amend_of_a_living_order_is_dropped_and_decided_no():
    failed = CommandFailed(command=Command.AMEND, why="110079 not modified")
    made = life(SENT, NEW, AMEND, failed)
    made.take(answered(OrderStatus.NEW, asked_ms=made.now_ms))
    assert ([(Command.AMEND, False)], None, 1) == (decisions(made), made.order.pending, made.wanted(SendAmend))


def test_amend_that_was_refused_and_shown_all_the_same_is_decided_yes():
    failed = CommandFailed(command=Command.AMEND, why="no answer")
    made = life(SENT, NEW, AMEND, failed)
    made.take(answered(OrderStatus.NEW, asked_ms=made.now_ms, at=20, qty=Decimal(2)))
    assert [(Command.AMEND, True)] == decisions(made)


def test_amend_down_to_what_is_filled_ends_filled_by_the_row():
    down = AmendAsked(amend=Amend(qty=Decimal("0.4")))
    made = life(SENT, NEW, PART, down, shown(OrderStatus.FILLED, "0.4", at=30, qty=Decimal("0.4")))
    assert (OrderState.FILLED, Decimal("0.4"), Decimal(0)) == (made.state, made.order.qty, made.order.gap)
    assert [(Command.AMEND, True)] == decisions(made)


def test_amend_that_loses_against_the_fill_is_decided_no():
    made = life(SENT, NEW, AMEND, executed("e1", "1"), SHOWN_FILLED)
    assert (OrderState.FILLED, [(Command.AMEND, False)]) == (made.state, decisions(made))


def test_amend_that_still_waits_at_the_end_is_decided_once_and_forgotten():
    made = life(SENT, AMEND)
    made.take(SHOWN_CANCELLED)
    made.take(executed("late", "0.1", at=50))
    assert ([(Command.AMEND, False)], None) == (decisions(made), made.order.wish_amend)


@pytest.mark.parametrize(
    "end,why", [(SHOWN_FILLED, "lost the race: the order is FILLED"), (SHOWN_CANCELLED, "the order is CANCELLED")]
)
def test_word_on_a_cancel_says_how_the_order_ended(end, why):
    made = life(SENT, NEW, CANCEL, end)
    assert [why] == [effect.why for effect in made.effects if isinstance(effect, Decide)]


def test_cancel_overtakes_an_amend_that_is_out():
    made = life(SENT, NEW, AMEND, CANCEL)
    assert (1, Command.CANCEL, AMEND.amend) == (
        made.wanted(SendCancel),
        made.order.pending.command,
        made.order.pending.amend,
    )
    made.take(CommandFailed(command=Command.AMEND, why="late"))
    assert None is made.order.pending.failed_ms
    made.take(CommandAccepted(command=Command.AMEND))
    assert None is made.order.pending.accepted_ms


def test_overtaken_amend_that_is_shown_leaves_the_cancel_out():
    made = life(SENT, NEW, AMEND, CANCEL, shown(OrderStatus.NEW, at=20, qty=Decimal(2)))
    assert ([(Command.AMEND, True)], Command.CANCEL) == (decisions(made), made.order.pending.command)
    made.take(shown(OrderStatus.CANCELLED, at=30, qty=Decimal(2)))
    assert [(Command.AMEND, True), (Command.CANCEL, True)] == decisions(made)


def test_overtaken_amend_leaves_the_quantity_uncertain():
    made = life(SENT, NEW, AMEND, CANCEL, executed("e1", "1"))
    assert OrderState.PARTIAL_FILL is made.state


def test_cancel_of_an_order_whose_overtaken_amend_never_came_is_sent_again():
    made = life(SENT, NEW, AMEND, CANCEL, GONE)
    made.take(answered(OrderStatus.NEW, asked_ms=made.now_ms))
    assert ([(Command.AMEND, False)], 2) == (decisions(made), made.wanted(SendCancel))


def test_amend_after_a_cancel_is_denied():
    made = life(SENT, NEW, CANCEL, AMEND)
    assert (0, [(Command.AMEND, False)]) == (made.wanted(SendAmend), decisions(made))


@pytest.mark.parametrize("fact,command", [(AMEND, Command.AMEND), (CANCEL, Command.CANCEL)])
def test_command_about_an_ended_order_is_denied_with_its_state(fact, command):
    made = in_state(OrderState.CLOSED)
    made.take(fact)
    assert [Decide(command=command, taken=False, why="the order is CLOSED; nothing was sent")] == made.effects


@pytest.mark.parametrize(
    "action",
    ["wish_amend", "fail_command", "take_command"],
)
def test_command_action_on_a_fact_that_is_not_its_own_does_nothing(action):
    order = in_state(OrderState.ACKNOWLEDGED).order
    step = Step(order, QueryDue(), Ms(5), POLICY, 0.5)
    getattr(step, action)()
    assert (evolve(order, updated_ms=Ms(5)), [], ()) == (step.order, step.effects, step.events_of("none"))
