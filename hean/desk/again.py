"""The journal given to the pure core again, step by step, and what came out otherwise."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from attrs import frozen

from hean.actors.books import restore_books
from hean.actors.scribe import body_of
from hean.core import exact, ids, plain
from hean.core.facts import Fact
from hean.core.order import apply
from hean.core.record import Order, OrderPolicy
from hean.core.types import (
    Event,
    EventType,
    Ms,
    OrderRequest,
    OrderSnapshot,
    PositionSnapshot,
    Signal,
)
from hean.errors import HeanError
from hean.journal import JournalView, OrderEntry, StoredRecord

_TELL_EVERY: Final = 2_000
_POSITIONS: Final = frozenset(
    {EventType.POSITION_OPENED, EventType.POSITION_UPDATE, EventType.POSITION_CLOSED, EventType.FUNDING}
)
# Parts of a fact's record, and what they are called.
_PARTS: Final = {
    "fact": "fact",
    "before": "state before",
    "after": "state after",
    "effects": "effects",
    "events": "events",
    "what": "what happened",
}
# What a signal and its request call the same and mean the same.
_NUMBERS: Final = ("qty", "price", "trigger_price", "stop_loss", "take_profit")
_WORDS: Final = ("category", "symbol", "side", "order_type", "reduce_only", "close_on_trigger", "position_idx")


@frozen(kw_only=True)
class Difference:
    """
    One place where the replay came out otherwise.

    Attributes:
        n: number of the record; None for an end state.
        about: order_link_id, or the position.
    """

    n: int | None
    about: str
    what: str
    journal: str
    replay: str


class Again:
    """
    One replay. While a router writes, what it adds is replayed too before the end states are compared.

    Args:
        view: the journal.
        tell: how far it is.

    Attributes:
        records: read.
        facts: given to the core.
        orders: that came out the same.
        positions: that came out the same.
        note: what could not be checked; "" where all was.
    """

    def __init__(self, view: JournalView, tell: Callable[[str], None]) -> None:
        self.records = self.facts = self.orders = self.positions = 0
        self.note = ""
        self._view = view
        self._tell = tell
        self._after_n = 0
        self._policies: dict[int, OrderPolicy] = {}
        self._orders: dict[str, Order] = {}
        self._lost: set[str] = set()
        self._signals: dict[str, StoredRecord] = {}
        self._blocked: dict[str, OrderSnapshot] = {}
        self._shown: dict[tuple[str, str, int], PositionSnapshot] = {}
        self._adopted: set[tuple[str, str]] = set()

    def run(self) -> Iterator[Difference]:
        """Every difference, in the order of the journal; end states last."""
        yield from self._catch_up()
        # A router that writes meanwhile commits facts and what they come to together; they are compared together.
        with self._view.at_once():
            yield from self._catch_up()
            for entry in self._view.orders():
                yield from self._compare(entry)
            yield from self._compare_positions()

    def _catch_up(self) -> Iterator[Difference]:
        last = self._view.last_n
        for record in self._view.records(after_n=self._after_n):
            self._after_n = record.n
            self.records += 1
            if self.records % _TELL_EVERY == 0:
                self._tell(f"record {record.n} of {last}, {100 * record.n // max(last, 1)} %")
            match record.kind:
                case "start":
                    self._policies[record.epoch] = plain.from_plain(OrderPolicy, _body(record)["policy"])
                case "signal":
                    self._signals.setdefault(record.order_link_id, record)
                case "event":
                    self._note(plain.loads(Event, record.body))
                case "fact":
                    yield from self._fact(record)
                case _:
                    pass

    def _note(self, event: Event) -> None:
        if event.type is EventType.RISK_BLOCKED and event.order is not None:
            self._blocked[event.order_link_id] = event.order
        elif event.type in _POSITIONS and event.position is not None:
            position = event.position
            self._shown[position.category, position.symbol, position.position_idx] = position
        elif event.type is EventType.POSITION_ADOPTED and event.category is not None:
            self._adopted.add((event.category, event.symbol))

    # Facts.

    def _fact(self, record: StoredRecord) -> Iterator[Difference]:
        link_id = record.order_link_id
        if link_id in self._lost:
            return
        self.facts += 1
        body = _body(record)
        order = self._orders.get(link_id)
        if order is None:
            first = self._first(link_id)
            if isinstance(first, Difference):
                self._lost.add(link_id)
                yield first
                return
            order = first
        policy = self._policies.get(record.epoch)
        if policy is None:
            self.note = "a start without its policy is in the journal: the defaults were taken for it"
            policy = OrderPolicy()
        try:
            fact: Fact = plain.from_plain(Fact, body["what"])
            applied = apply(order, fact, Ms(record.at_ms), policy, unit=body["unit"])
        except (HeanError, ArithmeticError, KeyError, TypeError) as error:
            # What follows for this order cannot be replayed.
            self._lost.add(link_id)
            yield Difference(n=record.n, about=link_id, what="the core", journal=body["fact"], replay=repr(error))
            return
        self._orders[link_id] = applied.order
        replayed = plain.loads(dict[str, Any], plain.dumps(body_of(applied, fact, body["unit"])))
        for what, journal, replay in _unlike(body, replayed):
            yield Difference(n=record.n, about=link_id, what=what, journal=str(journal), replay=str(replay))

    def _first(self, link_id: str) -> Order | Difference:
        """The order as it was admitted; its request has no record of its own, so it must be what its signal says."""
        entry, record = self._view.order(link_id), self._signals.get(link_id)
        if entry is None or record is None:
            what = "the order" if entry is None else "the signal"
            return Difference(n=None, about=link_id, what=what, journal="missing", replay="has facts")
        order = plain.loads(Order | OrderSnapshot, entry.body)
        signal = plain.from_plain(Signal, _body(record)["signal"])
        if not isinstance(order, Order):
            return Difference(n=record.n, about=link_id, what="the order", journal="denied", replay="has facts")
        unlike = _unlike_signal(signal, order.request, entry)
        if unlike:
            return Difference(n=record.n, about=link_id, what=f"the request: {unlike}", journal="changed", replay="")
        return Order.of(order.request)

    # End states.

    def _compare(self, entry: OrderEntry) -> Iterator[Difference]:
        link_id = entry.order_link_id
        if link_id in self._lost:
            return
        held = plain.loads(Order | OrderSnapshot, entry.body)
        if isinstance(held, OrderSnapshot):
            blocked = self._blocked.get(link_id)
            if blocked != held:
                yield Difference(
                    n=None, about=link_id, what="the denial", journal=str(held.deny_reason), replay=str(blocked)
                )
                return
            self.orders += 1
            return
        replayed = self._orders.get(link_id)
        if replayed != held:
            yield Difference(
                n=None,
                about=link_id,
                what="the order's end state",
                journal=plain.dumps(held),
                replay="no facts" if replayed is None else plain.dumps(replayed),
            )
            return
        assert replayed is not None, "equal to one that is there"
        accounted = {row.exec_id for row in self._view.executions(order_link_id=link_id)}
        if accounted != set(replayed.ledger.exec_ids):
            unlike = sorted(accounted ^ set(replayed.ledger.exec_ids))
            yield Difference(
                n=None,
                about=link_id,
                what="the ledger's executions",
                journal=f"{len(accounted)} rows",
                replay=f"{replayed.ledger.count}; in one alone: {', '.join(unlike[:5])}",
            )
            return
        self.orders += 1

    def _compare_positions(self) -> Iterator[Difference]:
        books = restore_books(self._view, {}, whole=True)
        for key, shown in self._shown.items():
            book = next((book for at, book in books.items() if (str(at[0]), at[1], at[2]) == key), None)
            # What is at or below an opening balance is settled, and not held any more.
            folded = None if book is None else book.at(shown.seq)
            if folded is None and book is not None:
                continue
            parts = ["side", "size", "avg_price"]
            if key[:2] not in self._adopted:
                parts.append("realised_pnl")
            unlike = [part for part in parts if folded is None or getattr(folded, part) != getattr(shown, part)]
            if unlike:
                yield Difference(
                    n=None,
                    about=f"position {key[0]} {key[1]} {key[2]}",
                    what=", ".join(unlike),
                    journal=" ".join(str(getattr(shown, part)) for part in unlike),
                    replay="no executions"
                    if folded is None
                    else " ".join(str(getattr(folded, part)) for part in unlike),
                )
            else:
                self.positions += 1


def _body(record: StoredRecord) -> dict[str, Any]:
    body: dict[str, Any] = plain.loads(dict[str, Any], record.body)
    return body


def _unlike(body: dict[str, Any], again: dict[str, Any]) -> Iterator[tuple[str, object, object]]:
    """(part, the journal's, the core's) of each part of a step that differs."""
    for part, called in _PARTS.items():
        if body.get(part) != again[part]:
            yield called, body.get(part), again[part]


def _unlike_signal(signal: Signal, request: OrderRequest, entry: OrderEntry) -> str:
    """The first part of a request that its signal does not say; "" where there is none."""
    if ids.order_link_id(signal.strategy_id, signal.signal_id, signal.leg) != request.order_link_id:
        return "order_link_id"
    if ids.payload_digest(signal) != entry.digest:
        return "digest"
    for part in _NUMBERS:
        if exact.read_number(getattr(signal, part)) != getattr(request, part):
            return part
    for part in _WORDS:
        if getattr(signal, part) != getattr(request, part):
            return part
    if ids.resolved_time_in_force(signal) != request.time_in_force:
        return "time_in_force"
    return ""
