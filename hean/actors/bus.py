"""
Events on their way to the strategy: a bounded log to read from, and callbacks on a thread of their own.

No actor ever waits for a reader or runs user code. Whoever is too slow loses the oldest events and is told how many.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator

from hean.core.types import Event, EventType, Ms

Handler = Callable[[Event], object]


class Bus:
    """
    Every event of this router since its start, the newest `bound` of them.

    Args:
        bound: events kept.
        now_ms: our clock, for the event that reports an overflow.
        failed: told when a handler raised: the event type and the error.
    """

    def __init__(
        self, bound: int, now_ms: Callable[[], Ms], failed: Callable[[EventType, BaseException], None]
    ) -> None:
        self._now_ms = now_ms
        self._failed = failed
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._waiting = 0
        # Rung where an event comes that a handler wants: its thread sleeps through all others, but for so many that
        # it could miss one it never waited for.
        self._bell: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._rung = False
        self._called = 0
        self._sleeps_through = bound // 2
        self._events: deque[Event] = deque(maxlen=bound)
        self._next = 0
        self._closed = False
        self._handlers: dict[EventType, list[tuple[int, Handler]]] = {}
        self._thread: threading.Thread | None = None

    def publish(self, events: Iterable[Event]) -> None:
        """Append events; never waits for a reader."""
        with self._lock:
            wanted = False
            for event in events:
                self._events.append(event)
                self._next += 1
                wanted = wanted or event.type in self._handlers
            if self._waiting:
                self._changed.notify_all()
            behind = self._next - self._called > self._sleeps_through
            rings = (wanted or (behind and self._thread is not None)) and not self._rung
            self._rung = self._rung or rings
        if rings:
            self._bell.put(None)

    def read(self, timeout_s: float | None) -> Iterator[Event]:
        """Events since the router's start, oldest first; ends after `timeout_s` without one, or at the stop."""
        return (event for _, event in self._read(0, timeout_s))

    def subscribe(self, type_: EventType, handler: Handler) -> None:
        """Call `handler` for each event of that type from now on, on the bus's thread."""
        with self._changed:
            self._handlers.setdefault(type_, []).append((self._next, handler))
            if self._thread is None and not self._closed:
                self._called = self._next
                self._thread = threading.Thread(
                    target=self._call, args=(self._next,), name="hean-callbacks", daemon=True
                )
                self._thread.start()

    def close(self, timeout_s: float = 5.0) -> None:
        """No more events; readers end once they have read what is there."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._bell.put(None)
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout_s)

    def _read(self, cursor: int, timeout_s: float | None) -> Iterator[tuple[int, Event]]:
        """Events with their numbers, from `cursor` on."""
        while True:
            with self._changed:
                self._waiting += 1
                try:
                    self._changed.wait_for(lambda at=cursor: self._next > at or self._closed, timeout_s)  # type: ignore[misc]
                finally:
                    self._waiting -= 1
                if self._next <= cursor:
                    return
                oldest = self._next - len(self._events)
                lost = max(oldest - cursor, 0)
                first = max(cursor - oldest, 0)
                batch = [(oldest + index, self._events[index]) for index in range(first, len(self._events))]
                cursor = self._next
            if lost:
                yield cursor, self._overflow(lost)
            yield from batch

    def _overflow(self, lost: int) -> Event:
        return Event(
            type=EventType.ERROR,
            at_ms=self._now_ms(),
            reason="events_lost",
            detail=f"{lost} events were dropped because this reader was too slow; the journal has them: `hean trace`",
        )

    def _call(self, cursor: int) -> None:
        while True:
            # Both before the reading: what is published from here on rings again, what was before the end is handled.
            self._rung, closed = False, self._closed
            for number, event in self._read(cursor, 0):
                self._called = cursor = number + 1
                for since, handler in tuple(self._handlers.get(event.type, ())):
                    if number < since:
                        continue
                    try:
                        handler(event)
                    except BaseException as error:  # noqa: BLE001 - user code must not end the thread of all callbacks
                        self._failed(event.type, error)
            if closed:
                return
            self._bell.get()
