"""
One thread for everything: pykka's own loop, one message at a time, in an order that the seed chooses; and virtual time.

An actor here is a subclass of the very class that production starts. Only its inbox, its future and the start of its
loop are others: pykka's `_actor_loop_running` itself takes each message, and is left when the inbox has granted one.
Whoever waits for a future lets everything else go on meanwhile, as a thread that waits does.
"""

from __future__ import annotations

import contextlib
import functools
import heapq
import queue
import random
import sys
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import pykka
from pykka._envelope import Envelope
from pykka.messages import _ActorStop

Event = Callable[[], None]

# A future that is not answered after this much virtual time is a deadlock, whatever its caller allows.
DEADLOCK_MS = 600_000


class Paused(BaseException):
    """The inbox has granted its one message: pykka's loop is left here, and entered again for the next."""


class Killed(BaseException):
    """This incarnation of the process is dead; what runs on does so in vain."""


class Deadlock(AssertionError):
    """Somebody waits for an answer that cannot come."""


_IN_VAIN = contextlib.suppress(Killed)


class SimFuture(pykka.Future[Any]):
    """A future whose `get` runs the simulation until it is answered; its process is that of whoever is asked."""

    process: Process | None = None

    def __init__(self) -> None:
        super().__init__()
        self._result: tuple[Any, Any] | None = None

    @property
    def done(self) -> bool:
        return self._result is not None

    def get(self, *, timeout: float | None = None) -> Any:
        try:
            return super().get(timeout=timeout)
        except NotImplementedError:
            pass
        if self._result is None:
            assert self.process is not None, "nobody was asked"
            self.process.await_answer(self, timeout)
            assert self._result is not None
        value, exc_info = self._result
        if exc_info is not None:
            raise exc_info[1]
        return value

    def set(self, value: Any = None) -> None:
        self._answer((value, None))

    def set_exception(self, exc_info: Any = None) -> None:
        self._answer((None, exc_info or sys.exc_info()))

    def _answer(self, result: tuple[Any, Any]) -> None:
        if self._result is not None or self._get_hook is not None:
            raise queue.Full
        self._result = result


class SimMailbox:
    """An inbox that grants its actor one message at a time, and outlives it; one of a dead process is deaf."""

    __slots__ = ("_draining", "_granted", "_process", "_queue", "actor", "busy", "name", "started")

    def __init__(self, name: str, process: Process) -> None:
        self.name = name
        self.actor: pykka.Actor | None = None
        self.started = False
        self.busy = False
        self._process = process
        self._queue: deque[Envelope[Any]] = deque()
        self._granted = False
        self._draining = False

    def __repr__(self) -> str:
        return f"<{self.name}>"

    def tell(self, message: object) -> None:
        self.put(Envelope(message))

    def ask(self, message: object, timeout_s: float) -> object:
        future = SimFuture()
        self.put(Envelope(message, reply_to=future))
        try:
            return future.get(timeout=timeout_s)
        except pykka.Timeout:
            return None

    def depth(self) -> int:
        return len(self._queue)

    def leftover(self) -> list[object]:
        stops = [envelope for envelope in self._queue if isinstance(envelope.message, _ActorStop)]
        others = [envelope for envelope in self._queue if not isinstance(envelope.message, _ActorStop)]
        for envelope in others:
            if envelope.reply_to is not None:
                envelope.reply_to.set(None)
        self._queue = deque(stops)
        return [envelope.message for envelope in others]

    def tell_patiently(self, message: object) -> None:
        # How long patience lasts is chance, here as there.
        self.tell(message)

    def hand(self, message: object) -> None:
        self.tell(message)

    def end(self) -> bool:
        return False

    def nudge(self) -> None:
        self._process.kernel.stir(self)

    def next_of(self, wanted: Callable[[object], bool]) -> object | None:
        # How much has queued when an actor looks is chance; what has is handled alone as often as together.
        envelope = self._queue[0] if self._queue and self._process.kernel.toss() else None
        if envelope is None or envelope.reply_to is not None or not wanted(envelope.message):
            return None
        return self._queue.popleft().message

    def give_back(self, messages: Sequence[object]) -> None:
        self._queue.extendleft(Envelope(message) for message in reversed(messages))

    def peek(self) -> list[object]:
        """What waits."""
        return [envelope.message for envelope in self._queue]

    # pykka's side.

    def put(self, envelope: Envelope[Any], /) -> None:
        if isinstance(envelope.reply_to, SimFuture):
            envelope.reply_to.process = self._process
        if self._process.alive:
            self._queue.append(envelope)
            self._process.kernel.stir(self)

    def get(self) -> Envelope[Any]:
        if not self._granted and not self._draining:
            raise Paused
        self._granted = False
        return self._queue.popleft()

    def empty(self) -> bool:
        return not self._queue

    def host(self, actor: pykka.Actor) -> None:
        """Let this actor live here: its loop begins at some later turn."""
        self.actor, self.started = actor, False
        self._process.kernel.stir(self)

    @property
    def ready(self) -> bool:
        return self.actor is not None and not self.busy and (not self.started or bool(self._queue))

    def step(self) -> None:
        """Let the actor do one thing: begin its life, or take one message."""
        actor = self.actor
        assert actor is not None
        self.busy = True
        try:
            if self.started:
                self._granted = True
            else:
                self.started = True
                actor._actor_loop_setup()
            actor._actor_loop_running()
        except (Paused, Killed):
            return
        finally:
            self.busy = False
        # The loop ended: the actor was stopped, or stopped itself, or failed.
        self._draining = True
        actor._actor_loop_teardown()
        self._draining = False
        if self.actor is actor:
            self.actor = None


class Kernel:
    """
    Time, what happens at its times, and which actor is next.

    Args:
        rng: chooses among what could happen next.
        start_ms: true time at the beginning.
    """

    def __init__(self, rng: random.Random, start_ms: int) -> None:
        self.now_ms = start_ms
        self.turns = 0
        self.depth = 0
        self.lag = 0.0
        """How often something timed goes before a message that waits: an actor that is slow."""
        self.held: dict[str, int] = {}
        """Actors that get no time until then, by the name of their mailbox."""
        self.after_turn: Event = lambda: None
        self._unit = rng.random
        self._heap: list[tuple[int, float, int, Event]] = []
        self._planned = 0
        self._dropped: set[int] = set()
        self._stirred: dict[SimMailbox, None] = {}

    def at(self, due_ms: int, event: Event) -> int:
        """
        Let that happen then; what is due at the same time happens in the seed's order.

        Returns:
            its number, for `drop`.
        """
        self._planned += 1
        due_ms = max(self.now_ms, due_ms)
        heapq.heappush(self._heap, (due_ms, self._unit(), self._planned, event))
        return self._planned

    def drop(self, number: int) -> None:
        """Let that not happen any more; it has not happened yet."""
        self._dropped.add(number)

    def stir(self, mailbox: SimMailbox) -> None:
        """That mailbox may have something to do."""
        self._stirred[mailbox] = None

    def toss(self) -> bool:
        """Heads or tails."""
        return self._unit() < 0.5

    @property
    def idle(self) -> bool:
        """No message waits for an actor that could take it."""
        return not any(mailbox.ready for mailbox in self._stirred)

    def turn(self, until_ms: int) -> bool:
        """
        Let one thing happen; False when nothing is left to happen up to `until_ms`.

        Never beyond `until_ms`, and not always what came first: threads overtake each other.
        """
        ready = self._ready() if self._stirred else ()
        heap = self._heap
        while heap and heap[0][2] in self._dropped:
            self._dropped.remove(heapq.heappop(heap)[2])
        due_ms = heap[0][0] if heap else until_ms + 1
        overtaken = self.lag and ready and due_ms <= min(until_ms, self.now_ms + 50) and self._unit() < self.lag
        if ready and not overtaken:
            mailbox = ready[int(self._unit() * len(ready))] if len(ready) > 1 else ready[0]
            self.depth += 1
            try:
                mailbox.step()
            finally:
                self.depth -= 1
            if not mailbox.ready:
                self._stirred.pop(mailbox, None)
        elif due_ms <= until_ms:
            event = heapq.heappop(heap)[3]
            self.now_ms = max(self.now_ms, due_ms)
            with _IN_VAIN:
                event()
        else:
            return False
        self.turns += 1
        if self.depth == 0:
            # Inside a handler that waits, an exception would be the handler's.
            self.after_turn()
        return True

    def run_until(self, due_ms: int, stop: Callable[[], bool] = lambda: False) -> None:
        """Let everything happen up to `due_ms`, or until `stop`."""
        while not stop():
            if not self.turn(due_ms):
                self.now_ms = max(self.now_ms, due_ms)
                return

    def _ready(self) -> list[SimMailbox]:
        ready, over = [], []
        for mailbox in self._stirred:
            if not mailbox.ready:
                if not mailbox.busy:
                    over.append(mailbox)
            elif not self.held or self.held.get(mailbox.name, 0) <= self.now_ms:
                ready.append(mailbox)
        for mailbox in over:
            del self._stirred[mailbox]
        return ready


@functools.cache
def simulated(actor: type[pykka.ThreadingActor]) -> type[pykka.ThreadingActor]:
    """The same class, on one thread."""

    class Simulated(actor):  # type: ignore[valid-type,misc]
        @staticmethod
        def _create_actor_inbox() -> Any:
            # Boundary puts its mailbox in the place of this one.
            return None

        @staticmethod
        def _create_future() -> Any:
            return SimFuture()

        def _start_actor_loop(self) -> None:
            self.actor_inbox.host(self)

    Simulated.__name__ = Simulated.__qualname__ = actor.__name__
    return Simulated


class Process:
    """
    One life of the router's process: its mailboxes, actors, timers. When it is killed, nothing of it moves any more.

    The `Clock`, `Timers` and `Spawner` ports in one.

    Args:
        kernel: makes things happen.
        offset_ms: our clock minus the true time.
    """

    def __init__(self, kernel: Kernel, offset_ms: int = 0) -> None:
        self.kernel = kernel
        self.alive = True
        self.offset_ms = offset_ms
        self.mailboxes: list[SimMailbox] = []
        self.refs: list[pykka.ActorRef[Any]] = []
        self.armed: dict[tuple[str, ...], int] = {}

    # Clock.

    def now_ms(self) -> Any:
        return self.kernel.now_ms + self.offset_ms

    def pause(self, pause_s: float) -> None:
        """Let so much time pass on the caller's thread."""
        self.kernel.run_until(self.kernel.now_ms + int(pause_s * 1000), lambda: not self.alive)
        self.require_alive()

    def require_alive(self) -> None:
        if not self.alive:
            raise Killed

    # Timers.

    def after(self, delay_ms: int, mailbox: SimMailbox, message: object, key: tuple[str, ...]) -> None:
        self.cancel(key)

        def fire() -> None:
            del self.armed[key]
            mailbox.tell(message)

        self.armed[key] = self.kernel.at(self.kernel.now_ms + delay_ms, fire)

    def cancel(self, key: tuple[str, ...]) -> None:
        number = self.armed.pop(key, None)
        if number is not None:
            self.kernel.drop(number)

    # Spawner.

    def mailbox(self, name: str) -> SimMailbox:
        mailbox = SimMailbox(name, self)
        self.mailboxes.append(mailbox)
        return mailbox

    def start(
        self, actor: type[pykka.ThreadingActor], mailbox: SimMailbox, *args: Any, **kwargs: Any
    ) -> pykka.ActorRef[Any]:
        if not self.alive:
            raise Killed
        ref = simulated(actor).start(mailbox, *args, **kwargs)
        self.refs = [other for other in self.refs if other.is_alive()]
        self.refs.append(ref)
        return ref

    # Waiting and dying.

    def await_answer(self, future: SimFuture, timeout_s: float | None) -> None:
        """
        Let everything go on until the future is answered.

        Raises:
            pykka.Timeout: it was not in time.
            Killed: the process died meanwhile.
        """
        kernel = self.kernel
        # Callers reckon what is left with the wall clock: rounding takes its microseconds out again.
        timeout_ms = DEADLOCK_MS if timeout_s is None else round(timeout_s * 10) * 100
        deadline_ms = kernel.now_ms + timeout_ms
        kernel.run_until(deadline_ms, lambda: future.done or not self.alive)
        self.require_alive()
        if not future.done:
            if timeout_s is None:
                raise Deadlock(f"no answer within {DEADLOCK_MS} ms")
            raise pykka.Timeout(f"{timeout_s} seconds")

    def kill(self) -> None:
        """End without a word, as a process does."""
        self.alive = False
        for key in list(self.armed):
            self.cancel(key)
        for ref in self.refs:
            pykka.ActorRegistry.unregister(ref)
            ref.actor_stopped.set()
        for mailbox in self.mailboxes:
            mailbox.actor = None
            mailbox._queue.clear()
