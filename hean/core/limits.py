"""
Rate budgets: when a call may leave.

The exchange counts over a rolling second per account and endpoint, and over rolling five seconds per IP. A bucket that
refills would admit its burst twice around the edge of a window, so the times of the calls themselves are kept: in no
window, wherever it begins, are there more than the limit. When a call arrives nobody here knows, only that it has not
arrived before it left and has arrived once it is answered; calls that leave a second apart may arrive together. So a
call holds its place from leaving until a window after its answer. Only a part of each limit is used, since other
programs of the account may use the rest. The figures are the documented ones until the exchange's own headers tell
better.

Cancels never wait behind submits: each group has its own bucket, as at the exchange, and of the IP's budget a part is
reserved for cancels and another for cancels and queries.

`Budgets` remembers calls and so it changes, but it has neither clock nor lock: one actor owns it and tells the time.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from attrs import frozen

from hean.core.calls import (
    AmendOrder,
    Call,
    CancelOrder,
    CreateOrder,
    Group,
    Phase,
    QueryExecutions,
    QueryOrders,
    QueryPositions,
    Reply,
    SetLeverage,
    SwitchMode,
    VerdictKind,
    category_of,
    group_of,
)
from hean.core.retry import RetryPolicy, throttled_delay_ms
from hean.core.types import Category, Ms

_FUTURES = 10
_OPTION = 10
_SPOT = 20
_QUERIES = 50

# Calls per rolling second. Source: Bybit V5 docs, rate-limit. Linear and inverse share one bucket.
DEFAULT_LIMITS: Final = {
    (Group.CREATE, Category.LINEAR): _FUTURES,
    (Group.CREATE, Category.OPTION): _OPTION,
    (Group.CREATE, Category.SPOT): _SPOT,
    (Group.AMEND, Category.LINEAR): _FUTURES,
    (Group.AMEND, Category.OPTION): _OPTION,
    (Group.AMEND, Category.SPOT): 10,
    (Group.CANCEL, Category.LINEAR): _FUTURES,
    (Group.CANCEL, Category.OPTION): _OPTION,
    (Group.CANCEL, Category.SPOT): _SPOT,
    # Each query endpoint has a bucket of its own there; one for all of them here stays below each.
    (Group.QUERY, Category.LINEAR): _QUERIES,
    (Group.QUERY, Category.OPTION): _QUERIES,
    (Group.QUERY, Category.SPOT): _QUERIES,
    (Group.SETTING, Category.LINEAR): _FUTURES,
    (Group.SETTING, Category.OPTION): _FUTURES,
    (Group.SETTING, Category.SPOT): _FUTURES,
}


@frozen(kw_only=True)
class LimitPolicy:
    """
    Figures of the pacing.

    Attributes:
        pace: part of each limit that is used, 0 < pace <= 1.
        window_ms: the exchange's window per account and endpoint.
        ip_limit: calls per IP and `ip_window_ms`, all endpoints together; beyond, ten minutes of HTTP 403.
            Source: Bybit V5 docs, rate-limit (600 in 5 s).
        ip_window_ms: the exchange's window per IP.
        margin_ms: how much longer a window is kept: what clocks round off, and a little more.
        flight_ms: a call that is not answered by then never will be; its place is free again.
        cancel_reserve: part of the IP budget that only cancels may use.
        query_reserve: further part of it that only queries and cancels may use.
        throttle: clamp of the wait after a refusal for frequency.
    """

    pace: float = 0.8
    window_ms: int = 1_000
    ip_limit: int = 600
    ip_window_ms: int = 5_000
    margin_ms: int = 50
    flight_ms: int = 15_000
    cancel_reserve: float = 0.1
    query_reserve: float = 0.15
    throttle: RetryPolicy = RetryPolicy()


class _Window:
    """
    The calls that may have arrived within the last `span_ms`: those on their way, and those answered since.

    Whichever of the calls on their way is answered, the one that left first is taken for it: the count is the same.
    """

    def __init__(self, span_ms: int, flight_ms: int) -> None:
        self._span_ms = span_ms
        self._flight_ms = max(flight_ms, span_ms)
        self._left: deque[int] = deque()
        self._answered: deque[int] = deque()

    def wait_ms(self, cap: int, now_ms: int) -> int:
        """How long until fewer than `cap` calls are in the window; 0 where that is so now."""
        surplus = self.used(now_ms) - cap
        if surplus < 0:
            return 0
        ends = [at_ms + self._span_ms for at_ms in self._answered]
        ends += [at_ms + self._flight_ms for at_ms in self._left]
        return sorted(ends)[surplus] - now_ms

    def add(self, now_ms: int) -> None:
        self._left.append(now_ms)

    def answer(self, now_ms: int, *, arrived: bool) -> None:
        """One call is over: it arrived no later than now, or never."""
        if self._left:
            self._left.popleft()
            if arrived:
                self._answered.append(now_ms)

    def used(self, now_ms: int) -> int:
        for times, span_ms in ((self._left, self._flight_ms), (self._answered, self._span_ms)):
            while times and times[0] + span_ms <= now_ms:
                times.popleft()
        return len(self._left) + len(self._answered)

    def shift(self, by_ms: int) -> None:
        self._left = deque(at_ms + by_ms for at_ms in self._left)
        self._answered = deque(at_ms + by_ms for at_ms in self._answered)


class _Lane:
    """The bucket of one group and product."""

    def __init__(self, limit: int, window: _Window) -> None:
        self.limit = limit
        self.window = window
        self.blocked_ms = 0  # our clock until which nothing leaves; 0 for not blocked


class Budgets:
    """
    What may leave now.

    Args:
        policy: pace, windows and reserves.
    """

    def __init__(self, policy: LimitPolicy | None = None) -> None:
        self._policy = policy or LimitPolicy()
        span_ms, flight_ms = self._policy.window_ms + self._policy.margin_ms, self._policy.flight_ms
        self._lanes = {key: _Lane(limit, _Window(span_ms, flight_ms)) for key, limit in DEFAULT_LIMITS.items()}
        self._ip = _Window(self._policy.ip_window_ms + self._policy.margin_ms, flight_ms)
        self._now_ms = 0

    def acquire(self, group: Group, category: Category, now_ms: Ms, *, over_http: bool = True) -> int:
        """
        Take the place of one call, if there is one.

        Args:
            group: what is asked.
            category: of which product.
            now_ms: our clock; one that goes back takes what was remembered with it.
            over_http: False for the trade WebSocket, which shares the account's budget but not the IP's.

        Returns:
            0: the call is counted, must leave now, and its reply must be learnt from. Otherwise nothing is counted, and
            this many milliseconds from now the same call may leave, if no other takes the place; an answer to one that
            is on its way may bring that forward.
        """
        self._advance(now_ms)
        lane = self._lane(group, category)
        waits = [0]
        if lane is not None:
            waits += [lane.blocked_ms - now_ms, lane.window.wait_ms(self._paced(lane.limit), now_ms)]
        if over_http:
            waits.append(self._ip.wait_ms(self._ip_cap(group), now_ms))
        wait = max(waits)
        if wait > 0:
            return wait
        if lane is not None:
            lane.window.add(now_ms)
        if over_http:
            self._ip.add(now_ms)
        return 0

    def learn(self, reply: Reply, now_ms: Ms) -> None:
        """
        Note that a call has arrived, and believe what its reply says of its own budget.

        The limit of its endpoint replaces ours. A refusal for frequency, or a budget that others used up, blocks the
        bucket until the exchange opens it again. Endpoints that share a group here but have another limit there teach
        nothing. Source: Bybit V5 docs, rate-limit: X-Bapi-Limit, -Limit-Status, -Limit-Reset-Timestamp.
        """
        self._advance(now_ms)
        arrived = reply.verdict.phase is not Phase.BEFORE_SEND
        if reply.channel == "rest":
            self._ip.answer(now_ms, arrived=arrived)
        answered = self._lane(group_of(reply.call), category_of(reply.call))
        if answered is not None:
            answered.window.answer(now_ms, arrived=arrived)
        category = _taught_by(reply.call)
        lane = self._lane(group_of(reply.call), category) if category is not None else None
        if lane is None:
            return
        budget = reply.budget
        if budget.limit is not None and budget.limit > 0:
            lane.limit = budget.limit
        used_up = (
            budget.remaining == 0
            and budget.reset_ms is not None
            and reply.server_ms is not None
            and budget.reset_ms > reply.server_ms
        )
        if used_up or reply.verdict.kind is VerdictKind.THROTTLED:
            wait_ms = throttled_delay_ms(self._policy.throttle, budget, reply.server_ms, 0.0)
            lane.blocked_ms = max(lane.blocked_ms, now_ms + wait_ms)

    def limit(self, group: Group, category: Category) -> int | None:
        """Calls per second that the exchange allows, as far as we know; None where only the IP counts."""
        lane = self._lane(group, category)
        return None if lane is None else lane.limit

    def left(self, group: Group, category: Category, now_ms: Ms) -> int:
        """How many calls could leave over HTTP at this moment; a blocked bucket has none."""
        self._advance(now_ms)
        ip_left = self._ip_cap(group) - self._ip.used(now_ms)
        lane = self._lane(group, category)
        if lane is None:
            return max(ip_left, 0)
        lane_left = 0 if lane.blocked_ms > now_ms else self._paced(lane.limit) - lane.window.used(now_ms)
        return max(min(ip_left, lane_left), 0)

    def _lane(self, group: Group, category: Category) -> _Lane | None:
        product = Category.LINEAR if category is Category.INVERSE else category
        return self._lanes.get((group, product))

    def _paced(self, limit: int) -> int:
        return max(int(limit * self._policy.pace), 1)

    def _ip_cap(self, group: Group) -> int:
        match group:
            case Group.CANCEL:
                reserved = 0.0
            case Group.QUERY:
                reserved = self._policy.cancel_reserve
            case _:
                reserved = self._policy.cancel_reserve + self._policy.query_reserve
        return max(int(self._policy.ip_limit * self._policy.pace * (1 - reserved)), 1)

    def _advance(self, now_ms: int) -> None:
        # What was remembered moves with a clock that goes back: nothing is forgotten early, and nothing waits for the
        # clock to catch up with itself.
        back_ms = now_ms - self._now_ms
        if back_ms < 0:
            for lane in self._lanes.values():
                lane.window.shift(back_ms)
                lane.blocked_ms += back_ms
            self._ip.shift(back_ms)
        self._now_ms = now_ms


def _taught_by(call: Call) -> Category | None:
    match call:
        case CreateOrder(request=request):
            return request.category
        case AmendOrder() | CancelOrder() | QueryOrders() | QueryExecutions() | QueryPositions():
            return call.category
        case SetLeverage() | SwitchMode():
            return call.category
        case _:
            return None
