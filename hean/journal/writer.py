"""Writing the journal: one door for the router, one small flap for the operator's commands."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from hean.errors import JournalError
from hean.journal import file, intake, sql
from hean.journal.entries import Batch, Committed, ExecutionKey, OrderEntry, ParkedEntry
from hean.journal.seen import Seen
from hean.journal.view import GENESIS, JournalView, link

NOTED_MAX: Final = 10_000
"""Batches that may be on their way into the tables; one more waits until they are there."""


class _Waiting:
    """A batch in the queue, the epoch of its records, and what became of it."""

    __slots__ = ("batch", "committed", "epoch", "error", "rows")

    def __init__(self, batch: Batch, epoch: int) -> None:
        self.batch = batch
        self.epoch = epoch
        self.rows: tuple[int, ...] = ()
        self.committed: Committed | None = None
        self.error: Exception | None = None


class Journal(JournalView):
    """
    The router's own journal: read and write, by one router at a time. Safe to use from several threads.

    A process that forked must not use its parent's journal: sqlite would damage the file, so writing is refused.
    """

    def __init__(self, connection: sqlite3.Connection, path: str, lock_fd: int | None) -> None:
        super().__init__(connection, path)
        self._lock_fd = lock_fd
        self._pid = os.getpid()
        self._epoch = 0
        self._queue: deque[_Waiting] = deque()
        self._seen = Seen()
        # No fewer than are parked: one more costs a statement, one less would lose an execution.
        self._parked: set[ExecutionKey] = set()
        self._closed = False
        # Batches that are not in the tables yet, and how many records they hold.
        self._noted: list[_Waiting] = []
        self._noted_records = 0
        # Whether the file may hold others: an interrupt came while one was written.
        self._unsure = False
        self.when_noted: Callable[[], object] = lambda: None
        """Called, by the thread that notes, when something is noted while nothing was; must not use the journal."""
        # Number and hash of the newest record; None where the file must be asked.
        self._head: tuple[int, bytes] | None = None

    @classmethod
    def open(cls, path: Path, now_ms: int) -> Journal:
        """
        Open, or create, the journal for one router, and begin an epoch.

        Args:
            path: the file; its directory is created for this user alone where it is missing.
            now_ms: our clock, noted when the file is created.

        Raises:
            JournalLocked: another router has it, in this process or another. Nothing has changed.
            JournalCorrupt: the file is damaged or is not a journal. Nothing has changed.
            JournalError: the place cannot be written, or a newer hean wrote it. Nothing has changed.
        """
        # Two names of one file are one journal, so the lock goes beside the file itself.
        path = path.expanduser().resolve()
        lock_fd = file.take_lock(path)
        try:
            connection = file.connect(path, "rwc")
            try:
                file.check(connection, path, may_be_empty=True)
                journal = cls(connection, str(path), lock_fd)
                journal._prepare(now_ms)
            except BaseException:
                connection.close()
                raise
        except BaseException:
            os.close(lock_fd)
            raise
        return journal

    @classmethod
    def memory(cls, now_ms: int = 0) -> Journal:
        """Make a journal that lives in memory alone, for tests and simulations."""
        journal = cls(sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False), ":memory:", None)
        journal._prepare(now_ms)
        return journal

    @property
    def epoch(self) -> int:
        """Which opening of the journal this is; every record carries it."""
        return self._epoch

    def order(self, order_link_id: str) -> OrderEntry | None:
        """Find an order by our ID; of a new one no thread that writes is waited for."""
        return super().order(order_link_id) if self._closed or self._seen.may_hold(order_link_id) else None

    def parked(self) -> tuple[ParkedEntry, ...]:
        """List the executions that nobody owns yet, first come first; where there are none no thread is waited for."""
        return super().parked() if self._closed or self._parked else ()

    def commit(self, batch: Batch) -> Committed:
        """
        Remember a batch: all of it, or nothing.

        Returns:
            the numbers of its records in their order, and the executions that were not known before.

        Raises:
            JournalBusy: another program holds the file. Nothing was remembered; trying again is safe.
            JournalFull: no space is left. Nothing was remembered.
            JournalCorrupt: the file is damaged. Nothing was remembered.
            JournalError: anything else that sqlite refused, or the journal is closed. Nothing was remembered.
        """
        waiting = _Waiting(batch, self._epoch)
        self._queue.append(waiting)
        with self._lock:
            # Whoever gets the lock first commits for all who queued meanwhile: under load one transaction serves many.
            if waiting.committed is None and waiting.error is None:
                self._commit_queued(waiting)
        if waiting.error is not None:
            raise waiting.error
        assert waiting.committed is not None, "whoever holds the lock commits all that is queued"
        return waiting.committed

    def note(self, batch: Batch) -> Committed:
        """
        Remember a batch as `commit` does, with one statement; the tables take it over at the next commit or `fold`.

        Nobody who reads sees a difference: whatever is read here is taken over first. A batch that holds more than
        records, an order and executions is committed.

        Returns:
            the numbers of its records in their order; which executions are new is seen when the tables take it over.

        Raises:
            JournalError: as `commit`. Nothing was remembered.
        """
        text = intake.text_of(batch, self._epoch) if self.notes(batch) else None
        if text is None:
            return self.commit(batch)
        with self._lock:
            self._refuse_fork()
            # Before it is committed: whoever finds it nowhere else looks into the file.
            if batch.order is not None:
                self._seen.add(batch.order.order_link_id)
            head = self._head = self._head or self._read_head()
            waiting = _Waiting(batch, self._epoch)
            try:
                self._connection.execute(sql.PUT_INTAKE, (text,))
            except file.REFUSALS as error:
                raise file.typed(error, self.path) from error
            except BaseException:
                self._unsure = True
                raise
            first = not self._noted
            self._noted.append(waiting)
            start = head[0] + self._noted_records + 1
            self._noted_records += len(batch.records)
        if first:
            self.when_noted()
        return Committed(rows=tuple(range(start, start + len(batch.records))))

    def notes(self, batch: Batch) -> bool:
        """Whether `note` would not commit it: it holds what one row can, and not too much is on its way."""
        beside = batch.parked or batch.positions or batch.marks or batch.answers
        return not beside and not self._unsure and len(self._noted) < NOTED_MAX

    def fold(self) -> None:
        """
        Let the tables take over what was noted.

        Raises:
            JournalError: as `commit`. What was noted stays noted.
        """
        with self._lock:
            if self._noted or self._unsure:
                self._commit_group([])

    def _rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        if (self._noted or self._unsure) and statement not in sql.BESIDE:
            self.fold()
        return super()._rows(statement, *values)

    def _commit_queued(self, own: _Waiting) -> None:
        group = [self._queue.popleft() for _ in range(len(self._queue))]
        try:
            self._commit_group(group)
        except Exception:
            if len(group) == 1:
                raise
            # One batch of them may be what fails: each for itself, so that it fails alone.
            for waiting in group:
                try:
                    self._commit_group([waiting])
                except Exception as error:  # noqa: BLE001 - raised in the thread whose batch it is
                    waiting.error = error
        except BaseException:
            # An interrupt of this thread is not the others' affair: they commit for themselves.
            self._queue.extendleft(waiting for waiting in reversed(group) if waiting is not own)
            raise

    def _commit_group(self, group: list[_Waiting]) -> None:
        self._refuse_fork()
        try:
            self._connection.execute(sql.BEGIN)
            head = self._head = self._head or self._read_head()
            noted = self._take_noted()
            head = self._write_records([*noted, *group], *head)
            self._write_noted(noted)
            done = [Committed(rows=each.rows, new_executions=self._write_entries(each.batch)) for each in group]
            self._connection.execute(sql.COMMIT)
            self._head = head
            self._noted, self._noted_records, self._unsure = [], 0, False
        except BaseException as error:
            self._roll_back()
            if isinstance(error, file.REFUSALS):
                raise file.typed(error, self.path) from error
            # An interrupt may have come after the commit.
            self._unsure = True
            raise
        for waiting, committed in zip(group, done, strict=True):
            waiting.committed = committed
        for waiting in (*noted, *group):
            # In their order: one may park again what the one before it has taken out.
            self._parked.update(map(_key_of, waiting.batch.parked))
            self._parked.difference_update(waiting.batch.unparked)

    def _take_noted(self) -> list[_Waiting]:
        noted = self._noted
        if self._unsure:
            rows = self._connection.execute(sql.TAKE_INTAKE)
            noted = [_Waiting(*intake.batch_of(text)) for (text,) in rows]
        if noted:
            self._connection.execute(sql.DROP_INTAKE)
        return noted

    def _write_noted(self, noted: list[_Waiting]) -> None:
        newest = {each.batch.order.order_link_id: each for each in noted if each.batch.order is not None}
        for each in noted:
            order = each.batch.order
            self._write_entries(each.batch, order is None or newest[order.order_link_id] is each)

    def begin_epoch(self) -> int:
        """
        Count one more owner, as each opening does; a simulated restart over the same memory calls it too.

        Raises:
            JournalError: as `commit`. Nothing has changed.
        """
        with self._lock:
            self._refuse_fork()
            try:
                self._connection.execute(sql.BEGIN)
                self._connection.execute(sql.NEXT_EPOCH)
                (self._epoch,) = self._connection.execute(sql.EPOCH).fetchone()
                self._connection.execute(sql.COMMIT)
            except file.REFUSALS as error:
                self._roll_back()
                raise file.typed(error, self.path) from error
            return self._epoch

    def bind_uid(self, uid: str) -> None:
        """
        Make the journal this account's for ever, or see that it is.

        Raises:
            JournalError: it belongs to another account. Nothing has changed.
        """
        bound = self.mark("uid")
        if bound is None:
            self.commit(Batch(at_ms=0, marks={"uid": uid}))
        elif bound != uid:
            raise JournalError(
                f"{self.path} belongs to UID {bound}, was opened for UID {uid}: give each its own journal"
            )

    def close(self) -> None:
        """Fold the write-ahead log into the file and give the lock back; a second call does nothing."""
        with self._lock:
            if (self._noted or self._unsure) and not self._closed and self._pid == os.getpid():
                # Where that fails, the next opening does it.
                with contextlib.suppress(JournalError):
                    self._commit_group([])
            if self._lock_fd is not None and self._pid == os.getpid():
                # Where a viewer stands in the way, the next opening folds it.
                with contextlib.suppress(sqlite3.Error):
                    self._connection.execute(sql.CHECKPOINT)
            self._connection.close()
            self._closed = True
            if self._lock_fd is not None:
                os.close(self._lock_fd)
                self._lock_fd = None

    def _prepare(self, now_ms: int) -> None:
        """Create the tables where there are none, and begin an epoch."""
        try:
            self._connection.execute(sql.JOURNAL_MODE)
            self._connection.execute(sql.SYNCHRONOUS)
            self._connection.execute(sql.CHECKPOINT_PAGES)
            (version,) = self._connection.execute(sql.VERSION).fetchone()
            if version == 0:
                self._connection.execute(sql.BEGIN)
                for statement in sql.SCHEMA:
                    self._connection.execute(statement)
                self._connection.execute(sql.CREATED, (now_ms,))
                self._connection.execute(sql.COMMIT)
            if version == 1:
                self._connection.execute(sql.INTAKE)
                self._connection.execute(sql.SET_VERSION)
            self._head = self._read_head()
            self._parked.update(map(_key_of, super().parked()))
            self._take_over()
            for (order_link_id,) in self._connection.execute(sql.ORDER_LINK_IDS):
                self._seen.add(order_link_id)
        except file.REFUSALS as error:
            self._roll_back()
            raise file.typed(error, self.path) from error
        self.begin_epoch()

    def _take_over(self) -> None:
        """What the last router noted and did not live to put into the tables."""
        (self._unsure,) = self._connection.execute(sql.ANY_INTAKE).fetchone()
        if self._unsure:
            self._commit_group([])

    def _read_head(self) -> tuple[int, bytes]:
        row = self._connection.execute(sql.HEAD).fetchone()
        return (row[0], row[1]) if row else (0, GENESIS)

    def _write_records(self, group: Sequence[_Waiting], n: int, previous: bytes) -> tuple[int, bytes]:
        """Write the records of all batches, each linked to the one before it; the new head."""
        values: list[object] = []
        for waiting in group:
            first = n + 1
            for record in waiting.batch.records:
                n += 1
                about = (
                    n,
                    waiting.batch.at_ms,
                    waiting.epoch,
                    record.kind,
                    record.order_link_id,
                    record.correlation_id,
                    record.body,
                )
                previous = link(previous, about)
                values += (*about, previous)
            waiting.rows = tuple(range(first, n + 1))
        width, most = len(sql.RECORD_NAMES), len(sql.PUT_RECORDS)
        for start in range(0, len(values), width * most):
            rows = values[start : start + width * most]
            self._connection.execute(sql.PUT_RECORDS[len(rows) // width - 1], rows)
        return n, previous

    def _write_entries(self, batch: Batch, newest: bool = True) -> tuple[ExecutionKey, ...]:
        """Write what a batch holds beside its records; its order only where no later one of the same ID follows."""
        execute = self._connection.execute
        new = tuple(
            ExecutionKey(category=execution.category, symbol=execution.symbol, exec_id=execution.exec_id)
            for execution in batch.executions
            if execute(sql.PUT_EXECUTION, sql.EXECUTION_VALUES(execution)).rowcount
        )
        if batch.order is not None and newest:
            # Before it is committed: whoever finds it nowhere else looks into the file.
            self._seen.add(batch.order.order_link_id)
            execute(sql.PUT_ORDER, sql.ORDER_VALUES(batch.order))
        for parked in batch.parked:
            self._parked.add(_key_of(parked))
            execute(sql.PUT_PARKED, sql.PARKED_VALUES(parked))
        for key in batch.unparked:
            if key in self._parked:
                execute(sql.DROP_PARKED, sql.KEY_VALUES(key))
        for position in batch.positions:
            execute(sql.PUT_POSITION, sql.POSITION_VALUES(position))
        for mark in batch.marks.items():
            execute(sql.PUT_MARK, mark)
        for answer in batch.answers:
            execute(sql.ANSWER, (answer.state, answer.answer, answer.id))
        return new

    def _roll_back(self) -> None:
        # An interrupt may have come after the commit: what the file says is the head.
        self._head = None
        with contextlib.suppress(sqlite3.Error):
            if self._connection.in_transaction:
                self._connection.execute(sql.ROLLBACK)

    def _refuse_fork(self) -> None:
        if self._pid != os.getpid():
            raise JournalError(f"{self.path} was opened by process {self._pid}: a forked process opens its own router")


def _key_of(parked: ParkedEntry) -> ExecutionKey:
    return ExecutionKey(category=parked.category, symbol=parked.symbol, exec_id=parked.exec_id)


def post_command(path: Path, *, at_ms: int, who: str, verb: str, args: str = "") -> int:
    """
    Leave a command for the router, from another process; its row is beside the audit chain.

    Args:
        path: the journal's file, which must exist.
        at_ms: our clock.
        who: names the person or the program.
        verb: what to do, in the desk's word for it.
        args: JSON text that the router reads.

    Returns:
        the command's number; `JournalView.command` shows the answer.

    Raises:
        JournalBusy: the router is inside a write and does not go on. Nothing was left.
        JournalError: there is no journal, or it cannot be written. Nothing was left.
    """
    path = path.expanduser().resolve()
    connection = file.connect(path, "rw")
    try:
        file.check(connection, path)
        cursor = connection.execute(sql.POST_COMMAND, (at_ms, who, verb, args))
    except file.REFUSALS as error:
        raise file.typed(error, str(path)) from error
    finally:
        connection.close()
    return cursor.lastrowid or 0
