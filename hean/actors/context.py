"""What every actor of one router shares: its ports, its memory, its addresses, and the gate of its submits."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping

from attrs import define, field, frozen

from hean.actors.bus import Bus
from hean.actors.messages import FoldNoted, PayOwed
from hean.actors.ports import Mailbox, Ports
from hean.actors.registry import Registry
from hean.core import plain
from hean.core.breaker_facts import JournalFailed
from hean.core.foreign import ForeignOrder
from hean.core.record import OrderPolicy
from hean.core.session_record import Session
from hean.core.types import Category, Event, EventType, Instrument, Ms, PositionRow, PositionSnapshot
from hean.errors import JournalError
from hean.journal import Batch, Journal, Record

# Events that the journal still owes; a stream that comes and goes makes some twenty a minute.
MAX_OWED = 10_000
# A journal that fails is tried again after this long.
JOURNAL_RETRY_MS = 1_000

Observe = Callable[[str, dict[str, object]], None]


@define
class Gate:
    """
    What keeps signals out, written by the actors, read by the submitter; each attribute is replaced whole.

    Attributes:
        live: the private stream is LIVE, the first reconciliation is through, no order of an earlier life in doubt.
        streaming: the private stream is LIVE.
        reconciled: the first reconciliation is through.
        doubtful: orders of an earlier life of which nobody knows yet whether they are at the exchange.
        halted_why: "" while not halted.
        symbols: (category, symbol) -> why only reduce-only orders pass, as long as a difference lasts.
        frozen: the same until a person resumes, across restarts.
    """

    live: bool = False
    live_why: str = "not started"
    halted_why: str = ""
    breaker_why: str = ""
    stopped: bool = False
    streaming: bool = False
    reconciled: bool = False
    doubtful: frozenset[str] = frozenset()
    symbols: dict[tuple[str, str], str] = field(factory=dict)
    frozen: dict[tuple[str, str], str] = field(factory=dict)
    live_event: threading.Event = field(factory=threading.Event)
    _lock: threading.Lock = field(factory=threading.Lock)

    def set_live(self, live: bool, why: str) -> None:
        """Note whether the private stream is LIVE."""
        with self._lock:
            self.streaming = live
            self._weigh(why)

    def set_reconciled(self) -> None:
        """Note that both sides were compared for the first time."""
        with self._lock:
            self.reconciled = True
            self._weigh(self.live_why)

    def doubt(self, order_link_id: str) -> None:
        """Note that nobody knows what became of that order; nothing is LIVE before it is resolved."""
        with self._lock:
            self.doubtful |= {order_link_id}
            self._weigh(self.live_why)

    def resolve(self, order_link_id: str) -> None:
        """Note that evidence, or a proven absence, told what became of that order."""
        with self._lock:
            self.doubtful -= {order_link_id}
            self._weigh(self.live_why)

    def freeze(self, category: str, symbol: str, why: str) -> None:
        """Let only reduce-only orders of that symbol pass; the first reason stands."""
        with self._lock:
            self.symbols = {(category, symbol): why, **self.symbols}

    def why_frozen(self, category: str, symbol: str) -> str:
        """Why only reduce-only orders of that symbol pass; "" when all do."""
        return self.frozen.get((category, symbol)) or self.symbols.get((category, symbol), "")

    def freeze_for_good(self, category: str, symbol: str, why: str) -> tuple[tuple[str, str, str], ...]:
        """Let only reduce-only orders of that symbol pass until a person resumes; gives all that are frozen so."""
        with self._lock:
            self.frozen = {(category, symbol): why, **self.frozen}
            return tuple((*key, reason) for key, reason in self.frozen.items())

    def thaw(self, category: str, symbol: str, why: str) -> None:
        """Lift the freeze that was made for that reason; another one stands."""
        with self._lock:
            if self.symbols.get((category, symbol)) == why:
                self.symbols = {key: other for key, other in self.symbols.items() if key != (category, symbol)}

    def thaw_all(self) -> dict[tuple[str, str], str]:
        """Lift every freeze; what they were."""
        with self._lock:
            thawed = {**self.symbols, **self.frozen}
            self.symbols, self.frozen = {}, {}
            return thawed

    def _weigh(self, why: str) -> None:
        self.live = self.streaming and self.reconciled and not self.doubtful
        if self.live:
            self.live_why = ""
            self.live_event.set()
            return
        if self.streaming and self.doubtful:
            why = f"{len(self.doubtful)} orders of an earlier life are in doubt and being looked up"
        elif self.streaming:
            why = "the first comparison with the exchange is not through"
        self.live_why = why
        self.live_event.clear()


@frozen(kw_only=True)
class Addresses:
    """Where the shared actors are told things."""

    supervisor: Mailbox
    gateway: Mailbox
    stream: Mailbox
    trade: Mailbox
    portfolio: Mailbox
    external: Mailbox
    reconciler: Mailbox


@define(kw_only=True)
class Context:
    """
    One router's shared things.

    Attributes:
        observe: counts and logs one observation by name; never raises.
        instruments: what orders must fit; replaced when refreshed.
        positions: the portfolio's, replaced whole at each change.
        foreign: open orders that are not ours, by order_id; the external actor's, replaced whole at each change.
        children: orders that the exchange made of ours, by our order_link_id; the newest of those that ended too.
        shown: the exchange's newest row of each position; the portfolio's.
        sessions: the newest record of each stream, by its name.
        offset_ms: the exchange's clock less ours, as well as it is known.
    """

    ports: Ports
    journal: Journal
    bus: Bus
    registry: Registry
    gate: Gate
    policy: OrderPolicy
    to: Addresses
    observe: Observe
    instruments: dict[tuple[Category, str], Instrument] = field(factory=dict)
    positions: Mapping[tuple[Category, str, int], PositionSnapshot] = field(factory=dict)
    foreign: Mapping[str, ForeignOrder] = field(factory=dict)
    children: Mapping[str, tuple[ForeignOrder, ...]] = field(factory=dict)
    shown: dict[tuple[Category, str, int], PositionRow] = field(factory=dict)
    sessions: dict[str, Session] = field(factory=dict)
    offset_ms: Callable[[], int] = lambda: 0
    _owed: deque[tuple[Callable[[Batch], object], Batch]] = field(factory=deque, init=False)
    now_ms: Callable[[], Ms] = field(init=False)
    """Our clock."""
    _owing: threading.Lock = field(factory=threading.Lock, init=False)
    _pay_ms: Ms = field(default=Ms(0), init=False)

    def __attrs_post_init__(self) -> None:
        self.now_ms = self.ports.clock.now_ms

    def announce(
        self, *events: Event, records: tuple[Record, ...] = (), marks: Mapping[str, str] | None = None
    ) -> None:
        """
        Journal events that no order's transaction carries, publish and log them.

        They are published even where the journal fails; see `remember`.
        """
        told = tuple(record_of(event) for event in events)
        self.remember(Batch(at_ms=events[0].at_ms, records=(*records, *told), marks=marks or {}))
        self.tell_world(events)

    def remember(self, batch: Batch) -> None:
        """
        Journal what is true already and leads to nothing that is sent.

        Where the journal fails everything is halted, and the batch is written before the next that can be. Facts of an
        order do not come this way: what of them is not remembered is not applied.
        """
        self._owe(self.journal.commit, batch)

    def remember_soon(self, batch: Batch) -> None:
        """Journal as `remember` does, where nobody outside looks for it at once."""
        self._owe(self.journal.note, batch)

    def _owe(self, how: Callable[[Batch], object], batch: Batch) -> None:
        with self._owing:
            self._owed.append((how, batch))
            self._pay()
            if len(self._owed) > MAX_OWED:
                self._owed.popleft()
                self.observe("journal.failed", {"error": f"more than {MAX_OWED} batches are owed; the oldest is lost"})

    def pay(self) -> None:
        """Write what the journal could not take before, if it takes it now; never raises."""
        with self._owing:
            self._pay_ms = Ms(0)
            self._pay()

    def _pay(self) -> None:
        now_ms = self.now_ms()
        # One that fails may take seconds to say so: not every event must wait for it.
        if now_ms < self._pay_ms:
            return
        try:
            while self._owed:
                how, batch = self._owed[0]
                how(batch)
                self._owed.popleft()
        except JournalError as error:
            self._pay_ms = Ms(now_ms + JOURNAL_RETRY_MS)
            self.journal_failed(error)
            self.ports.timers.after(JOURNAL_RETRY_MS, self.to.supervisor, PayOwed(), ("supervisor", "owed"))

    def fold(self) -> None:
        """Let the journal's tables take over what was noted; tried again where it fails, never raises."""
        try:
            self.journal.fold()
        except JournalError as error:
            self.journal_failed(error)
            self.ports.timers.after(JOURNAL_RETRY_MS, self.to.supervisor, FoldNoted(), ("supervisor", "fold"))

    def journal_failed(self, error: JournalError, **details: object) -> None:
        """Stop everything: what is sent could not be remembered."""
        why = f"{type(error).__name__}: {error}"
        self.observe("journal.failed", {"error": why, **details})
        # At once for the next submit; the gateway's halt machine tells it, and the orders.
        self.gate.halted_why = self.gate.halted_why or f"journal: {why}"
        self.to.gateway.tell(JournalFailed(why=why))

    def tell_world(self, events: tuple[Event, ...]) -> None:
        """Publish and log events that the journal has."""
        self.bus.publish(events)
        self.log(events)

    def log(self, events: tuple[Event, ...]) -> None:
        """Log events that were published."""
        for event in events:
            self.observe(f"event.{event.type}", event_fields(event, self.offset_ms()))

    def status(self, reason: str, detail: str, **parts: object) -> None:
        """Announce a STATUS event."""
        self.announce(Event(type=EventType.STATUS, at_ms=self.now_ms(), reason=reason, detail=detail, **parts))  # type: ignore[arg-type]


def record_of(event: Event) -> Record:
    """An event as a line of the audit chain."""
    return Record(
        kind="event",
        body=plain.dumps(event),
        order_link_id=event.parent_order_link_id or event.order_link_id,
        correlation_id=event.correlation_id,
    )


def event_fields(event: Event, offset_ms: int = 0) -> dict[str, object]:
    """
    The parts of an event that a log line shows.

    Args:
        event: as published.
        offset_ms: the exchange's clock less ours, for the delay between its time and ours.
    """
    names = ("correlation_id", "signal_id", "order_link_id", "order_id", "exec_id", "symbol", "reason", "detail")
    fields: dict[str, object] = {name: getattr(event, name) for name in names if getattr(event, name)}
    if event.source is not None:
        fields["source"] = str(event.source)
    if event.complete is not None:
        fields["complete"] = event.complete
    if event.execution is not None:
        fields["exec_qty"], fields["exec_price"] = event.execution.exec_qty, event.execution.exec_price
    if event.event_ms is not None:
        fields["event_ms"] = event.event_ms
        fields["delay_s"] = (event.at_ms + offset_ms - event.event_ms) / 1000
    return fields
