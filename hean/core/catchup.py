"""
Asking the exchange for everything: which queries, in which order, and what their answers add up to.

Open orders, then positions, then executions since a time, for each scope, each to its last page and in windows of at
most seven days. Executions come last, so that they explain every quantity that the rows before them show. One failed
page fails the whole: a partial picture is never taken for a whole one. A row that does not read is set aside, or one
such row would keep the stream from ever being LIVE; a picture with such rows proves no absence.

Source: Bybit V5 docs, order/open-order (linear needs a settle coin), order/execution (spans of at most seven days),
position (by settle coin flat positions are left out, by symbol they are shown).
"""

from __future__ import annotations

from typing import TypeAlias

from attrs import evolve, frozen

from hean.core.calls import Page, Quarantine, QueryExecutions, QueryOrders, QueryPositions, Reply, VerdictKind
from hean.core.lookup import WINDOW_MS
from hean.core.types import Category, Execution, Ms, OrderRow, PositionRow

Question: TypeAlias = QueryOrders | QueryExecutions | QueryPositions

# More pages than this in one picture: 500 open orders per symbol and busy days are far below.
MAX_PAGES = 5_000
# How far back a deep question reaches: a week less an hour, so that its window holds it and the time it takes to ask.
DEEP_MS = WINDOW_MS - 3_600_000


@frozen(kw_only=True)
class Scope:
    """A part of the account that is asked for as one. `settle_coin` is "" for inverse, which needs none."""

    category: Category
    settle_coin: str = ""


SCOPES = (
    Scope(category=Category.LINEAR, settle_coin="USDT"),
    Scope(category=Category.LINEAR, settle_coin="USDC"),
    Scope(category=Category.INVERSE),
)
"""Everything that can be traded here."""


@frozen(kw_only=True)
class CatchUp:
    """
    A picture on its way.

    Attributes:
        asked_ms: our clock when it began.
        until_ms: the exchange's clock when it began, as well as we know it.
        since_ms: exchange time from which executions were asked for; None when they were not.
        questions: first pages that are still to be asked, the first of them now.
        orders_asked: open orders are among them.
        positions_asked: positions are.
    """

    asked_ms: Ms
    until_ms: Ms
    since_ms: Ms | None
    questions: tuple[Question, ...]
    orders_asked: bool = True
    positions_asked: bool = True
    cursor: str = ""
    cursors: frozenset[str] = frozenset()
    pages: int = 0
    orders: tuple[OrderRow, ...] = ()
    executions: tuple[Execution, ...] = ()
    positions: tuple[PositionRow, ...] = ()
    quarantined: tuple[Quarantine, ...] = ()

    def question(self) -> Question:
        """The next query to make."""
        return evolve(self.questions[0], cursor=self.cursor)


@frozen(kw_only=True)
class Picture:
    """
    What the exchange holds, whole, as of some moment at or after `asked_ms`.

    Attributes:
        until_ms: the exchange's clock when it was begun, as well as we know it.
        orders: all open ones; None when they were not asked for.
        executions: since `since_ms`, in the exchange's order.
        positions: all open ones, and the flat ones that were asked for by symbol; None when they were not asked for.
        quarantined: rows that do not read. Whatever they are about is not absent.
    """

    asked_ms: Ms
    until_ms: Ms
    since_ms: Ms | None
    orders: tuple[OrderRow, ...] | None
    executions: tuple[Execution, ...]
    positions: tuple[PositionRow, ...] | None
    quarantined: tuple[Quarantine, ...] = ()


@frozen(kw_only=True)
class Unfinished:
    """The picture could not be completed; nothing may be concluded from it."""

    why: str


def begin(
    now_ms: Ms,
    *,
    until_ms: Ms,
    since_ms: Ms | None,
    symbols: tuple[tuple[Category, str], ...] = (),
    deep: tuple[tuple[Category, str], ...] = (),
    deep_since_ms: Ms = Ms(0),
    orders: bool = True,
    positions: bool = True,
    scopes: tuple[Scope, ...] = SCOPES,
) -> CatchUp:
    """
    Start a picture.

    Args:
        now_ms: our clock.
        until_ms: the exchange's clock, as well as we know it.
        since_ms: exchange time from which executions are wanted; None for none.
        symbols: whose positions are asked for by name, so that flat ones are shown.
        deep: whose executions are asked for by name, from `deep_since_ms` on.
        deep_since_ms: exchange time, at most seven days back.
        orders: whether open orders are wanted.
        positions: whether positions are wanted.
        scopes: the parts of the account.
    """
    questions: list[Question] = []
    if orders:
        questions += [QueryOrders(category=scope.category, settle_coin=scope.settle_coin, limit=50) for scope in scopes]
    if positions:
        questions += [QueryPositions(category=scope.category, settle_coin=scope.settle_coin) for scope in scopes]
        questions += [QueryPositions(category=category, symbol=symbol) for category, symbol in symbols]
    if since_ms is not None:
        for category in dict.fromkeys(scope.category for scope in scopes):
            start_ms = since_ms
            # The last window is left open to the future: what happens while it is asked for belongs to it.
            while start_ms <= until_ms:
                end_ms = Ms(start_ms + WINDOW_MS)
                questions.append(QueryExecutions(category=category, start_ms=Ms(start_ms), end_ms=end_ms))
                start_ms = end_ms
    for category, symbol in deep:
        start_ms = max(deep_since_ms, Ms(until_ms - DEEP_MS))
        end_ms = Ms(start_ms + WINDOW_MS)
        questions.append(QueryExecutions(category=category, symbol=symbol, start_ms=start_ms, end_ms=end_ms))
    return CatchUp(
        asked_ms=now_ms,
        until_ms=until_ms,
        since_ms=since_ms,
        questions=tuple(questions),
        orders_asked=orders,
        positions_asked=positions,
    )


def feed(picture: CatchUp, reply: Reply) -> CatchUp | Picture | Unfinished:
    """Take the answer to `picture.question()`."""
    page = reply.result
    if reply.verdict.kind is not VerdictKind.ACCEPTED or not isinstance(page, Page):
        verdict = reply.verdict
        name = type(reply.call).__name__
        return Unfinished(why=f"{name}: {verdict.ret_code or verdict.phase} {verdict.ret_msg}".strip())
    picture = evolve(
        picture,
        orders=picture.orders + page.orders,
        executions=picture.executions + page.executions,
        positions=picture.positions + page.positions,
        quarantined=picture.quarantined + page.quarantined,
        pages=picture.pages + 1,
    )
    if picture.pages >= MAX_PAGES:
        return Unfinished(why=f"more than {MAX_PAGES} pages")
    rows = page.orders or page.executions or page.positions or page.quarantined
    if page.next_cursor and rows and page.next_cursor not in picture.cursors:
        return evolve(picture, cursor=page.next_cursor, cursors=picture.cursors | {page.next_cursor})
    picture = evolve(picture, questions=picture.questions[1:], cursor="", cursors=frozenset())
    if picture.questions:
        return picture
    return Picture(
        asked_ms=picture.asked_ms,
        until_ms=picture.until_ms,
        since_ms=picture.since_ms,
        orders=_newest(picture.orders) if picture.orders_asked else None,
        executions=tuple(
            sorted(
                set(picture.executions), key=lambda row: (row.category, row.symbol, row.seq, row.exec_ms, row.exec_id)
            )
        ),
        positions=_merged(picture.positions) if picture.positions_asked else None,
        quarantined=tuple(dict.fromkeys(picture.quarantined)),
    )


def _newest(rows: tuple[OrderRow, ...]) -> tuple[OrderRow, ...]:
    # Rows that arrive while paging shift the pages: one order may be shown twice.
    newest: dict[str, OrderRow] = {}
    for row in rows:
        known = newest.get(row.order_id)
        if known is None or row.updated_ms > known.updated_ms:
            newest[row.order_id] = row
    return tuple(newest.values())


def _merged(rows: tuple[PositionRow, ...]) -> tuple[PositionRow, ...]:
    newest: dict[tuple[Category, str, int], PositionRow] = {}
    for row in rows:
        key = (row.category, row.symbol, row.position_idx)
        known = newest.get(key)
        if known is None or row.seq >= known.seq:
            newest[key] = row
    return tuple(newest.values())
