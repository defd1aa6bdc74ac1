"""`hean cancel`: the end of one order."""

from __future__ import annotations

import click

from hean.desk.asking import ask, asker
from hean.desk.cli import verb
from hean.desk.desk import Desk
from hean.desk.patience import patient
from hean.desk.read import find


@verb("cancel", examples=["hean cancel h1-km6q2gvpeq4yhrphyewvp7t4x2pf3lg3", 'hean cancel 7c65c1e5 --why "stale"'])
@click.argument("id_", metavar="ID")
@patient
@asker(why_needed=False)
def cancel(desk: Desk, id_: str, who: str, why: str, timeout_s: float) -> int:
    """
    Ask for the end of the order ID: any ID that means one order.

    Says what the router decided: sent, waiting (and for what), or denied and why. That it is sent does not mean that
    the exchange has done it: hean trace ID -f shows what comes of it.
    """
    with desk.view() as view:
        found = find(view, id_)
    return ask(desk, "cancel", who=who, why=why, timeout_s=timeout_s, order_link_id=found.entry.order_link_id)
