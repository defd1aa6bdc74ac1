"""`hean trace`: the whole story of one signal, order or execution."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Final

import click

from hean.desk.cli import verb
from hean.desk.desk import Desk, Form, Row
from hean.desk.exits import Exit
from hean.desk.paper import Column, Paper
from hean.desk.read import clock, style_of
from hean.desk.story import Story, head_of, records_of
from hean.journal import JournalView

_LOOK_S: Final = 0.1
# Of a request or a reply in text; --raw shows it whole.
_SHOWN: Final = 160

_COLUMNS: Final = (
    Column("ours"),
    Column("+ms", right=True),
    Column("theirs"),
    Column("source"),
    Column("what"),
)


@verb(
    "trace",
    examples=[
        "hean trace h1-km6q2gvpeq4yhrphyewvp7t4x2pf3lg3",
        "hean trace 2026-11-22T10:00/BTCUSDT -f",
        "hean trace d4713d60-c8a7-4639-ab11-67b367a9c378 --html story.html",
    ],
)
@click.argument("id_", metavar="ID")
@click.option("-f", "--follow", is_flag=True, help="stay, and show what comes; end with Ctrl-C")
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), help="write one self-contained page")
@click.option("--raw", is_flag=True, help="requests and replies whole")
def trace(desk: Desk, id_: str, follow: bool, html: Path | None, raw: bool) -> int:
    """
    Tell the story of ID: a correlation, signal, link, order or execution ID, or the first characters of a link ID.

    Every fact, transition, request and reply in order, our clock and the exchange's, the milliseconds since the line
    before, and where it came from. What was delivered twice is marked, with the record that had it first: it changed
    nothing.
    """
    with desk.view() as view:
        head, links, correlation_id = head_of(view, id_)
        records = records_of(view, links, correlation_id)
        story = Story()
        lines = story.lines(records)
        head |= {"records": len(lines), "duplicates": sum(line["duplicate_of"] is not None for line in lines)}
        if html is not None:
            from hean.desk.page import page  # noqa: PLC0415 - only a page needs the machines

            html.write_text(page(head, lines), encoding="utf-8")
            desk.talk(f"wrote {html}")
            return Exit.DONE
        if follow and desk.form is Form.JSON:
            raise click.UsageError("--follow never ends, so it cannot be one object; use -o jsonl")

        def text(paper: Paper) -> None:
            _head(paper, head)
            paper.table(_COLUMNS, [_cells(line, raw=raw) for line in lines], [_style(line) for line in lines])
            if not follow:
                _foot(paper, head)

        desk.show("hean.trace/1", head, [("hean.trace.line/1", line) for line in lines], text)
        if follow:
            desk.out.flush()
            _follow(desk, view, story, links, correlation_id, records[-1].n if records else 0, raw=raw)
    return Exit.DONE


def _head(paper: Paper, head: Row) -> None:
    paper.line(f"{head['asked']} is a {head['found_by']}", "dim")
    for order in head["orders"]:
        state = (
            order["state"] if order["outcome"] in {None, order["state"]} else f"{order['state']} ({order['outcome']})"
        )
        price = f" at {order['price']}" if order["order_type"] == "Limit" else ""
        paper.line(
            f"{order['strategy_id']} {order['signal_id']}: {order['side']} {order['qty']} {order['symbol']} "
            f"{order['order_type']}{price}, {state}",
            "bold",
        )
        filled = f"{order['cum_exec_qty']} executed"
        filled += f" at {order['avg_price']}" if order["avg_price"] else ""
        paper.line(f"  {filled}, gap {order['gap']}" + (f", {order['reason']}" if order["reason"] else ""))
        paper.line(f"  link {order['order_link_id']}  order {order['order_id'] or '-'}")
        paper.line(f"  correlation {order['correlation_id']}")
    if not head["orders"]:
        paper.line("of no order of ours; accounted in the position", "bold")
    paper.line()


def _foot(paper: Paper, head: Row) -> None:
    paper.line()
    if head["duplicates"]:
        times = "1 delivery" if head["duplicates"] == 1 else f"{head['duplicates']} deliveries"
        paper.line(f"{times} of something known: counted once, nothing changed by it", "yellow")
    for order in head["orders"]:
        if order["gap"] != "0":
            paper.line(f"gap {order['gap']}: the exchange counts more than the executions that we have", "bold red")


def _cells(line: Row, *, raw: bool) -> tuple[object, ...]:
    since = "" if line["since_ms"] is None else f"{line['since_ms']:+d}"
    return (clock(line["at_ms"]), since, clock(line["event_ms"]), line["source"], _what(line, raw=raw))


def _what(line: Row, *, raw: bool) -> str:
    parts = [line["name"]]
    if line["kind"] in {"request", "reply"}:
        parts.insert(0, ">" if line["kind"] == "request" else "<")
    if line["before"] is not None:
        parts.append(
            f"{line['before']} -> {line['after']}" if line["before"] != line["after"] else f"({line['after']})"
        )
    if line["duplicate_of"] is not None:
        parts.append(f"DUPLICATE of #{line['duplicate_of']}")
    detail = line["detail"]
    if detail and line["kind"] in {"request", "reply"} and not raw and len(detail) > _SHOWN:
        detail = f"{detail[:_SHOWN]}..."
    parts += [detail] if detail else []
    parts += [f"[{event['type']}{_about(event)}]" for event in line["events"]]
    parts += [f"=> {', '.join(line['effects'])}"] if line["effects"] else []
    return " ".join(parts)


def _about(event: Row) -> str:
    told = " ".join(event[name] for name in ("reason", "detail") if event.get(name))
    return f" {told}" if told else ""


def _style(line: Row) -> str:
    if line["duplicate_of"] is not None:
        return "yellow"
    if line["kind"] in {"request", "reply"}:
        return "dim"
    return style_of(line["after"]) if line["before"] != line["after"] else ""


def _follow(
    desk: Desk, view: JournalView, story: Story, links: list[str], correlation_id: str, after_n: int, *, raw: bool
) -> None:
    pause = threading.Event()
    while True:
        records = records_of(view, links, correlation_id, after_n)
        for line in story.lines(records):
            if desk.form is Form.JSONL:
                desk.put("hean.trace.line/1", line)
            else:
                desk.paper.line("  ".join(str(cell) for cell in _cells(line, raw=raw)), _style(line))
        desk.out.flush()
        after_n = records[-1].n if records else after_n
        pause.wait(_LOOK_S)
