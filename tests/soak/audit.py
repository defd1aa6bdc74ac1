"""Both books side by side: the exchange's own, and the journal with what the router holds."""

from __future__ import annotations

import json
import urllib.request
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from attrs import asdict, frozen

from hean.journal import JournalView

OPEN = {"New", "PartiallyFilled", "Untriggered", "Triggered"}
OUTCOMES = {
    "Filled": "FILLED",
    "Cancelled": "CANCELLED",
    "Deactivated": "CANCELLED",
    "PartiallyFilledCanceled": "CANCELLED",
    "Rejected": "REJECTED",
}
# hean's own IDs; whatever else the exchange has is another hand's.
OURS = "h1-"


@frozen(kw_only=True)
class Held:
    """
    What the router holds.

    Attributes:
        orders: tracked ones: order_link_id -> status, qty, executed.
        positions: open ones: category/symbol/position_idx -> signed size.
    """

    orders: dict[str, tuple[str, str, str]]
    positions: dict[str, str]

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


def audit(asked: dict[str, Any]) -> dict[str, Any]:
    """
    Compare.

    Args:
        asked: `control` (address of the exchange's control API), `journal` (its path), `held` (a plain `Held`).

    Returns:
        counts, and `differences`, each in words.
    """
    with urllib.request.urlopen(f"{asked['control']}/books") as answer:
        books = json.load(answer)
    held = asked["held"]
    with JournalView.read(Path(asked["journal"])) as view:
        executions = Counter((row.category, row.symbol, row.exec_id) for row in view.executions())
        entries = {entry.order_link_id: entry for entry in view.orders()}
        parked = len(view.parked())
        unsettled = {entry.order_link_id for entry in view.unsettled_orders()}
    differences = [
        *_orders(books["orders"], held["orders"]),
        *_lives(books["orders"], entries),
        *_executions(books["executions"], executions),
        *_positions(books["positions"], held["positions"]),
        *([f"{parked} executions are still parked"] if parked else []),
        *(f"unsettled, and not tracked: {link}" for link in sorted(unsettled - held["orders"].keys())),
    ]
    return {
        "orders": len(entries),
        "placed": sum(1 for row in books["orders"] if row["orderLinkId"].startswith(OURS)),
        "foreign": sum(1 for row in books["orders"] if not row["orderLinkId"].startswith(OURS)),
        "executions": len(books["executions"]),
        "fundings": sum(1 for row in books["executions"] if row["execType"] == "Funding"),
        "positions": sum(1 for row in books["positions"] if Decimal(row["size"])),
        "differences": differences,
    }


def _orders(rows: list[dict[str, Any]], held: dict[str, list[str]]) -> Iterator[str]:
    theirs = {
        row["orderLinkId"]: (row["orderStatus"], Decimal(row["qty"]), Decimal(row["cumExecQty"]))
        for row in rows
        if row["orderStatus"] in OPEN and row["orderLinkId"].startswith(OURS)
    }
    ours = {link: (status, Decimal(qty), Decimal(done)) for link, (status, qty, done) in held.items()}
    for link in sorted(theirs.keys() | ours.keys()):
        if theirs.get(link) != ours.get(link):
            yield f"open order {link}: here {ours.get(link)}, there {theirs.get(link)}"


def _lives(rows: list[dict[str, Any]], entries: dict[str, Any]) -> Iterator[str]:
    """Every order of ours there is known here, once, and ended the same way."""
    seen: Counter[str] = Counter()
    for row in rows:
        link = row["orderLinkId"]
        if not link.startswith(OURS):
            continue
        seen[link] += 1
        entry = entries.get(link)
        if entry is None:
            yield f"order {link} there, unknown here"
        elif row["orderStatus"] in OUTCOMES:
            outcome = json.loads(entry.body).get("settled_from")
            if (entry.state, outcome) != ("CLOSED", OUTCOMES[row["orderStatus"]]):
                yield f"order {link}: {entry.state} {outcome} here, {row['orderStatus']} there"
    yield from (f"order {link} was placed {times} times" for link, times in seen.items() if times > 1)


def _executions(rows: list[dict[str, Any]], ours: Counter[tuple[str, str, str]]) -> Iterator[str]:
    theirs = Counter((row["category"], row["symbol"], row["execId"]) for row in rows)
    yield from (f"execution {key} there {times} times, here not" for key, times in (theirs - ours).items())
    yield from (f"execution {key} here {times} times more than there" for key, times in (ours - theirs).items())


def _positions(rows: list[dict[str, Any]], held: dict[str, str]) -> Iterator[str]:
    theirs = {
        f"{row['category']}/{row['symbol']}/{row['positionIdx']}": Decimal(row["size"])
        * (1 if row["side"] == "Buy" else -1)
        for row in rows
        if Decimal(row["size"])
    }
    ours = {key: Decimal(size) for key, size in held.items()}
    for key in sorted(theirs.keys() | ours.keys()):
        if theirs.get(key) != ours.get(key):
            yield f"position {key}: here {ours.get(key)}, there {theirs.get(key)}"
