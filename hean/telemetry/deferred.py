"""Saying what happens later, on a thread of its own: whoever trades does not wait for a host's log."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

Observe = Callable[[str, Mapping[str, object]], None]
_Said: TypeAlias = tuple[int, str, str, Mapping[str, object]]

# What is said is written together, this long after its first word: an order's few milliseconds are not shared with it.
LINGER_S: Final = 0.02
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
        self._waiting: queue.SimpleQueue[_Said | None] = queue.SimpleQueue()
        self._dropped = 0
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
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
        self._waiting.put((time.time_ns() // 1_000_000, threading.current_thread().name, name, fields))

    def depth(self) -> int:
        """How many wait."""
        return self._waiting.qsize()

    def stop(self, timeout_s: float) -> bool:
        """Say all that is queued and end the thread; whether that was done within so many seconds."""
        self._stopping.set()
        self._waiting.put(None)
        if self._thread is None:
            self._drain()
            return True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (said := self._waiting.get()) is not None:
            self._say(said)
            # Ends at once at a stop.
            self._stopping.wait(LINGER_S)
            if not self._drain():
                return
        self._drain()

    def _drain(self) -> bool:
        """Say all that waits; False when the end came."""
        while True:
            try:
                said = self._waiting.get_nowait()
            except queue.Empty:
                return True
            if said is None:
                # What others queued beside the stop is said too.
                self._drain()
                return False
            self._say(said)

    def _say(self, said: _Said) -> None:
        at_ms, thread, name, fields = said
        self._observe(name, {"at_ms": at_ms, "thread": thread, **fields})
        if self._dropped:
            with self._lock:
                dropped, self._dropped = self._dropped, 0
            self._observe("log.dropped", {"at_ms": at_ms, "count": dropped})
