"""
The journal of production in memory, with the moments at which a process can die in it, and a disk that fails.

Its rows outlive the process, as a file does. A power cut takes the newest commits with it (`synchronous=NORMAL`), so
the newest images are kept where the plan wants one.
"""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Callable
from typing import Protocol

from hean.errors import JournalFull
from hean.journal import Batch, Committed, Journal, sql
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


class Disk:
    """
    What survives a process.

    Args:
        keep: images of the newest commits that are kept for a power cut.
    """

    def __init__(self, keep: int) -> None:
        self._connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        self._images: deque[bytes] = deque(maxlen=keep + 1)
        self._keep = keep
        self.full = False

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
            self._connection.close()
            self._connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
            self._connection.deserialize(image)
        return max(lost, 0)

    def head(self) -> str:
        """The newest hash of the chain."""
        row = self._connection.execute(sql.HEAD).fetchone()
        return f"{row[0]} {row[1].hex()}" if row else ""

    def close(self) -> None:
        self._connection.close()
