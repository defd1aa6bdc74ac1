"""
One step of the order machine: what its guards ask and what its actions do.

`OrderChart` in `core/order.py` says when; this file says what. A step holds a draft of the record, the fact, our clock
and the effects and events that gather. It decides no state: the chart does.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from attrs import evolve, frozen

from hean.core.facts import (
    Accepted,
    Account,
    AmendAsked,
    CancelAsked,
    Command,
    CommandAccepted,
    CommandFailed,
    ConfirmPosition,
    Decide,
    Denied,
    Effect,
    Executed,
    Fact,
    FreezeSymbol,
    Halted,
    LookedUp,
    NotExecuted,
    NotSent,
    QueryOrder,
    Refused,
    Resolved,
    SendAmend,
    SendCancel,
    SendCreate,
    Shown,
    StartTimer,
    Timer,
    WithdrawCreate,
)
from hean.core.record import Order, OrderPolicy, PendingRequest, View
from hean.core.retry import next_delay_ms
from hean.core.types import (
    ZERO,
    Category,
    DenyReason,
    Event,
    EventType,
    Execution,
    Ms,
    OrderId,
    OrderRow,
    OrderState,
    OrderStatus,
    OrderType,
    Side,
    TimeInForce,
)

# A row may not take an order back: rank orders the statuses by how far the life has gone.
_RANK = {
    OrderStatus.CREATED: 0,
    OrderStatus.UNTRIGGERED: 1,
    OrderStatus.TRIGGERED: 2,
    OrderStatus.NEW: 3,
    OrderStatus.PENDING_CANCEL: 3,
    OrderStatus.PARTIALLY_FILLED: 4,
}
_FINAL_RANK = 5

_ALIVE = frozenset({OrderState.ACKNOWLEDGED, OrderState.PARTIAL_FILL})
_TERMINAL = frozenset({OrderState.FILLED, OrderState.CANCELLED, OrderState.REJECTED})
_UNSHOWN = frozenset({OrderState.SUBMITTED, OrderState.TIMEOUT})

# Complete, empty look-ups that must agree before an absence counts. Source: Bybit V5 docs, order/open-order: the closed
# set is cleared by a restart of their service, so one empty answer is nothing.
MISSES_FOR_PROOF = 2
MISSES_FOR_VANISHED = 4
# After this many look-ups in a row that settled nothing, a person is told, and again at each doubling.
LOOKUPS_BEFORE_ALARM = 5


@frozen
class _Note:
    type: EventType
    reason: str = ""
    detail: str = ""
    execution: Execution | None = None


class Step:
    """One fact on its way through the machine; lives for one `apply`."""

    __slots__ = (
        "_notes",
        "_set_back",
        "_uncertain",
        "chart_state",
        "effects",
        "fact",
        "now_ms",
        "order",
        "policy",
        "unit",
        "why",
    )

    def __init__(self, order: Order, fact: Fact, now_ms: Ms, policy: OrderPolicy, unit: float) -> None:
        self.order = evolve(order, updated_ms=now_ms)
        self.fact = fact
        self.now_ms = now_ms
        self.policy = policy
        self.unit = unit
        self.effects: list[Effect] = []
        self.why = ""
        self.chart_state: str | None = None
        self._notes: list[_Note] = []
        self._uncertain = False
        self._set_back = False

    # What is asked before the chart: reading the fact.

    @property
    def too_old(self) -> bool:
        """The create is past its maximum age: it may be denied, never sent late."""
        return self.now_ms - self.order.request.submitted_ms >= self.policy.max_age_ms

    @property
    def may_start(self) -> bool:
        return not (self.order.halted or self.order.wish_cancel or self.too_old)

    @property
    def may_retry(self) -> bool:
        """Whether a due retry may go on; outside PENDING the question does not arise."""
        return self.order.state is not OrderState.PENDING or self.may_resend()

    def answers_newest(self, attempt: int) -> bool:
        return attempt == self.order.tries

    def landed(self, attempt: int) -> None:
        """A reply came: the newest attempt is not in flight any more, and its bytes left no later than now."""
        if self.order.in_flight and attempt == self.order.tries:
            self._sent_by(self.now_ms)
            self._set(in_flight=False)

    def looked_up(self, fact: LookedUp) -> str:
        """Weigh a look-up: what it proves depends on when it began and on what the exchange still remembers."""
        order = self.order
        self._set(looking=False)
        if not fact.complete:
            self.why = fact.why
            return "query_failed"
        if fact.found:
            self._set(misses=0)
            return "looked_up"
        if order.state is OrderState.PENDING:
            if order.last_sent_ms is not None and fact.started_ms < order.last_sent_ms:
                self.why = "it began before the last attempt was answered"
                return "query_failed"
            return "nothing_found"
        if order.attempts == 0:
            return "absence_proven"
        if order.in_flight or fact.started_ms < order.blind_until_ms:
            return "nothing_found"
        first = order.misses == 0
        self._set(misses=order.misses + 1, missing_ms=fact.started_ms if first else order.missing_ms)
        if self.order.misses < MISSES_FOR_PROOF:
            return "nothing_found"
        if order.last_sent_ms is not None and self.now_ms - order.last_sent_ms > self.policy.retention_ms:
            if order.state in _UNSHOWN:
                self.why = "sent longer ago than the exchange remembers: no evidence can come; decide with resolve"
                return "broken"
            return "nothing_found"
        return "absence_proven"

    def contradiction(self, row: OrderRow) -> str:
        """Why this row cannot be our order; empty when it can."""
        request = self.order.request
        if (row.category, row.symbol, row.side) != (request.category, request.symbol, request.side):
            return (
                f"expected {request.category} {request.symbol} {request.side}, "
                f"the exchange shows {row.category} {row.symbol} {row.side}"
            )
        first_qty = row.qty if self.order.first_qty is None else self.order.first_qty
        if self.order.doubted and first_qty != request.qty and not row.reduce_only:
            return f"expected qty {request.qty}, the exchange's order under this order_link_id had {first_qty}"
        return ""

    def shown_otherwise(self) -> bool:
        """Our only create is a duplicate, and what was shown under its ID before is not what we asked for."""
        order, request = self.order, self.order.request
        # What it has now may be our own amend: what it had when it was first seen tells whose it is.
        if order.tries > 1 or request.reduce_only or order.first_qty in {None, request.qty}:
            return False
        self.why = (
            f"expected qty {request.qty}, the exchange's order under this order_link_id, older than ours, "
            f"had {order.first_qty}"
        )
        return True

    def stale(self, fact: Shown) -> bool:
        """The monotonic guard: a row that goes back in quantity, status or time changes nothing."""
        row, view, watermark = fact.row, self.order.view, self.order.ledger.watermark
        if view is None:
            return False
        # A final word beats an open one even where its quantity lags.
        if row.status.final != view.status.final:
            return view.status.final and row.cum_exec_qty <= watermark
        seen = (row.cum_exec_qty, _RANK.get(row.status, _FINAL_RANK))
        known = (watermark, _RANK.get(view.status, _FINAL_RANK))
        if seen != known or row.updated_ms >= view.updated_ms:
            return seen < known
        # Older by its time alone. A list that lags shows such a row for a while; one that still does so much later
        # says that the exchange's clock went back, and is the order as it is.
        self._set_back = fact.asked_ms is not None and fact.asked_ms - view.taken_ms >= self.policy.visibility_ms
        return not self._set_back

    @property
    def something_executed(self) -> bool:
        return self.order.ledger.cum_exec_qty > 0 or self.order.ledger.watermark > 0

    def take_row(self, fact: Shown) -> None:
        """Adopt the exchange's quantity, price and watermark, and what they say about a request that is out."""
        row, order = fact.row, self.order
        if order.view is not None and order.view.status.final and not row.status.final:
            # It saw more executions than the final row did; that, and nothing else, is news.
            self._set(ledger=order.ledger.seen(row.cum_exec_qty))
            self._await_executions()
            return
        amended = self._amended(row)
        self._bind(row.order_id, newer=True)
        if row.qty > 0:
            self._learn_qty(row.qty, row.updated_ms)
        self._set(
            view=View(
                status=row.status,
                price=row.price,
                cum_exec_qty=row.cum_exec_qty,
                updated_ms=row.updated_ms,
                taken_ms=self.now_ms,
                trigger_price=row.trigger_price,
                take_profit=row.take_profit,
                stop_loss=row.stop_loss,
                cancel_type=row.cancel_type,
                reject_reason=row.reject_reason,
            ),
            ledger=order.ledger.seen(row.cum_exec_qty),
            misses=0,
        )
        if row.status is not OrderStatus.REJECTED or self.something_executed:
            self._placed()
        if amended:
            self._note(EventType.ORDER_AMENDED, "amended", amended)
        self._weigh_pending(fact)
        self._await_executions()

    def _await_executions(self) -> None:
        if self.order.gap > 0 or not self.order.ledger.fees_known:
            # Executions usually follow on the stream at once: asked for only when they do not.
            self.effects.append(StartTimer(timer=Timer.QUERY, delay_ms=self.policy.gap_grace_ms))

    def matched_out(self, row: OrderRow) -> bool:
        """
        A Rejected row that means a cancel: the order was taken, and matching ended it.

        Source: Bybit V5 docs, enum: rejectReason; spot says Rejected where derivatives say Cancelled.
        """
        fok = self.order.request.time_in_force is TimeInForce.FOK
        return row.reject_reason in _MATCHED_OUT or (fok and row.reject_reason == "EC_NoEnoughQtyToFill")

    def take_execution(self, fact: Executed) -> str:
        """Account one execution, and say how far it fills the order."""
        execution, order = fact.execution, self.order
        known = order.ledger.knows(execution.exec_id) or not execution.exec_type.moves_qty
        ledger = order.ledger.add(execution)
        if known:
            # It may still bring the fee that an earlier row left out, and funding is the portfolio's.
            if ledger is not order.ledger or not execution.exec_type.moves_qty:
                self._account(execution)
            self._set(ledger=ledger)
            return "executed_known"
        self._bind(execution.order_id, newer=True)
        if execution.order_qty:
            self._learn_qty(execution.order_qty, execution.exec_ms)
        self._set(ledger=ledger, misses=0, confirming=None)
        self._placed()
        self._account(execution)
        if not ledger.fees_known:
            self._await_executions()
        request = order.request
        expected = (request.category, request.symbol, request.side)
        if (execution.category, execution.symbol, execution.side) != expected:
            self.why = (
                f"execution {execution.exec_id}: expected {request.category} {request.symbol} {request.side}, "
                f"seen {execution.category} {execution.symbol} {execution.side}"
            )
            self._note(EventType.ORDER_FILLED, "contradiction", self.why, execution)
            return "broken"
        self._note(EventType.ORDER_FILLED, str(execution.exec_type), execution=execution)
        view = self.order.view
        if view is not None and view.status.final and ledger.cum_exec_qty > ledger.watermark:
            self._note(
                EventType.ERROR,
                "late_fill",
                f"{ledger.cum_exec_qty} executed, the exchange's final row said {ledger.watermark}; the fill is kept",
            )
        total = ledger.cum_exec_qty
        amending = order.pending is not None and order.pending.amend is not None
        # Spot market buys may be counted in quote coin: only the status tells when they are done.
        quoted = (request.category, request.order_type, request.side) == (
            Category.SPOT,
            OrderType.MARKET,
            Side.BUY,
        )
        if amending or quoted or not execution.order_qty:
            # Nobody can say what the whole is: never FILLED and never overfill on a guess.
            self._uncertain = total >= self.order.qty
            return "executed_part"
        if total < self.order.qty:
            return "executed_part"
        return "executed_full" if total == self.order.qty else "executed_over"

    def settles(self, seq: int) -> bool:
        order = self.order
        if order.confirming != seq:
            return False
        # Answered: where something has come between, the question is asked anew once it is out of the way.
        self._set(confirming=None)
        return order.gap == 0 and order.state in _TERMINAL and not order.contradicted

    def _account(self, execution: Execution) -> None:
        request = self.order.request
        self.effects.append(
            Account(execution=execution, position_idx=request.position_idx, reduce_only=request.reduce_only)
        )

    # Guards.

    def attempted(self) -> bool:
        return self.order.attempts > 0

    def only_attempt(self) -> bool:
        """The attempt that is being taken back was the only one that may ever have left."""
        return self.order.attempts == 1

    def cleared(self) -> bool:
        return self.order.cleared

    def may_resend(self) -> bool:
        return self.may_start and self.order.tries < self.policy.create.max_tries

    def may_send(self) -> bool:
        return self.may_resend()

    def exchange_rejected(self) -> bool:
        view = self.order.view
        return view is not None and view.status is OrderStatus.REJECTED

    def answers_only_attempt(self) -> bool:
        return self.order.attempts == 1

    def missed_again(self) -> bool:
        order = self.order
        return order.misses >= MISSES_FOR_VANISHED and self.now_ms - order.missing_ms >= self.policy.visibility_ms

    def never_seen(self) -> bool:
        order = self.order
        return order.ledger.cum_exec_qty == 0 and order.view is None and not order.claimed

    def claimed(self) -> bool:
        return self.order.claimed

    def settled_filled(self) -> bool:
        return self.order.settled_from is OrderState.FILLED

    def settled_cancelled(self) -> bool:
        return self.order.settled_from is OrderState.CANCELLED

    def resolved_rejected(self) -> bool:
        return isinstance(self.fact, Resolved) and self.fact.verdict == "rejected" and not self.something_executed

    # Actions: creates.

    def send_create(self) -> None:
        order = self.order
        self._set(
            attempts=order.attempts + 1,
            tries=order.tries + 1,
            in_flight=True,
            cleared=False,
            misses=0,
            lookups=0,
        )
        self._sent_by(self.now_ms)
        expires_ms = Ms(order.request.submitted_ms + self.policy.max_age_ms)
        self.effects.append(SendCreate(request=order.request, attempt=self.order.tries, expires_ms=expires_ms))
        self._note(EventType.ORDER_REQUEST, "create", f"attempt {self.order.tries}")

    def take_back(self) -> None:
        """The attempt never left: it was none."""
        self._set(attempts=self.order.attempts - 1, cleared=True)

    def clear(self) -> None:
        self._set(cleared=True, lookups=0)

    def schedule_retry(self) -> None:
        delay_ms = next_delay_ms(self.policy.create, max(self.order.tries, 1), self.unit)
        if isinstance(self.fact, NotExecuted) and self.fact.reset_ms is not None:
            delay_ms = max(delay_ms, min(self.fact.reset_ms - self.now_ms, self.policy.create.throttle_max_ms))
        self.effects.append(StartTimer(timer=Timer.RETRY, delay_ms=delay_ms))

    def withdraw(self) -> None:
        if self.order.in_flight:
            self.effects.append(WithdrawCreate(attempt=self.order.tries))

    def deny(self) -> None:
        reason, detail = self._no()
        self._set(deny_reason=reason, reason=str(reason))
        self._note(EventType.RISK_BLOCKED, str(reason), detail)

    def deny_unsent(self) -> None:
        self.deny()

    def deny_cancelled(self) -> None:
        self.deny()
        self.effects.append(Decide(command=Command.CANCEL, taken=True, why="cancelled before anything was sent"))

    def reject_not_placed(self) -> None:
        _, detail = self._no()
        self._set(reason="not_placed")
        self._note(EventType.ORDER_REJECTED, "not_placed", f"proven never placed, and not sent again: {detail}")

    def note_wish(self) -> None:
        self.effects.append(Decide(command=Command.CANCEL, taken=True, why="proven not placed; not sent again"))

    def note_halt(self) -> None:
        if isinstance(self.fact, Halted):
            self._set(halted=self.fact.halted)
            if self.fact.halted and self.order.state is OrderState.SUBMITTED:
                self.withdraw()

    # Actions: replies.

    def bind(self) -> None:
        if isinstance(self.fact, Accepted) and self.fact.order_id is not None:
            self._bind(self.fact.order_id)

    def expect_row(self) -> None:
        self.effects.append(StartTimer(timer=Timer.QUERY, delay_ms=self.policy.shown_ms))

    def doubt(self) -> None:
        self._set(doubted=True)

    def reject(self) -> None:
        if isinstance(self.fact, Refused):
            reason = f"{self.fact.ret_code} {self.fact.ret_msg}".strip()
            self._set(reason=reason)
            self._note(EventType.ORDER_REJECTED, str(self.fact.ret_code), f"{reason}. {self.fact.hint}".strip())

    def unknown_alarm(self) -> None:
        why = getattr(self.fact, "why", "") or type(self.fact).__name__
        self._note(EventType.ORDER_UNKNOWN, type(self.fact).__name__, f"{why}; asking the exchange by order_link_id")

    def forget_flight(self) -> None:
        """The process that sent it is gone: its bytes left no later than now, and no reply will come."""
        order = self.order
        if order.attempts and (order.in_flight or order.state is OrderState.SUBMITTED):
            self._set(blind_until_ms=Ms(self.now_ms + self.policy.visibility_ms))
        pending = order.pending
        if pending is not None and pending.failed_ms is None:
            pending = evolve(pending, failed_ms=self.now_ms, why="restarted before its reply")
        self._set(in_flight=False, looking=False, confirming=None, misses=0, pending=pending)

    # Actions: look-ups.

    def query(self) -> None:
        if isinstance(self.fact, CommandFailed) and self.fact.retry_ms > 0:
            # Throttled: asking at once would be refused as well.
            self.effects.append(StartTimer(timer=Timer.QUERY, delay_ms=self.fact.retry_ms))
        elif not self.order.looking:
            self._set(looking=True)
            self.effects.append(QueryOrder(why=self.why or type(self.fact).__name__))

    def query_if_unresolved(self) -> None:
        self._doubt_silence()
        if self.order.unresolved:
            self.query()

    def _doubt_silence(self) -> None:
        """An accepted request of which nothing was seen has failed as well as one that was refused."""
        pending = self.order.pending
        if pending is None or pending.accepted_ms is None or pending.failed_ms is not None:
            return
        left_ms = pending.accepted_ms + self.policy.shown_ms - self.now_ms
        if left_ms > 0:
            self.effects.append(StartTimer(timer=Timer.QUERY, delay_ms=left_ms))
        else:
            self._set(pending=evolve(pending, failed_ms=self.now_ms, why="accepted, yet nothing was seen of it"))

    def query_later(self) -> None:
        self.back_off()

    def back_off(self) -> None:
        order = self.order
        lookups = order.lookups + 1
        self._set(lookups=lookups)
        delay_ms = next_delay_ms(self.policy.query, lookups, self.unit)
        if order.blind_until_ms > self.now_ms:
            # An absence cannot be proven before: one look-up is timed to be the proof.
            delay_ms = min(delay_ms, order.blind_until_ms - self.now_ms + 1)
        self.effects.append(StartTimer(timer=Timer.QUERY, delay_ms=max(delay_ms, 1)))
        doublings, rest = divmod(lookups, LOOKUPS_BEFORE_ALARM)
        if rest == 0 and doublings & (doublings - 1) == 0:
            self._note(
                EventType.ERROR,
                "unresolved",
                f"{lookups} look-ups settled nothing ({self.why or 'nothing found'}); gap {order.gap}; still asking. "
                "If the exchange no longer knows, decide with `hean resolve`",
            )

    def back_off_if_unresolved(self) -> None:
        if self.order.unresolved:
            self.back_off()
        else:
            self._set(lookups=0)

    def vanished(self) -> None:
        self.why = f"the exchange showed this order and now denies it in {self.order.misses} complete look-ups"
        self.break_down()

    # Actions: rows and executions.

    def cancelled(self) -> None:
        view = self.order.view
        assert view is not None, "a row was taken"
        reasons = [text for text in (view.cancel_type, view.reject_reason) if text not in _SILENT]
        reason = " ".join(reasons) or str(view.status)
        self._set(reason=reason)
        self._note(EventType.ORDER_CANCELLED, reason, f"executed {self.order.ledger.watermark} of {self.order.qty}")

    def rejected_by_row(self) -> None:
        view = self.order.view
        assert view is not None, "a row was taken"
        self._set(reason=view.reject_reason)
        self._note(EventType.ORDER_REJECTED, view.reject_reason, "rejected by the exchange after it was accepted")

    def overfilled(self) -> None:
        ledger, qty = self.order.ledger, self.order.qty
        detail = f"executed {ledger.cum_exec_qty} of {qty}: {ledger.overfill(qty)} too much, kept and counted"
        self._note(EventType.ERROR, "overfill", detail)
        self.effects.append(FreezeSymbol(why=f"order {self.order.request.order_link_id}: {detail}"))

    def alarm(self) -> None:
        order = self.order
        self._note(
            EventType.ERROR,
            "contradiction",
            f"order {order.request.order_link_id} is {order.state}, yet {_brief(self.fact)}; asking the exchange",
        )

    # Actions: commands.

    def wish_cancel(self) -> None:
        # A repeated wish gives the cancel its tries back.
        self._set(wish_cancel=True, cancels=0)

    def wish_amend(self) -> None:
        if isinstance(self.fact, AmendAsked):
            if self.order.wish_cancel:
                self.deny_command()
                return
            self._set(wish_amend=self.fact.amend)

    def deny_command(self) -> None:
        command = Command.AMEND if isinstance(self.fact, AmendAsked) else Command.CANCEL
        state = self.order.state
        self.effects.append(Decide(command=command, taken=False, why=f"the order is {state}; nothing was sent"))

    def fail_command(self) -> None:
        pending = self.order.pending
        if isinstance(self.fact, CommandFailed):
            self.why = f"{self.fact.command} failed: {self.fact.why}"
            # A late reply to an amend that a cancel overtook says nothing about the cancel.
            if pending is not None and pending.command is self.fact.command:
                self._set(pending=evolve(pending, failed_ms=self.now_ms, why=self.fact.why))

    def take_command(self) -> None:
        pending = self.order.pending
        if isinstance(self.fact, CommandAccepted) and pending is not None and pending.command is self.fact.command:
            self._set(pending=evolve(pending, accepted_ms=self.now_ms))
            self.expect_row()

    # Actions: ends.

    def resolve(self) -> None:
        if isinstance(self.fact, Resolved):
            fact = self.fact
            self._set(gap_accepted=True, reason=f"resolved as {fact.verdict} by {fact.who}: {fact.why}")
            type_ = EventType.ORDER_REJECTED if self.resolved_rejected() else EventType.ORDER_CANCELLED
            self._note(type_, "resolved", self.order.reason)

    def accept_gap(self) -> None:
        if isinstance(self.fact, Resolved):
            self._set(gap_accepted=True)
            self._note(
                EventType.STATUS,
                "resolved",
                f"gap {self.order.ledger.gap} accepted by {self.fact.who}: {self.fact.why}",
            )

    def break_down(self) -> None:
        self._set(reason=self.why)
        self._note(EventType.ERROR, "broken", f"{self.why}. Quarantined; fills are still applied. See `hean trace`")

    def close(self) -> None:
        self._set(settled_from=self.order.state)
        self._note(EventType.ORDER_SETTLED, str(self.order.state))

    # After the chart: what follows from the new state, whatever led there.

    def finish(self, after: OrderState) -> None:
        """Take the new state, pursue what waits for it, and see whether the order can settle."""
        before = self.order.state
        self._set(state=after)
        if before is OrderState.CLOSED and after is not OrderState.CLOSED:
            self._set(settled_from=None, confirming=None)
        if self._uncertain:
            self.query()
        if after in _TERMINAL or after is OrderState.DENIED:
            self._drop_requests(after)
        if after in _TERMINAL:
            self._seek_settlement()
        else:
            self._pursue()

    def events_of(self, chart_fact: str) -> tuple[Event, ...]:
        """The notes as events, all with the order as it is now."""
        if not self._notes:
            return ()
        order = self.order
        request = order.request
        row = self.fact.row if isinstance(self.fact, Shown) else None
        snapshot = order.snapshot()
        return tuple(
            Event(
                type=note.type,
                at_ms=self.now_ms,
                event_ms=note.execution.exec_ms if note.execution else row.updated_ms if row else None,
                correlation_id=request.correlation_id,
                signal_id=request.signal_id,
                order_link_id=request.order_link_id,
                order_id=order.order_id or "",
                exec_id=note.execution.exec_id if note.execution else "",
                category=request.category,
                symbol=request.symbol,
                source=getattr(self.fact, "source", None),
                complete=self._completes() if note.type is EventType.ORDER_FILLED else None,
                reason=note.reason or chart_fact,
                detail=note.detail,
                order=snapshot,
                execution=note.execution,
            )
            for note in self._notes
        )

    def _completes(self) -> bool:
        return self.order.state is OrderState.FILLED and self.order.ledger.cum_exec_qty >= self.order.qty

    def _pursue(self) -> None:
        order = self.order
        pending = order.pending
        # A create that was answered can be cancelled; an amend waits for the row that it changes.
        answered = order.state is OrderState.SUBMITTED and not order.in_flight
        if order.wish_cancel and (order.alive or answered or order.state is OrderState.ERROR):
            if pending is not None and pending.command is Command.CANCEL:
                return
            if order.cancels < self.policy.max_cancels:
                # It overtakes an amend that is out: nothing may hold up a cancel.
                overtaken = pending.amend if pending is not None else None
                pending = PendingRequest(command=Command.CANCEL, sent_ms=self.now_ms, amend=overtaken)
                self._set(pending=pending, cancels=order.cancels + 1)
                self.effects.append(SendCancel())
                self._note(EventType.ORDER_CANCEL_REQUESTED, "cancel", f"try {self.order.cancels}")
            elif order.cancels == self.policy.max_cancels:
                self._set(cancels=order.cancels + 1)
                self._note(
                    EventType.ERROR,
                    "cancel_failing",
                    f"{self.policy.max_cancels} cancels did not end the order; it lives. Ask again, or see `hean kill`",
                )
        elif order.wish_amend is not None and order.alive and pending is None:
            amend = order.wish_amend
            pending = PendingRequest(command=Command.AMEND, sent_ms=self.now_ms, amend=amend)
            self._set(pending=pending, wish_amend=None)
            self.effects.append(SendAmend(amend=amend))
            self._note(EventType.ORDER_AMEND_REQUESTED, "amend", _amend_text(amend))

    def _drop_requests(self, after: OrderState) -> None:
        order = self.order
        if order.wish_cancel and not isinstance(self.fact, CancelAsked):
            filled = after is OrderState.FILLED
            why = f"lost the race: the order is {after}" if filled else f"the order is {after}"
            self.effects.append(Decide(command=Command.CANCEL, taken=not filled, why=why))
        if order.wish_amend is not None or (order.pending is not None and order.pending.amend is not None):
            self.effects.append(Decide(command=Command.AMEND, taken=False, why=f"lost the race: the order is {after}"))
        self._set(pending=None, wish_cancel=False, wish_amend=None)

    def _seek_settlement(self) -> None:
        order = self.order
        if order.unresolved or order.confirming is not None:
            return
        self._set(confirming=order.ledger.last_seq)
        self.effects.append(ConfirmPosition(seq=order.ledger.last_seq))

    def _weigh_pending(self, fact: Shown) -> None:
        pending, row = self.order.pending, fact.row
        if pending is not None and pending.amend is not None and _shows(row, pending.amend):
            self.effects.append(Decide(command=Command.AMEND, taken=True, why="the exchange shows it"))
            pending = evolve(pending, amend=None) if pending.command is Command.CANCEL else None
            self._set(pending=pending)
        if pending is None or row.status.final:
            return
        if pending.failed_ms is None or fact.asked_ms is None or fact.asked_ms < pending.failed_ms:
            return
        # The order lives, so the request that failed did nothing: a cancel is tried again, an amend is dropped.
        self._set(pending=None)
        if pending.amend is not None:
            self.effects.append(Decide(command=Command.AMEND, taken=False, why=pending.why))

    def _amended(self, row: OrderRow) -> str:
        """What the exchange changed against what was known; empty when nothing."""
        order, request = self.order, self.order.request
        if row.status.final:
            return ""
        known = order.view
        price = request.price if known is None else known.price
        trigger = request.trigger_price if known is None else known.trigger_price
        changes = []
        if row.qty != order.qty and (row.updated_ms >= order.known_qty_ms or self._set_back):
            changes.append(f"qty {order.qty} -> {row.qty}")
        if request.order_type is OrderType.LIMIT and row.price and price is not None and row.price != price:
            changes.append(f"price {price} -> {row.price}")
        if row.trigger_price and trigger is not None and row.trigger_price != trigger:
            changes.append(f"trigger_price {trigger} -> {row.trigger_price}")
        if known is not None and (row.take_profit or ZERO) != (known.take_profit or ZERO):
            changes.append(f"take_profit {known.take_profit} -> {row.take_profit}")
        if known is not None and (row.stop_loss or ZERO) != (known.stop_loss or ZERO):
            changes.append(f"stop_loss {known.stop_loss} -> {row.stop_loss}")
        return ", ".join(changes)

    def _no(self) -> tuple[DenyReason, str]:
        fact, order = self.fact, self.order
        if isinstance(fact, Denied):
            return fact.reason, fact.detail
        if isinstance(fact, CancelAsked) or order.wish_cancel:
            return DenyReason.CANCELLED_UNSENT, "a cancel was asked before the order was placed"
        if order.halted:
            return DenyReason.HALTED, "halted; resume, then send a new signal"
        if self.too_old:
            age_ms = self.now_ms - order.request.submitted_ms
            return DenyReason.TOO_OLD, f"{age_ms} ms old, at most {self.policy.max_age_ms} ms are allowed"
        why = fact.why if isinstance(fact, NotSent) else f"{order.tries} tries"
        return DenyReason.UNREACHABLE, f"{why}; {order.tries} of {self.policy.create.max_tries} tries used"

    def _placed(self) -> None:
        if not self.order.placed:
            self._set(placed=True)
            self._note(EventType.ORDER_PLACED, "evidence")

    def _learn_qty(self, qty: Decimal, at_ms: Ms) -> None:
        if self.order.first_qty is None:
            self._set(first_qty=qty)
        if at_ms >= self.order.known_qty_ms or self._set_back:
            self._set(known_qty=qty, known_qty_ms=at_ms)

    def _bind(self, order_id: OrderId, *, newer: bool = False) -> None:
        # A conditional order may get another ID when it fires; a late reply to its create still names the old one.
        # Source: Bybit V5 docs, order/create-order, which leaves it open.
        renewed = newer and self.order.request.trigger_price is not None
        if order_id and (self.order.order_id is None or renewed):
            self._set(order_id=order_id)

    def _sent_by(self, at_ms: Ms) -> None:
        self._set(last_sent_ms=at_ms, blind_until_ms=Ms(at_ms + self.policy.visibility_ms))

    def _note(self, type_: EventType, reason: str, detail: str = "", execution: Execution | None = None) -> None:
        self._notes.append(_Note(type_, reason, detail, execution))

    def _set(self, **changes: Any) -> None:
        # The draft is this step's own copy, made once and seen by nobody before the step is over: written in place,
        # because copying forty fields at each change is most of what a step would cost.
        for name, value in changes.items():
            object.__setattr__(self.order, name, value)


_SILENT = frozenset({"", "UNKNOWN", "EC_NoError"})
_MATCHED_OUT = frozenset({"EC_PostOnlyWillTakeLiquidity", "EC_NoImmediateQtyToFill", "EC_CancelForNoFullFill"})


def _shows(row: OrderRow, amend: object) -> bool:
    """The row carries every value that the amend asked for."""
    wanted = {name: getattr(amend, name) for name in ("qty", "price", "trigger_price", "take_profit", "stop_loss")}
    return all(value is None or (getattr(row, name) or ZERO) == value for name, value in wanted.items())


def _amend_text(amend: object) -> str:
    wanted = {name: getattr(amend, name) for name in ("qty", "price", "trigger_price", "take_profit", "stop_loss")}
    return ", ".join(f"{name} {value}" for name, value in wanted.items() if value is not None)


def _brief(fact: Fact) -> str:
    if isinstance(fact, Shown):
        return f"the exchange shows {fact.row.status}, executed {fact.row.cum_exec_qty}"
    if isinstance(fact, Executed):
        return f"execution {fact.execution.exec_id} of {fact.execution.exec_qty} arrived"
    return f"{type(fact).__name__} arrived"
