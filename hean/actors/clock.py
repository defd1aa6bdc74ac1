"""Time in production: a clock that does not jump, and one thread that tells messages when they are due."""

from __future__ import annotations

import heapq
import itertools
import threading
import time

from hean.actors.ports import Mailbox
from hean.core.types import Ms


class SteadyClock:
    """Wall time read once, then carried on by the monotonic clock: a host's clock that is set changes no age here."""

    def __init__(self) -> None:
        self._offset_ns = time.time_ns() - time.monotonic_ns()

    def now_ms(self) -> Ms:
        return Ms((time.monotonic_ns() + self._offset_ns) // 1_000_000)


class TimerThread:
    """
    Tells messages when they are due.

    One daemon thread, one heap. A replaced or cancelled timer stays in the heap until its time and is then skipped.
    """

    def __init__(self) -> None:
        self._wake = threading.Condition()
        self._due: list[tuple[int, int, tuple[str, ...]]] = []
        self._armed: dict[tuple[str, ...], tuple[int, Mailbox, object]] = {}
        self._numbers = itertools.count()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="hean-timers", daemon=True)
        self._thread.start()

    def after(self, delay_ms: int, mailbox: Mailbox, message: object, key: tuple[str, ...]) -> None:
        due_ns = time.monotonic_ns() + max(delay_ms, 0) * 1_000_000
        with self._wake:
            number = next(self._numbers)
            self._armed[key] = (number, mailbox, message)
            heapq.heappush(self._due, (due_ns, number, key))
            if self._due[0][1] == number:
                self._wake.notify()

    def cancel(self, key: tuple[str, ...]) -> None:
        with self._wake:
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

    def _run(self) -> None:
        while True:
            with self._wake:
                while not self._stopping and (not self._due or self._due[0][0] > time.monotonic_ns()):
                    wait_s = (self._due[0][0] - time.monotonic_ns()) / 1e9 if self._due else None
                    self._wake.wait(wait_s)
                if self._stopping:
                    return
                _, number, key = heapq.heappop(self._due)
                armed = self._armed.get(key)
                if armed is None or armed[0] != number:
                    continue
                del self._armed[key]
            _, mailbox, message = armed
            mailbox.tell(message)
