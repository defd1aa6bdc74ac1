"""
Positions as the journal keeps them: opening balances, and every execution since.

Apart from the actor that owns them, so that whoever only reads a journal starts no actor and imports none.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from hean.core import plain
from hean.core.position import Balance, Base, PositionBook
from hean.core.reconcile import COVERED
from hean.core.types import Category, EventType, Execution, Instrument, PositionRow
from hean.journal import ExecutionEntry, JournalView, PositionEntry
from hean.journal.marks import SUMMED_MARK

Key = tuple[Category, str, int]
"""category, symbol, position_idx."""

_OF_POSITIONS = frozenset(
    {EventType.POSITION_OPENED, EventType.POSITION_UPDATE, EventType.POSITION_CLOSED, EventType.FUNDING}
)


def opening_balance(row: PositionRow, book: PositionBook | None = None) -> PositionEntry:
    """
    What was taken over as the journal keeps it: what is at or below the row's seq is not folded again.

    Args:
        row: the exchange's.
        book: which took it over, for the sums that go on; None for one that began with it.
    """
    body = plain.dumps(row if book is None else book.balance(row))
    return PositionEntry(category=row.category, symbol=row.symbol, position_idx=row.position_idx, body=body)


def summed_up(book: PositionBook) -> dict[str, str]:
    """What a book no longer holds singly, as marks of the journal: a restart reads the executions after it alone."""
    return {_summed_mark((book.category, book.symbol, book.position_idx)): plain.dumps(book.base)}


def _summed_mark(key: Key) -> str:
    category, symbol, position_idx = key
    return f"{SUMMED_MARK} {category} {symbol} {position_idx}"


def restore_told(
    journal: JournalView, instruments: Mapping[tuple[Category, str], Instrument]
) -> tuple[dict[Key, PositionBook], tuple[ExecutionEntry, ...]]:
    """
    The books as far as their events were told, and the executions that are still to be folded and told.

    Whoever has an execution in the journal may be killed before the event of its position is. An order settles after
    that, so those of settled orders were told; a foreign execution is parked until it is told.

    Args:
        journal: of the account.
        instruments: for the coins that they settle in.
    """
    parked = {(entry.category, entry.symbol, entry.exec_id) for entry in journal.parked()}
    unsettled = {entry.order_link_id for entry in journal.unsettled_orders()}
    told: dict[str, set[str]] = {}
    untold: list[ExecutionEntry] = []

    def is_told(entry: ExecutionEntry) -> bool:
        if entry.order_link_id in unsettled:
            if entry.order_link_id not in told:
                told[entry.order_link_id] = _told_of(journal, entry.order_link_id)
            was_told = entry.exec_id in told[entry.order_link_id]
        else:
            was_told = bool(entry.order_link_id) or (entry.category, entry.symbol, entry.exec_id) not in parked
        if not was_told:
            untold.append(entry)
        return was_told

    return restore_books(journal, instruments, is_told), tuple(untold)


def _told_of(journal: JournalView, order_link_id: str) -> set[str]:
    bodies = (json.loads(record.body) for record in journal.records(order_link_id=order_link_id, kind="event"))
    return {str(body["exec_id"]) for body in bodies if body["type"] in _OF_POSITIONS}


def restore_books(
    journal: JournalView,
    instruments: Mapping[tuple[Category, str], Instrument],
    counts: Callable[[ExecutionEntry], bool] = lambda _: True,
    *,
    whole: bool = False,
) -> dict[Key, PositionBook]:
    """
    The books as the journal gives them back: what was taken over or summed up, then every execution since.

    Args:
        journal: of the account.
        instruments: for the coins that they settle in.
        counts: whether an execution is folded; asked once for each.
        whole: fold what was summed up too, execution by execution.
    """
    books: dict[Key, PositionBook] = {}

    def book(key: Key) -> PositionBook:
        if key not in books:
            instrument = instruments.get(key[:2])
            books[key] = PositionBook(*key, settle_coin=instrument.settle_coin if instrument is not None else "")
        return books[key]

    for entry in journal.positions():
        kept = plain.loads(PositionRow | Balance, entry.body)
        balance = kept if isinstance(kept, Balance) else Balance(row=kept)
        book((Category(entry.category), entry.symbol, entry.position_idx)).resume(balance)
    for category, symbol, position_idx in journal.accounted():
        if category not in COVERED:
            continue
        key = (Category(category), symbol, position_idx)
        summed = None if whole else journal.mark(_summed_mark(key))
        base = plain.loads(Base, summed) if summed is not None else None
        # A balance that was taken over later stands for all before it.
        if base is not None and base.holding.seq > book(key).base_seq:
            book(key).rest_on(base)
        for row in journal.executions_after(*key, book(key).base_seq):
            if counts(row):
                book(key).fold(plain.loads(Execution, row.body))
    return books
