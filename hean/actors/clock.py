"""Time in production: a clock that does not jump, and one thread that tells messages when they are due."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from hean.core import clock
from hean.core.calls import Reply, ServerTime
from hean.core.types import Ms

if TYPE_CHECKING:
    from hean.actors.ports import Mailbox


class SteadyClock:
    """Wall time read once, then carried on by the monotonic clock: a host's clock that is set changes no age here."""

    def __init__(self) -> None:
        self._offset_ns = time.time_ns() - time.monotonic_ns()

    def now_ms(self) -> Ms:
        return Ms((time.monotonic_ns() + self._offset_ns) // 1_000_000)


class ExchangeClock:
    """
    The exchange's clock as well as we know it: a value replaced whole at each sample, read by every signing thread.

    Args:
        local_ms: our clock.
        max_drift_ms: a change of the offset that is surely beyond this, since the first sample, is drift.

    Attributes:
        finding: what a person should know of the clock, though orders may go on; None where all is well. An offset that
            stays is corrected, however large it is: our ages come from a clock that does not jump.
    """

    def __init__(self, local_ms: Callable[[], Ms], max_drift_ms: int) -> None:
        self._local_ms = local_ms
        self._max_drift_ms = max_drift_ms
        self._clock = clock.Clock()
        # The best as of the newest sample: every order asks for it several times, and age alone hardly changes which.
        self._offset_ms = 0
        self._first: tuple[int, int] | None = None
        self.finding: clock.ClockFinding | None = None

    def now_ms(self) -> int:
        """The exchange's time now; our own before the first sample."""
        return self._local_ms() + self._offset_ms

    @property
    def offset_ms(self) -> int:
        """The exchange's clock minus ours."""
        return self._offset_ms

    @property
    def uncertainty_ms(self) -> int | None:
        """The bound on the error of `offset_ms`; None before the first sample."""
        return self._clock.uncertainty_ms(self._local_ms())

    def observe(self, reply: Reply) -> str:
        """Learn from a reply that tells the time; why the clock cannot be trusted any more, or ""."""
        if not isinstance(reply.result, ServerTime) or reply.sent_ms is None:
            return ""
        sample = clock.Sample(sent_ms=reply.sent_ms, received_ms=reply.received_ms, server_ms=reply.result.server_ms)
        self._clock, self.finding = clock.observe(self._clock, sample)
        self._offset_ms = self._clock.offset_ms(sample.received_ms)
        if self._first is None:
            self._first = self._estimate()
        (first_ms, first_give_ms), (offset_ms, give_ms) = self._first, self._estimate()
        moved_ms = offset_ms - first_ms
        # Both are known within bounds only; a slow reply is no drift.
        if abs(moved_ms) - first_give_ms - give_ms > self._max_drift_ms:
            return f"the offset to the exchange's clock moved by {moved_ms} ms, at most {self._max_drift_ms} is allowed"
        return ""

    def forgive(self) -> None:
        """A person resumed: drift counts from here."""
        self._first = self._estimate()

    def _estimate(self) -> tuple[int, int]:
        return self.offset_ms, self.uncertainty_ms or 0


TICK_NS = 25_000_000
IDLE_NS = 3_600_000_000_000


class TimerThread:
    """
    Tells messages when they are due.

    One daemon thread, one heap. A replaced or cancelled timer stays in the heap until its time and is then skipped.

    While timers come the thread looks every `TICK_NS`, and is not woken for one that is due after its next look:
    whoever starts a timer has better things to do than to wake threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wake = threading.Condition(self._lock)
        # When the thread looks next; whether a timer came since it looked last.
        self._look_ns = 0
        self._stirred = False
        self._due: list[tuple[int, int, tuple[str, ...]]] = []
        self._armed: dict[tuple[str, ...], tuple[int, Mailbox, object]] = {}
        self._numbers = itertools.count()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="hean-timers", daemon=True)
        self._thread.start()

    def after(self, delay_ms: int, mailbox: Mailbox, message: object, key: tuple[str, ...]) -> None:
        due_ns = time.monotonic_ns() + max(delay_ms, 0) * 1_000_000
        with self._lock:
            number = next(self._numbers)
            self._armed[key] = (number, mailbox, message)
            heapq.heappush(self._due, (due_ns, number, key))
            self._stirred = True
            if due_ns < self._look_ns:
                self._wake.notify()

    def cancel(self, key: tuple[str, ...]) -> None:
        with self._lock:
            self._armed.pop(key, None)

    def pending(self) -> int:
        """How many timers are armed."""
        with self._wake:
            return len(self._armed)

    def stop(self, timeout_s: float = 5.0) -> None:
        """Forget all timers and end the thread."""
        with self._wake:
            self._stopping = True
            self._armed.clear()
            self._wake.notify()
        self._thread.join(timeout_s)

    def _await_look(self) -> None:
        now_ns = time.monotonic_ns()
        self._look_ns = self._due[0][0] if self._due else now_ns + IDLE_NS
        if self._stirred:
            self._look_ns = min(self._look_ns, now_ns + TICK_NS)
        self._stirred = False
        self._wake.wait((self._look_ns - now_ns) / 1e9)
        # Busy from here to the next look: what comes meanwhile is found by it.
        self._look_ns = 0

    def _run(self) -> None:
        while True:
            with self._wake:
                while not self._stopping and (not self._due or self._due[0][0] > time.monotonic_ns()):
                    self._await_look()
                if self._stopping:
                    return
                _, number, key = heapq.heappop(self._due)
                armed = self._armed.get(key)
                if armed is None or armed[0] != number:
                    continue
                del self._armed[key]
            _, mailbox, message = armed
            mailbox.tell(message)
