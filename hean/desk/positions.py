"""`hean positions`: positions on both sides."""

from __future__ import annotations

from decimal import Decimal

from hean.desk.cli import verb
from hean.desk.desk import Desk, Row
from hean.desk.exits import Exit
from hean.desk.paper import Column, Paper
from hean.desk.patience import insistent
from hean.desk.read import number

_COLUMNS = (
    Column("symbol"),
    Column("idx", right=True),
    Column("ours", right=True),
    Column("theirs", right=True),
    Column("difference", right=True),
    Column("our price", right=True),
    Column("their price", right=True),
)


@verb("positions", examples=["hean positions", "hean positions -o json"])
@insistent
def positions(desk: Desk, timeout_s: float) -> int:
    """
    Each position as our executions make it and as the exchange holds it, the difference, and the exec_ids behind it.

    A difference counts when two looks in a row show it. The exit code is 4 when there is one. Nothing is changed:
    a running router finds and mends it by itself, and says so as a RECONCILIATION_ALERT.
    """
    from hean.desk.exchange import exchange_of  # noqa: PLC0415 - not for --help
    from hean.desk.sides import compare  # noqa: PLC0415

    with desk.view() as view, exchange_of(desk.settings) as exchange, desk.progress("asking the exchange") as tell:
        sides = compare(view, exchange, orders=False, timeout_s=timeout_s, tell=tell)
        rows: list[Row] = [
            {
                "category": each.key[0],
                "symbol": each.key[1],
                "position_idx": each.key[2],
                "ours_side": _side(each.ours),
                "ours_size": number(abs(each.ours)),
                "theirs_side": None if each.theirs is None else _side(each.theirs),
                "theirs_size": None if each.theirs is None else number(abs(each.theirs)),
                "difference": number(each.difference),
                "ours_avg_price": number(each.ours_avg_price),
                "theirs_avg_price": number(each.theirs_avg_price),
                "we_lack": list(each.we_lack),
                "they_lack": list(each.they_lack),
                "drift": bool(each.difference),
            }
            for each in sides.positions
        ]
        drift = any(row["drift"] for row in rows)
        head = {"journal": view.path, "at_ms": sides.at_ms, "since_ms": sides.since_ms, "drift": drift}
    desk.show("hean.positions/1", head, [("hean.position/1", row) for row in rows], lambda paper: _text(paper, rows))
    return Exit.DRIFT if drift else Exit.DONE


def _side(signed: Decimal) -> str | None:
    return None if not signed else "Buy" if signed > 0 else "Sell"


def _text(paper: Paper, rows: list[Row]) -> None:
    if not rows:
        paper.line("no positions on either side")
        return
    cells = [
        (
            row["symbol"],
            row["position_idx"],
            _sized(row["ours_side"], row["ours_size"]),
            "behind" if row["theirs_size"] is None else _sized(row["theirs_side"], row["theirs_size"]),
            row["difference"],
            row["ours_avg_price"],
            row["theirs_avg_price"],
        )
        for row in rows
    ]
    paper.table(_COLUMNS, cells, ["bold red" if row["drift"] else "" for row in rows])
    for row in rows:
        if not row["drift"]:
            continue
        paper.line()
        paper.line(f"{row['symbol']}: we say {row['ours_size']}, the exchange {row['theirs_size']}", "bold red")
        for exec_id in row["we_lack"]:
            paper.line(f"  we lack    {exec_id}")
        for exec_id in row["they_lack"]:
            paper.line(f"  they lack  {exec_id}")
        if not row["we_lack"] and not row["they_lack"]:
            paper.line("  no execution of the last seven days explains it: hean reconcile, then a person")
        else:
            paper.line("  hean trace EXEC_ID tells the story of one that we have")


def _sized(side: str | None, size: str) -> str:
    return f"{side} {size}" if side else "flat"
