"""The one door by which rows of the exchange reach their owners, whichever query or stream brought them."""

from __future__ import annotations

from hean.actors.context import Context
from hean.actors.messages import PositionsSeen, Recheck, Undelivered, Unowned
from hean.actors.scribe import duplicate_of
from hean.actors.supervisor import fact_of
from hean.core import reconcile
from hean.core.catchup import Picture
from hean.core.foreign import is_piece
from hean.core.types import Category, Execution, Ms, OrderRow, OrderState, Source
from hean.journal import Batch

DUPLICATES_TOLD = 200
"""Of the executions that a catch-up brings again, so many of the newest have a line in the journal, for the trace."""
_SHOWN = frozenset({OrderState.ACKNOWLEDGED, OrderState.PARTIAL_FILL})
_MAY_BE_OPEN = frozenset(
    {OrderState.SUBMITTED, OrderState.TIMEOUT, OrderState.ACKNOWLEDGED, OrderState.PARTIAL_FILL, OrderState.ERROR}
)


def deliver(context: Context, row: OrderRow | Execution, source: Source, asked_ms: Ms | None = None) -> None:
    """
    Tell a row to the order that owns it: by link ID, else by order ID, else the supervisor finds somebody.

    Args:
        context: the router's shared things.
        row: of the exchange.
        source: which door it came through.
        asked_ms: our clock when it was asked for; None for a row of the stream.
    """
    if isinstance(row, Execution) and not row.exec_type.moves_qty:
        context.to.external.tell(Unowned(row=row, source=source))
        return
    slot = context.registry.owner(row.order_link_id, row.order_id)
    if slot is None:
        context.to.supervisor.tell(Unowned(row=row, source=source))
        return
    fact = fact_of(row, source, asked_ms)
    if not slot.tell(fact):
        context.to.supervisor.tell(Undelivered(order_link_id=slot.order_link_id, message=fact))


def merge(context: Context, picture: Picture) -> None:
    """
    Take in everything that happened while nobody listened.

    What the journal has already is counted and left out: a row that changes nothing need not wake its order. An order
    that may be open and is not listed is told to look itself up; nothing else follows from an absence.
    """
    positions = PositionsSeen(rows=picture.positions or (), source=Source.RECONCILE, asked_ms=picture.asked_ms)
    # First: what they say of a symbol is not asked for again, for each execution of another hand.
    context.to.external.tell(positions)
    for execution in unknown(context, picture, count=True):
        deliver(context, execution, Source.RECONCILE)
    listed: set[str] = set()
    for row in picture.orders or ():
        slot = context.registry.owner(row.order_link_id, row.order_id)
        if slot is not None and not is_piece(slot.cell.snapshot, row.order_id):
            listed.add(slot.order_link_id)
            snapshot = slot.cell.snapshot
            if not snapshot.pending and snapshot.state in _SHOWN and not reconcile.differences(snapshot, row):
                continue
        deliver(context, row, Source.RECONCILE, picture.asked_ms)
    context.to.portfolio.tell(positions)
    for slot in context.registry.slots():
        snapshot = slot.cell.snapshot
        covered = snapshot.category in reconcile.COVERED
        if covered and slot.order_link_id not in listed and snapshot.state in _MAY_BE_OPEN:
            slot.tell(Recheck(asked_ms=picture.asked_ms))


def unknown(context: Context, picture: Picture, *, count: bool = False) -> tuple[Execution, ...]:
    """
    The executions of a picture that the journal does not have.

    Args:
        context: the router's shared things.
        picture: what the exchange says.
        count: whether those that it has are counted as duplicates.
    """
    journal = context.journal
    new: list[Execution] = []
    known: list[Execution] = []
    for execution in picture.executions:
        duplicate = journal.knows_execution(execution.category, execution.symbol, execution.exec_id)
        (known if duplicate else new).append(execution)
    if count and known:
        told = tuple(
            duplicate_of(each, Source.RECONCILE, each.order_link_id, _correlation_id(context, each.order_link_id))
            for each in known[-DUPLICATES_TOLD:]
        )
        journal.commit(Batch(at_ms=context.now_ms(), records=told))
        context.observe("duplicates", {"count": len(known), "source": Source.RECONCILE})
    return tuple(new)


def _correlation_id(context: Context, order_link_id: str) -> str:
    entry = context.journal.order(order_link_id) if order_link_id else None
    return entry.correlation_id if entry is not None else ""


def held_symbols(context: Context) -> tuple[tuple[Category, str], ...]:
    """Symbols of our open positions, to be asked for by name: a list by coin leaves out what is flat there."""
    held = (key[:2] for key, position in context.positions.items() if position.size)
    return tuple(dict.fromkeys(key for key in held if key[0] in reconcile.COVERED))
