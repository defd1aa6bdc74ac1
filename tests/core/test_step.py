"""The rules behind the cells: what is proof, what is stale, what is sent, what settles."""

from __future__ import annotations

from decimal import Decimal

import pytest
from attrs import evolve

from hean.core.facts import (
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
    FreezeSymbol,
    Halted,
    LookedUp,
    NotExecuted,
    NotSent,
    QueryDue,
    QueryOrder,
    Refused,
    Resolved,
    Restarted,
    RetryDue,
    SendAmend,
    SendCancel,
    SendCreate,
    Settled,
    StartTimer,
    Timer,
    WithdrawCreate,
)
from hean.core.record import Order
from hean.core.step import LOOKUPS_BEFORE_ALARM, MISSES_FOR_VANISHED, Step
from hean.core.types import (
    Amend,
    Category,
    DenyReason,
    Event,
    EventType,
    ExecType,
    Ms,
    OrderState,
    OrderStatus,
    OrderType,
    Side,
    Source,
    TimeInForce,
)
from tests.core.orders import (
    ACCEPTED,
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
    answered,
    executed,
    in_state,
    life,
    shown,
)

CANCEL = CancelAsked()
AMEND = AmendAsked(amend=Amend(qty=Decimal(2)))
GONE = CommandFailed(command=Command.CANCEL, why="110001 order not exists or too late", ret_code=110001)
BLIND_MS = POLICY.visibility_ms
DAY_MS = POLICY.retention_ms


def last_event(made: Life) -> Event:
    return made.events[-1]


def decisions(made: Life) -> list[tuple[Command, bool]]:
    return [(effect.command, effect.taken) for effect in made.effects if isinstance(effect, Decide)]


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


def test_retry_beyond_the_tries_is_rejected_where_an_attempt_was_made():
    made = in_state(OrderState.PENDING, attempts=1, tries=4, cleared=False)
    made.take(RetryDue())
    assert (OrderState.REJECTED, "not_placed") == (made.state, made.order.reason)
    assert "proven never placed, and not sent again: 4 tries; 4 of 4 tries used" == last_event(made).detail


def test_refusal_before_matching_is_looked_up_once_before_the_next_send():
    made = life(SENT, NotExecuted(attempt=1, why="10006 too many visits"))
    assert (OrderState.PENDING, False) == (made.state, made.order.in_flight)
    made.take(RetryDue(), after_ms=250)
    assert (OrderState.PENDING, 1, 1) == (made.state, made.wanted(QueryOrder), made.wanted(SendCreate))
    made.look()
    assert (OrderState.SUBMITTED, 2) == (made.state, made.wanted(SendCreate))


def test_look_up_that_began_before_the_refusal_does_not_allow_the_next_send():
    made = life(SENT, NotExecuted(attempt=1, why="busy"), RetryDue())
    made.take(LookedUp(complete=True, found=False, started_ms=Ms(START_MS)))
    assert (OrderState.PENDING, 1) == (made.state, made.wanted(SendCreate))
    made.take(QueryDue(), after_ms=1)
    assert 2 == made.wanted(QueryOrder)
    made.look()
    assert OrderState.SUBMITTED is made.state


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


def test_acceptance_after_the_exchange_rejected_the_order_is_no_contradiction():
    made = life(SENT, shown(OrderStatus.REJECTED), ACCEPTED)
    assert (OrderState.REJECTED, 0, 0) == (made.state, made.told(EventType.ERROR), made.wanted(QueryOrder))


def test_acceptance_of_an_order_we_hold_for_refused_is_a_contradiction():
    made = in_state(OrderState.REJECTED)
    made.take(ACCEPTED)
    assert (OrderState.REJECTED, 1, 1) == (made.state, made.told(EventType.ERROR), made.wanted(QueryOrder))


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


def test_refusal_of_the_only_attempt_is_proof_even_after_a_timeout():
    made = life(SENT, UNKNOWN, Refused(attempt=1, ret_code=110007, ret_msg="no balance", hint="deposit"))
    assert (OrderState.REJECTED, "110007 no balance") == (made.state, made.order.reason)
    assert ("110007", "110007 no balance. deposit") == (last_event(made).reason, last_event(made).detail)


def test_absence_after_the_last_try_is_rejected_and_says_why():
    made = unknown_order(tries=4)
    made.look(after_ms=BLIND_MS)
    made.look()
    assert (OrderState.REJECTED, "not_placed") == (made.state, made.order.reason)


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


# Restart.


def test_restart_forgets_the_flight_and_gives_the_exchange_time_to_show_it():
    made = life(SENT)
    made.take(Restarted(), after_ms=5000)
    order = made.order
    assert (OrderState.TIMEOUT, False, True) == (made.state, order.in_flight, order.looking)
    assert made.now_ms + BLIND_MS == order.blind_until_ms
    assert START_MS + 1 == order.last_sent_ms


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


# The monotonic guard.


@pytest.mark.parametrize(
    "before,row",
    [
        (shown(OrderStatus.PARTIALLY_FILLED, "0.4", at=10), shown(OrderStatus.PARTIALLY_FILLED, "0.3", at=20)),
        (shown(OrderStatus.NEW, at=10), shown(OrderStatus.UNTRIGGERED, at=20)),
        (shown(OrderStatus.TRIGGERED, at=10), shown(OrderStatus.UNTRIGGERED, at=20)),
        (shown(OrderStatus.UNTRIGGERED, at=10), shown(OrderStatus.CREATED, at=20)),
        (shown(OrderStatus.NEW, at=10), shown(OrderStatus.NEW, at=9, qty=Decimal(2))),
        (shown(OrderStatus.FILLED, "1", at=10), shown(OrderStatus.PARTIALLY_FILLED, "1", at=20)),
        (shown(OrderStatus.CANCELLED, "0.4", at=10), shown(OrderStatus.CANCELLED, "0.3", at=20)),
        (shown(OrderStatus.CANCELLED, "0.4", at=10), shown(OrderStatus.NEW, at=20)),
    ],
)
def test_row_that_goes_back_changes_nothing(before, row):
    made = life(SENT, before)
    order = made.order
    result = made.take(row, after_ms=1)
    assert ("shows_stale", (), ()) == (result.fact, result.effects, result.events)
    assert evolve(order, updated_ms=made.now_ms) == made.order


@pytest.mark.parametrize(
    "before,row",
    [
        (shown(OrderStatus.NEW, at=10), shown(OrderStatus.NEW, at=10)),
        (shown(OrderStatus.NEW, at=10), shown(OrderStatus.PENDING_CANCEL, at=10)),
        (shown(OrderStatus.UNTRIGGERED, at=10), shown(OrderStatus.NEW, at=5)),
        (shown(OrderStatus.PARTIALLY_FILLED, "0.4", at=10), shown(OrderStatus.CANCELLED, "0.3", at=5)),
        (shown(OrderStatus.NEW, at=10), shown(OrderStatus.PARTIALLY_FILLED, "0.4", at=5)),
    ],
)
def test_row_that_goes_on_or_repeats_is_taken(before, row):
    made = life(SENT, before)
    assert "shows_stale" != made.take(row).fact
    assert row.row.status is made.order.view.status


def test_row_older_by_its_time_alone_is_believed_once_a_lagging_list_is_out_of_the_question():
    made = life(SENT, shown(OrderStatus.NEW, at=1_000))
    taken_ms = made.now_ms
    asked_ms = taken_ms + POLICY.visibility_ms
    young = answered(OrderStatus.NEW, at=400, asked_ms=asked_ms - 1, qty=Decimal(2))
    assert "shows_stale" == made.take(young, after_ms=POLICY.visibility_ms).fact
    result = made.take(answered(OrderStatus.NEW, at=400, asked_ms=asked_ms, qty=Decimal(2)))
    assert ("shows_open", Decimal(2), [EventType.ORDER_AMENDED]) == (
        result.fact,
        made.order.qty,
        [event.type for event in result.events],
    )


def test_amend_is_seen_though_the_exchanges_clock_went_back():
    made = life(SENT, shown(OrderStatus.NEW, at=1_000), AmendAsked(amend=Amend(qty=Decimal(2))))
    made.take(CommandAccepted(command=Command.AMEND), shown(OrderStatus.NEW, at=400, qty=Decimal(2)))
    assert "amend" == made.order.snapshot().pending
    asked_ms = made.now_ms + POLICY.visibility_ms
    made.take(answered(OrderStatus.NEW, at=400, asked_ms=asked_ms, qty=Decimal(2)), after_ms=POLICY.visibility_ms)
    assert "" == made.order.snapshot().pending


OPEN_RANKS = [
    (OrderStatus.CREATED, 0),
    (OrderStatus.UNTRIGGERED, 1),
    (OrderStatus.TRIGGERED, 2),
    (OrderStatus.NEW, 3),
    (OrderStatus.PENDING_CANCEL, 3),
    (OrderStatus.PARTIALLY_FILLED, 4),
]


@pytest.mark.parametrize("before,had", OPEN_RANKS)
@pytest.mark.parametrize("after,has", OPEN_RANKS)
def test_open_row_of_a_lower_rank_is_stale_however_late(before, had, after, has):
    made = life(SENT, shown(before, at=10))
    assert (has < had) is (made.take(shown(after, at=20)).fact == "shows_stale")


def test_final_row_is_not_taken_back_by_an_open_one_that_saw_more():
    made = life(SENT, shown(OrderStatus.CANCELLED, "0.3"), shown(OrderStatus.PARTIALLY_FILLED, "0.4", at=20))
    assert (OrderStatus.CANCELLED, Decimal("0.4")) == (made.order.view.status, made.order.gap)
    assert StartTimer(timer=Timer.QUERY, delay_ms=POLICY.gap_grace_ms) == made.effects[-1]


def test_open_row_between_a_lagging_final_row_and_the_watermark_is_stale():
    made = life(SENT, shown(OrderStatus.PARTIALLY_FILLED, "0.5"), shown(OrderStatus.CANCELLED, "0.3", at=20))
    assert "shows_stale" == made.take(shown(OrderStatus.PARTIALLY_FILLED, "0.4", at=30)).fact


# Whose row is it?


@pytest.mark.parametrize(
    "changes,text",
    [
        ({"side": Side.SELL}, "expected linear BTCUSDT Buy, the exchange shows linear BTCUSDT Sell"),
        ({"symbol": "ETHUSDT"}, "expected linear BTCUSDT Buy, the exchange shows linear ETHUSDT Buy"),
        ({"category": Category.SPOT}, "expected linear BTCUSDT Buy, the exchange shows spot BTCUSDT Buy"),
    ],
)
def test_row_of_another_order_under_our_id_is_quarantined(changes, text):
    made = life(SENT, shown(OrderStatus.NEW, **changes))
    assert (OrderState.ERROR, text, None) == (made.state, made.order.reason, made.order.view)


@pytest.mark.parametrize("changes", [{"side": Side.SELL}, {"symbol": "ETHUSDT"}, {"category": Category.SPOT}])
def test_fill_that_contradicts_the_order_is_counted_and_quarantined(changes):
    made = life(SENT, NEW, executed("e1", "0.1", **changes))
    assert (OrderState.ERROR, Decimal("0.1"), 1) == (made.state, made.order.ledger.cum_exec_qty, made.wanted(Account))
    assert made.order.reason.startswith("execution e1: expected linear BTCUSDT Buy, seen ")


@pytest.mark.parametrize(
    "changes,state",
    [
        ({}, OrderState.ACKNOWLEDGED),
        ({"qty": Decimal(2)}, OrderState.ERROR),
        ({"qty": Decimal("0.5"), "reduce_only": True}, OrderState.ACKNOWLEDGED),
    ],
)
def test_duplicate_reply_adopts_the_order_only_if_it_is_the_intended_one(changes, state):
    made = life(SENT, Duplicate(attempt=1, ret_code=110072), shown(OrderStatus.NEW, **changes))
    assert state is made.state
    assert 1 == made.wanted(SendCreate)
    assert 0 == made.told(EventType.ORDER_REJECTED)


def test_duplicate_reply_after_the_row_is_of_the_first_order_under_the_id():
    made = life(SENT, shown(OrderStatus.NEW, qty=Decimal(2)), Duplicate(attempt=1, ret_code=110072))
    assert (OrderState.ERROR, True) == (made.state, made.order.reason.endswith("older than ours, had 2"))


@pytest.mark.parametrize(
    "facts",
    [
        (NEW, AMEND, shown(OrderStatus.NEW, at=20, qty=Decimal(2))),
        (PART, shown(OrderStatus.PARTIALLY_FILLED, "0.4", at=30, qty=Decimal(2))),
        (),
    ],
)
def test_duplicate_reply_about_an_order_that_was_ours_at_first_is_no_contradiction(facts):
    made = life(SENT, *facts, Duplicate(attempt=1, ret_code=110072))
    assert OrderState.ERROR is not made.state


def test_duplicate_reply_to_a_later_attempt_or_of_a_shrunk_order_is_no_contradiction():
    two = shown(OrderStatus.NEW, qty=Decimal(2))
    later = in_state(OrderState.SUBMITTED, tries=2)
    later.take(two, Duplicate(attempt=2, ret_code=110072))
    shrunk = life(SENT, order=Order.of(evolve(REQUEST, reduce_only=True)))
    shrunk.take(two, Duplicate(attempt=1, ret_code=110072))
    assert [OrderState.ACKNOWLEDGED] * 2 == [later.state, shrunk.state]


def test_adopted_order_may_change_its_quantity_later():
    made = life(SENT, Duplicate(attempt=1, ret_code=110072), NEW, shown(OrderStatus.NEW, at=20, qty=Decimal(2)))
    assert (OrderState.ACKNOWLEDGED, Decimal(2)) == (made.state, made.order.qty)


# Rows.


def test_first_evidence_is_told_once():
    assert 1 == life(SENT, PART, NEW, FULL, SHOWN_FILLED).told(EventType.ORDER_PLACED)


def test_rejected_row_without_fills_is_no_placement():
    assert 0 == life(SENT, ACCEPTED, shown(OrderStatus.REJECTED)).told(EventType.ORDER_PLACED)


def test_row_binds_the_order_id_once():
    made = life(SENT, NEW, shown(OrderStatus.NEW, at=20, order_id="o-2"))
    assert ORDER_ID == made.order.order_id


def test_conditional_order_that_fires_takes_its_new_order_id():
    conditional = Order.of(evolve(REQUEST, trigger_price=Decimal(110), trigger_direction=1))
    made = Life(order=conditional)
    made.take(SENT, shown(OrderStatus.UNTRIGGERED, at=10), shown(OrderStatus.NEW, at=20, order_id="o-2"))
    assert "o-2" == made.order.order_id
    # Neither the late reply nor a row of before brings the old one back.
    made.take(ACCEPTED, shown(OrderStatus.UNTRIGGERED, at=10))
    assert "o-2" == made.order.order_id
    made.take(executed("e1", "0.4", order_id="o-3"))
    assert "o-3" == made.order.order_id
    made.take(executed("e2", "0.1", order_id=""))
    assert "o-3" == made.order.order_id


def test_price_that_the_exchange_moved_is_adopted_and_told():
    made = life(SENT, shown(OrderStatus.NEW, price=Decimal(95)))
    assert Decimal(95) == made.order.snapshot().price
    assert (EventType.ORDER_AMENDED, "price 100 -> 95") == (last_event(made).type, last_event(made).detail)


def test_everything_that_changes_is_told():
    request = evolve(REQUEST, trigger_price=Decimal(99))
    made = life(SENT, shown(OrderStatus.UNTRIGGERED, trigger_price=Decimal(99)), order=Order.of(request))
    made.take(
        shown(
            OrderStatus.UNTRIGGERED,
            at=20,
            qty=Decimal(2),
            price=Decimal(101),
            trigger_price=Decimal(98),
            take_profit=Decimal(110),
            stop_loss=Decimal(90),
        )
    )
    assert (
        "qty 1 -> 2, price 100 -> 101, trigger_price 99 -> 98, take_profit None -> 110, stop_loss None -> 90"
        == last_event(made).detail
    )


@pytest.mark.parametrize("trigger_price", [None, Decimal(0)])
def test_row_without_a_trigger_moves_none(trigger_price):
    made = life(SENT, order=Order.of(evolve(REQUEST, trigger_price=Decimal(99))))
    made.take(shown(OrderStatus.NEW, trigger_price=trigger_price))
    assert 0 == made.told(EventType.ORDER_AMENDED)


def test_trigger_that_nobody_asked_for_is_no_amend():
    assert 0 == life(SENT, shown(OrderStatus.NEW, trigger_price=Decimal(98))).told(EventType.ORDER_AMENDED)


def test_first_row_of_a_conditional_order_tells_a_moved_trigger():
    made = life(SENT, order=Order.of(evolve(REQUEST, trigger_price=Decimal(99))))
    made.take(shown(OrderStatus.UNTRIGGERED, trigger_price=Decimal(98)))
    assert "trigger_price 99 -> 98" == last_event(made).detail


def test_internal_price_of_a_market_order_is_no_amend():
    request = evolve(REQUEST, order_type=OrderType.MARKET, price=None, time_in_force=TimeInForce.IOC)
    made = life(SENT, shown(OrderStatus.NEW, price=Decimal(95)), order=Order.of(request))
    assert 0 == made.told(EventType.ORDER_AMENDED)


def test_final_row_and_an_older_one_amend_nothing():
    made = life(SENT, NEW, PART, shown(OrderStatus.PARTIALLY_FILLED, "0.4", at=15, qty=Decimal(3)))
    assert (0, Decimal(1)) == (made.told(EventType.ORDER_AMENDED), made.order.qty)
    made.take(shown(OrderStatus.CANCELLED, "0.4", at=50, price=Decimal(7)))
    assert 0 == made.told(EventType.ORDER_AMENDED)


def test_row_of_the_same_time_as_an_execution_tells_the_newer_quantity():
    made = life(SENT, PART, shown(OrderStatus.PARTIALLY_FILLED, "0.4", at=20, qty=Decimal(2)))
    assert (Decimal(2), "qty 1 -> 2") == (made.order.qty, last_event(made).detail)


def test_row_without_quantity_keeps_the_one_we_know():
    assert Decimal(1) == life(SENT, shown(OrderStatus.NEW, qty=Decimal(0))).order.qty


@pytest.mark.parametrize(
    "changes,reason",
    [
        ({"cancel_type": "CancelByUser", "reject_reason": "EC_PerCancelRequest"}, "CancelByUser EC_PerCancelRequest"),
        ({"cancel_type": "UNKNOWN", "reject_reason": "EC_PostOnlyWillTakeLiquidity"}, "EC_PostOnlyWillTakeLiquidity"),
        ({"cancel_type": "UNKNOWN", "reject_reason": "EC_NoError"}, "Cancelled"),
    ],
)
def test_reason_of_a_cancel_is_kept(changes, reason):
    made = life(SENT, NEW, shown(OrderStatus.CANCELLED, "0.4", at=20, **changes))
    assert (reason, "executed 0.4 of 1") == (made.order.reason, last_event(made).detail)


@pytest.mark.parametrize(
    "reason,tif,state",
    [
        ("EC_PostOnlyWillTakeLiquidity", TimeInForce.POST_ONLY, OrderState.CANCELLED),
        ("EC_NoImmediateQtyToFill", TimeInForce.IOC, OrderState.CANCELLED),
        ("EC_CancelForNoFullFill", TimeInForce.IOC, OrderState.CANCELLED),
        ("EC_NoEnoughQtyToFill", TimeInForce.FOK, OrderState.CANCELLED),
        ("EC_NoEnoughQtyToFill", TimeInForce.GTC, OrderState.REJECTED),
        ("EC_InvalidSymbolStatus", TimeInForce.FOK, OrderState.REJECTED),
    ],
)
def test_rejected_row_is_classified_by_its_reason(reason, tif, state):
    made = life(
        SENT, shown(OrderStatus.REJECTED, reject_reason=reason), order=Order.of(evolve(REQUEST, time_in_force=tif))
    )
    assert (state, reason) == (made.state, made.order.reason)


def test_rejected_after_fills_is_a_cancel_with_fills():
    made = life(SENT, NEW, PART, shown(OrderStatus.REJECTED, "0.4", at=40, reject_reason="EC_Others"))
    assert (OrderState.CANCELLED, Decimal("0.4"), "EC_Others") == (
        made.state,
        made.order.ledger.cum_exec_qty,
        made.order.reason,
    )


def test_rejected_row_that_lags_behind_our_fills_is_a_cancel_with_fills():
    made = life(SENT, NEW, PART, shown(OrderStatus.REJECTED, "0", at=40, reject_reason="EC_Others"))
    assert OrderState.CANCELLED is made.state


# Executions.


def test_fill_tells_what_it_was():
    made = life(SENT, NEW, PART)
    event = last_event(made)
    assert (EventType.ORDER_FILLED, "e1", 20, False, Source.STREAM, "Trade") == (
        event.type,
        event.exec_id,
        event.event_ms,
        event.complete,
        event.source,
        event.reason,
    )
    assert PART.execution is event.execution
    assert made.order.snapshot() == event.order
    assert Account(execution=PART.execution, position_idx=0, reduce_only=False) in made.effects


def test_fill_that_completes_the_order_says_so():
    made = life(SENT, NEW, PART, FULL)
    assert [False, True] == [event.complete for event in made.events if event.type is EventType.ORDER_FILLED]


def test_filled_row_before_its_executions_completes_with_the_last_of_them():
    made = life(SENT, SHOWN_FILLED, PART, FULL)
    assert [False, True] == [event.complete for event in made.events if event.type is EventType.ORDER_FILLED]


def test_known_fill_is_no_fill():
    made = life(SENT, NEW, PART)
    order = made.order
    result = made.take(PART, after_ms=1)
    assert ((), ()) == (result.effects, result.events)
    assert evolve(order, updated_ms=made.now_ms) == made.order


def test_fee_that_comes_later_is_asked_for_told_to_the_portfolio_and_lets_the_order_settle():
    bare = executed("e1", "1", exec_fee=None)
    made = life(SENT, bare, SHOWN_FILLED)
    assert 0 == made.wanted(ConfirmPosition)
    assert StartTimer(timer=Timer.QUERY, delay_ms=POLICY.gap_grace_ms) in made.effects
    made.take(QueryDue(), after_ms=500)
    assert 1 == made.wanted(QueryOrder)
    made.take(executed("e1", "1"))
    assert (2, 1) == (made.wanted(Account), made.wanted(ConfirmPosition))
    assert (("USDT", Decimal("0.1")),) == made.order.ledger.fees
    assert 1 == made.told(EventType.ORDER_FILLED)


def test_funding_moves_no_quantity_and_is_the_portfolios():
    made = life(SENT, NEW, executed("e1", "1", exec_type=ExecType.FUNDING))
    assert (OrderState.ACKNOWLEDGED, Decimal(0)) == (made.state, made.order.ledger.cum_exec_qty)
    assert (1, 0) == (made.wanted(Account), made.told(EventType.ORDER_FILLED))


def test_quantity_of_an_execution_row_is_its_own_orders():
    made = life(SENT, executed("e1", "1", order_qty=Decimal(2)))
    assert (OrderState.PARTIAL_FILL, Decimal(2)) == (made.state, made.order.qty)


def test_late_execution_does_not_bring_an_old_quantity_back():
    made = life(SENT, shown(OrderStatus.NEW, at=30, qty=Decimal(2)), executed("e1", "1", at=20))
    assert (OrderState.PARTIAL_FILL, Decimal(2)) == (made.state, made.order.qty)


@pytest.mark.parametrize("order_qty", [None, Decimal(0)])
def test_execution_that_does_not_tell_the_orders_quantity_never_fills_it(order_qty):
    made = life(SENT, NEW, executed("e1", "1", order_qty=order_qty))
    assert (OrderState.PARTIAL_FILL, 1) == (made.state, made.wanted(QueryOrder))
    made.look(complete=False)
    made.take(QueryDue(), after_ms=500)
    assert 2 == made.wanted(QueryOrder)


def test_execution_without_quantity_that_leaves_some_is_not_asked_about():
    made = life(SENT, NEW, executed("e1", "0.9", order_qty=None))
    assert (OrderState.PARTIAL_FILL, 0) == (made.state, made.wanted(QueryOrder))


def test_execution_beyond_the_quantity_while_an_amend_is_out_is_no_overfill():
    made = life(SENT, NEW, AMEND, executed("e1", "1.5", order_qty=Decimal(1)))
    assert (OrderState.PARTIAL_FILL, 0, 1) == (made.state, made.wanted(FreezeSymbol), made.wanted(QueryOrder))


def test_amend_that_was_only_wished_for_leaves_the_quantity_certain():
    made = life(SENT, AMEND, executed("e1", "1"))
    assert OrderState.FILLED is made.state
    assert [(Command.AMEND, False)] == decisions(made)


@pytest.mark.parametrize(
    "changes,state",
    [
        ({}, OrderState.PARTIAL_FILL),
        ({"side": Side.SELL}, OrderState.FILLED),
        ({"order_type": OrderType.LIMIT}, OrderState.FILLED),
        ({"category": Category.LINEAR}, OrderState.FILLED),
    ],
)
def test_spot_market_buy_is_filled_by_its_status_alone(changes, state):
    request = evolve(REQUEST, category=Category.SPOT, order_type=OrderType.MARKET)
    request = evolve(request, **changes)
    made = life(SENT, order=Order.of(request))
    made.take(executed("e1", "1", category=request.category, side=request.side))
    assert state is made.state


def test_overfill_is_kept_counted_and_freezes_the_symbol():
    made = life(SENT, NEW, executed("e1", "1.5"))
    assert (OrderState.FILLED, Decimal("1.5"), Decimal("0.5")) == (
        made.state,
        made.order.ledger.cum_exec_qty,
        made.order.snapshot().overfill_qty,
    )
    assert ("overfill", "executed 1.5 of 1: 0.5 too much, kept and counted") == (
        last_event(made).reason,
        last_event(made).detail,
    )
    assert 1 == made.wanted(FreezeSymbol)


def test_late_fill_within_the_watermark_of_a_cancelled_order_is_no_alarm():
    made = life(SENT, NEW, SHOWN_CANCELLED, PART)
    assert (OrderState.CANCELLED, 0) == (made.state, made.told(EventType.ERROR))


def test_late_fill_beyond_the_watermark_of_a_cancelled_order_is_an_alarm():
    made = life(SENT, NEW, PART, SHOWN_CANCELLED, executed("e9", "0.1", at=50))
    assert (OrderState.CANCELLED, Decimal("0.5")) == (made.state, made.order.ledger.cum_exec_qty)
    assert ("late_fill", "0.5 executed, the exchange's final row said 0.4; the fill is kept") == (
        last_event(made).reason,
        last_event(made).detail,
    )


# Cancels.


def test_cancel_before_sending_is_a_denial():
    made = life(CANCEL)
    assert (OrderState.DENIED, DenyReason.CANCELLED_UNSENT) == (made.state, made.order.deny_reason)
    assert [(Command.CANCEL, True)] == decisions(made)


def test_cancel_between_attempts_ends_the_order_as_never_placed():
    made = life(SENT, NotExecuted(attempt=1, why="busy"), CANCEL)
    assert (OrderState.REJECTED, "not_placed") == (made.state, made.order.reason)
    assert [(Command.CANCEL, True)] == decisions(made)


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


def test_order_that_a_person_resolved_settles_over_its_gap():
    made = life(SENT, shown(OrderStatus.PARTIALLY_FILLED, "0.4"), Broken(why="a handler crashed"))
    made.take(Resolved(verdict="cancelled", who="ann", why="support said so"), Settled(seq=-1))
    assert (OrderState.CLOSED, OrderState.CANCELLED, Decimal(0)) == (made.state, made.order.outcome, made.order.gap)


def test_operator_accepts_a_gap_by_name():
    made = life(SENT, NEW, PART, SHOWN_FILLED)
    made.take(Resolved(verdict="settled", who="ann", why="history lost it"))
    assert ("gap 0.6 accepted by ann: history lost it", Decimal(0)) == (last_event(made).detail, made.order.gap)


# Alarms, and a step by itself.


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


def test_event_names_the_order_the_signal_and_both_clocks():
    event = last_event(life(SENT, NEW))
    assert ("c1", "s1", "h1-order", ORDER_ID, Category.LINEAR, "BTCUSDT", 10, START_MS + 2) == (
        event.correlation_id,
        event.signal_id,
        event.order_link_id,
        event.order_id,
        event.category,
        event.symbol,
        event.event_ms,
        event.at_ms,
    )


@pytest.mark.parametrize(
    "action",
    ["bind", "note_halt", "reject", "wish_amend", "fail_command", "take_command", "resolve", "accept_gap"],
)
def test_action_on_a_fact_that_is_not_its_own_does_nothing(action):
    order = in_state(OrderState.ACKNOWLEDGED).order
    step = Step(order, QueryDue(), Ms(5), POLICY, 0.5)
    getattr(step, action)()
    assert (evolve(order, updated_ms=Ms(5)), [], ()) == (step.order, step.effects, step.events_of("none"))
