"""
One step of the order machine: what its guards ask and what its actions do.

`OrderChart` in `core/order.py` says when; this file says what, with `core/doubt.py` for look-ups, `core/commands.py`
for cancels and amends, and `core/evidence.py` for rows and executions. A step holds a draft of the record, the fact,
our clock, and the effects and events that gather. It decides no state: the chart does.
"""

from __future__ import annotations

from hean.core.doubt import Doubt
from hean.core.evidence import Evidence
from hean.core.facts import (
    Accepted,
    CancelAsked,
    ConfirmPosition,
    Decide,
    Denied,
    Halted,
    NotExecuted,
    NotSent,
    Refused,
    Resolved,
    SendCreate,
    StartTimer,
    Timer,
    WithdrawCreate,
)
from hean.core.record import Concession
from hean.core.retry import next_delay_ms
from hean.core.types import Command, DenyReason, EventType, Ms, OrderState

_TERMINAL = frozenset({OrderState.FILLED, OrderState.CANCELLED, OrderState.REJECTED})


class Step(Doubt, Evidence):
    """One fact on its way through the machine; lives for one `apply`."""

    __slots__ = ()

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
        order = self.order
        if order.in_flight and attempt == order.tries:
            self._sent_by(self.now_ms)
            self._set(in_flight=False)

    def settles(self, seq: int) -> bool:
        order = self.order
        if order.confirming != seq:
            return False
        # Answered: where something has come between, the question is asked anew once it is out of the way.
        self._set(confirming=None)
        return not order.has_gap and order.state in _TERMINAL and not order.contradicted

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

    def answers_only_attempt(self) -> bool:
        return self.order.attempts == 1

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
        """The attempt never left: it was none. Of an earlier one that proves nothing."""
        attempts = self.order.attempts - 1
        self._set(attempts=attempts, cleared=attempts == 0)

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

    def not_proven(self) -> None:
        _, detail = self._no()
        what = f"not sent again: {detail}; asking the exchange whether it has what was sent"
        self._note(EventType.ORDER_UNKNOWN, "not_proven", what)

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

    def reject(self) -> None:
        if isinstance(self.fact, Refused):
            reason = f"{self.fact.ret_code} {self.fact.ret_msg}".strip()
            self._set(reason=reason)
            self._note(EventType.ORDER_REJECTED, str(self.fact.ret_code), f"{reason}. {self.fact.hint}".strip())

    # Actions: ends.

    def resolve(self) -> None:
        if isinstance(self.fact, Resolved):
            fact = self.fact
            self._concede()
            self._set(reason=f"resolved as {fact.verdict} by {fact.who}: {fact.why}")
            type_ = EventType.ORDER_REJECTED if self.resolved_rejected() else EventType.ORDER_CANCELLED
            self._note(type_, "resolved", self.order.reason)

    def accept_gap(self) -> None:
        if isinstance(self.fact, Resolved):
            self._concede()
            self._note(
                EventType.STATUS,
                "resolved",
                f"gap {self.order.ledger.gap} accepted by {self.fact.who}: {self.fact.why}",
            )

    def _concede(self) -> None:
        ledger = self.order.ledger
        self._set(conceded=Concession(qty=ledger.gap, without_fee=ledger.without_fee, cum_exec_qty=ledger.cum_exec_qty))

    def close(self) -> None:
        # A look-up may still be out, and a restart asks a settled order nothing: what wakes it asks anew.
        self._set(settled_from=self.order.state, looking=False)
        self._note(EventType.ORDER_SETTLED, str(self.order.state))

    # After the chart: what follows from the new state, whatever led there.

    def finish(self, after: OrderState) -> None:
        """Take the new state, pursue what waits for it, and see whether the order can settle."""
        order = self.order
        before = order.state
        self._set(state=after)
        if before is OrderState.CLOSED and after is not OrderState.CLOSED:
            self._set(settled_from=None, confirming=None)
        if self._uncertain:
            self.query()
        wished = order.wish_cancel or order.wish_amend is not None
        if (wished or order.pending is not None) and (after in _TERMINAL or after is OrderState.DENIED):
            self._drop_requests(after)
        if after in _TERMINAL:
            self._seek_settlement()
        elif wished:
            self._pursue()

    def _seek_settlement(self) -> None:
        order = self.order
        if order.confirming is not None or order.unresolved:
            return
        self._set(confirming=order.ledger.last_seq)
        self.effects.append(ConfirmPosition(seq=order.ledger.last_seq))

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
