"""
The journal of production in memory, with the moments at which a process can die in it, and a disk that fails.

The laws look at it as another process would: a look through the router's own journal would put what is only noted into
the tables, and no crash would ever find it there.

Its rows outlive the process, as a file does. A power cut takes the newest commits with it (`synchronous=NORMAL`), so
the newest images are kept where the plan wants one.
"""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Protocol

from hean.errors import JournalFull
from hean.journal import Batch, Committed, Journal, JournalView, sql
from tests.simulator.runtime import Process


class Watcher(Protocol):
    """Who is told of commits."""

    def before_commit(self, batch: Batch) -> None: ...

    def after_commit(self, batch: Batch, committed: Committed) -> None: ...


class SimJournal(Journal):
    """A journal that belongs to one process; a dead process cannot write."""

    process: Process
    watcher: Watcher
    fails: Callable[[], bool]

    def commit(self, batch: Batch) -> Committed:
        return self._watched(super().commit, batch)

    def note(self, batch: Batch) -> Committed:
        if not self.notes(batch):
            return self.commit(batch)
        return self._watched(super().note, batch)

    def fold(self) -> None:
        self.process.require_alive()
        if self.fails():
            raise JournalFull("no space is left; what was noted stays noted")
        super().fold()

    def _watched(self, remember: Callable[[Batch], Committed], batch: Batch) -> Committed:
        self.process.require_alive()
        if self.fails():
            raise JournalFull("no space is left; nothing was remembered")
        self.watcher.before_commit(batch)
        committed = remember(batch)
        self.watcher.after_commit(batch, committed)
        return committed


_NAMES = count()


class Disk:
    """
    What survives a process.

    Args:
        keep: images of the newest commits that are kept for a power cut.
    """

    def __init__(self, keep: int) -> None:
        self._name = f"file:/disk{next(_NAMES)}?vfs=memdb"
        self._connection = self._connect()
        self._images: deque[bytes] = deque(maxlen=keep + 1)
        self._keep = keep
        self.full = False

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self._name, uri=True, isolation_level=None, check_same_thread=False)

    @contextmanager
    def look(self) -> Iterator[JournalView]:
        """Read what is on the disk, and change nothing of it."""
        with JournalView(self._connect(), ":memory:") as view:
            view._look_behind()
            yield view

    def open(self, process: Process, watcher: Watcher) -> SimJournal:
        """Open the journal for a new process: an epoch begins."""
        journal = SimJournal(self._connection, ":memory:", None)
        journal.process, journal.watcher, journal.fails = process, watcher, lambda: self.full
        journal._prepare(0)
        self._images.clear()
        self.note()
        return journal

    def note(self) -> None:
        """A commit was made."""
        if self._keep:
            self._images.append(self._connection.serialize())

    def keep_none(self) -> None:
        """No power cut will come: nothing need be kept for one."""
        self._keep = 0
        self._images.clear()

    def lose(self, commits: int) -> int:
        """Go back by so many commits of this process; how many it were."""
        lost = min(commits, len(self._images) - 1)
        if lost > 0:
            image = self._images[-1 - lost]
            before = sqlite3.connect(":memory:")
            before.deserialize(image)
            before.backup(self._connection)
            before.close()
        return max(lost, 0)

    def head(self) -> str:
        """The newest hash of the chain."""
        row = self._connection.execute(sql.HEAD).fetchone()
        return f"{row[0]} {row[1].hex()}" if row else ""

    def close(self) -> None:
        self._connection.close()
