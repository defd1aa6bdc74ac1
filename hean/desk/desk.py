"""What every verb is given: where to read, where to write, and in which form."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO, TypeVar

from hean.desk.paper import Paper, PlainPaper, RichPaper
from hean.desk.schemas import SCHEMAS
from hean.journal import JournalView
from hean.places import journal_path

if TYPE_CHECKING:
    from rich.console import Console

    from hean.settings import Settings

Row = dict[str, Any]
Thing = TypeVar("Thing")

# What takes no longer than this is not worth a word about it.
_MOMENT_S: Final = 0.5
_TELL_EVERY: Final = 256


class Form(StrEnum):
    """How the data is written."""

    TEXT = "text"  # for people
    JSON = "json"  # one object
    JSONL = "jsonl"  # an object a line, the head first


class Desk:
    """
    One run of one verb.

    Args:
        env: environment, of settings and of NO_COLOR.
        out: data; stdout where None.
        err: talk; stderr where None.
    """

    def __init__(
        self, env: Mapping[str, str] | None = None, out: TextIO | None = None, err: TextIO | None = None
    ) -> None:
        self.env = os.environ if env is None else env
        self.out = sys.stdout if out is None else out
        self.err = sys.stderr if err is None else err
        self.form = Form.TEXT
        self.journal: Path | None = None
        self._settings: Settings | None = None

    # What there is to read.

    @property
    def settings(self) -> Settings:
        """
        The settings, read once.

        Raises:
            ConfigError: one is wrong; the message names it, its source and what was expected.
        """
        if self._settings is None:
            from hean.settings import Settings  # noqa: PLC0415 - not every verb needs them

            chosen = {} if self.journal is None else {"journal__path": str(self.journal)}
            self._settings = Settings.load(self.env, None, **chosen)
        return self._settings

    @property
    def path(self) -> Path:
        """
        The journal's file: as the option says, else as the settings say.

        Another setting that is wrong stands in nobody's way who only looks.
        """
        chosen = journal_path(self.env) if self.journal is None else self.journal
        return Path(self.settings.journal.path if chosen is None else chosen).expanduser().resolve()

    def view(self) -> JournalView:
        """
        The journal, for reading alone.

        Raises:
            JournalError: there is none, or it cannot be read.
        """
        return JournalView.read(self.path)

    def now_ms(self) -> int:
        """Our clock."""
        return time.time_ns() // 1_000_000

    # What is written.

    @property
    def terminal(self) -> bool:
        """Whether a person looks at stdout."""
        return self.out.isatty()

    @property
    def paper(self) -> Paper:
        """Where text goes."""
        return RichPaper(self.console) if self.terminal else PlainPaper(self.out)

    @property
    def console(self) -> Console:
        """Rich's console on stdout; colour only on a terminal and never with NO_COLOR."""
        from rich.console import Console  # noqa: PLC0415 - only a terminal needs it

        columns = self.env.get("COLUMNS", "")
        width = int(columns) if columns.isdecimal() else None
        return Console(file=self.out, no_color=bool(self.env.get("NO_COLOR")), highlight=False, width=width)

    def show(self, schema: str, head: Row, rows: Iterable[tuple[str, Row]], text: Callable[[Paper], None]) -> None:
        """
        Write what a verb found.

        Args:
            schema: of the head, a key of `SCHEMAS`.
            head: facts about the whole.
            rows: (schema, fields) of each.
            text: writes the same for people.
        """
        match self.form:
            case Form.TEXT:
                text(self.paper)
            case Form.JSON:
                self._write({**shaped(schema, head), "rows": [shaped(name, row) for name, row in rows]})
            case Form.JSONL:
                self.put(schema, head)
                for name, row in rows:
                    self.put(name, row)

    def put(self, schema: str, row: Row) -> None:
        """Write one object on its own line, at once."""
        self._write(shaped(schema, row))
        self.out.flush()

    def _write(self, data: Row) -> None:
        self.out.write(json.dumps(data, ensure_ascii=False, default=_plain) + "\n")

    def talk(self, text: str) -> None:
        """Say something that is not data."""
        self.err.write(f"{text}\n")
        self.err.flush()

    def complain(self, text: str, *, exit_code: int, hint: str = "") -> None:
        """Say why the verb failed: a line, or an object where objects were asked for."""
        if self.form is Form.TEXT:
            self.talk(f"hean: {text}" + (f"\n      {hint}" if hint else ""))
            return
        row = shaped("hean.error/1", {"error": text, "hint": hint, "exit_code": int(exit_code)})
        self.talk(json.dumps(row, ensure_ascii=False))

    def counted(self, what: str, things: Iterable[Thing]) -> Iterator[Thing]:
        """The things, one after the other; tells at a terminal how many that were, once it takes more than a moment."""
        began_s = time.monotonic()
        left = iter(things)
        at = 0
        for at, thing in enumerate(left, 1):
            yield thing
            if at % _TELL_EVERY == 0 and time.monotonic() - began_s > _MOMENT_S:
                break
        else:
            return
        with self.progress(what) as tell:
            for number, thing in enumerate(left, at + 1):
                if number % _TELL_EVERY == 0:
                    tell(str(number))
                yield thing

    @contextmanager
    def progress(self, what: str) -> Iterator[Callable[[str], None]]:
        """Show on a terminal that something takes its time; what is given to the caller tells how far it is."""
        if not (self.form is Form.TEXT and self.err.isatty()):
            yield lambda _: None
            return
        from rich.console import Console  # noqa: PLC0415 - only a terminal needs it

        console = Console(file=self.err, no_color=bool(self.env.get("NO_COLOR")))
        with console.status(what) as status:
            yield lambda how_far: status.update(f"{what}: {how_far}")


def _plain(value: object) -> str:
    """A number in plain notation, or whatever else a body holds as text."""
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def shaped(schema: str, row: Row) -> Row:
    """An object of a schema; that it holds what the schema says is asserted here, for all verbs."""
    fields = SCHEMAS[schema].fields
    assert row.keys() == fields.keys(), f"{schema}: {sorted(row.keys() ^ fields.keys())} is not in both"
    return {"schema": schema, **row}
