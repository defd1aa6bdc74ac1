"""The actor of all positions: folds executions, compares with the exchange, and lets orders settle."""

from __future__ import annotations

from typing import Any

from attrs import evolve

from hean.actors.books import Key, opening_balance, summed_up
from hean.actors.context import Context, record_of
from hean.actors.kept import KeptActor
from hean.actors.messages import AdoptPosition, Answered, Compared, Confirm, Fold, LookAgain, Ping, PositionsSeen, Send
from hean.actors.ports import Point
from hean.actors.scribe import execution_key
from hean.core.calls import Page, QueryPositions
from hean.core.facts import Settled
from hean.core.position import Change, PositionBook, Verdict
from hean.core.reconcile import COVERED, LISTING_LAG_MS
from hean.core.types import (
    ZERO,
    Category,
    Event,
    EventType,
    ExecId,
    Ms,
    PositionRow,
    PositionSnapshot,
)
from hean.journal import Batch

# Executions that a book holds singly, for late ones and for rows that lag; older ones that a row confirmed are summed.
KEEP_EXECUTIONS = 250
# A position row usually follows its execution on the stream at once: it is asked for only when it does not.
CONFIRM_GRACE_MS = 500
CONFIRM_CAP_MS = 10_000


class PortfolioActor(KeptActor):
    """
    Owns the books. `positions` is replaced whole at each change, so that any thread may read it.

    Args:
        mailbox: its own.
        context: the router's shared things.
        books: as the journal gave them back.
    """

    name = "portfolio"
    lent = (Fold, Confirm, PositionsSeen)

    def __init__(self, mailbox: Any, context: Context, books: dict[Key, PositionBook]) -> None:
        super().__init__(mailbox, context)
        self._books = books
        self._rows: dict[Key, PositionRow] = context.shown
        self._waiting: dict[Key, list[Confirm]] = {}
        self._asked: dict[Key, int] = {}
        self._untold: dict[ExecId, tuple[Change, ...]] = {}
        context.positions = {key: book.snapshot for key, book in books.items()}

    def handle(self, message: Any) -> Any:
        match message:
            case Fold():
                self._fold(message)
            case Confirm():
                self._waiting.setdefault(_key_of(message), []).append(message)
                self._settle(_key_of(message))
                self._ask_later(_key_of(message))
            case PositionsSeen():
                for row in message.rows:
                    self._see(row)
                if message.answer_to is not None:
                    message.answer_to.tell(self._compared(message))
            case AdoptPosition():
                self._adopt(message)
            case ("ask", category, symbol, position_idx):
                self._ask((category, symbol, position_idx))
            case Answered():
                page = message.reply.result
                if isinstance(page, Page):
                    for row in page.positions:
                        self._see(row)
            case Ping():
                return True
            case _:
                raise TypeError(f"unexpected message {message!r}")
        return None

    def _book(self, key: Key) -> PositionBook:
        book = self._books.get(key)
        if book is None:
            instrument = self._context.instruments.get(key[:2])
            book = PositionBook(*key, settle_coin=instrument.settle_coin if instrument is not None else "")
            self._books[key] = book
        return book

    def _fold(self, message: Fold) -> None:
        execution = message.execution
        key = (execution.category, execution.symbol, message.position_idx)
        told = self._folded_elsewhere(key, message)
        if not told:
            changes = self._book(key).fold(execution, reduce_only=message.reduce_only)
            # What raised on the way to telling is told now: the book has it already, and says nothing of it again.
            changes = self._untold[execution.exec_id] = changes or self._untold.get(execution.exec_id, ())
            told = self._changed(key, changes, message)
        self._tell(told, message)
        self._untold.pop(execution.exec_id, None)
        self._settle(key)

    def _tell(self, events: tuple[Event, ...], cause: Fold) -> None:
        """Journal and publish; what was parked until this was told is so no more."""
        context = self._context
        if events or cause.parked:
            records = tuple(record_of(event) for event in events)
            unparked = (execution_key(cause.execution),) if cause.parked else ()
            # The execution is in the journal already, and a restart folds it again: the events tell of it.
            context.remember_soon(Batch(at_ms=context.now_ms(), records=records, unparked=unparked))
            context.tell_world(events)

    def _changed(self, key: Key, changes: tuple[Change, ...], cause: Fold) -> tuple[Event, ...]:
        """What is to be told of what an execution did."""
        if not changes:
            return ()
        execution = cause.execution
        now_ms = self._context.now_ms()
        events = tuple(
            Event(
                type=change.kind,
                at_ms=now_ms,
                event_ms=execution.exec_ms,
                correlation_id=cause.correlation_id,
                signal_id=cause.signal_id,
                order_link_id=execution.order_link_id,
                order_id=execution.order_id,
                exec_id=execution.exec_id,
                category=execution.category,
                symbol=execution.symbol,
                reason="refolded" if change.refolded else str(execution.exec_type),
                detail=_sized(change.position),
                execution=execution,
                position=change.position,
            )
            for change in changes
        )
        crossed = [change for change in changes if change.crossed_zero]
        if crossed:
            events += (
                Event(
                    type=EventType.RECONCILIATION_ALERT,
                    at_ms=now_ms,
                    correlation_id=cause.correlation_id,
                    order_link_id=execution.order_link_id,
                    exec_id=execution.exec_id,
                    category=execution.category,
                    symbol=execution.symbol,
                    reason="crossed_zero",
                    detail=f"a reduce-only execution left {_sized(crossed[-1].position)}; asking the exchange",
                ),
            )
            self._ask(key)
            # Its row says that we are wrong; what explains it is in the list of executions.
            self._context.to.reconciler.tell(LookAgain(why=f"{key[1]}: a reduce-only execution crossed zero"))
        self._context.positions = {**self._context.positions, key: self._books[key].snapshot}
        self._context.ports.point(Point.FOLDED)
        return events

    def _folded_elsewhere(self, key: Key, message: Fold) -> tuple[Event, ...]:
        """A foreign execution that an order of ours claims later counts once, even under another position_idx."""
        execution = message.execution
        for other in range(3):
            book = self._books.get((key[0], key[1], other))
            if other == key[2] or book is None or not book.knows(execution.exec_id):
                continue
            return (
                Event(
                    type=EventType.RECONCILIATION_ALERT,
                    at_ms=self._context.now_ms(),
                    correlation_id=message.correlation_id,
                    signal_id=message.signal_id,
                    order_link_id=execution.order_link_id,
                    order_id=execution.order_id,
                    exec_id=execution.exec_id,
                    category=execution.category,
                    symbol=execution.symbol,
                    reason="claimed_elsewhere",
                    detail=f"accounted in position_idx {other} before, claimed for {key[2]} now; counted once",
                ),
            )
        return ()

    def _adopt(self, message: AdoptPosition) -> None:
        """Take the exchange's row as the balance: an operator's policy wants it, and the journal says so."""
        row = message.row
        key = (row.category, row.symbol, row.position_idx)
        before = _sized(self._book(key).snapshot)
        self._book(key).adopt(row)
        event = evolve(adopted(row, self._context.now_ms()), reason="difference", detail=f"{message.why}: was {before}")
        self._context.journal.commit(
            Batch(
                at_ms=event.at_ms,
                records=(record_of(event),),
                positions=(opening_balance(row, self._book(key)),),
            )
        )
        self._context.positions = {**self._context.positions, key: self._books[key].snapshot}
        self._context.tell_world((event,))
        self._settle(key)

    def _compared(self, message: PositionsSeen) -> Compared:
        rows = {(row.category, row.symbol, row.position_idx): row for row in message.rows}
        settled_ms = None if message.asked_ms is None else Ms(message.asked_ms - LISTING_LAG_MS)
        agreements = tuple(
            self._book(key).agree(row, settled_ms=settled_ms)
            for key, row in rows.items()
            if row.size > ZERO or key in self._books
        )
        for agreement in agreements:
            if agreement.verdict is Verdict.CONFIRMED:
                self._compact(_key_of_row(agreement.seen), agreement.seen)
        unlisted = tuple(
            book.snapshot
            for key, book in self._books.items()
            if key not in rows and key[0] in COVERED and book.snapshot.size > ZERO
        )
        return Compared(asked_ms=message.asked_ms, agreements=agreements, unlisted=unlisted)

    def _see(self, row: PositionRow) -> None:
        key = (row.category, row.symbol, row.position_idx)
        if key not in self._books:
            # A position that is known is shown, and tells a one-way symbol from a hedged one.
            self._context.positions = {**self._context.positions, key: self._book(key).snapshot}
        known = self._rows.get(key)
        if known is not None and row.seq < known.seq:
            return
        self._rows[key] = row
        self._settle(key)

    def _settle(self, key: Key) -> None:
        waiting, row = self._waiting.get(key), self._rows.get(key)
        if not waiting or row is None:
            return
        if self._book(key).agree(row).verdict is not Verdict.CONFIRMED:
            return
        self._compact(key, row)
        left = []
        for confirm in waiting:
            if confirm.seq > row.seq:
                left.append(confirm)
                continue
            slot = self._context.registry.slot(confirm.order_link_id)
            if slot is not None:
                slot.tell(Settled(seq=confirm.seq))
        if left:
            self._waiting[key] = left
        else:
            del self._waiting[key]
            self._asked.pop(key, None)

    def _compact(self, key: Key, row: PositionRow) -> None:
        """Sum what the exchange confirmed and hardly anything can still come before: a book must not grow for ever."""
        book = self._books[key]
        if book.count > 2 * KEEP_EXECUTIONS and book.checkpoint(min(row.seq, book.seq_behind(KEEP_EXECUTIONS))):
            self._context.remember(Batch(at_ms=self._context.now_ms(), marks=summed_up(book)))

    def _ask_later(self, key: Key) -> None:
        if key not in self._waiting:
            return
        delay_ms = min(CONFIRM_GRACE_MS * 2 ** min(self._asked.get(key, 0), 10), CONFIRM_CAP_MS)
        self._context.ports.timers.after(delay_ms, self.mailbox, ("ask", *key), ("portfolio", *map(str, key)))

    def _ask(self, key: Key) -> None:
        if key in self._waiting:
            self._asked[key] = self._asked.get(key, 0) + 1
            self._ask_later(key)
        call = QueryPositions(category=key[0], symbol=key[1])
        self._context.to.gateway.tell(Send(tag="position", call=call, answer_to=self.mailbox))


def _key_of(confirm: Confirm) -> Key:
    category, symbol, position_idx = confirm.symbol_key
    return Category(category), symbol, position_idx


def _key_of_row(row: PositionRow) -> Key:
    return row.category, row.symbol, row.position_idx


def _sized(position: PositionSnapshot) -> str:
    return f"{position.side} {position.size} at {position.avg_price}" if position.size > ZERO else "flat"


def adopted(row: PositionRow, at_ms: Ms) -> Event:
    """The event that tells of an opening balance."""
    return Event(
        type=EventType.POSITION_ADOPTED,
        at_ms=at_ms,
        event_ms=row.updated_ms,
        category=row.category,
        symbol=row.symbol,
        reason="opening_balance",
        detail=f"{row.side} {row.size} at {row.avg_price}, seq {row.seq}",
    )
