"""`hean signals`: what became of the signals."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from typing import Final

import click
import orjson

from hean.desk.cli import verb
from hean.desk.desk import Desk, Form, Row
from hean.desk.exits import Exit
from hean.desk.paper import Column, Paper
from hean.desk.read import age, clock, style_of
from hean.journal import JournalView, OrderEntry

# The newest rows that a terminal shows under the funnel.
_ROWS: Final = 20


@verb("signals", examples=["hean signals", "hean signals --denied --since 1h", "hean signals -o jsonl"])
@click.option("--denied", is_flag=True, help="list those that were denied alone")
@click.option("--since", metavar="AGE", callback=age, help="submitted within this time, such as 30m, 1h, 2d")
@click.option("--limit", type=click.IntRange(0), help="list only the newest so many; 20 in text unless told")
def signals(desk: Desk, denied: bool, since: int | None, limit: int | None) -> int:
    """
    The funnel: how many signals were received, denied and why, sent, acknowledged, filled.

    Signals fire, but where are the orders? A denied one says here what was expected, what was seen and what to do.
    """
    since_ms = None if since is None else desk.now_ms() - since
    with desk.view() as view:
        # Nothing is submitted after its last change, and what was submitted first comes first.
        entries = (
            entry for entry in view.orders(since_ms=since_ms) if since_ms is None or entry.submitted_ms >= since_ms
        )
        newest: deque[OrderEntry] = deque(maxlen=_ROWS if limit is None and desk.form is Form.TEXT else limit)
        chosen = 0

        def seen() -> Iterator[OrderEntry]:
            nonlocal chosen
            for entry in desk.counted("counting", entries):
                if entry.state == "DENIED" or not denied:
                    chosen += 1
                    newest.append(entry)
                yield entry

        head = _funnel(view, seen()) | {"at_ms": desk.now_ms(), "since_ms": since_ms}
    rows = [_row(entry) for entry in newest]

    def text(paper: Paper) -> None:
        _text(paper, head, rows, denied=denied, more=chosen - len(rows))

    desk.show("hean.signals/1", head, [("hean.signal/1", row) for row in rows], text)
    return Exit.DONE


def _funnel(view: JournalView, entries: Iterable[OrderEntry]) -> Row:
    counts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for entry in entries:
        counts["received"] += 1
        body = orjson.loads(entry.body)
        if entry.state == "DENIED":
            counts["denied"] += 1
            reasons[body.get("deny_reason") or "unknown"] += 1
            continue
        outcome = _outcome(entry, body)
        executed = body.get("ledger", {}).get("cum_exec_qty", "0").strip("0.") != ""
        counts["sent"] += body.get("attempts", 0) > 0
        counts["acknowledged"] += body.get("placed", False)
        counts["filled"] += outcome == "FILLED"
        counts["part_filled"] += executed and outcome != "FILLED"
        counts["rejected"] += outcome == "REJECTED"
        counts["cancelled"] += outcome == "CANCELLED"
        counts["unknown"] += entry.state in {"TIMEOUT", "ERROR"}
        counts["open"] += outcome is None and entry.state not in {"TIMEOUT", "ERROR"}
    names = ("denied", "sent", "acknowledged", "filled", "part_filled", "rejected", "cancelled", "open", "unknown")
    return {
        "journal": view.path,
        "received": counts["received"],
        "denied_by_reason": dict(reasons.most_common()),
        **{name: counts[name] for name in names},
    }


def _outcome(entry: OrderEntry, body: Row) -> str | None:
    if entry.state == "CLOSED":
        settled: str | None = body.get("settled_from")
        return settled
    return entry.state if entry.state in {"FILLED", "CANCELLED", "REJECTED", "DENIED"} else None


def _row(entry: OrderEntry) -> Row:
    body = orjson.loads(entry.body)
    return {
        "at_ms": entry.submitted_ms,
        "strategy_id": entry.strategy_id,
        "signal_id": entry.signal_id,
        "order_link_id": entry.order_link_id,
        "correlation_id": entry.correlation_id,
        "symbol": entry.symbol,
        "state": entry.state,
        "outcome": _outcome(entry, body),
        "reason": body.get("deny_reason"),
        "detail": body.get("reason", ""),
    }


def _text(paper: Paper, head: Row, rows: list[Row], *, denied: bool, more: int) -> None:
    paper.line(
        f"received {head['received']}" + (f" since {clock(head['since_ms'], day=True)} UTC" if head["since_ms"] else "")
    )
    paper.line(f"  denied here       {head['denied']}", "yellow" if head["denied"] else "")
    for reason, count in head["denied_by_reason"].items():
        paper.line(f"    {reason:<20} {count}", "yellow")
    paper.line(f"  sent              {head['sent']}")
    paper.line(f"    acknowledged    {head['acknowledged']}")
    paper.line(
        f"    filled          {head['filled']}" + (f", {head['part_filled']} in part" if head["part_filled"] else "")
    )
    paper.line(f"    cancelled       {head['cancelled']}")
    paper.line(f"    rejected        {head['rejected']}", "yellow" if head["rejected"] else "")
    paper.line(f"    open            {head['open']}")
    paper.line(f"    outcome unknown {head['unknown']}", "bold red" if head["unknown"] else "")
    if not rows:
        return
    paper.line()
    if more:
        paper.line(f"the newest {len(rows)}; {more} more with --limit")
    if denied:
        for row in rows:
            paper.line(
                f"{clock(row['at_ms'])} {row['strategy_id']} {row['signal_id']} {row['symbol']}: {row['reason']}",
                "yellow",
            )
            paper.line(f"    {row['detail']}")
        return
    columns = (
        Column("at"),
        Column("strategy"),
        Column("signal"),
        Column("state"),
        Column("order", ids=True),
        Column("why"),
    )
    cells = [
        (
            clock(row["at_ms"])[:8],
            row["strategy_id"],
            row["signal_id"],
            row["outcome"] or row["state"],
            row["order_link_id"],
            row["reason"] or row["detail"],
        )
        for row in rows
    ]
    paper.table(columns, cells, [style_of(row["outcome"] or row["state"]) for row in rows])
