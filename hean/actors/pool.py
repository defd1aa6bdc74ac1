"""The production half of the network port: a small pool of blocking senders, each with an HTTP session of its own."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Protocol

from hean.actors.trade import TradeEntry
from hean.core.calls import Call, CreateOrder, Phase, Reply, Verdict, VerdictKind


class Client(Protocol):
    """Performs one call at a time, blocking. Never raises: every outcome is a reply."""

    def perform(self, call: Call, *, timeout_s: float) -> Reply: ...

    def close(self) -> None: ...


_Job = tuple[Call, float, Callable[[Reply], None]]
"""A call, when its time is over by the monotonic clock in seconds, and who hears its answer."""


class Pool:
    """
    A `Wire` of threads.

    Args:
        size: senders, and so the most calls in flight.
        make_client: called once in each thread.
    """

    def __init__(self, size: int, make_client: Callable[[], Client]) -> None:
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._size = size
        self._closing = False
        self._generation = 0
        self._lock = threading.Lock()
        self._in_flight = 0
        self._threads = [
            threading.Thread(target=self._run, args=(make_client,), name=f"hean-sender-{number}", daemon=True)
            for number in range(size)
        ]
        for thread in self._threads:
            thread.start()

    def room(self, call: Call) -> bool:
        # One sender is kept for cancels and look-ups, so that a burst of creates cannot take them all.
        kept = 1 if isinstance(call, CreateOrder) and self._size > 1 else 0
        return self._in_flight < self._size - kept

    def over_http(self, call: Call) -> bool:  # noqa: ARG002 - whatever the call
        return True

    def perform(self, call: Call, timeout_s: float, answer: Callable[[Reply], None]) -> None:
        with self._lock:
            self._in_flight += 1
        self._jobs.put((call, time.monotonic() + timeout_s, answer))

    def hang_up(self) -> None:
        self._generation += 1

    def close(self, timeout_s: float = 5.0) -> None:
        """Let calls in flight end, answer those that wait as not sent, and end the threads."""
        self._closing = True
        for _ in self._threads:
            self._jobs.put(None)
        deadline = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(deadline - time.monotonic(), 0))

    def _run(self, make_client: Callable[[], Client]) -> None:
        client, generation = make_client(), self._generation
        try:
            while (job := self._jobs.get()) is not None:
                if generation != self._generation:
                    client.close()
                    client, generation = make_client(), self._generation
                call, due_s, answer = job
                # Two threads may have found the last room at once: the one that waited has no more time for that.
                left_s = due_s - time.monotonic()
                if self._closing or left_s <= 0:
                    why = "the router stopped" if self._closing else "no sender was free within its time"
                    reply = not_sent(call, why)
                else:
                    reply = client.perform(call, timeout_s=left_s)
                with self._lock:
                    self._in_flight -= 1
                answer(reply)
        finally:
            client.close()


class Wires:
    """The trade channel where it can take a call, else the pool: the same facts by either door."""

    def __init__(self, entry: TradeEntry | None, pool: Pool) -> None:
        self._entry = entry
        self._pool = pool

    def room(self, call: Call) -> bool:
        return not self.over_http(call) or self._pool.room(call)

    def over_http(self, call: Call) -> bool:
        return self._entry is None or not self._entry.takes(call)

    def perform(self, call: Call, timeout_s: float, answer: Callable[[Reply], None]) -> None:
        if self._entry is None or not self._entry.perform(call, timeout_s, answer):
            self._pool.perform(call, timeout_s, answer)

    def hang_up(self) -> None:
        self._pool.hang_up()


def not_sent(call: Call, why: str) -> Reply:
    """The reply to a call that never left, and says nothing about the exchange."""
    verdict = Verdict(kind=VerdictKind.NOT_EXECUTED, phase=Phase.BEFORE_SEND, ret_msg=why)
    return Reply(call=call, verdict=verdict, channel="")
