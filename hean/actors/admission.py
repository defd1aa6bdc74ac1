"""
The door for signals: known or new, allowed or denied; an order's intent is in the journal before anybody acts on it.

Runs on the strategy's thread, so that a denial is known when `submit` returns, or on that of the queue before it
(`actors/handover.py`). One lock makes the look-up and the registration of an ID one step: the same signal from many
threads at once is one order.
"""

from __future__ import annotations

import threading
from enum import StrEnum
from typing import TypeVar

from attrs import evolve

from hean.actors.context import Context, record_of
from hean.actors.express import Express
from hean.actors.messages import Adopt
from hean.actors.order import create_of, shown_by
from hean.actors.ports import Point
from hean.actors.registry import Cell, Slot
from hean.actors.scribe import Taken, batch_of
from hean.actors.supervisor import order_of
from hean.core import checks, ids, plain
from hean.core.checks import Gates
from hean.core.facts import SendCreate, Sent
from hean.core.order import apply
from hean.core.record import Order
from hean.core.types import (
    ZERO,
    Category,
    Denial,
    DenyReason,
    Event,
    EventType,
    Ms,
    OrderLinkId,
    OrderRequest,
    OrderSnapshot,
    OrderState,
    OrderType,
    Side,
    Signal,
)
from hean.errors import JournalError
from hean.journal import Batch, OrderEntry, Record

Word = TypeVar("Word", bound=StrEnum)
_SENT = Sent()


class Admission:
    """
    Takes signals in.

    Args:
        context: the router's shared things.
        express: the gateway's direct line.
        max_open: orders that may be tracked and not settled.
    """

    def __init__(self, context: Context, express: Express, max_open: int) -> None:
        self._context = context
        self._express = express
        self._max_open = max_open
        self._lock = threading.Lock()

    def admit(self, signal: Signal, submitted_ms: Ms | None = None) -> Cell:
        """
        The cell of the signal's order: known, new, or denied.

        Args:
            signal: anything a strategy built.
            submitted_ms: our clock when it was submitted; None for now.

        Raises:
            JournalError: nobody can say whether this signal was submitted before; nothing was sent.
        """
        try:
            return self._admit(signal, submitted_ms)
        except JournalError as error:
            self._context.journal_failed(error)
            raise

    def settle(self) -> None:
        """Return when all that was submitted before is an order or denied: at once, nothing waits here."""

    def release(self) -> None:
        """The router has stopped: let go everybody who waits for an order."""
        self._context.registry.release()

    def _admit(self, signal: Signal, submitted_ms: Ms | None) -> Cell:
        problem = ids.identity_problem(signal)
        if problem is not None:
            return self.deny(signal, problem, ids.denied_link_id(signal))
        link_id = ids.order_link_id(signal.strategy_id, signal.signal_id, signal.leg)
        digest = ids.payload_digest(signal)
        with self._lock:
            known = self.known(link_id)
            if known is None:
                return self._enter(signal, link_id, digest, submitted_ms)
        if known.digest == digest:
            self._context.observe(
                "signal.known",
                {
                    "correlation_id": known.snapshot.correlation_id,
                    "signal_id": signal.signal_id,
                    "order_link_id": link_id,
                },
            )
            return known
        denial = Denial(
            reason=DenyReason.DUPLICATE_ID,
            detail=f"signal {signal.signal_id} leg {signal.leg} of {signal.strategy_id} was submitted before with "
            "another payload; the first order is untouched. Give a changed wish a new signal_id",
        )
        with self._lock:
            other_id = ids.denied_link_id(signal)
            return self.known(other_id) or self.deny(signal, denial, other_id)

    def link_id_of(self, name: str) -> OrderLinkId | None:
        """The link ID of the order of that link ID or of that order ID; None where no order of ours has either."""
        slot = self._context.registry.owner(name, name)
        if slot is not None:
            return slot.order_link_id
        journal = self._context.journal
        entry = journal.order(name) or journal.order_by_order_id(name)
        return None if entry is None else OrderLinkId(entry.order_link_id)

    def known(self, link_id: OrderLinkId) -> Cell | None:
        """The cell of an order that this process or the journal knows."""
        registry = self._context.registry
        cell = registry.cell(link_id)
        if cell is not None:
            return cell
        entry = self._context.journal.order(link_id)
        if entry is None:
            return None
        order = order_of(entry)
        snapshot = order.snapshot() if isinstance(order, Order) else order
        return registry.keep(link_id, Cell(snapshot, entry.digest))

    def _enter(self, signal: Signal, link_id: OrderLinkId, digest: str, submitted_ms: Ms | None) -> Cell:
        context = self._context
        now_ms = context.now_ms()
        key = _key_of(signal)
        checked = checks.check(signal, context.instruments.get(key), self._gates(key, submitted_ms), now_ms)
        if isinstance(checked, Denial):
            return self.deny(signal, checked, link_id)
        event = self._received(checked)
        unit = context.ports.unit()
        # The first step of the order's machine is taken here: intent, request and state are one transaction.
        applied = apply(Order.of(checked), _SENT, now_ms, context.policy, unit=unit)
        sent = Taken(fact=_SENT, applied=applied, unit=unit, extra=(_signal_record(signal, event),))
        batch = batch_of(sent, at_ms=now_ms, digest=digest)
        try:
            context.journal.note(batch)
        except JournalError as error:
            # Without its intent in the journal nothing may be sent; the strategy is told at once.
            context.journal_failed(error)
            return self.deny(signal, Denial(reason=DenyReason.JOURNAL_FAILED, detail=str(error)), link_id)
        context.ports.point(Point.ADMITTED)
        cell = Cell(shown_by(applied), digest)
        slot = Slot(link_id, context.ports.spawner.mailbox(f"order {link_id}"), cell)
        context.registry.track(slot)
        # Before the create: whatever it leads to comes after them. Their log lines can wait until it has left.
        context.bus.publish((event, *applied.events))
        for effect in applied.effects:
            assert isinstance(effect, SendCreate), "the first step of an order wants nothing but its create"
            self._express.offer(create_of(effect, slot))
        context.ports.point(Point.OFFERED)
        context.to.supervisor.hand(Adopt(order=applied.order, resumed=False))
        context.log((event, *applied.events))
        return cell

    def _gates(self, key: tuple[Category, str], submitted_ms: Ms | None) -> Gates:
        context, gate = self._context, self._context.gate
        symbol_why = gate.why_frozen(*key)
        active, conditional = context.registry.active(*key)
        return Gates(
            stopped=gate.stopped,
            halted=bool(gate.halted_why),
            halted_why=gate.halted_why,
            symbol_reducing=bool(symbol_why),
            symbol_why=symbol_why,
            breaker_open=bool(gate.breaker_why),
            breaker_why=gate.breaker_why,
            live=gate.live,
            live_why=gate.live_why,
            submitted_ms=submitted_ms,
            max_age_ms=context.policy.max_age_ms,
            open_orders=context.registry.count(),
            max_open_orders=self._max_open,
            symbol_orders=active,
            symbol_conditionals=conditional,
        )

    def _received(self, request: OrderRequest) -> Event:
        return Event(
            type=EventType.SIGNAL,
            at_ms=request.submitted_ms,
            correlation_id=request.correlation_id,
            signal_id=request.signal_id,
            order_link_id=request.order_link_id,
            category=request.category,
            symbol=request.symbol,
            reason="received",
            detail=f"{request.side} {request.qty} {request.symbol} {request.order_type}",
        )

    def deny(self, signal: Signal, denial: Denial, link_id: OrderLinkId) -> Cell:
        """Deny a signal that neither this process nor the journal knows; final, journalled, published."""
        digest = ids.payload_digest(signal)
        cell = self._denied_cell(signal, denial, link_id, digest)
        snapshot = cell.snapshot
        received = Event(
            type=EventType.SIGNAL,
            at_ms=self._context.now_ms(),
            correlation_id=snapshot.correlation_id,
            signal_id=snapshot.signal_id,
            order_link_id=link_id,
            symbol=snapshot.symbol,
            reason="received",
        )
        blocked = evolve(
            received,
            type=EventType.RISK_BLOCKED,
            reason=str(denial.reason),
            detail=denial.detail,
            order=snapshot,
        )
        entry = OrderEntry(
            order_link_id=link_id,
            digest=digest,
            state=snapshot.state,
            settled=True,
            order_id=None,
            correlation_id=snapshot.correlation_id,
            signal_id=snapshot.signal_id,
            strategy_id=snapshot.strategy_id,
            symbol=snapshot.symbol,
            category=snapshot.category,
            submitted_ms=received.at_ms,
            updated_ms=received.at_ms,
            body=plain.dumps(snapshot),
        )
        records = (_signal_record(signal, received), record_of(blocked))
        self._context.remember(Batch(at_ms=received.at_ms, records=records, order=entry))
        self._context.tell_world((received, blocked))
        return self._context.registry.keep(link_id, cell)

    def _denied_cell(self, signal: Signal, denial: Denial, link_id: OrderLinkId, digest: str) -> Cell:
        picture = picture_of(signal, link_id, OrderState.DENIED, self._context.now_ms())
        return Cell(evolve(picture, deny_reason=denial.reason, reason=denial.detail), digest)


def picture_of(signal: Signal, link_id: OrderLinkId, state: OrderState, at_ms: Ms) -> OrderSnapshot:
    """What was wished for, as far as it can be shown: of what is not an order, and may never be one."""
    return OrderSnapshot(
        order_link_id=link_id,
        correlation_id=ids.correlation_id(signal) if ids.identity_problem(signal) is None else link_id,
        strategy_id=_text(signal.strategy_id),
        signal_id=_text(signal.signal_id),
        category=_word(Category, signal.category, Category.LINEAR),
        symbol=_text(signal.symbol),
        side=_word(Side, signal.side, Side.BUY),
        order_type=_word(OrderType, signal.order_type, OrderType.MARKET),
        state=state,
        outcome=state if state is OrderState.DENIED else None,
        qty=ZERO,
        price=None,
        cum_exec_qty=ZERO,
        leaves_qty=ZERO,
        avg_price=None,
        updated_ms=at_ms,
    )


def _key_of(signal: Signal) -> tuple[Category, str]:
    # A signal may hold anything, what cannot be hashed included.
    category, symbol = _word(Category, signal.category, Category.LINEAR), _text(signal.symbol)
    return category, symbol


def _word(kind: type[Word], value: object, otherwise: Word) -> Word:
    if isinstance(value, kind):
        return value
    try:
        return kind(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return otherwise


def _text(value: object) -> str:
    return value if isinstance(value, str) else repr(value)[:100]


def _signal_record(signal: Signal, event: Event) -> Record:
    return Record(
        kind="signal",
        body=plain.dumps({"signal": plain.to_plain(signal), "event": plain.to_plain(event)}),
        order_link_id=event.order_link_id,
        correlation_id=event.correlation_id,
    )
