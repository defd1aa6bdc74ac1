"""What signals became, held against the exchange's own books: the end of every storm and of every crash run."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from attrs import frozen

LOOKED_AT = ("order/realtime", "order/history", "execution/list")
# Replies to a create after which nobody knows whether it was executed.
UNKNOWN = frozenset({"lost", "none", 10000, 10016})


@frozen
class Told:
    """What the router says of one signal at the end."""

    order_link_id: str
    state: str
    outcome: str | None
    reason: str


@frozen
class Ours:
    """
    What the router and its journal hold.

    Attributes:
        told: by signal.
        executions: how often the journal has each (symbol, exec_id).
        positions: (category, symbol, position_idx) -> (side, size) of those that are open.
    """

    told: Mapping[str, Told]
    executions: Counter[tuple[str, str]]
    positions: Mapping[tuple[str, str, int], tuple[str, Decimal]]


def differences(ours: Ours, books: Mapping[str, Any], *, denials: bool) -> list[str]:
    """
    Everything that is not one order, or one stated denial, per signal with equal books on both sides.

    Args:
        ours: the router's side.
        books: as /control/books has them.
        denials: whether a signal may end without an order.
    """
    found = []
    theirs = Counter(row["orderLinkId"] for row in books["orders"])
    for name, told in ours.told.items():
        orders = theirs.pop(told.order_link_id, 0)
        if told.state not in {"CLOSED", "DENIED"}:
            found.append(f"{name}: is {told.state} {told.reason}, and not settled")
        denied = told.outcome in {"DENIED", "REJECTED"}
        if orders > 1 or (orders == 0 and not (denied and denials)):
            found.append(f"{name}: {orders} orders at the exchange, told {told.outcome} {told.reason}")
        if denied and (orders or not told.reason):
            found.append(f"{name}: told {told.outcome} {told.reason!r}, with {orders} orders at the exchange")
    found += [f"{link_id}: {count} orders of no signal" for link_id, count in theirs.items()]
    executed = Counter((row["symbol"], row["execId"]) for row in books["executions"])
    found += [f"execution {key} lost, {count} times" for key, count in (executed - ours.executions).items()]
    found += [f"execution {key} doubled, {count} times" for key, count in (ours.executions - executed).items()]
    held = {
        (row["category"], row["symbol"], row["positionIdx"]): (row["side"], Decimal(row["size"]))
        for row in books["positions"]
        if Decimal(row["size"])
    }
    if held != ours.positions:
        found.append(f"positions: here {ours.positions}, there {held}")
    return found


def sent_before_proof(requests: Iterable[Mapping[str, Any]], visible_ms: int) -> list[str]:
    """
    Every create that was sent again before the one before it was proven absent.

    Proof is a whole look-up by link ID in between; where the outcome was unknown, also not before an absence may be
    seen; and a create that was executed must never be followed by another.

    Args:
        requests: as /control/requests has them, in order.
        visible_ms: the visibility delay.
    """
    found = []
    last: dict[str, Mapping[str, Any]] = {}
    looked: defaultdict[str, set[str]] = defaultdict(set)
    for row in requests:
        link_id, name = row["orderLinkId"], row.get("op") or row.get("endpoint") or ""
        if not link_id:
            continue
        if name in LOOKED_AT and row["executed"] and row["replied"]:
            looked[link_id].add(name)
        if name not in {"order.create", "order/create"}:
            continue
        before = last.get(link_id)
        if before is not None:
            after_ms = row["time"] - before["time"]
            unknown = before["verdict"] in UNKNOWN or not before["replied"]
            again = f"{link_id}: sent again {after_ms} ms later"
            if before["executed"]:
                found.append(f"{again}, and it was executed")
            elif looked[link_id] != set(LOOKED_AT):
                found.append(f"{again}, looked up in {sorted(looked[link_id])} alone")
            elif unknown and after_ms < visible_ms:
                found.append(f"{again}, after an unknown outcome that shows after {visible_ms}")
        last[link_id] = row
        looked[link_id] = set()
    return found
