"""`hean kill`: the strongest stop, which needs nothing but the exchange."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from hean.desk.asking import asker
from hean.desk.cli import verb
from hean.desk.desk import Desk, Row
from hean.desk.exits import Exit
from hean.desk.paper import Paper
from hean.errors import JournalError
from hean.journal import Brake, holder_of, pull_brake, pulled_brake

if TYPE_CHECKING:
    from hean.killswitch import KillReport


@verb("kill", examples=["hean kill", 'hean kill --flatten --why "everything out"'])
@click.option("--flatten", is_flag=True, help="close every position too, by reduce-only market orders")
@click.option("--timeout", "timeout_s", type=click.FloatRange(1, 3600), default=60.0, show_default=True, metavar="S")
@asker(why_needed=False)
def kill(desk: Desk, flatten: bool, timeout_s: float, who: str, why: str) -> int:
    """
    Halt, cancel every open order by REST, and verify that nothing is open; with --flatten close the positions too.

    Everything of this key's account, whoever opened it; spot holdings stay. Waits for neither the router nor the
    journal: it works while the router hangs or is stopped, even inside a write, and when it is gone. The router finds a
    brake beside its journal and is halted when it goes on, or at its next start; hean resume lifts that.

    It cancels first, looks until nothing is open, and looks once more when no request that was under way can be taken
    any more: that is the receive window and a second.

    The exit code is 0 only when the exchange's own lists said that it is done; 6 when they did not, 5 when it refused.
    """
    from hean.desk.exchange import exchange_of, pause  # noqa: PLC0415 - not for --help
    from hean.killswitch import Kill  # noqa: PLC0415

    settings, path = desk.settings, desk.path
    halt = "left"
    try:
        pull_brake(path, Brake(who=who, why=why or "killed", at_ms=desk.now_ms()))
    except JournalError as error:
        halt = "failed"
        desk.talk(f"the halt could not be left: {error}; cancelling all the same")
    with exchange_of(settings) as exchange:
        desk.talk(f"cancelling everything on {exchange.name}, {exchange.endpoints.rest_url}")
        began_s = time.monotonic()
        with desk.progress("killing") as tell:
            killing = Kill(
                exchange,
                now_ms=exchange.local.now_ms,
                pause=pause,
                # Source: Bybit V5 docs, guide: a request is taken until a second after the end of its receive window.
                late_s=settings.bybit.recv_window_ms / 1000 + 1,
                timeout_s=timeout_s,
                tell=tell,
            )
            report = killing.run(flatten=flatten)
    head = _head(exchange.name, halt, report, time.monotonic() - began_s)
    desk.show("hean.kill/1", head, (), lambda paper: _text(paper, head, flatten=flatten))
    pid = holder_of(path)
    if pid is not None and pulled_brake(path) is not None:
        desk.talk(f"process {pid} has the journal and does not answer; it halts first thing when it goes on")
    if report.done:
        return Exit.DONE
    code = Exit.REFUSED if exchange.refused else Exit.UNKNOWN
    desk.complain(
        "not everything is stopped, as far as the exchange tells",
        exit_code=code,
        hint="run hean kill again; cancel by hand on testnet.bybit.com what it cannot",
    )
    return code


def _head(name: str, halt: str, report: KillReport, took_s: float) -> Row:
    held = {
        f"{row.category} {row.symbol} {row.position_idx}": f"{row.side} {row.size:f}" for row in report.positions or ()
    }
    seen = bool(report.open_orders) or not report.problems
    return {
        "exchange": name,
        "complete": report.done,
        "halt": halt,
        "cancelled": list(report.cancelled),
        "open_orders": [row.order_id for row in report.open_orders] if seen else None,
        "flattened": list(report.flattened),
        "positions": held,
        "problems": list(report.problems),
        "notes": list(report.notes),
        "took_s": round(took_s, 3),
    }


def _text(paper: Paper, head: Row, *, flatten: bool) -> None:
    paper.line(f"cancelled  {len(head['cancelled'])} orders on {head['exchange']}")
    if head["open_orders"] is None:
        paper.line("open       not known: not every list came", "bold red")
    else:
        count = len(head["open_orders"])
        paper.line(f"open       {count or 'nothing'}", "bold red" if count else "green")
        for order_id in head["open_orders"]:
            paper.line(f"           {order_id}")
    if flatten:
        paper.line(f"flattened  by {len(head['flattened'])} reduce-only market orders")
        for key, held in head["positions"].items():
            paper.line(f"held       {key} {held}", "bold red")
        if head["complete"]:
            paper.line("held       nothing", "green")
    for problem in head["problems"]:
        paper.line(f"problem    {problem}", "yellow")
    paper.line(f"took       {head['took_s']:.1f} s")
