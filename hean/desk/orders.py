"""`hean orders`: the blotter."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import TypeAlias

import click

from hean.desk.cli import verb
from hean.desk.desk import Desk, Form, Row
from hean.desk.exits import Exit
from hean.desk.paper import Column, Paper, laid_out
from hean.desk.read import age, clock, order_row, style_of
from hean.journal import JournalView

Reader: TypeAlias = Callable[[JournalView], list[Row]]

# How often --watch looks: as fast as a person sees, and nothing to a router.
_LOOK_S = 0.25
# A blotter on a terminal; who wants more pipes it, or names --limit.
_LIMIT = 40

_COLUMNS = (
    Column("updated"),
    Column("state"),
    Column("symbol"),
    Column("side"),
    Column("qty", right=True),
    Column("filled", right=True),
    Column("price", right=True),
    Column("order", ids=True),
    Column("note"),
)


@verb(
    "orders",
    examples=["hean orders --open", "hean orders --watch", "hean orders --symbol BTCUSDT --since 1h -o jsonl"],
)
@click.option("--open", "only_open", is_flag=True, help="those that may still trade, or whose outcome is unknown")
@click.option("--unsettled", is_flag=True, help="those about which anything is open, a gap or a fee included")
@click.option("--symbol", help="e.g. BTCUSDT")
@click.option("--since", metavar="AGE", callback=age, help="changed within this time, such as 30m, 1h, 2d")
@click.option("--limit", type=click.IntRange(1), help="only the newest so many; 40 on a terminal unless told")
@click.option("--watch", is_flag=True, help="stay, and show each change; end with Ctrl-C")
def orders(
    desk: Desk, only_open: bool, unsettled: bool, symbol: str | None, since: int | None, limit: int | None, watch: bool
) -> int:
    """List orders, the newest last: state, quantity, what is executed, and why it ended."""
    limit = limit or (_LIMIT if desk.terminal and desk.form is Form.TEXT else None)

    def read(view: JournalView) -> list[Row]:
        since_ms = None if since is None else desk.now_ms() - since
        if unsettled or only_open:
            entries = [entry for entry in view.unsettled_orders() if symbol in {None, entry.symbol}]
            entries = [entry for entry in entries if since_ms is None or entry.updated_ms >= since_ms]
        elif limit is not None:
            entries = list(view.newest_orders(limit, symbol=symbol, since_ms=since_ms))
        else:
            entries = list(view.orders(symbol=symbol, since_ms=since_ms))
        entries.sort(key=lambda entry: (entry.submitted_ms, entry.order_link_id))
        shown = entries if limit is None or only_open else entries[-limit:]
        rows = (order_row(entry) for entry in desk.counted("reading", shown))
        chosen = [row for row in rows if row["open"] or not only_open]
        return chosen if limit is None else chosen[-limit:]

    with desk.view() as view:
        if watch:
            return _watch(desk, view, read)
        rows = read(view)
        head = {"journal": view.path, "at_ms": desk.now_ms(), "orders": len(rows)}
        desk.show("hean.orders/1", head, [("hean.order/1", row) for row in rows], lambda paper: _text(paper, rows))
    return Exit.DONE


def _text(paper: Paper, rows: list[Row]) -> None:
    if not rows:
        paper.line("no orders")
        return
    paper.table(_COLUMNS, map(_cells, rows), [_style(row) for row in rows])


def _style(row: Row) -> str:
    return style_of(row["outcome"] or row["state"])


def _cells(row: Row) -> tuple[object, ...]:
    notes = [row["deny_reason"] or row["reason"]]
    notes += [f"gap {row['gap']}"] if row["gap"] != "0" else []
    notes += [f"{row['pending']} is out"] if row["pending"] else []
    notes += ["not settled"] if row["outcome"] == row["state"] != "DENIED" else []
    return (
        clock(row["updated_ms"])[:8],
        row["outcome"] or row["state"],
        row["symbol"],
        row["side"],
        row["qty"],
        row["cum_exec_qty"],
        # A market order's price is the exchange's cap on its slippage.
        row["price"] if row["order_type"] == "Limit" else row["avg_price"],
        row["order_link_id"],
        ", ".join(note for note in notes if note),
    )


def _watch(desk: Desk, view: JournalView, read: Reader) -> int:
    if desk.form is Form.JSON:
        raise click.UsageError("--watch never ends, so it cannot be one object; use -o jsonl")
    if desk.form is Form.TEXT and desk.terminal:
        _watch_terminal(desk, view, read)
    seen: dict[str, Row] = {}
    for _ in _changes(view):
        for row in read(view):
            if seen.get(row["order_link_id"]) == row:
                continue
            seen[row["order_link_id"]] = row
            if desk.form is Form.JSONL:
                desk.put("hean.order/1", row)
            else:
                desk.paper.line("  ".join("-" if cell in {None, ""} else str(cell) for cell in _cells(row)))
                desk.out.flush()
    return Exit.DONE


def _watch_terminal(desk: Desk, view: JournalView, read: Reader) -> None:
    from rich.live import Live  # noqa: PLC0415 - only a terminal needs it
    from rich.text import Text  # noqa: PLC0415

    console = desk.console
    # Drawn in one write and only on a change, so nothing flickers.
    with Live(console=console, auto_refresh=False) as live:
        for n in _changes(view):
            rows = read(view)[-max(console.size.height - 4, 1) :]
            head = f"Ctrl-C ends  record {n}  {clock(desk.now_ms())[:8]} UTC  {view.path}"
            text = Text(f"{head[: console.width]}\n", "dim", no_wrap=True)
            for line, at in laid_out(_COLUMNS, map(_cells, rows), console.width):
                text.append(f"{line}\n", "dim" if at is None else _style(rows[at]))
            live.update(text if rows else Text(f"{head}\nno orders", "dim"), refresh=True)


def _changes(view: JournalView) -> Iterator[int]:
    """The number of the newest record, at once and whenever there is a newer one."""
    known, pause = -1, threading.Event()
    while True:
        newest = view.last_n
        if newest != known:
            known = newest
            yield newest
        pause.wait(_LOOK_S)
