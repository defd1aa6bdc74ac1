"""
Both sides: what the journal holds and what the exchange says, put side by side by the core.

A difference counts when two looks in a row show it, as it does for the router's own reconciler; nothing is taken in.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Final

from attrs import evolve, frozen

from hean.actors.books import Key, restore_books
from hean.core import catchup, plain, reconcile
from hean.core.catchup import CatchUp, Picture, Unfinished
from hean.core.foreign import ForeignOrders
from hean.core.position import PositionBook
from hean.core.reconcile import COVERED, LISTING_LAG_MS
from hean.core.reconcile_record import Holdings, Policies, Suspect
from hean.core.types import ZERO, Category, Execution, Finding, Ms, OrderSnapshot, PositionRow, Side
from hean.desk.exchange import Exchange, pause
from hean.desk.read import snapshot_of
from hean.errors import JournalError, RemoteError
from hean.journal import JournalView
from hean.journal.marks import EXECUTIONS_MARK, FIRST_MARK, FOREIGN_MARK

# From a suspicion to the next look: what is merely on its way has arrived by then.
_AGAIN_S: Final = 0.7
_MAX_LOOKS: Final = 6

Symbol = tuple[Category, str]


@frozen(kw_only=True)
class Position:
    """
    One position on both sides.

    Attributes:
        ours: signed, positive is long.
        theirs: the same; None where the exchange's row is older than what we have folded, and says nothing.
        we_lack: executions that the exchange lists and we do not have.
        they_lack: executions that we have and it does not list.
    """

    key: Key
    ours: Decimal
    theirs: Decimal | None
    ours_avg_price: Decimal | None
    theirs_avg_price: Decimal | None
    we_lack: tuple[str, ...] = ()
    they_lack: tuple[str, ...] = ()

    @property
    def difference(self) -> Decimal:
        """Ours less theirs."""
        return ZERO if self.theirs is None else self.ours - self.theirs


@frozen(kw_only=True)
class Sides:
    """
    What both sides hold, as of the last look.

    Attributes:
        findings: differences that two looks in a row showed.
    """

    at_ms: Ms
    since_ms: Ms
    looks: int
    positions: tuple[Position, ...]
    findings: tuple[Finding, ...]
    orders: int
    executions: int
    unread: int


@frozen
class _Look:
    picture: Picture
    books: dict[Key, PositionBook]


def compare(
    view: JournalView, exchange: Exchange, *, orders: bool, timeout_s: float, tell: Callable[[str], None]
) -> Sides:
    """
    Look at both sides until nothing is in doubt.

    Args:
        view: our side.
        exchange: theirs.
        orders: whether open orders are compared too.
        timeout_s: of each look, where the exchange does not answer.
        tell: how far it is.

    Raises:
        JournalError: no router has ever started on this journal, so there is no opening balance to compare from.
        RemoteError: the exchange could not be asked for everything.
    """
    first = view.mark(FIRST_MARK)
    if first is None:
        raise JournalError(f"{view.path}: no router has started on it yet; there is nothing to compare")
    exchange.sync()
    suspects: dict[str, Suspect] = {}
    drifting: dict[Key, Decimal] = {}
    deep: dict[Symbol, None] = {}
    looks = 0
    while True:
        looks += 1
        tell(f"look {looks}")
        picture = _picture(view, exchange, Ms(int(first)), orders=orders, deep=tuple(deep), timeout_s=timeout_s)
        tell(f"look {looks}, reading the journal")
        look = _Look(picture, restore_books(view, {}))
        comparison = reconcile.compare(_holdings(view, look), picture, suspects, Policies())
        suspects = dict(comparison.suspects)
        positions = _positions(view, look)
        before, drifting = drifting, {each.key: each.difference for each in positions if each.difference}
        doubtful = comparison.fresh or drifting != before
        deep.update(dict.fromkeys((key[0], key[1]) for key in drifting))
        if not doubtful or looks >= _MAX_LOOKS:
            break
        pause(_AGAIN_S)
    confirmed = tuple(suspect.finding for suspect in suspects.values() if suspect.confirmed)
    return Sides(
        at_ms=exchange.local.now_ms(),
        since_ms=picture.since_ms or Ms(0),
        looks=looks,
        positions=positions,
        findings=confirmed,
        orders=len(picture.orders or ()),
        executions=len(picture.executions),
        unread=len(picture.quarantined),
    )


def _picture(
    view: JournalView, exchange: Exchange, first_ms: Ms, *, orders: bool, deep: tuple[Symbol, ...], timeout_s: float
) -> Picture:
    until_ms = Ms(exchange.clock.now_ms())
    mark = view.mark(EXECUTIONS_MARK)
    overlap_ms = int(exchange.settings.reconcile.overlap_s * 1000)
    since_ms = Ms(max(int(mark) - overlap_ms, first_ms)) if mark else first_ms
    held = tuple((Category(category), symbol) for category, symbol in view.traded() if category in COVERED)
    asking: CatchUp | Picture | Unfinished = catchup.begin(
        exchange.local.now_ms(),
        until_ms=until_ms,
        since_ms=since_ms,
        symbols=held,
        deep=deep,
        deep_since_ms=Ms(max(first_ms, until_ms - catchup.DEEP_MS)),
        orders=orders,
    )
    asker = exchange.asker(timeout_s)
    while isinstance(asking, CatchUp):
        asking = catchup.feed(asking, asker.insist(asking.question()))
    if isinstance(asking, Unfinished):
        raise RemoteError(f"{exchange.endpoints.rest_url}: {asking.why}", hint="run hean doctor")
    return asking


def _holdings(view: JournalView, look: _Look) -> Holdings:
    picture, books = look.picture, look.books
    orders: list[OrderSnapshot] = [snapshot_of(entry)[0] for entry in view.unsettled_orders()]
    links = {order.order_link_id for order in orders}
    retired: dict[str, Ms] = {}
    for row in picture.orders or ():
        entry = view.order(row.order_link_id) if row.order_link_id else None
        entry = entry or view.order_by_order_id(row.order_id)
        if entry is not None and entry.order_link_id not in links:
            retired[row.order_id] = Ms(entry.updated_ms)
    kept = view.mark(FOREIGN_MARK)
    foreign = plain.loads(ForeignOrders, kept).orders if kept else ()
    accounted = {
        reconcile.key_of(row.category, row.symbol, row.exec_id): Ms(row.exec_ms)
        for row in view.executions_since(picture.since_ms or Ms(0))
    }
    rows = {(row.category, row.symbol, row.position_idx): row for row in picture.positions or ()}
    return Holdings(
        orders=tuple(orders),
        retired=retired,
        foreign={order.order_id: order.heard_ms for order in foreign if not order.status.final},
        unknown=tuple(row for row in picture.executions if not _known(view, row)),
        accounted=accounted,
        agreements=tuple(
            _book(books, key).agree(row, settled_ms=Ms(picture.until_ms - LISTING_LAG_MS))
            for key, row in rows.items()
            if row.size > ZERO or key in books
        ),
        unlisted=tuple(
            book.snapshot
            for key, book in books.items()
            if key not in rows and key[0] in COVERED and book.snapshot.size > ZERO
        ),
    )


def _positions(view: JournalView, look: _Look) -> tuple[Position, ...]:
    picture, books = look.picture, look.books
    rows = {(row.category, row.symbol, row.position_idx): row for row in picture.positions or ()}
    keys = [key for key in dict.fromkeys((*books, *rows)) if key[0] in COVERED]
    return tuple(sorted((_position(view, look, key, rows.get(key)) for key in keys), key=lambda each: each.key))


def _position(view: JournalView, look: _Look, key: Key, row: PositionRow | None) -> Position:
    book = _book(look.books, key)
    ours = book.snapshot
    # A list by coin leaves out what is flat; a row older than our fold says nothing about it.
    behind = row is not None and row.seq < ours.seq
    theirs = ZERO if row is None else _signed(row.side, row.size)
    position = Position(
        key=key,
        ours=_signed(ours.side, ours.size),
        theirs=None if behind and theirs != _signed(ours.side, ours.size) else theirs,
        ours_avg_price=ours.avg_price,
        theirs_avg_price=row.avg_price if row is not None and row.size > ZERO else None,
    )
    return _with_lacks(view, look.picture, book, position)


def _with_lacks(view: JournalView, picture: Picture, book: PositionBook, position: Position) -> Position:
    if not position.difference:
        return position
    category, symbol, _ = position.key
    listed = {row.exec_id: row for row in picture.executions if (row.category, row.symbol) == (category, symbol)}
    since_ms = min((row.exec_ms for row in listed.values()), default=picture.since_ms or Ms(0))
    we_lack = [
        str(exec_id)
        for exec_id, row in listed.items()
        if row.exec_type.moves_qty and not book.contains(row) and not _known(view, row)
    ]
    they_lack = [
        row.exec_id
        for row in view.executions(category=category, symbol=symbol)
        if row.exec_id not in listed and since_ms <= row.exec_ms <= picture.until_ms - LISTING_LAG_MS
    ]
    return evolve(position, we_lack=tuple(we_lack), they_lack=tuple(they_lack))


def _known(view: JournalView, row: Execution) -> bool:
    return view.knows_execution(row.category, row.symbol, row.exec_id)


def _book(books: dict[Key, PositionBook], key: Key) -> PositionBook:
    return books.get(key) or PositionBook(*key)


def _signed(side: Side | None, size: Decimal) -> Decimal:
    return -size if side is Side.SELL else size
