"""
Where an actor's messages wait, and who handles them: its own thread, or the thread that brings them.

Waking a thread costs more than most messages take to handle, and moves the interpreter's lock and every cache line to
another processor. So a thread that reads a stream may handle what it has just told, one message of one actor after the
other, as long as nobody else is at it: an actor still handles one message at a time, in the order in which they were
told. Its own thread takes what others tell, what an actor does not let others do, and whatever goes wrong.

Whoever handles an actor's messages has its turn. It is taken as long as no actor is there, and free while the actor
waits. An actor with nothing to do at its start has no thread until it needs its own: most orders live without.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Protocol

import pykka
from attrs import frozen
from pykka._envelope import Envelope
from pykka.messages import _ActorStop


class Carried(Protocol):
    """An actor of whose messages others may handle some."""

    lent: ClassVar[tuple[type, ...]]
    """Messages that the thread which brings them may handle: what they lead to waits for no other actor."""

    hurried: ClassVar[tuple[type, ...]]
    """Messages that somebody waits for: they go before those that were told patiently."""

    def handle(self, message: Any) -> Any:
        """Take one message."""

    def end(self) -> None:
        """Stop, at rest and with no thread."""


@frozen
class Raised:
    """A message that raised where another thread handled it: the actor's own thread decides what becomes of it."""

    message: object
    error: BaseException


class Carrier:
    """
    What one thread has told and may handle itself.

    Nobody else is woken for it, so that thread must `deliver` before it waits for anything.
    """

    def __init__(self) -> None:
        self._told: deque[Inbox] = deque()

    def settle(self) -> None:
        """From here on, and until it ends, the calling thread carries what it tells."""
        _HERE.carrier = self

    def take(self, inbox: Inbox) -> None:
        """Remember that something was told there."""
        self._told.append(inbox)

    def deliver(self) -> None:
        """Handle what was told and what that leads to, or leave it to those whose it is. Never raises."""
        while self._told:
            self._told.popleft().carry()


_HERE = threading.local()


class Inbox:
    """A mailbox for a thread: flat in the number of actors, and owned by whoever made it."""

    __slots__ = ("_actor", "_begin", "_bell", "_patient", "_raised", "_turn", "_waiting", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        # Appending and taking from either end is one step for every thread.
        self._waiting: deque[Envelope[Any]] = deque()
        # Wake nobody, and go before what waits when somebody looks, but not before what hurries.
        self._patient: deque[Envelope[Any]] = deque()
        # At most one, and before everything: what its actor holds may be behind what it has remembered.
        self._raised: list[Envelope[Any]] = []
        self._bell: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._turn = threading.Lock()
        self._turn.acquire()
        self._actor: Carried | None = None
        # Gives the actor its thread: taken out by whoever needs it first.
        self._begin: list[Callable[[], None]] = []

    def tell(self, message: object) -> None:
        self.put(Envelope(message))

    def tell_patiently(self, message: object) -> None:
        self._patient.append(Envelope(message))

    def nudge(self) -> None:
        # Whoever has the turn may take them at the same time.
        with contextlib.suppress(IndexError):
            while True:
                self.put(self._patient.popleft())

    def depth(self) -> int:
        return len(self._waiting) + len(self._patient) + len(self._raised)

    def next_of(self, wanted: Callable[[object], bool]) -> object | None:
        if not self._waiting:
            return None
        envelope = self._waiting[0]
        if envelope.reply_to is not None or not wanted(envelope.message):
            return None
        self._waiting.popleft()
        message: object = envelope.message
        return message

    def give_back(self, messages: Sequence[object]) -> None:
        self._waiting.extendleft(Envelope(message) for message in reversed(messages))

    def ask(self, message: object, timeout_s: float) -> object:
        """The actor's answer, or None at the time-out; only from outside or downward, upward it deadlocks."""
        future: pykka.ThreadingFuture[object] = pykka.ThreadingFuture()
        self.put(Envelope(message, reply_to=future))
        try:
            return future.get(timeout=timeout_s)
        except pykka.Timeout:
            return None

    def receive(self, timeout_s: float) -> object:
        """The next message, or None at the time-out; for a mailbox that no actor reads."""
        envelope = self._next(time.monotonic() + timeout_s)
        return None if envelope is None else envelope.message

    def lend(self, actor: Carried) -> None:
        """Let others handle those messages that this actor lends; it is about to begin, and has the turn."""
        self._actor = actor

    def rest(self, begin: Callable[[], None]) -> None:
        """
        Give the turn back: the actor has nothing to do, and no thread yet.

        Args:
            begin: gives it one; called once, when it is needed. That thread calls `enter` first.
        """
        self._begin.append(begin)
        self._turn.release()
        if self._waiting:
            self.carry()

    def enter(self) -> None:
        """Take the turn, for the actor's own thread."""
        self._turn.acquire()

    def end(self) -> bool:
        try:
            begin = self._begin.pop()
        except IndexError:
            return False
        self._turn.acquire()
        if self._waiting or self._patient or self._raised:
            self._begin.append(begin)
            self._turn.release()
            return False
        # The turn is not given back: nobody is here any more.
        assert self._actor is not None, "who rests has lent"
        self._actor.end()
        return True

    def hand(self, message: object) -> None:
        self._waiting.append(Envelope(message))
        if self._actor is None:
            self._ring()
        else:
            self.carry()

    def carry(self) -> None:
        """Handle what waits and is lent, on this thread; the rest is left to the actor's own. Never raises."""
        actor, turn, waiting = self._actor, self._turn, self._waiting
        # Whoever has the turn looks again after giving it back, and so finds what was told meanwhile.
        while waiting and turn.acquire(blocking=False):
            try:
                lent = self._carry_lent(actor)
            finally:
                turn.release()
            if not lent:
                self._wake()
                return

    def _carry_lent(self, actor: Carried | None) -> bool:
        """Handle what waits, with the turn; False where something is left that is the actor's own affair."""
        waiting, lent = self._waiting, () if actor is None else actor.lent
        while waiting:
            next_ = waiting[0]
            if self._raised or next_.reply_to is not None or not isinstance(next_.message, lent):
                return False
            message = self._first().message
            try:
                assert actor is not None, "only an actor lends"
                actor.handle(message)
            except BaseException as error:  # noqa: BLE001 - whatever it is, the actor's own thread deals with it
                self._raised.append(Envelope(Raised(message, error)))
                return False
        return True

    # pykka's side.

    def put(self, envelope: Envelope[Any], /) -> None:
        if isinstance(envelope.message, _ActorStop) and self.end():
            if envelope.reply_to is not None:
                envelope.reply_to.set(None)
            return
        self._waiting.append(envelope)
        carrier: Carrier | None = getattr(_HERE, "carrier", None)
        if carrier is not None and self._actor is not None:
            carrier.take(self)
        else:
            self._ring()

    def get(self) -> Envelope[Any]:
        envelope = self._next(None)
        assert envelope is not None, "waited for without an end"
        return envelope

    def empty(self) -> bool:
        return not self._waiting and not self._raised

    def leftover(self) -> list[object]:
        """Take out all messages that were not handled. A word to stop stays: an actor that hangs must still find it."""
        messages: list[object] = []
        stops: list[Envelope[Any]] = []
        while True:
            try:
                envelope = self._first()
            except IndexError:
                break
            if isinstance(envelope.message, _ActorStop):
                stops.append(envelope)
                continue
            message = envelope.message
            messages.append(message.message if isinstance(message, Raised) else message)
            if envelope.reply_to is not None:
                envelope.reply_to.set(None)
        self._waiting.extend(stops)
        return messages

    def _first(self) -> Envelope[Any]:
        """Take out what is to be handled next; IndexError where there is nothing."""
        if self._raised:
            return self._raised.pop()
        if not self._patient:
            return self._waiting.popleft()
        hurried = () if self._actor is None else self._actor.hurried
        if self._waiting and isinstance(self._waiting[0].message, hurried):
            return self._waiting.popleft()
        return self._patient.popleft()

    def _ring(self) -> None:
        # Whoever has the turn looks again before it waits: then nobody need be woken.
        if not self._turn.locked():
            self._wake()

    def _wake(self) -> None:
        try:
            begin = self._begin.pop()
        except IndexError:
            self._bell.put(None)
        else:
            begin()

    def _next(self, until_s: float | None) -> Envelope[Any] | None:
        """The next message, for who has the turn, which others may take while it waits; None when time is over."""
        while True:
            if self._waiting or self._raised:
                return self._first()
            self._turn.release()
            try:
                # Told before the turn was free, and so without ringing.
                if not self._waiting and not self._raised:
                    left_s = None if until_s is None else max(until_s - time.monotonic(), 0)
                    self._bell.get(timeout=left_s)
            except queue.Empty:
                if not self._waiting:
                    return None
            finally:
                self._turn.acquire()
