"""The journal's file: who may have it, whether it is sound, and what sqlite's refusals mean."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from pathlib import Path
from typing import Final

from hean.errors import JournalBusy, JournalCorrupt, JournalError, JournalFull, JournalLocked
from hean.journal import sql

# Another program that writes (a command of the desk) holds the file for microseconds; longer than this is a fault.
_BUSY_TIMEOUT_S: Final = 0.5
# Checking every page takes some 10 ms up to here; in a larger file damage shows when a page is read.
_CHECKED_BYTES: Final = 8 * 2**20
# What sqlite and its binding raise; UnicodeError and OverflowError come of texts and numbers that it cannot hold.
REFUSALS: Final = (sqlite3.Error, OverflowError, UnicodeError)


def take_lock(path: Path) -> int:
    """Lock the file beside the journal; the kernel gives it back when this process dies, however it dies."""
    beside = path.with_name(path.name + ".lock")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock_fd = os.open(beside, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise JournalError(f"{beside} cannot be written: {error.strerror}; check HEAN_JOURNAL__PATH") from error
    try:
        fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(lock_fd, 0)
        os.write(lock_fd, str(os.getpid()).encode())
    except BlockingIOError as error:
        holder = os.read(lock_fd, 20).decode(errors="replace") or "unknown"
        os.close(lock_fd)
        raise JournalLocked(f"{path} belongs to the router of process {holder}: one router per journal") from error
    except OSError as error:
        os.close(lock_fd)
        raise JournalError(f"{beside} cannot be locked: {error.strerror}") from error
    return lock_fd


def holder_of(path: Path) -> int | None:
    """
    The process whose router has that journal; None where none has.

    Told by the lock, which the kernel gives back when the process dies, however it dies; a process that is stopped or
    hangs keeps it. 0 where the lock does not tell whose it is.
    """
    path = path.expanduser().resolve()
    try:
        lock_fd = os.open(path.with_name(path.name + ".lock"), os.O_RDONLY)
    except OSError:
        return None
    holder = 0
    try:
        told = os.read(lock_fd, 20).decode(errors="replace")
        holder = int(told) if told.isdecimal() else 0
        # Whoever looks should not stand in the way of a router that starts: the lock is tried only where it is taken.
        if holder and not _lives(holder):
            return None
        fcntl.flock(lock_fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return holder
    finally:
        os.close(lock_fd)
    return None


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        # Somebody else's.
        return True
    return True


def connect(path: Path, mode: str) -> sqlite3.Connection:
    """Open the file; mode as sqlite has it: ro, rw (must exist), rwc (may be created)."""
    if mode != "rwc" and not path.is_file():
        raise JournalError(f"there is no journal at {path}")
    try:
        return sqlite3.connect(
            f"{path.as_uri()}?mode={mode}",
            uri=True,
            timeout=_BUSY_TIMEOUT_S,
            isolation_level=None,
            check_same_thread=False,
        )
    except sqlite3.Error as error:
        raise typed(error, str(path)) from error


def check(connection: sqlite3.Connection, path: Path, *, may_be_empty: bool = False) -> None:
    """See that the file is a sound journal of a version that we know, or empty where it may be created."""
    try:
        (application,) = connection.execute(sql.APPLICATION).fetchone()
        (version,) = connection.execute(sql.VERSION).fetchone()
        (tables,) = connection.execute(sql.TABLES).fetchone()
        sound = "ok"
        if path.stat().st_size <= _CHECKED_BYTES:
            (sound,) = connection.execute(sql.QUICK_CHECK).fetchone()
    except sqlite3.Error as error:
        raise typed(error, str(path)) from error
    if sound != "ok":
        raise JournalCorrupt(f"{path} is damaged: {' '.join(sound.split())}; keep it, and start with a new one")
    if not tables and not may_be_empty:
        raise JournalError(f"there is no journal at {path} yet: the file is empty")
    if tables and application != sql.APPLICATION_ID:
        raise JournalCorrupt(f"{path} is the database of another program; check HEAN_JOURNAL__PATH")
    if version > sql.SCHEMA_VERSION:
        raise JournalError(f"{path} was written by a newer hean: schema {version}, known is {sql.SCHEMA_VERSION}")


def typed(error: BaseException, path: str) -> JournalError:
    """Turn sqlite's word for a failure into ours. Source: sqlite.org/rescode.html, primary result codes."""
    match getattr(error, "sqlite_errorcode", 0) & 0xFF:
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return JournalBusy(f"{path} is being written by another program; nothing was remembered")
        case sqlite3.SQLITE_FULL:
            return JournalFull(f"{path}: no space is left; nothing was remembered")
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return JournalCorrupt(f"{path} is damaged or no journal: {error}")
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM:
            return JournalError(f"{path} cannot be opened or written: {error}; check its owner and directory")
        case _ if "Could not decode" in str(error):
            # sqlite keeps texts unseen; Python finds that one is none any more.
            return JournalCorrupt(f"{path} is damaged: {str(error)[:200]}")
        case _:
            return JournalError(f"{path}: {error}; nothing was remembered")
