"""`hean doctor`: everything that a router needs, and how to mend it."""

from __future__ import annotations

from collections import Counter

import click

from hean.desk.cli import verb
from hean.desk.desk import Desk, Row
from hean.desk.exits import Exit
from hean.desk.paper import Column, Paper

_STYLES = {"pass": "green", "warn": "yellow", "fail": "bold red"}


@verb("doctor", examples=["hean doctor", "hean doctor --symbol ETHUSDT --symbol BTCUSDT", "hean doctor -o jsonl"])
@click.option(
    "--symbol", "symbols", multiple=True, help="whose filters and position mode to look at; BTCUSDT unless told"
)
def doctor(desk: Desk, symbols: tuple[str, ...]) -> int:
    """
    Check settings, key, environment, clock, account, symbols, streams, journal, rate budget and halt flag.

    One line a check: pass, warn or fail, what was seen, and how to mend it. Sends no order and changes nothing. The
    exit code is 3 when a check fails.
    """
    from hean.desk.checkup import Checkup  # noqa: PLC0415 - not for --help

    examined = Checkup(desk, symbols or ("BTCUSDT",))
    rows: list[Row] = []
    with desk.progress("checking") as tell:
        for check in examined.run():
            tell(check.name)
            rows.append({"check": check.name, "verdict": check.verdict, "detail": check.detail, "fix": check.fix})
    counts = Counter(row["verdict"] for row in rows)
    head = {
        "exchange": examined.exchange_name,
        "passed": counts["pass"],
        "warned": counts["warn"],
        "failed": counts["fail"],
    }
    desk.show(
        "hean.doctor/1", head, [("hean.doctor.check/1", row) for row in rows], lambda paper: _text(paper, head, rows)
    )
    return Exit.CHECK_FAILED if counts["fail"] else Exit.DONE


def _text(paper: Paper, head: Row, rows: list[Row]) -> None:
    cells = [
        (row["verdict"], row["check"], f"{row['detail']}. To mend: {row['fix']}" if row["fix"] else row["detail"])
        for row in rows
    ]
    paper.table((Column(""), Column("check"), Column("seen")), cells, [_STYLES[row["verdict"]] for row in rows])
    paper.line()
    counts = f"{head['passed']} pass, {head['warned']} warn, {head['failed']} fail"
    paper.line(f"{counts}, on {head['exchange'] or 'no exchange'}", "bold red" if head["failed"] else "green")
