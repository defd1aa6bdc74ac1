"""
What is asked of the exchange about an order in doubt, and what an answer proves.

A look-up that failed, or came too early, proves nothing; look-ups are spaced ever wider and never end by themselves.
"""

from __future__ import annotations

from attrs import evolve

from hean.core.draft import Draft
from hean.core.facts import (
    CommandFailed,
    Executed,
    Fact,
    LookedUp,
    QueryOrder,
    Shown,
    StartTimer,
    Timer,
    WithdrawCreate,
)
from hean.core.retry import next_delay_ms
from hean.core.types import EventType, Ms, OrderState

_UNSHOWN = frozenset({OrderState.SUBMITTED, OrderState.TIMEOUT})

# Complete, empty look-ups that must agree before an absence counts. Source: Bybit V5 docs, order/open-order: the closed
# set is cleared by a restart of their service, so one empty answer is nothing.
MISSES_FOR_PROOF = 2
MISSES_FOR_VANISHED = 4
# After this many look-ups in a row that settled nothing, a person is told, and again at each doubling.
LOOKUPS_BEFORE_ALARM = 5


class Doubt(Draft):
    """What a step knows of doubt: whether something is missing, and when it is asked for."""

    __slots__ = ()

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

    # Guards.

    def missed_again(self) -> bool:
        order = self.order
        return order.misses >= MISSES_FOR_VANISHED and self.now_ms - order.missing_ms >= self.policy.visibility_ms

    def never_seen(self) -> bool:
        order = self.order
        return order.ledger.cum_exec_qty == 0 and order.view is None and not order.claimed

    def claimed(self) -> bool:
        return self.order.claimed

    # Actions.

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

    def break_down(self) -> None:
        self._set(reason=self.why)
        self._note(EventType.ERROR, "broken", f"{self.why}. Quarantined; fills are still applied. See `hean trace`")

    def alarm(self) -> None:
        order = self.order
        self._note(
            EventType.ERROR,
            "contradiction",
            f"order {order.request.order_link_id} is {order.state}, yet {_brief(self.fact)}; asking the exchange",
        )

    def unknown_alarm(self) -> None:
        why = getattr(self.fact, "why", "") or type(self.fact).__name__
        self._note(EventType.ORDER_UNKNOWN, type(self.fact).__name__, f"{why}; asking the exchange by order_link_id")

    def doubt(self) -> None:
        self._set(doubted=True)

    def forget_flight(self) -> None:
        """Who sent it is gone: its bytes left no later than now, or never will, and no reply is sure to come."""
        order = self.order
        if order.attempts and order.state in _UNSHOWN:
            # Where only its actor died, it may still wait for its budget: it must not leave after its absence counts.
            self.effects.append(WithdrawCreate(attempt=order.tries))
        # Our clock may have jumped while nothing ran: what it says of the time since the send proves nothing. Nor
        # does a refusal before matching, after which it is to be sent again.
        if order.attempts and (order.in_flight or order.state in {OrderState.PENDING, *_UNSHOWN}):
            self._set(blind_until_ms=Ms(self.now_ms + self.policy.visibility_ms))
        # Nor of the time since a row was taken in: a list that lags may still show what was before it.
        view = None if order.view is None else evolve(order.view, taken_ms=self.now_ms)
        pending = order.pending
        if pending is not None and pending.failed_ms is None:
            pending = evolve(pending, failed_ms=self.now_ms, why="restarted before its reply")
        self._set(in_flight=False, looking=False, confirming=None, misses=0, pending=pending, view=view)


def _brief(fact: Fact) -> str:
    if isinstance(fact, Shown):
        return f"the exchange shows {fact.row.status}, executed {fact.row.cum_exec_qty}"
    if isinstance(fact, Executed):
        return f"execution {fact.execution.exec_id} of {fact.execution.exec_qty} arrived"
    return f"{type(fact).__name__} arrived"
