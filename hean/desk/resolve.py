"""`hean resolve`: the operator's decision on what no evidence can settle."""

from __future__ import annotations

import click

from hean.desk.asking import ask, asker
from hean.desk.cli import verb
from hean.desk.desk import Desk
from hean.desk.patience import patient
from hean.desk.read import find


@verb(
    "resolve",
    examples=[
        'hean resolve h1-km6q2gvpeq4yhrphyewvp7t4x2pf3lg3 --as settled --why "support ticket 4711: no such fill"'
    ],
)
@click.argument("id_", metavar="ID")
@click.option("--as", "verdict", type=click.Choice(["cancelled", "rejected", "settled"]), required=True)
@patient
@asker(why_needed=True)
def resolve(desk: Desk, id_: str, verdict: str, who: str, why: str, timeout_s: float) -> int:
    """
    Decide about an order in ERROR, or one whose gap no history explains any more. Journalled with who and why.

    No fill is invented: "settled" accepts that the gap stays, "cancelled" and "rejected" end an order in ERROR. An
    order that evidence can still settle is left to the evidence, and the answer says so.
    """
    with desk.view() as view:
        found = find(view, id_)
    link_id = found.entry.order_link_id
    return ask(desk, "resolve", who=who, why=why, timeout_s=timeout_s, order_link_id=link_id, verdict=verdict)
