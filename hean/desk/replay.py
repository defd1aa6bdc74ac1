"""`hean replay`: the journal through the core once more; the same states must come out."""

from __future__ import annotations

from itertools import islice
from typing import Final

import click

from hean.desk.cli import verb
from hean.desk.desk import Desk, Row
from hean.desk.exits import Exit
from hean.desk.paper import Paper

_SHOWN: Final = 20


@verb("replay", examples=["hean replay", "hean replay --journal copy.db -o jsonl"])
@click.option("--limit", type=click.IntRange(1), default=_SHOWN, show_default=True, help="differences to show")
def replay(desk: Desk, limit: int) -> int:
    """
    Give every fact of the journal to the pure core again, with the time and the chance it had.

    Each step must take the same way, with the same effects and events; each order, ledger and position must come out as
    the journal has them; and the chain of hashes must be whole. The exit code is 4 when anything differs.
    """
    from hean.desk.again import Again  # noqa: PLC0415 - not for --help

    with desk.view() as view, desk.progress("replaying") as tell:
        again = Again(view, tell)
        differences = list(again.run())
        tell("verifying the chain")
        bad = view.verify_chain()
    rows: list[Row] = [
        {"n": each.n, "about": each.about, "what": each.what, "journal": each.journal, "replay": each.replay}
        for each in islice(differences, limit)
    ]
    head: Row = {
        "journal": view.path,
        "records": again.records,
        "facts": again.facts,
        "orders": again.orders,
        "positions": again.positions,
        "chain": "sound" if bad is None else "broken",
        "first_bad_record": bad,
        "differences": len(differences),
    }
    shown = [("hean.difference/1", row) for row in rows]
    desk.show("hean.replay/1", head, shown, lambda paper: _text(paper, head, rows, again.note))
    return Exit.DRIFT if differences or bad is not None else Exit.DONE


def _text(paper: Paper, head: Row, rows: list[Row], note: str) -> None:
    paper.line(f"{head['records']} records, {head['facts']} facts given to the core again")
    paper.line(f"{head['orders']} orders and {head['positions']} positions came out the same")
    if note:
        paper.line(note, "yellow")
    if head["chain"] == "sound":
        paper.line("the chain is sound", "green")
    else:
        first = head["first_bad_record"]
        paper.line(f"the chain is broken: record {first} was changed, or one is missing before it", "bold red")
    if not head["differences"]:
        paper.line("no difference", "green")
        return
    paper.line(f"{head['differences']} differences, the first:", "bold red")
    for row in rows[:1]:
        where = f"record {row['n']}, " if row["n"] is not None else ""
        paper.line(f"  {where}{row['about']}: {row['what']}")
        paper.line(f"    journal  {row['journal']}")
        paper.line(f"    replay   {row['replay']}")
    for row in rows[1:]:
        paper.line(f"  {'record ' + str(row['n']) if row['n'] is not None else 'end'}  {row['about']}: {row['what']}")
