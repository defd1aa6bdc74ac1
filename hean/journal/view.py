"""Reading the journal: the same for the router itself and for viewers in other processes."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Self, TypeVar

import attrs

from hean.errors import JournalError
from hean.journal import file, sql
from hean.journal.entries import (
    Command,
    ExecutionEntry,
    OrderEntry,
    ParkedEntry,
    PositionEntry,
    StoredRecord,
)

GENESIS: Final = bytes(32)
EntryT = TypeVar("EntryT", bound=attrs.AttrsInstance)


def link(previous: bytes, about: tuple[int, int, int, str, str, str, str]) -> bytes:
    """
    Hash one record onto its predecessor's hash.

    Args:
        previous: 32 bytes, GENESIS for the first.
        about: n, at_ms, epoch, kind, order_link_id, correlation_id, body. Lengths stand before the free texts, so that
            no two records make the same bytes.
    """
    n, at_ms, epoch, kind, order_link_id, correlation_id, body = about
    ids = f"{len(kind)}:{kind},{len(order_link_id)}:{order_link_id},{len(correlation_id)}:{correlation_id}"
    return sha256(previous + f"{n},{at_ms},{epoch},{ids},{body}".encode()).digest()


class JournalView:
    """
    Read access to a journal, from any process, while its router runs or after it died; it never writes.

    Safe to use from several threads. Every method raises JournalError when the file cannot be read.
    """

    def __init__(self, connection: sqlite3.Connection, path: str) -> None:
        self.path = path
        self._connection = connection
        self._lock = threading.Lock()
        self._looks_behind = False

    @staticmethod
    def read(path: Path) -> JournalView:
        """
        Open a journal for reading alone; what was noted before is there, whether its router runs, hangs or died.

        Raises:
            JournalError: there is none, or it cannot be read. Nothing has changed.
        """
        path = path.expanduser().resolve()
        connection = file.connect(path, "ro")
        try:
            file.check(connection, path)
        except JournalError:
            connection.close()
            raise
        view = JournalView(connection, str(path))
        try:
            view._look_behind()
        except BaseException:
            view.close()
            raise
        return view

    def _look_behind(self) -> None:
        """Read what was noted as if the tables had it: a router that was killed does not come to fold it."""
        if int(self._rows(sql.VERSION)[0][0]) < sql.SCHEMA_VERSION or not self._rows(sql.ANY_INTAKE)[0][0]:
            return
        for statement in sql.NOTED_VIEWS:
            self._rows(statement)
        self._looks_behind = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the file back; a second call does nothing."""
        with self._lock:
            self._connection.close()

    @property
    def epoch(self) -> int:
        """How often the journal was opened by a router."""
        return int(self._rows(sql.EPOCH)[0][0])

    @property
    def last_n(self) -> int:
        """Number of the newest record; 0 where there is none."""
        rows = self._rows(sql.HEAD)
        return int(rows[0][0]) if rows else 0

    def order(self, order_link_id: str) -> OrderEntry | None:
        """Find an order by our ID."""
        return self._one(OrderEntry, sql.ORDER, order_link_id)

    def order_by_order_id(self, order_id: str) -> OrderEntry | None:
        """Find an order by the exchange's ID."""
        return self._one(OrderEntry, sql.ORDER_BY_ORDER_ID, order_id)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Read the journal as of one moment, that of the first look inside, while a router goes on writing."""
        self._rows(sql.BEGIN_READING)
        try:
            yield
        finally:
            self._rows(sql.END_READING)

    def newest_orders(
        self, count: int, *, symbol: str | None = None, since_ms: int | None = None
    ) -> tuple[OrderEntry, ...]:
        """
        List the orders submitted last, the newest of them last, without reading what came before them.

        Args:
            count: at most so many.
            symbol: as the exchange spells it; None does not narrow.
            since_ms: our clock; those that changed at or after it. None does not narrow.
        """
        names = sql.names_of(OrderEntry)
        rows = self._rows(sql.NEWEST_ORDERS, symbol, since_ms, count)
        return tuple(OrderEntry(**dict(zip(names, row, strict=True))) for row in reversed(rows))

    def traded(self) -> tuple[tuple[str, str], ...]:
        """List (category, symbol) of whatever has an opening balance or an execution."""
        return tuple((category, symbol) for category, symbol in self._rows(sql.TRADED))

    def unsettled_orders(self) -> tuple[OrderEntry, ...]:
        """List the orders that start-up must look at, oldest ID first; settled ones are not touched."""
        return self._all(OrderEntry, sql.UNSETTLED)

    def orders(
        self,
        *,
        settled: bool | None = None,
        state: str | None = None,
        symbol: str | None = None,
        strategy_id: str | None = None,
        signal_id: str | None = None,
        correlation_id: str | None = None,
        since_ms: int | None = None,
        link_prefix: str | None = None,
    ) -> Iterator[OrderEntry]:
        """
        List orders, the first submitted first; None does not narrow.

        Args:
            settled: whether nothing is open about them.
            state: of the order's machine.
            symbol: as the exchange spells it.
            strategy_id: of the signal.
            signal_id: of the signal.
            correlation_id: of the signal.
            since_ms: our clock; those that changed at or after it.
            link_prefix: the first characters of the order_link_id.
        """
        return self._pages(
            OrderEntry,
            "orders",
            {
                "settled = ?": settled,
                "state = ?": state,
                "symbol = ?": symbol,
                "strategy_id = ?": strategy_id,
                "signal_id = ?": signal_id,
                "correlation_id = ?": correlation_id,
                "updated_ms >= ?": since_ms,
                sql.LINK_STARTS: link_prefix,
            },
        )

    def records(
        self,
        *,
        after_n: int = 0,
        kind: str | None = None,
        order_link_id: str | None = None,
        correlation_id: str | None = None,
        since_ms: int | None = None,
    ) -> Iterator[StoredRecord]:
        """
        List audit records in their order.

        Narrowing by `order_link_id` and `after_n` reads what it returns; the others read through the table.

        Args:
            after_n: only later ones, to go on where an earlier reading ended.
            kind: None for every kind.
            order_link_id: None for every order.
            correlation_id: None for every signal.
            since_ms: our clock; None for all times.
        """
        return self._pages(
            StoredRecord,
            "records",
            {
                "kind = ?": kind,
                sql.OF_ORDER: order_link_id,
                "correlation_id = ?": correlation_id,
                "at_ms >= ?": since_ms,
            },
            after=after_n,
        )

    def executions(
        self,
        *,
        category: str | None = None,
        symbol: str | None = None,
        order_link_id: str | None = None,
        order_id: str | None = None,
        exec_id: str | None = None,
    ) -> Iterator[ExecutionEntry]:
        """List executions as they were applied; None does not narrow."""
        return self._pages(
            ExecutionEntry,
            "executions",
            {
                "category = ?": category,
                "symbol = ?": symbol,
                "order_link_id = ?": order_link_id,
                "order_id = ?": order_id,
                "exec_id = ?": exec_id,
            },
        )

    def executions_since(self, exec_ms: int) -> tuple[ExecutionEntry, ...]:
        """List the executions at or after a time of the exchange, in that clock's order."""
        return self._all(ExecutionEntry, sql.EXECUTIONS_SINCE, exec_ms)

    def accounted(self) -> tuple[tuple[str, str, int], ...]:
        """List the (category, symbol, position_idx) that have executions."""
        return tuple((category, symbol, idx) for category, symbol, idx in self._rows(sql.ACCOUNTED))

    def executions_after(self, category: str, symbol: str, position_idx: int, seq: int) -> tuple[ExecutionEntry, ...]:
        """List the executions of a position beyond a seq of the exchange, as they were applied."""
        return self._all(ExecutionEntry, sql.EXECUTIONS_AFTER, category, symbol, position_idx, seq)

    def knows_execution(self, category: str, symbol: str, exec_id: str) -> bool:
        """Tell whether this execution was applied already, ever."""
        found = self._rows(sql.KNOWS_EXECUTION, category, symbol, exec_id)
        return bool(found)

    def parked(self) -> tuple[ParkedEntry, ...]:
        """List the executions that nobody owns yet, first come first."""
        return self._all(ParkedEntry, sql.PARKED)

    def positions(self) -> tuple[PositionEntry, ...]:
        """List of each position what was taken over last."""
        return self._all(PositionEntry, sql.POSITIONS)

    def mark(self, name: str) -> str | None:
        """Read one mark; None where it was never set."""
        rows = self._rows(sql.MARK, name)
        return str(rows[0][0]) if rows else None

    def command(self, command_id: int) -> Command | None:
        """Find an operator command, for its answer."""
        return self._one(Command, sql.COMMAND, command_id)

    def pending_commands(self) -> tuple[Command, ...]:
        """List the commands without an answer, first come first."""
        return self._all(Command, sql.PENDING)

    def verify_chain(self) -> int | None:
        """Compute every hash again: None when all is well, else the first number that is changed or missing."""
        head = GENESIS
        # A missing record shows at its successor, whose own hash covers both.
        for expected_n, row in enumerate(self.records(), start=1):
            if self._looks_behind and not row.hash:
                # Noted and not in the chain yet.
                break
            head = link(head, (row.n, row.at_ms, row.epoch, row.kind, row.order_link_id, row.correlation_id, row.body))
            if row.hash != head:
                return expected_n
        return None

    def _rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with self._lock:
            try:
                return self._connection.execute(statement, values).fetchall()
            except file.REFUSALS as error:
                raise file.typed(error, self.path) from error

    def _all(self, entry: type[EntryT], statement: str, *values: object) -> tuple[EntryT, ...]:
        names = sql.names_of(entry)
        return tuple(entry(**dict(zip(names, row, strict=True))) for row in self._rows(statement, *values))

    def _one(self, entry: type[EntryT], statement: str, *values: object) -> EntryT | None:
        found = self._all(entry, statement, *values)
        return found[0] if found else None

    def _pages(self, entry: type[EntryT], table: str, narrow: dict[str, object], *, after: int = 0) -> Iterator[EntryT]:
        """Read by pages, so that the lock is free between them."""
        terms = [term for term, value in narrow.items() if value is not None]
        values = [value for value in narrow.values() if value is not None]
        names = sql.names_of(entry)
        statement = sql.page(table, entry, terms)
        while rows := self._rows(statement, after, *values):
            for row in rows:
                yield entry(**dict(zip(names, row[1:], strict=True)))
            after = rows[-1][0]
