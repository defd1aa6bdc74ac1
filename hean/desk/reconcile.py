"""`hean reconcile`: orders, executions and positions on both sides."""

from __future__ import annotations

from hean.desk.cli import verb
from hean.desk.desk import Desk, Row
from hean.desk.exits import Exit
from hean.desk.paper import Paper
from hean.desk.patience import insistent
from hean.desk.read import clock


@verb("reconcile", examples=["hean reconcile", "hean reconcile -o jsonl"])
@insistent
def reconcile(desk: Desk, timeout_s: float) -> int:
    """
    Compare open orders, executions and positions with the exchange, over everything that either side has.

    The comparison is the router's own; a difference counts when two looks in a row show it. The exit code is 4 when
    there is one. Nothing is changed: a running router finds and mends it by itself.
    """
    from hean.desk.exchange import exchange_of  # noqa: PLC0415 - not for --help
    from hean.desk.sides import compare  # noqa: PLC0415

    with desk.view() as view, exchange_of(desk.settings) as exchange, desk.progress("asking the exchange") as tell:
        sides = compare(view, exchange, orders=True, timeout_s=timeout_s, tell=tell)
        rows: list[Row] = [
            {
                "kind": each.kind,
                "category": each.category,
                "symbol": each.symbol,
                "position_idx": each.position_idx,
                "order_link_id": each.order_link_id,
                "order_id": each.order_id,
                "exec_ids": list(each.exec_ids),
                "ours": each.expected,
                "theirs": each.seen,
            }
            for each in sides.findings
        ]
        head: Row = {
            "journal": view.path,
            "at_ms": sides.at_ms,
            "since_ms": sides.since_ms,
            "looks": sides.looks,
            "orders": sides.orders,
            "executions": sides.executions,
            "positions": len(sides.positions),
            "drift": bool(rows),
            "unread": sides.unread,
        }
    texts = [each.text for each in sides.findings]
    shown = [("hean.finding/1", row) for row in rows]
    desk.show("hean.reconcile/1", head, shown, lambda paper: _text(paper, head, texts))
    return Exit.DRIFT if rows else Exit.DONE


def _text(paper: Paper, head: Row, texts: list[str]) -> None:
    compared = f"{head['orders']} open orders, {head['positions']} positions"
    paper.line(f"compared {compared}, {head['executions']} executions since {clock(head['since_ms'], day=True)} UTC")
    if head["unread"]:
        paper.line(
            f"{head['unread']} rows of the exchange could not be read; whatever they are is not absent", "yellow"
        )
    if not texts:
        paper.line("both sides agree", "green")
    for text in texts:
        paper.line(text, "bold red")
