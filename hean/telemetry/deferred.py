"""Saying what happens later, on a thread of its own: whoever trades does not wait for a host's log."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

Observe = Callable[[str, Mapping[str, object]], None]
_Said: TypeAlias = tuple[int, str, str, Mapping[str, object]]

# With nothing to say it looks this often. It is never woken: that would be at the first word of an order, when those
# that trade have most to do.
IDLE_S: Final = 0.1
# As long as more is said, an order is on its way; it is let through, so many times this long.
LINGER_S: Final = 0.02
PATIENCE: Final = 4
# Between two slices others run; a slice holds the interpreter's lock for half a millisecond where no handler waits.
SLICE: Final = 32
GAP_S: Final = 0.000_2
# The more waits the shorter it lingers, and not at all from here on: what trades without a pause is still told within
# half a second, as far as the host's log keeps up.
FULL: Final = 256
# A host's log that stands still must not eat the memory; beyond, what whispers is dropped, counted and told.
BOUND: Final = 100_000


class Deferred:
    """
    A queue in front of an `observe`; safe to use from every thread. Nothing queued is lost at a stop.

    Args:
        observe: is called on this one's thread, in the order of the calls.
        bound: how much may wait.
    """

    def __init__(self, observe: Observe, *, bound: int = BOUND) -> None:
        self._observe = observe
        self._bound = bound
        self._waiting: queue.SimpleQueue[_Said] = queue.SimpleQueue()
        self._dropped = 0
        self._thread: threading.Thread | None = None
        self._here = threading.local()
        # Held until the stop. Waiting for it is one call, where waiting for an event is eight.
        self._going = threading.Lock()
        self._going.acquire()
        self._stopped = False
        self._lock = threading.Lock()

    def start(self) -> None:
        """Begin to say what is queued."""
        self._thread = threading.Thread(target=self._run, name="hean-log", daemon=True)
        self._thread.start()

    def observe(self, name: str, fields: Mapping[str, object]) -> None:
        """Queue an observation, with our clock and the name of the thread; never waits, never raises."""
        if self._waiting.qsize() >= self._bound:
            with self._lock:
                self._dropped += 1
            return
        try:
            thread = self._here.thread
        except AttributeError:
            thread = self._here.thread = threading.current_thread()
        # Its name is asked for now: a thread takes another with its next actor.
        self._waiting.put((time.time_ns(), thread.name, name, fields))

    def depth(self) -> int:
        """How many wait."""
        return self._waiting.qsize()

    def stop(self, timeout_s: float) -> bool:
        """Say all that is queued and end the thread; whether that was done within so many seconds."""
        with self._lock:
            if not self._stopped:
                self._stopped = True
                self._going.release()
        if self._thread is None:
            self._say(self._waiting.qsize())
            return True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        depth = seen = waited = 0
        # Every pause ends at once at a stop.
        while not self._going.acquire(timeout=max(LINGER_S * (1 - depth / FULL), GAP_S) if depth else IDLE_S):
            depth = self._waiting.qsize()
            if depth > seen and waited < PATIENCE:
                seen, waited = depth, waited + 1
                continue
            self._say(min(depth, SLICE))
            depth = seen = self._waiting.qsize()
            waited = 0
        # What others queue beside the stop is said too.
        while depth := self._waiting.qsize():
            self._say(depth)

    def _say(self, count: int) -> None:
        for _ in range(count):
            at_ns, thread, name, fields = self._waiting.get()
            at_ms = at_ns // 1_000_000
            self._observe(name, {"at_ms": at_ms, "thread": thread, **fields})
            if self._dropped:
                with self._lock:
                    dropped, self._dropped = self._dropped, 0
                self._observe("log.dropped", {"at_ms": at_ms, "count": dropped})
