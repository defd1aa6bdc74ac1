"""
A queue before the admission: `submit` does what must be answered at once, a thread that is ready does the rest.

Answered at once, on the strategy's thread: whether the signal has an identity, and whether it waits here or is known.
Then its ticket is there; checks, intent and send follow on the actor's thread, in the order of the submits, and the
ticket tells what came of them. A signal that waits is an order nowhere yet: a crash loses it, and it may be submitted
again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from hean.actors.admission import Admission, picture_of
from hean.actors.boundary import Boundary
from hean.actors.context import Context
from hean.actors.messages import Ping
from hean.actors.ports import Mailbox
from hean.actors.registry import Cell
from hean.core import ids
from hean.core.types import Denial, DenyReason, Ms, OrderLinkId, OrderSnapshot, OrderState, Signal
from hean.errors import JournalError, RouterStopped

# How long a command waits for the signals before it.
SETTLE_S: Final = 5.0


class Handed:
    """A signal on its way to the door, as its ticket sees it: PENDING, and then whatever its order is."""

    __slots__ = ("_cell", "_settled", "at_ms", "link_id", "signal")

    def __init__(self, signal: Signal, link_id: OrderLinkId, at_ms: Ms) -> None:
        self.signal = signal
        self.link_id = link_id
        self.at_ms = at_ms
        self._cell: Cell | None = None
        self._settled = threading.Event()

    @property
    def snapshot(self) -> OrderSnapshot:
        cell = self._cell
        return picture_of(self.signal, self.link_id, OrderState.PENDING, self.at_ms) if cell is None else cell.snapshot

    def wait(self, enough: Callable[[OrderSnapshot], bool], timeout_s: float | None) -> OrderSnapshot:
        """The first snapshot that is enough, or the newest at the time-out or at the release."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        if self._cell is None and enough(self.snapshot):
            return self.snapshot
        self._settled.wait(timeout_s)
        if self._cell is None:
            return self.snapshot
        return self._cell.wait(enough, None if deadline is None else max(deadline - time.monotonic(), 0))

    def settle(self, cell: Cell) -> None:
        """It is an order, or denied; `release` must follow."""
        self._cell = cell

    def release(self) -> None:
        """Let go who waits: it is settled, or never will be."""
        self._settled.set()


class Handover:
    """
    Takes signals in for the admission, and answers for those that wait.

    Args:
        context: the router's shared things.
        admission: who decides.
        mailbox: of the `HandoverActor`.
        most: signals that may wait; more are denied.
    """

    def __init__(self, context: Context, admission: Admission, mailbox: Mailbox, most: int) -> None:
        self._context = context
        self._admission = admission
        self._mailbox = mailbox
        self._most = most
        # From its submit to its settlement a signal is here; one look-up and one entry are one step.
        self._waiting: dict[OrderLinkId, Handed] = {}
        self._closed = False
        self._lock = threading.Lock()

    def admit(self, signal: Signal) -> Cell | Handed:
        """
        What the signal's ticket looks at: its order where that is known, else what will be.

        Raises:
            JournalError: nobody can say whether this signal was submitted before; nothing was sent.
            RouterStopped: nothing is taken any more; nothing was sent.
        """
        if ids.identity_problem(signal) is not None:
            return self._admission.admit(signal)
        link_id = ids.order_link_id(signal.strategy_id, signal.signal_id, signal.leg)
        with self._lock:
            if self._closed:
                raise RouterStopped("the router is not running; nothing was sent")
            first = self._waiting.get(link_id)
            if first is not None:
                return self._again(signal, first)
            if self._is_new(link_id):
                return self._hand_over(signal, link_id)
        return self._admission.admit(signal)

    def link_id_of(self, name: str) -> OrderLinkId | None:
        """The link ID of the order of that link ID or of that order ID; one that waits is waited for."""
        if name in self._waiting:
            self.settle()
        if name in self._waiting:
            return OrderLinkId(name)
        return self._admission.link_id_of(name)

    def known(self, link_id: OrderLinkId) -> Cell | None:
        """The cell of an order that this process or the journal knows."""
        return self._admission.known(link_id)

    def settle(self) -> None:
        """Return when all that was submitted before is an order or denied, or after `SETTLE_S`."""
        if self._waiting:
            self._mailbox.ask(Ping(), SETTLE_S)

    def release(self) -> None:
        """The router has stopped: let go everybody who waits for an order."""
        with self._lock:
            waiting = list(self._waiting.values())
        for handed in waiting:
            handed.release()
        self._admission.release()

    # The actor's side.

    def take(self, handed: Handed) -> None:
        """Make an order of it, or deny it."""
        try:
            cell = self._admission.admit(handed.signal, handed.at_ms)
        except JournalError as error:
            # The submitter cannot be told by an exception any more. It was new, so no order is overwritten.
            denial = Denial(reason=DenyReason.JOURNAL_FAILED, detail=str(error))
            cell = self._admission.deny(handed.signal, denial, handed.link_id)
        self._settled(handed, cell)

    def give_up(self, handed: Handed, error: BaseException) -> None:
        """Admitting it raised: it is what the journal remembers of it, else denied."""
        cell = self._admission.known(handed.link_id)
        if cell is None:
            denial = Denial(reason=DenyReason.UNREACHABLE, detail=f"{error!r} was raised; nothing was sent")
            cell = self._admission.deny(handed.signal, denial, handed.link_id)
        self._settled(handed, cell)

    def forget(self, handed: Handed) -> None:
        """It waits no more: let go who waits for it."""
        with self._lock:
            self._waiting.pop(handed.link_id, None)
        handed.release()

    def close(self) -> list[object]:
        """Take nothing more in; what still waits, for the actor to decide."""
        with self._lock:
            self._closed = True
            return self._mailbox.leftover()

    def _settled(self, handed: Handed, cell: Cell) -> None:
        # Settled first: whoever finds it no longer here finds its order.
        handed.settle(cell)
        self.forget(handed)

    def _is_new(self, link_id: OrderLinkId) -> bool:
        try:
            return self._admission.known(link_id) is None
        except JournalError as error:
            self._context.journal_failed(error)
            raise

    def _again(self, signal: Signal, first: Handed) -> Cell | Handed:
        if ids.payload_digest(signal) == ids.payload_digest(first.signal):
            told = {"correlation_id": first.snapshot.correlation_id, "signal_id": signal.signal_id}
            self._context.observe("signal.known", {**told, "order_link_id": first.link_id})
            return first
        # Behind the first, which the admission will then know: a denial of its own, under an ID of its own.
        other_id = ids.denied_link_id(signal)
        return self._waiting.get(other_id) or self._hand_over(signal, other_id)

    def _hand_over(self, signal: Signal, link_id: OrderLinkId) -> Cell | Handed:
        if len(self._waiting) >= self._most:
            detail = f"{self._most} signals wait to be admitted already (orders.submit_max); signal anew, more slowly"
            denial = Denial(reason=DenyReason.TOO_MANY_ORDERS, detail=detail)
            return self._admission.deny(signal, denial, link_id)
        handed = self._waiting[link_id] = Handed(signal, link_id, self._context.now_ms())
        self._mailbox.tell(handed)
        return handed


Door: TypeAlias = Admission | Handover
"""Where signals come in."""


class HandoverActor(Boundary):
    """
    The thread that admits what was handed over.

    Args:
        mailbox: its own.
        context: the router's shared things.
        door: whose signals it takes.
    """

    def __init__(self, mailbox: Any, context: Context, door: Handover) -> None:
        super().__init__(mailbox)
        self._context = context
        self._door = door

    def handle(self, message: Any) -> Any:
        match message:
            case Handed():
                self._door.take(message)
            case Ping():
                return True
            case _:
                raise TypeError(f"unexpected message {message!r}")
        return None

    def crashed(self, message: Any, error: BaseException) -> None:
        told: dict[str, object] = {"actor": "handover", "what": type(message).__name__, "error": repr(error)}
        self._context.observe("actor.crash", told)
        if isinstance(message, Handed):
            try:
                self._door.give_up(message, error)
            except Exception as again:  # noqa: BLE001 - a handler's last words must not raise
                self._context.observe("actor.crash", {**told, "error": repr(again)})
                self._door.forget(message)

    def on_stop(self) -> None:
        for message in self._door.close():
            self.on_receive(message)
