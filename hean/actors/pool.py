"""The production half of the network port: a small pool of blocking senders, each with an HTTP session of its own."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Protocol

from hean.core.calls import Call, Phase, Reply, Verdict, VerdictKind


class Client(Protocol):
    """Performs one call at a time, blocking. Never raises: every outcome is a reply."""

    def perform(self, call: Call, *, timeout_s: float) -> Reply: ...

    def close(self) -> None: ...


_Job = tuple[Call, float, Callable[[Reply], None]]


class Pool:
    """
    A `Wire` of threads.

    Args:
        size: senders, and so the most calls in flight.
        make_client: called once in each thread.
    """

    def __init__(self, size: int, make_client: Callable[[], Client]) -> None:
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._closing = False
        self._threads = [
            threading.Thread(target=self._run, args=(make_client,), name=f"hean-sender-{number}", daemon=True)
            for number in range(size)
        ]
        for thread in self._threads:
            thread.start()

    def perform(self, call: Call, timeout_s: float, answer: Callable[[Reply], None]) -> None:
        self._jobs.put((call, timeout_s, answer))

    def close(self, timeout_s: float = 5.0) -> None:
        """Let calls in flight end, answer those that wait as not sent, and end the threads."""
        self._closing = True
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join(timeout_s)

    def _run(self, make_client: Callable[[], Client]) -> None:
        client = make_client()
        try:
            while (job := self._jobs.get()) is not None:
                call, timeout_s, answer = job
                answer(
                    not_sent(call, "the router stopped") if self._closing else client.perform(call, timeout_s=timeout_s)
                )
        finally:
            client.close()


def not_sent(call: Call, why: str) -> Reply:
    """The reply to a call that never left."""
    return Reply(call=call, verdict=Verdict(kind=VerdictKind.NOT_EXECUTED, phase=Phase.BEFORE_SEND, ret_msg=why))
