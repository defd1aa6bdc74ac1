"""
Positions as the journal keeps them: opening balances, and every execution since.

Apart from the actor that owns them, so that whoever only reads a journal starts no actor and imports none.
"""

from __future__ import annotations

from collections.abc import Mapping

from hean.core import plain
from hean.core.position import PositionBook
from hean.core.reconcile import COVERED
from hean.core.types import Category, Execution, Instrument, PositionRow
from hean.journal import JournalView, PositionEntry

Key = tuple[Category, str, int]
"""category, symbol, position_idx."""


def opening_balance(row: PositionRow) -> PositionEntry:
    """The exchange's row as the journal keeps it: what is at or below its seq is not folded again."""
    return PositionEntry(category=row.category, symbol=row.symbol, position_idx=row.position_idx, body=plain.dumps(row))


def restore_books(
    journal: JournalView, instruments: Mapping[tuple[Category, str], Instrument]
) -> dict[Key, PositionBook]:
    """The books as the journal gives them back: opening balances, then every execution since."""
    books: dict[Key, PositionBook] = {}

    def book(category: Category, symbol: str, position_idx: int) -> PositionBook:
        instrument = instruments.get((category, symbol))
        coin = instrument.settle_coin if instrument is not None else ""
        key = (category, symbol, position_idx)
        if key not in books:
            books[key] = PositionBook(category, symbol, position_idx, settle_coin=coin)
        return books[key]

    for entry in journal.positions():
        book(Category(entry.category), entry.symbol, entry.position_idx).adopt(plain.loads(PositionRow, entry.body))
    for row in journal.executions():
        if row.category not in COVERED:
            continue
        execution = plain.loads(Execution, row.body)
        book(execution.category, execution.symbol, row.position_idx).fold(execution)
    return books
