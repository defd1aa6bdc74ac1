"""
What a person reads: lines and tables, plain where they are piped, laid out and coloured on a terminal.

Plain text is never cut, so that `grep` and `awk` see everything; on a terminal a table fits its width: IDs are
shortened first, then the last column goes on below.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final, Protocol, TextIO

from attrs import frozen

if TYPE_CHECKING:
    from rich.console import Console

Cells = Sequence[object]

# The first characters of an ID that tell it from its neighbours; a verb takes them for the whole.
SHORT_ID: Final = 11
# A last column narrower than this is unreadable, and goes below its row instead.
_LAST_MIN: Final = 24
_GAP: Final = "  "
_INDENT: Final = "    "


@frozen
class Column:
    """
    One column of a table.

    Attributes:
        title: in the head.
        right: numbers are read from their right end.
        ids: may be cut on a narrow terminal, where its first characters tell it apart.
    """

    title: str
    right: bool = False
    ids: bool = False


class Paper(Protocol):
    """Where a verb writes its text."""

    def line(self, text: str = "", style: str = "") -> None:
        """Write one line; style is a word of rich, for the whole line."""

    def table(self, columns: Sequence[Column], rows: Iterable[Cells], styles: Sequence[str] = ()) -> None:
        """Write a table; `styles` one for each row, or none."""


class PlainPaper:
    """Text for pipes and files."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def line(self, text: str = "", style: str = "") -> None:  # noqa: ARG002 - a pipe has no colours
        self._out.write(f"{text}\n")

    def table(self, columns: Sequence[Column], rows: Iterable[Cells], styles: Sequence[str] = ()) -> None:  # noqa: ARG002
        for text, _ in laid_out(columns, rows):
            self._out.write(f"{text}\n")


class RichPaper:
    """Text for a terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def line(self, text: str = "", style: str = "") -> None:
        self._console.print(text, style=style or None, markup=False, highlight=False)

    def table(self, columns: Sequence[Column], rows: Iterable[Cells], styles: Sequence[str] = ()) -> None:
        for text, row in laid_out(columns, rows, self._console.width):
            style = "dim" if row is None else styles[row] if row < len(styles) else ""
            self._console.print(text, style=style or None, markup=False, highlight=False, no_wrap=True, crop=False)


def laid_out(
    columns: Sequence[Column], rows: Iterable[Cells], width: int | None = None
) -> list[tuple[str, int | None]]:
    """
    A table as lines, each with the number of its row; None for the head.

    Args:
        columns: of the table.
        rows: their cells.
        width: to fit, in characters; None for whatever it takes.
    """
    cells = [[column.title for column in columns], *([_text(cell) for cell in row] for row in rows)]
    widths = [max(len(row[at]) for row in cells) for at in range(len(columns))]
    last = len(columns) - 1
    if width is not None and sum(widths) + len(_GAP) * last > width:
        for at, column in enumerate(columns):
            if column.ids:
                widths[at] = min(widths[at], SHORT_ID)
    left = None if width is None else width - sum(widths[:last]) - len(_GAP) * last
    lines: list[tuple[str, int | None]] = []
    for number, row in enumerate(cells):
        of = None if number == 0 else number - 1
        before = _GAP.join(_fit(cell, widths[at], columns[at]) for at, cell in enumerate(row[:last]))
        before += _GAP if last else ""
        if left is None or len(row[last]) <= left or columns[last].ids:
            lines.append(((before + _fit(row[last], widths[last], columns[last])).rstrip(), of))
        elif left >= _LAST_MIN:
            parts = textwrap.wrap(row[last], left)
            lines += [((before if not at else " " * len(before)) + part, of) for at, part in enumerate(parts)]
        else:
            assert width is not None, "what is not bounded fits"
            lines.append((before.rstrip(), of))
            lines += [(_INDENT + part, of) for part in textwrap.wrap(row[last], width - len(_INDENT))]
    return lines


def _fit(cell: str, width: int, column: Column) -> str:
    if len(cell) > width:
        cell = cell[: width - 1] + "…"
    return cell.rjust(width) if column.right else cell.ljust(width)


def _text(cell: object) -> str:
    return "-" if cell is None or cell == "" else " ".join(str(cell).split())
