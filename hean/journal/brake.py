"""
A halt that needs no database: a file beside the journal, for when whoever holds the journal hangs.

The router looks for it, halts, journals the halt, and only then takes the file away; one that starts finds it too.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

from attrs import frozen

from hean.errors import JournalError


@frozen(kw_only=True)
class Brake:
    """A halt that was asked for. `at_ms` is the asker's clock, 0 where the file does not tell."""

    who: str
    why: str
    at_ms: int


def brake_path(journal: Path) -> Path:
    """Where the file of that journal is."""
    journal = journal.expanduser().resolve()
    return journal.with_name(journal.name + ".halt")


def pull_brake(journal: Path, brake: Brake) -> None:
    """
    Leave the file; the newest stands.

    Raises:
        JournalError: it cannot be written. Nothing was left.
    """
    path = brake_path(journal)
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        beside.write_text(json.dumps({"who": brake.who, "why": brake.why, "at_ms": brake.at_ms}), encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise JournalError(f"{path} cannot be written: {error.strerror}; check HEAN_JOURNAL__PATH") from error


def pulled_brake(journal: Path) -> Brake | None:
    """The halt that was asked for; None where none was. A file that does not read is one all the same."""
    path = brake_path(journal)
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        return Brake(who="unknown", why=f"{path} cannot be read: {error.strerror}", at_ms=0)
    try:
        told = json.loads(text)
        return Brake(who=str(told["who"]), why=str(told["why"]), at_ms=int(told["at_ms"]))
    except (KeyError, TypeError, ValueError):
        return Brake(who="unknown", why=f"{path} is there", at_ms=0)


def release_brake(journal: Path) -> None:
    """Take the file away, once the halt is remembered; none is fine."""
    with contextlib.suppress(OSError):
        brake_path(journal).unlink()
