"""Rows and executions: which are stale, whose they are, and what they change."""

from __future__ import annotations

from decimal import Decimal

import pytest
from attrs import evolve

from hean.core.facts import (
    Account,
    AmendAsked,
    Command,
    CommandAccepted,
    ConfirmPosition,
    Duplicate,
    FreezeSymbol,
    QueryDue,
    QueryOrder,
    Restarted,
    SendCreate,
    StartTimer,
    Timer,
)
from hean.core.record import Order
from hean.core.types import (
    Amend,
    Category,
    EventType,
    ExecType,
    OrderId,
    OrderState,
    OrderStatus,
    OrderType,
    Side,
    TimeInForce,
)
from tests.core.orders import (
    ACCEPTED,
    AMEND,
    FULL,
    NEW,
    ORDER_ID,
    PART,
    POLICY,
    REQUEST,
    SENT,
    SHOWN_CANCELLED,
    SHOWN_FILLED,
    START_MS,
    answered,
    decisions,
    executed,
    in_state,
    last_event,
    life,
    shown,
)

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


def test_row_older_by_its_time_alone_is_not_believed_for_a_jump_of_our_clock_at_a_restart():
    made = life(SENT, shown(OrderStatus.NEW, at=1_000))
    made.take(Restarted(), after_ms=60_000)
    asked_ms = made.now_ms + POLICY.visibility_ms
    young = answered(OrderStatus.NEW, at=400, asked_ms=asked_ms - 1, qty=Decimal(2))
    assert "shows_stale" == made.take(young, after_ms=POLICY.visibility_ms).fact
    assert "shows_open" == made.take(answered(OrderStatus.NEW, at=400, asked_ms=asked_ms, qty=Decimal(2))).fact


def test_amend_is_seen_though_the_exchanges_clock_went_back():
    made = life(SENT, shown(OrderStatus.NEW, at=1_000), AmendAsked(amend=Amend(qty=Decimal(2))))
    made.take(CommandAccepted(command=Command.AMEND), shown(OrderStatus.NEW, at=400, qty=Decimal(2)))
    assert "amend" == made.order.snapshot().pending
    asked_ms = made.now_ms + POLICY.visibility_ms
    made.take(answered(OrderStatus.NEW, at=400, asked_ms=asked_ms, qty=Decimal(2)), after_ms=POLICY.visibility_ms)
    assert "" == made.order.snapshot().pending


def test_amended_quantity_of_a_row_that_is_further_and_older_is_believed_at_once():
    made = life(SENT, executed("e1", "0.1", at=1_000))
    made.take(shown(OrderStatus.PARTIALLY_FILLED, "0.1", at=1_000))
    result = made.take(shown(OrderStatus.PARTIALLY_FILLED, "0.4", at=400, qty=Decimal(3)))
    assert (Decimal(3), 400) == (made.order.qty, made.order.known_qty_ms)
    assert ["qty 1 -> 3"] == [event.detail for event in result.events if event.type is EventType.ORDER_AMENDED]


def test_amended_quantity_of_a_row_older_than_the_last_execution_is_believed_past_any_lag():
    made = life(SENT, executed("e1", "0.1", at=START_MS, order_qty=Decimal(1)))
    amended = {"qty": Decimal(3), "at": START_MS - 900}
    asked_ms = START_MS + POLICY.visibility_ms
    made.take(answered(OrderStatus.PARTIALLY_FILLED, "0.1", asked_ms=asked_ms - 1, **amended))
    assert Decimal(1) == made.order.qty
    made.take(answered(OrderStatus.PARTIALLY_FILLED, "0.1", asked_ms=asked_ms, **amended))
    assert (Decimal(3), START_MS - 900) == (made.order.qty, made.order.known_qty_ms)


def test_quantity_of_a_row_that_knows_less_than_was_executed_is_not_believed_past_any_lag():
    made = life(SENT, executed("e1", "0.1", at=START_MS, order_qty=Decimal(1)))
    asked_ms = START_MS + POLICY.visibility_ms
    made.take(answered(OrderStatus.NEW, at=START_MS - 900, asked_ms=asked_ms, qty=Decimal(3)))
    assert Decimal(1) == made.order.qty


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


def test_acceptance_after_the_exchange_rejected_the_order_is_no_contradiction():
    made = life(SENT, shown(OrderStatus.REJECTED), ACCEPTED)
    assert (OrderState.REJECTED, 0, 0) == (made.state, made.told(EventType.ERROR), made.wanted(QueryOrder))


def test_id_that_the_rejected_row_left_out_is_learnt_from_the_reply():
    made = life(SENT, shown(OrderStatus.REJECTED, order_id=OrderId("")))
    assert made.order.order_id is None
    made.take(ACCEPTED)
    assert (OrderState.REJECTED, ORDER_ID) == (made.state, made.order.order_id)


def test_acceptance_of_an_order_we_hold_for_refused_is_a_contradiction():
    made = in_state(OrderState.REJECTED)
    made.take(ACCEPTED)
    assert (OrderState.REJECTED, 1, 1) == (made.state, made.told(EventType.ERROR), made.wanted(QueryOrder))


# Executions.


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


def test_quantity_that_an_execution_shows_before_any_row_is_told_once():
    made = life(SENT, NEW, executed("e1", "1", at=30, order_qty=Decimal(2)))
    assert ["qty 1 -> 2"] == [event.detail for event in made.events if event.type is EventType.ORDER_AMENDED]
    made.take(shown(OrderStatus.PARTIALLY_FILLED, "1", at=30, qty=Decimal(2)))
    assert 1 == made.told(EventType.ORDER_AMENDED)


def test_late_execution_does_not_bring_an_old_quantity_back():
    made = life(SENT, shown(OrderStatus.NEW, at=30, qty=Decimal(2)), executed("e1", "1", at=20))
    assert (OrderState.PARTIAL_FILL, Decimal(2)) == (made.state, made.order.qty)


@pytest.mark.parametrize("rest", ["0.1", "0.3"])
def test_quantity_that_an_older_execution_tells_is_not_that_of_a_newer_one_which_tells_none(rest):
    made = life(SENT, NEW, executed("e2", "0.9", at=30, order_qty=None))
    made.take(executed("e1", rest, at=20))
    assert (OrderState.PARTIAL_FILL, 0, 1) == (made.state, made.told(EventType.ERROR), made.wanted(QueryOrder))


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
