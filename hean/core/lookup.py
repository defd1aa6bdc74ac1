"""
Looking one order up: which queries, in which order, and what their answers add up to.

Three sources by order_link_id (by order_id, once known, of one that may be split), each to its last page:
order/realtime (open and recently closed), order/history (closed), execution/list. The first that shows the order ends
the search for its row; executions are fetched whenever the row's watermark exceeds what the ledger has. A query that
fails, or a page that was only partly readable, makes the look-up incomplete, and an incomplete one proves nothing.

Source: Bybit V5 docs, order/open-order, order/order-list, order/execution: an unknown ID is an empty list with
retCode 0; history without times covers seven days; cursors may accompany a last page and may repeat.
"""

from __future__ import annotations

from enum import StrEnum

from attrs import evolve, frozen

from hean.core.calls import Page, Query, QueryExecutions, QueryOrders, Reply, VerdictKind
from hean.core.facts import Executed, Fact, LookedUp, Shown
from hean.core.foreign import is_piece, may_split
from hean.core.record import DAY_MS, Order
from hean.core.types import Execution, Ms, OrderRow, Source

WINDOW_MS = 7 * DAY_MS
# Without times history reaches back seven days; an older order needs windows. A day less leaves room for clock and lag.
_WINDOWLESS_MS = 6 * DAY_MS
# One order cannot have more pages than this: fifty orders or a hundred executions each.
MAX_PAGES = 200


class Stage(StrEnum):
    """Which source is being asked."""

    REALTIME = "realtime"
    HISTORY = "history"
    EXECUTIONS = "executions"


@frozen(kw_only=True)
class Lookup:
    """
    A look-up on its way.

    Attributes:
        known_qty: what the ledger had when it began; executions are fetched when a row shows more.
        windows: of history that are still to be asked, oldest first; one (None, None) for a young order.
    """

    order: Order
    started_ms: Ms
    stage: Stage = Stage.REALTIME
    cursor: str = ""
    cursors: frozenset[str] = frozenset()
    pages: int = 0
    windows: tuple[tuple[Ms | None, Ms | None], ...] = ()
    row: OrderRow | None = None
    executions: tuple[Execution, ...] = ()

    def question(self) -> Query:
        """The next query to make."""
        request = self.order.request
        # Under its link ID the exchange may show another part of it.
        order_id = self.order.order_id if may_split(request) else None
        if self.stage is Stage.EXECUTIONS:
            return QueryExecutions(
                category=request.category,
                symbol=request.symbol,
                order_link_id=request.order_link_id,
                order_id=order_id or "",
                cursor=self.cursor,
            )
        start_ms, end_ms = self.windows[0] if self.stage is Stage.HISTORY else (None, None)
        return QueryOrders(
            category=request.category,
            history=self.stage is Stage.HISTORY,
            symbol=request.symbol,
            order_link_id=request.order_link_id,
            order_id=order_id or "",
            start_ms=start_ms,
            end_ms=end_ms,
            cursor=self.cursor,
        )


@frozen(kw_only=True)
class Ended:
    """A look-up's result: facts for the order, the LookedUp last."""

    facts: tuple[Fact, ...]


def begin(order: Order, now_ms: Ms) -> Lookup:
    """Start looking `order` up."""
    return Lookup(order=order, started_ms=now_ms, windows=_windows(order.request.submitted_ms, now_ms))


def feed(lookup: Lookup, reply: Reply) -> Lookup | Ended:
    """
    Take the answer to `lookup.question()`.

    Returns:
        the look-up with its next question, or what it found.
    """
    page = reply.result
    if reply.verdict.kind is not VerdictKind.ACCEPTED or not isinstance(page, Page):
        verdict = reply.verdict
        why = f"{lookup.stage}: {verdict.ret_code or verdict.phase} {verdict.ret_msg}"
        return _ended(lookup, complete=False, why=why)
    lookup = _take(lookup, page)
    if page.quarantined:
        return _ended(lookup, complete=False, why=f"{lookup.stage}: {page.quarantined[0].why}")
    if _more(lookup, page):
        if lookup.pages >= MAX_PAGES:
            return _ended(lookup, complete=False, why=f"{lookup.stage}: more than {MAX_PAGES} pages")
        return evolve(lookup, cursor=page.next_cursor, cursors=lookup.cursors | {page.next_cursor})
    return _next_stage(evolve(lookup, cursor="", cursors=frozenset()))


def _take(lookup: Lookup, page: Page) -> Lookup:
    link_id = lookup.order.request.order_link_id
    row = lookup.row
    for candidate in page.orders:
        # Newest first: with several rows of one ID the one that got furthest is the order's state.
        named = candidate.order_link_id == link_id and not is_piece(lookup.order, candidate.order_id)
        if named and (row is None or candidate.updated_ms > row.updated_ms):
            row = candidate
    mine = tuple(execution for execution in page.executions if execution.order_link_id in {link_id, ""})
    return evolve(lookup, row=row, executions=lookup.executions + mine, pages=lookup.pages + 1)


def _more(lookup: Lookup, page: Page) -> bool:
    rows = page.executions if lookup.stage is Stage.EXECUTIONS else page.orders
    return bool(page.next_cursor and rows) and page.next_cursor not in lookup.cursors


def _next_stage(lookup: Lookup) -> Lookup | Ended:
    if lookup.stage is Stage.EXECUTIONS:
        return _ended(lookup, complete=True)
    row = lookup.row
    if row is not None:
        ledger = lookup.order.ledger
        # A fee that the stream left out is told by the execution's row alone, and the order cannot settle without it.
        if row.cum_exec_qty > ledger.cum_exec_qty or not ledger.fees_known:
            return evolve(lookup, stage=Stage.EXECUTIONS)
        return _ended(lookup, complete=True)
    if lookup.stage is Stage.REALTIME:
        return evolve(lookup, stage=Stage.HISTORY)
    if len(lookup.windows) > 1:
        return evolve(lookup, windows=lookup.windows[1:])
    return evolve(lookup, stage=Stage.EXECUTIONS)


def _ended(lookup: Lookup, *, complete: bool, why: str = "") -> Ended:
    # What was found is true even where the rest could not be asked. Executions first: they are the quantity.
    facts: list[Fact] = [
        Executed(execution=execution, source=Source.QUERY)
        for execution in sorted(lookup.executions, key=lambda row: (row.seq, row.exec_ms, row.exec_id))
    ]
    if lookup.row is not None:
        facts.append(Shown(row=lookup.row, source=Source.QUERY, asked_ms=lookup.started_ms))
    found = lookup.row is not None or bool(lookup.executions)
    facts.append(LookedUp(complete=complete, found=found, started_ms=lookup.started_ms, why=why))
    return Ended(facts=tuple(facts))


def _windows(submitted_ms: Ms, now_ms: Ms) -> tuple[tuple[Ms | None, Ms | None], ...]:
    if now_ms - submitted_ms < _WINDOWLESS_MS:
        return ((None, None),)
    start_ms = submitted_ms - DAY_MS
    windows: list[tuple[Ms | None, Ms | None]] = []
    while start_ms < now_ms:
        end_ms = min(start_ms + WINDOW_MS, now_ms + DAY_MS)
        windows.append((Ms(start_ms), Ms(end_ms)))
        start_ms = end_ms
    return tuple(windows)
