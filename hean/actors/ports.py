"""
What the actors need from the world, handed in at wiring: time, timers, chance, threads, the network.

The router in production has the halves of this package; anything that drives the same actors otherwise (one thread, a
virtual clock) hands in its own. No actor reads a clock, draws a number, starts a thread or opens a socket by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any, Final, Protocol

import pykka
from attrs import frozen

from hean.core.calls import Call, Phase, Reply
from hean.core.types import Ms


class Told(Protocol):
    """Something that can be told things."""

    def tell(self, message: object) -> None:
        """Queue a message; never waits, never raises."""


class Mailbox(Told, Protocol):
    """An actor's inbox and address in one. It outlives the actor: what was told before a crash is handled after it."""

    def ask(self, message: object, timeout_s: float) -> object:
        """The answer, or None at the time-out. From outside or downward only."""

    def depth(self) -> int:
        """How many messages wait."""

    def leftover(self) -> list[object]:
        """Take out all messages that no actor handled."""

    def tell_patiently(self, message: object) -> None:
        """Queue a message that need not be handled before the next one comes, or before a nudge."""

    def hand(self, message: object) -> None:
        """Queue a message, and handle it at once where its actor lends it and is at rest; may wait for the disk."""

    def end(self) -> bool:
        """End its actor at once, if that is at rest and has no thread; whether that was done."""

    def nudge(self) -> None:
        """What was told patiently has waited long enough."""

    def next_of(self, wanted: Callable[[object], bool]) -> object | None:
        """Take out the next message if it is wanted and nobody waits for its answer, else None; for its actor alone."""

    def give_back(self, messages: Sequence[object]) -> None:
        """Put messages that `next_of` gave to where they were, in their order."""


class Clock(Protocol):
    """Our time."""

    def now_ms(self) -> Ms:
        """Milliseconds since the epoch that never jump: age and order are computed from them."""


class Timers(Protocol):
    """Messages to be told later."""

    def after(self, delay_ms: int, mailbox: Mailbox, message: object, key: tuple[str, ...]) -> None:
        """Tell `message` in `delay_ms`; a timer of the same key is replaced."""

    def cancel(self, key: tuple[str, ...]) -> None:
        """Forget the timer of that key; none is fine. One that fired already may still be told."""


class Spawner(Protocol):
    """Makes mailboxes and brings actors to life on them."""

    def mailbox(self, name: str) -> Any:
        """A new mailbox."""

    def start(self, actor: type[pykka.ThreadingActor], mailbox: Any, *args: Any, **kwargs: Any) -> pykka.ActorRef[Any]:
        """Start an actor of that class on that mailbox."""


class Wire(Protocol):
    """Performs calls. Never raises and never loses one: each call is answered by exactly one reply, perhaps late."""

    def room(self, call: Call) -> bool:
        """Whether it could be sent at once; the gateway keeps it otherwise."""

    def over_http(self, call: Call) -> bool:
        """Whether it would go over HTTP, and so draw on the IP's budget."""

    def perform(self, call: Call, timeout_s: float, answer: Callable[[Reply], None]) -> None:
        """Perform `call` within `timeout_s`; the answer comes on some other thread."""

    def hang_up(self) -> None:
        """Close idle connections, so that a ban can be waited out in silence."""


class Socket(Protocol):
    """One connection of a stream."""

    def send(self, text: str) -> Phase:
        """Send one text frame; never raises. How far it got: a lost connection is told separately."""

    def close(self, why: str) -> None:
        """Close without waiting."""

    def join(self, timeout_s: float) -> bool:
        """Wait for the reader to end; whether it has."""


class Sockets(Protocol):
    """Opens stream connections; what happens on them is told to the mailbox as facts of that generation."""

    def open(self, generation: int, mailbox: Told) -> Socket:
        """Begin to connect, on some other thread."""


class Point(StrEnum):
    """Moments between journal, send, reply, apply and publish: who dies at one of them loses and doubles nothing."""

    ADMITTED = "admitted"  # the intent is in the journal, nothing was sent
    OFFERED = "offered"  # the create left, or waits in the gateway; its order has no actor yet
    SENDING = "sending"  # a call is about to leave
    SENT = "sent"  # its bytes left, or a sender has it
    ANSWERED = "answered"  # its reply was read and nobody knows of it
    RECEIVED = "received"  # a frame of the private stream was read
    APPLIED = "applied"  # an order's next state is known and not remembered
    REMEMBERED = "remembered"  # it is in the journal and nobody has seen it
    PUBLISHED = "published"  # snapshot and events are out, the effects are not performed
    PERFORMED = "performed"  # they are
    FOLDED = "folded"  # an execution is in its position, nobody has seen it


# Production: a point is passed, at the price of a look into an empty set.
_nothing: Final[Callable[[Point], object]] = frozenset[Point]().__contains__


@frozen(kw_only=True)
class Ports:
    """
    Everything from outside.

    Attributes:
        unit: draws a number of [0, 1).
        point: called at each `Point` that is passed; whoever tries what a sudden end does hands in its own.
    """

    clock: Clock
    timers: Timers
    spawner: Spawner
    unit: Callable[[], float]
    point: Callable[[Point], object] = _nothing
