"""What the journal's rows mean, for verbs that look: the order's own snapshot, and an order found by any of its IDs."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Final

import click
from attrs import frozen

if TYPE_CHECKING:
    from hean.core.types import OrderSnapshot

from hean.desk.desk import Row
from hean.errors import LocalError
from hean.journal import JournalView, OrderEntry
from hean.journal.marks import PULSE_MARK

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
# A router that misses this many pulses hangs, or its journal does.
_SILENT_MS: Final = 5_000
# At least this much of an order_link_id must be given where it is not whole.
PREFIX_MIN = 6


def age(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    """Read how long ago, as milliseconds: a number and s, m, h, d or w; a callback of an option."""
    if value is None:
        return None
    number, unit = value[:-1], value[-1:]
    if unit not in _UNITS_S or not number.isdecimal():
        raise click.BadParameter(
            f"expected a number and one of {', '.join(_UNITS_S)}, such as 30m, was {value!r}", ctx, param
        )
    return int(number) * _UNITS_S[unit] * 1000


@frozen
class Found:
    """An order, and by which kind of ID it was found."""

    entry: OrderEntry
    by: str


def snapshot_of(entry: OrderEntry) -> tuple[OrderSnapshot, bool]:
    """The order's public picture, and whether only asking the exchange can tell how it stands."""
    # Whoever only counts does not pay for what an order is.
    from hean.core import plain  # noqa: PLC0415
    from hean.core.record import Order  # noqa: PLC0415
    from hean.core.types import OrderSnapshot  # noqa: PLC0415

    order = plain.loads(Order | OrderSnapshot, entry.body)
    return (order.snapshot(), order.unresolved) if isinstance(order, Order) else (order, False)


def order_row(entry: OrderEntry) -> Row:
    """An order as an object of hean.order/1."""
    order, unresolved = snapshot_of(entry)
    return {
        "order_link_id": order.order_link_id,
        "order_id": order.order_id,
        "correlation_id": order.correlation_id,
        "strategy_id": order.strategy_id,
        "signal_id": order.signal_id,
        "category": order.category,
        "symbol": order.symbol,
        "side": order.side,
        "order_type": order.order_type,
        "state": order.state,
        "outcome": order.outcome,
        "open": order.outcome is None,
        "unresolved": unresolved,
        "qty": number(order.qty),
        "cum_exec_qty": number(order.cum_exec_qty),
        "leaves_qty": number(order.leaves_qty),
        "gap": number(order.gap),
        "price": number(order.price),
        "avg_price": number(order.avg_price),
        "pending": order.pending,
        "status": order.status,
        "deny_reason": order.deny_reason,
        "reason": order.reason,
        "attempts": order.attempts,
        "submitted_ms": entry.submitted_ms,
        "updated_ms": entry.updated_ms,
    }


def alive(view: JournalView, now_ms: int) -> bool:
    """Whether the pulse of the router that has the journal goes on; it is written every second."""
    told = view.mark(PULSE_MARK)
    return told is not None and now_ms - int(json.loads(told)["at_ms"]) <= _SILENT_MS


def number(value: Decimal | None) -> str | None:
    """A quantity or a price in plain notation."""
    return None if value is None else f"{value:f}" if value else "0"


def clock(ms: int | None, *, day: bool = False) -> str:
    """A time for people, UTC, to the millisecond."""
    if ms is None:
        return "-"
    text = datetime.fromtimestamp(ms / 1000, UTC).isoformat(sep=" ", timespec="milliseconds").removesuffix("+00:00")
    return text if day else text[11:]


def style_of(state: str) -> str:
    """How a state is coloured."""
    match state:
        case "TIMEOUT" | "ERROR":
            return "bold red"
        case "DENIED" | "REJECTED":
            return "yellow"
        case "ACKNOWLEDGED" | "PARTIAL_FILL" | "SUBMITTED" | "PENDING":
            return "cyan"
        case _:
            return ""


def find_all(view: JournalView, id_: str) -> list[Found]:
    """
    Orders that an ID means, the most telling kind of ID first; empty where the journal knows none.

    Args:
        view: the journal.
        id_: an order_link_id (or the first characters of one), order_id, correlation_id, signal_id or exec_id.
    """
    entry = view.order(id_)
    if entry is not None:
        return [Found(entry, "order_link_id")]
    entry = view.order_by_order_id(id_)
    if entry is not None:
        return [Found(entry, "order_id")]
    owners = dict.fromkeys(row.order_link_id for row in view.executions(exec_id=id_) if row.order_link_id)
    found = [Found(entry, "exec_id") for owner in owners if (entry := view.order(owner)) is not None]
    found = found or [Found(entry, "correlation_id") for entry in view.orders(correlation_id=id_)]
    found = found or [Found(entry, "signal_id") for entry in view.orders(signal_id=id_)]
    if not found and len(id_) >= PREFIX_MIN:
        found = [Found(entry, "order_link_id") for entry in view.orders(link_prefix=id_)]
    return found


def find(view: JournalView, id_: str) -> Found:
    """
    The one order that an ID means.

    Raises:
        LocalError: the journal knows none, or several.
    """
    found = find_all(view, id_)
    if not found:
        raise LocalError(
            f"{view.path} knows no order {id_!r}; expected an order_link_id, order_id, correlation_id, signal_id or "
            "exec_id"
        )
    if len(found) > 1:
        links = ", ".join(one.entry.order_link_id for one in found[:5])
        raise LocalError(f"{id_!r} means {len(found)} orders; name one of them: {links}")
    return found[0]


def seconds(value: float) -> str:
    """A span for people: the two largest units of it."""
    if value < 60:
        return f"{max(value, 0):.1f} s"
    minutes, rest = divmod(int(value), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"
