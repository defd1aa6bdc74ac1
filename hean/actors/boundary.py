"""
The boundary between pykka and our actors.

pykka's semantics, and what stands against each: an exception in a `tell` kills the actor and drops what was queued, and
a `BaseException` stops every actor of the process, the host's too. So everything a handler raises is caught here, and
the actor decides what becomes of its message. Inboxes belong to whoever made them and outlive the actor.
"""

from __future__ import annotations

import itertools
import queue
import threading
import time
import uuid
import weakref
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, ClassVar, Final

import pykka

from hean.actors.inbox import Inbox, Raised
from hean.actors.ports import Mailbox

WARM: Final = 16
"""Threads that wait for an actor; more than orders come to within the milliseconds that a new thread takes."""

# An order's actor needs some tens of kilobytes; what is not used is never touched.
STACK_BYTES: Final = 512 * 1024


# An actor's URN must be no other's in this process; pykka's own are random.
_PROCESS: Final = uuid.uuid4()
_NUMBERS: Final = itertools.count(1)


class Boundary(pykka.ThreadingActor):
    """
    An actor whose handler cannot kill it.

    Subclasses write `handle`, and `crashed` where more than a report is wanted. Daemon threads: a host that forgets
    `stop()` can still exit, and the journal keeps what matters.
    """

    use_daemon_thread: ClassVar[bool] = True

    lent: ClassVar[tuple[type, ...]] = ()
    """Messages that the thread which brings them may handle: what they lead to waits for no other actor."""

    hurried: ClassVar[tuple[type, ...]] = ()
    """Messages that somebody waits for: they go before those that were told patiently."""

    def __init__(self, mailbox: Mailbox) -> None:
        # As pykka's own, but for an inbox that would be thrown away, and a URN whose making asks the system for chance:
        # both cost an order more than its first step.
        self.actor_urn = f"urn:hean:{_PROCESS}:{next(_NUMBERS)}"
        self.actor_inbox = mailbox  # type: ignore[assignment]
        self.actor_stopped = threading.Event()
        self._actor_ref = pykka.ActorRef(self)
        self.mailbox = mailbox

    def rests(self) -> bool:
        """Whether it has nothing to do at its start: then it needs no thread before somebody needs it."""
        return False

    def end(self) -> None:
        self._stop()

    def on_receive(self, message: Any) -> Any:
        if isinstance(message, Raised):
            self.crashed(message.message, message.error)
            return None
        try:
            return self.handle(message)
        except BaseException as error:  # noqa: BLE001 - a BaseException here would stop the host's actors
            self.crashed(message, error)
            return None

    def handle(self, message: Any) -> Any:
        """Take one message."""
        raise NotImplementedError

    def crashed(self, message: Any, error: BaseException) -> None:
        """What becomes of a message whose handling raised. Must not raise."""
        raise NotImplementedError

    def _actor_loop_teardown(self) -> None:
        # pykka drains and answers the rest as dead; here the inbox belongs to its maker, who may have another actor.
        return


class _Worker(threading.Thread):
    """A thread that runs one actor after the other; between two it waits in its pool."""

    def __init__(self, rest: Callable[[_Worker], bool]) -> None:
        super().__init__(name="hean-idle", daemon=True)
        self._rest = rest
        self._loops: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()

    def take(self, name: str, loop: Callable[[], None]) -> None:
        """Run an actor's loop, under its name."""
        self.name = name
        self._loops.put(loop)

    def end(self) -> None:
        """Wait for no more."""
        self._loops.put(None)

    def run(self) -> None:
        while (loop := self._loops.get()) is not None:
            loop()
            # The actor goes with its messages; a thread at rest holds nothing.
            del loop
            self.name = "hean-idle"
            if not self._rest(self):
                return


class Threads:
    """
    The production spawner of one router: an inbox a queue, an actor a daemon thread. It knows all its threads.

    Starting a thread costs more than all that an order does at its submit, so some stand ready, and those of actors
    that ended are used again.

    Args:
        warm: how many threads wait for an actor, from the first actor on; of more that come to rest the rest end.
    """

    def __init__(self, warm: int = WARM) -> None:
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._threads: weakref.WeakSet[_Worker] = weakref.WeakSet()
        self._idle: list[_Worker] = []
        self._warm = warm
        self._ending = False

    def mailbox(self, name: str) -> Inbox:
        return Inbox(name)

    def start(
        self, actor: type[pykka.ThreadingActor], mailbox: Inbox, *args: Any, **kwargs: Any
    ) -> pykka.ActorRef[Any]:
        # As pykka's own start, but for the thread, which it would neither let us join nor use again.
        started = actor(mailbox, *args, **kwargs)
        pykka.ActorRegistry.register(started.actor_ref)
        name = f"hean-{actor.__name__}-{next(self._numbers)}"
        loop = started._actor_loop  # noqa: SLF001
        if isinstance(started, Boundary) and started.lent:
            mailbox.lend(started)
            if started.rests():
                mailbox.rest(partial(self._begin, mailbox, name, loop))
                return started.actor_ref
        self._worker().take(name, loop)
        return started.actor_ref

    def _begin(self, mailbox: Inbox, name: str, loop: Callable[[], None]) -> None:
        def enter() -> None:
            mailbox.enter()
            loop()

        self._worker().take(name, enter)

    def prepare(self) -> None:
        """Have as many threads ready as may wait."""
        with self._lock:
            missing = self._warm - len(self._idle)
        fresh = [self._fresh() for _ in range(missing)]
        with self._lock:
            self._idle += fresh

    def join(self, timeout_s: float) -> bool:
        """Wait for the threads of actors that were stopped; whether all have ended. None is used again."""
        deadline = time.monotonic() + timeout_s
        with self._lock:
            self._ending = True
            idle, self._idle = self._idle, []
            threads = list(self._threads)
        for worker in idle:
            worker.end()
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join(max(deadline - time.monotonic(), 0))
        return not any(thread.is_alive() for thread in threads)

    def _worker(self) -> _Worker:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return self._fresh()

    def _fresh(self) -> _Worker:
        worker = _Worker(self._rest)
        with self._lock:
            self._threads.add(worker)
            # The process's setting, so it is put back: ten thousand stacks of its default would not fit everywhere.
            before = threading.stack_size(STACK_BYTES)
            try:
                worker.start()
            finally:
                threading.stack_size(before)
        return worker

    def _rest(self, worker: _Worker) -> bool:
        with self._lock:
            stays = not self._ending and len(self._idle) < self._warm
            if stays:
                self._idle.append(worker)
            return stays


def stop_actors(refs: Iterable[pykka.ActorRef[Any]], timeout_s: float) -> bool:
    """
    Stop actors once each has handled what was told to it before; whether all have.

    Bounded and never raises: one that hangs, or that crashes before it reads the word, costs `timeout_s` and no more.
    """
    deadline = time.monotonic() + timeout_s
    stopped = True
    for future in [ref.stop(block=False) for ref in refs]:
        try:
            future.get(timeout=max(deadline - time.monotonic(), 0))
        except pykka.Timeout:
            stopped = False
    return stopped
