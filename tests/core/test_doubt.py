"""What is asked about an order in doubt, how often, and what the answers prove."""

from __future__ import annotations

import pytest
from attrs import evolve

from hean.core.doubt import LOOKUPS_BEFORE_ALARM, MISSES_FOR_VANISHED
from hean.core.facts import (
    Command,
    CommandAccepted,
    CommandFailed,
    ConfirmPosition,
    Duplicate,
    LookedUp,
    NotExecuted,
    QueryDue,
    QueryOrder,
    Resolved,
    Restarted,
    RetryDue,
    SendCancel,
    SendCreate,
    Settled,
    StartTimer,
    Timer,
)
from hean.core.types import EventType, Ms, OrderState, OrderStatus
from tests.core.orders import (
    ACCEPTED,
    BLIND_MS,
    CANCEL,
    DAY_MS,
    GONE,
    NEW,
    PART,
    POLICY,
    REQUEST,
    SENT,
    SHOWN_CANCELLED,
    START_MS,
    UNKNOWN,
    Life,
    answered,
    executed,
    in_state,
    last_event,
    life,
    shown,
)

# Unknown outcomes.


def test_unknown_outcome_is_told_and_asked_for():
    made = life(SENT, UNKNOWN)
    assert [QueryOrder(why="OutcomeUnknown")] == made.effects[1:]
    assert "no answer; asking the exchange by order_link_id" == last_event(made).detail


def unknown_order(**changes: object) -> Life:
    made = in_state(OrderState.TIMEOUT)
    made.order = evolve(made.order, **changes)
    return made


def test_absence_before_the_visibility_delay_proves_nothing():
    made = unknown_order()
    for _ in range(5):
        made.look(after_ms=1000)
    assert (OrderState.TIMEOUT, 0) == (made.state, made.order.misses)


def test_absence_is_proven_by_two_look_ups_after_the_visibility_delay():
    made = unknown_order()
    made.look(after_ms=BLIND_MS)
    assert OrderState.TIMEOUT is made.state
    made.look()
    assert (OrderState.PENDING, True) == (made.state, made.order.cleared)
    made.take(RetryDue(), after_ms=250)
    assert (OrderState.SUBMITTED, 2) == (made.state, made.order.tries)


def test_look_up_that_began_one_millisecond_too_early_proves_nothing():
    made = unknown_order()
    early = Ms(made.order.blind_until_ms - 1)
    made.now_ms += BLIND_MS
    for _ in range(3):
        made.take(LookedUp(complete=True, found=False, started_ms=early))
    assert OrderState.TIMEOUT is made.state
    for _ in range(2):
        made.take(LookedUp(complete=True, found=False, started_ms=made.order.blind_until_ms))
    assert OrderState.PENDING is made.state


@pytest.mark.parametrize("between", [{"complete": False}, {"found": True}])
def test_failed_look_up_is_not_nothing_and_a_found_one_starts_the_count_again(between):
    made = unknown_order()
    made.look(after_ms=BLIND_MS)
    made.look(**between)
    assert OrderState.TIMEOUT is made.state
    made.look()
    assert (OrderState.TIMEOUT if "found" in between else OrderState.PENDING) is made.state


def test_absence_is_not_proven_while_the_reply_may_still_come():
    made = life(SENT)
    for _ in range(3):
        made.look(after_ms=BLIND_MS)
    assert OrderState.SUBMITTED is made.state


@pytest.mark.parametrize("over_ms,state", [(0, OrderState.PENDING), (1, OrderState.ERROR)])
def test_absence_proves_nothing_once_the_exchange_may_have_forgotten(over_ms, state):
    made = unknown_order(request=evolve(REQUEST, submitted_ms=Ms(START_MS + DAY_MS)))
    made.look(after_ms=BLIND_MS)
    made.now_ms = made.order.last_sent_ms + DAY_MS + over_ms
    made.look()
    assert state is made.state


def test_accepted_create_that_nobody_saw_for_a_day_is_left_to_a_person():
    made = life(SENT, ACCEPTED)
    made.look(after_ms=DAY_MS + 1)
    made.look()
    assert OrderState.ERROR is made.state
    made.look()
    made.take(Resolved(verdict="rejected", who="ann", why="support said so"))
    assert (OrderState.REJECTED, OrderState.REJECTED) == (made.state, made.order.outcome)


def test_quarantined_order_that_is_shown_open_is_asked_for_again():
    made = in_state(OrderState.ERROR)
    made.take(NEW)
    assert (OrderState.ERROR, Timer.QUERY) == (made.state, made.effects[-1].timer)


@pytest.mark.parametrize("state", [OrderState.FILLED, OrderState.ERROR])
def test_old_absence_of_an_order_that_was_seen_is_no_news(state):
    made = in_state(state)
    made.look(after_ms=DAY_MS + BLIND_MS)
    made.look()
    assert state is made.state


def test_order_of_which_no_attempt_was_made_needs_one_look_up_after_a_restart():
    made = life(Restarted())
    assert (OrderState.TIMEOUT, 1) == (made.state, made.wanted(QueryOrder))
    made.look()
    made.take(RetryDue(), after_ms=250)
    assert (OrderState.SUBMITTED, 1) == (made.state, made.wanted(SendCreate))


@pytest.mark.parametrize("claim", [ACCEPTED, Duplicate(attempt=1, ret_code=110072)])
def test_absence_does_not_outweigh_the_exchanges_own_word_that_it_has_the_order(claim):
    made = life(SENT, claim, Restarted())
    made.look(after_ms=BLIND_MS)
    for misses in range(2, MISSES_FOR_VANISHED):
        made.look(after_ms=BLIND_MS)
        assert (OrderState.TIMEOUT, misses) == (made.state, made.order.misses)
    made.look()
    assert (OrderState.ERROR, 1) == (made.state, made.wanted(SendCreate))
    made.look()
    assert OrderState.ERROR is made.state


def test_order_that_vanishes_is_quarantined_after_four_look_ups_over_the_visibility_delay():
    made = life(SENT, ACCEPTED, NEW)
    made.now_ms += BLIND_MS
    for _ in range(MISSES_FOR_VANISHED + 1):
        made.look()
    assert OrderState.ACKNOWLEDGED is made.state
    made.look(after_ms=BLIND_MS)
    assert OrderState.ERROR is made.state
    assert made.order.reason.startswith("the exchange showed this order and now denies it in 6 complete look-ups")


@pytest.mark.parametrize("short_ms,state", [(0, OrderState.ERROR), (1, OrderState.ACKNOWLEDGED)])
def test_time_of_vanishing_runs_from_the_first_miss(short_ms, state):
    made = life(SENT, ACCEPTED, NEW)
    made.look(after_ms=BLIND_MS)
    for _ in range(2):
        made.look(after_ms=BLIND_MS // 2 - 1)
    made.look(after_ms=2 - short_ms)
    assert state is made.state


def test_look_up_that_found_it_starts_the_count_of_misses_again():
    made = unknown_order()
    made.look(after_ms=BLIND_MS)
    made.look(found=True)
    made.look()
    assert OrderState.TIMEOUT is made.state
    made.look()
    assert OrderState.PENDING is made.state


def test_missing_order_is_asked_for_until_it_is_found_or_gone():
    made = life(SENT, ACCEPTED, NEW)
    made.look(after_ms=BLIND_MS)
    made.take(QueryDue(), after_ms=500)
    assert 1 == made.wanted(QueryOrder)
    made.take(answered(OrderStatus.NEW, asked_ms=made.now_ms))
    made.look(found=True)
    made.take(QueryDue(), after_ms=500)
    assert 1 == made.wanted(QueryOrder)


def test_look_ups_are_spaced_ever_wider_but_one_is_timed_to_be_the_proof():
    made = unknown_order(lookups=0)
    delays = []
    for _ in range(8):
        made.look(complete=False)
        delays.append(made.effects[-1].delay_ms)
    assert [250, 500, 1000, 2000, 4000, 8000, 12_000, 12_000] == delays


def test_look_up_is_never_asked_for_in_no_time():
    made = unknown_order()
    made.unit = 0.0
    made.look(complete=False)
    assert StartTimer(timer=Timer.QUERY, delay_ms=1) == made.effects[-1]


def test_back_off_is_not_cut_short_once_an_absence_can_be_proven():
    made = unknown_order(lookups=5)
    made.look(complete=False, after_ms=BLIND_MS)
    assert StartTimer(timer=Timer.QUERY, delay_ms=8000) == made.effects[-1]


def test_person_is_told_after_five_look_ups_and_at_each_doubling():
    made = unknown_order(lookups=0)
    alarms = []
    for number in range(1, 45):
        made.look(complete=False)
        alarms += [number] * (made.told(EventType.ERROR) - len(alarms))
    assert [LOOKUPS_BEFORE_ALARM, 10, 20, 40] == alarms
    assert "40 look-ups settled nothing (as told); gap 0; still asking." in last_event(made).detail


def test_one_look_up_is_out_at_a_time():
    made = life(SENT, UNKNOWN, QueryDue(), QueryDue())
    assert 1 == made.wanted(QueryOrder)
    made.look(complete=False)
    made.take(QueryDue())
    assert 2 == made.wanted(QueryOrder)


def test_look_up_that_leaves_nothing_open_ends_the_asking():
    made = in_state(OrderState.FILLED, lookups=3)
    made.look(found=True)
    assert (0, []) == (made.order.lookups, made.effects)


def test_look_up_that_began_before_the_refusal_does_not_allow_the_next_send():
    made = life(SENT, NotExecuted(attempt=1, why="busy"), RetryDue())
    made.take(LookedUp(complete=True, found=False, started_ms=Ms(START_MS)))
    assert (OrderState.PENDING, 1) == (made.state, made.wanted(SendCreate))
    made.take(QueryDue(), after_ms=1)
    assert 2 == made.wanted(QueryOrder)
    made.look()
    assert OrderState.SUBMITTED is made.state


@pytest.mark.parametrize("early_ms,state", [(0, OrderState.SUBMITTED), (1, OrderState.PENDING)])
def test_look_up_counts_from_the_millisecond_of_the_refusal(early_ms, state):
    made = life(SENT, NotExecuted(attempt=1, why="busy"), RetryDue())
    made.take(LookedUp(complete=True, found=False, started_ms=Ms(made.order.last_sent_ms - early_ms)))
    assert state is made.state


def test_alarm_says_that_every_look_up_began_too_early():
    made = life(SENT, NotExecuted(attempt=1, why="busy"), RetryDue())
    for _ in range(LOOKUPS_BEFORE_ALARM):
        made.take(LookedUp(complete=True, found=False, started_ms=Ms(START_MS)))
    assert "it began before the last attempt was answered" in last_event(made).detail


def test_order_that_the_exchange_may_have_forgotten_says_who_must_decide():
    made = in_state(OrderState.TIMEOUT)
    made.look(after_ms=DAY_MS + 1)
    made.look()
    assert (OrderState.ERROR, True) == (made.state, "decide with resolve" in made.order.reason)


def test_order_that_rests_for_more_than_a_day_is_not_given_up_for_its_absence():
    made = in_state(OrderState.ACKNOWLEDGED, in_flight=False)
    made.now_ms += DAY_MS + 1
    for _ in range(MISSES_FOR_VANISHED + 1):
        made.look(after_ms=BLIND_MS)
    assert (OrderState.ACKNOWLEDGED, True) == (made.state, made.order.unresolved)


def test_command_that_was_throttled_for_a_millisecond_waits_it_out():
    made = life(SENT, NEW, CANCEL)
    made.take(CommandFailed(command=Command.CANCEL, why="throttled", retry_ms=1))
    assert (0, StartTimer(timer=Timer.QUERY, delay_ms=1)) == (made.wanted(QueryOrder), made.effects[-1])


@pytest.mark.parametrize("early_ms,cut", [(1, True), (0, False)])
def test_back_off_is_cut_short_only_before_an_absence_can_be_proven(early_ms, cut):
    made = in_state(OrderState.TIMEOUT)
    made.now_ms = made.order.blind_until_ms - early_ms
    made.take(LookedUp(complete=False, found=False, started_ms=Ms(START_MS)))
    assert cut is (made.effects[-1].delay_ms == early_ms + 1)


def test_query_timer_that_fires_early_leaves_an_accepted_cancel_its_time():
    made = life(SENT, NEW, CANCEL, CommandAccepted(command=Command.CANCEL))
    made.take(QueryDue(), after_ms=POLICY.shown_ms - 1)
    assert 0 == made.wanted(QueryOrder)
    assert StartTimer(timer=Timer.QUERY, delay_ms=1) == made.effects[-1]
    made.take(QueryDue(), after_ms=1)
    assert 1 == made.wanted(QueryOrder)


def test_query_timer_asks_for_an_accepted_cancel_that_failed_after_all():
    made = life(SENT, NEW, CANCEL, CommandAccepted(command=Command.CANCEL))
    made.take(GONE)
    failed_ms = made.order.pending.failed_ms
    made.look(complete=False)
    made.take(QueryDue(), after_ms=POLICY.shown_ms)
    assert (failed_ms, 2) == (made.order.pending.failed_ms, made.wanted(QueryOrder))


def test_throttled_cancel_waits_before_it_asks():
    made = life(SENT, NEW, CANCEL)
    made.take(CommandFailed(command=Command.CANCEL, why="10006", retry_ms=700))
    assert (StartTimer(timer=Timer.QUERY, delay_ms=700), 0) == (made.effects[-1], made.wanted(QueryOrder))
    made.take(QueryDue(), after_ms=700)
    assert 1 == made.wanted(QueryOrder)


# Restart.


def test_restart_forgets_the_flight_and_gives_the_exchange_time_to_show_it():
    made = life(SENT)
    made.take(Restarted(), after_ms=5000)
    order = made.order
    assert (OrderState.TIMEOUT, False, True) == (made.state, order.in_flight, order.looking)
    assert made.now_ms + BLIND_MS == order.blind_until_ms
    assert START_MS + 1 == order.last_sent_ms


@pytest.mark.parametrize(
    "facts,blind",
    [
        ((SENT, ACCEPTED), True),
        ((SENT, NEW), True),
        ((SENT, NEW, ACCEPTED), False),
        ((SENT, NotExecuted(attempt=1, why="busy")), True),
    ],
)
def test_restart_blinds_whatever_may_have_been_on_its_way(facts, blind):
    made = life(*facts)
    made.take(Restarted(), after_ms=5_000)
    assert blind is (made.now_ms + BLIND_MS == made.order.blind_until_ms)


def test_restart_asks_anew_what_was_being_asked_and_counts_from_nothing():
    made = life(SENT, UNKNOWN)
    made.order = evolve(made.order, misses=1)
    assert (True, 1) == (made.order.looking, made.wanted(QueryOrder))
    made.take(Restarted())
    assert (2, 0) == (made.wanted(QueryOrder), made.order.misses)


def test_restart_of_an_order_that_rests_keeps_what_absence_may_prove():
    made = life(SENT, ACCEPTED, NEW)
    blind_until_ms = made.order.blind_until_ms
    made.take(Restarted(), after_ms=5000)
    assert blind_until_ms == made.order.blind_until_ms


def test_restart_loses_replies_so_a_cancel_that_was_out_is_decided_by_the_query():
    made = life(SENT, NEW, CANCEL)
    made.take(Restarted(), after_ms=5000)
    assert ("restarted before its reply", made.now_ms) == (made.order.pending.why, made.order.pending.failed_ms)
    made.take(answered(OrderStatus.NEW, asked_ms=made.now_ms))
    assert 2 == made.wanted(SendCancel)


def test_restart_keeps_when_and_why_a_cancel_had_failed():
    made = life(SENT, NEW, CANCEL, GONE)
    failed_ms = made.now_ms
    made.take(Restarted(), after_ms=5000)
    assert (GONE.why, failed_ms) == (made.order.pending.why, made.order.pending.failed_ms)


def test_restart_asks_the_position_again():
    made = in_state(OrderState.FILLED)
    made.take(Restarted())
    assert [ConfirmPosition(seq=30)] == [effect for effect in made.effects if isinstance(effect, ConfirmPosition)]


# Alarms.


@pytest.mark.parametrize(
    "state,fact,text",
    [
        (OrderState.FILLED, SHOWN_CANCELLED, "the exchange shows Cancelled, executed 0.4"),
        (OrderState.REJECTED, PART, "execution e1 of 0.4 arrived"),
        (OrderState.ACKNOWLEDGED, SENT, "Sent arrived"),
    ],
)
def test_contradiction_says_what_was_held_and_what_came(state, fact, text):
    made = in_state(state)
    if isinstance(fact, type(SHOWN_CANCELLED)):
        fact = shown(OrderStatus.CANCELLED, "1", at=40)
        text = "the exchange shows Cancelled, executed 1"
    made.take(fact)
    assert f"order h1-order is {state}, yet {text}; asking the exchange" == last_event(made).detail


def test_settled_order_that_a_late_fill_wakes_is_asked_for_though_its_last_look_up_was_never_answered():
    made = in_state(OrderState.REJECTED, looking=True, confirming=-1, view=None)
    made.take(Settled(seq=-1))
    # A process that dies and comes back asks a settled order nothing.
    made.take(executed("e1", "0.4"))
    assert (OrderState.REJECTED, 1) == (made.state, made.wanted(QueryOrder))


def test_restart_in_doubt_waits_anew_before_an_absence_counts():
    made = in_state(OrderState.TIMEOUT, in_flight=False)
    # A minute by our clock, which may have jumped.
    made.take(Restarted(), after_ms=60_000)
    assert made.now_ms + BLIND_MS == made.order.blind_until_ms
