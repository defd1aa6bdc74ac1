"""
<<<<<<< ours
The kill: cancel everything, see that nothing is open, and, where it is wished for, get flat.

It needs a client that performs calls and nothing else: no actor, no journal, no stream. So it works beside a router
that hangs, and after one that is gone. Its order: cancel first and ask later; look until nothing is open; look once
more when no request that was on its way can be taken any more.
=======
The kill switch: cancel everything, see that nothing is open, flatten where that is asked for, and see that too.

Needs the exchange alone: no journal, no actor, no router. It says that nothing is open only when a complete list said
so, and that all is flat only when the exchange's positions say so.

Flattening goes by reduce-only market orders, so it can close and never open. Their order_link_ids are made of the
position's own seq: the same position, killed twice, is the same order. One whose outcome is unknown is looked up, and
sent again under the same ID only when the exchange cannot take the first any more.
>>>>>>> theirs
"""

from __future__ import annotations

<<<<<<< ours
from collections.abc import Callable
from decimal import Decimal
from typing import Final, Protocol

from attrs import evolve, frozen
=======
from base64 import b32encode
from collections.abc import Callable, Iterator
from decimal import Decimal
from hashlib import blake2b
from typing import Final, TypeVar

from attrs import define, evolve, frozen
>>>>>>> theirs

from hean.core.calls import (
    Call,
    CancelAll,
    Cancelled,
<<<<<<< ours
=======
    CancelOrder,
>>>>>>> theirs
    CreateOrder,
    Page,
    QueryInstruments,
    QueryOrders,
    QueryPositions,
    Reply,
    VerdictKind,
)
<<<<<<< ours
from hean.core.replies import said
from hean.core.types import (
=======
from hean.core.catchup import SCOPES
from hean.core.replies import said
from hean.core.types import (
    ZERO,
>>>>>>> theirs
    Category,
    Instrument,
    Ms,
    OrderId,
    OrderLinkId,
    OrderRequest,
    OrderRow,
    OrderType,
    PositionRow,
    Side,
    TimeInForce,
)

<<<<<<< ours
# Between looks: the exchange needs a moment to do what it took for processing.
_PAUSE_S: Final = 0.25
# Of a call. A kill has no patience, and asks again anyway.
_CALL_S: Final = 3.0
# More pages than this is no list of open orders. Source: Bybit V5 docs, rate-limit (500 open orders per symbol).
_MAX_PAGES: Final = 1000
# Everything that an order or a position can be in. Derivatives by settle coin; inverse settles in each base coin.
_COINS: Final = (
    (Category.LINEAR, "USDT"),
    (Category.LINEAR, "USDC"),
    (Category.INVERSE, ""),
)
# Source: Bybit V5 docs, order/cancel-all: for spot, without a filter, conditional and TP/SL orders stay alive.
_SPOT_FILTERS: Final = ("Order", "StopOrder", "tpslOrder")


# Source: Bybit V5 docs, error (HTTP): 403, the address is banned for its frequency.
_FORBIDDEN: Final = 403
_BANNED: Final = "the address is banned; cancel on the web page, or from another address"


class Client(Protocol):
    """Performs one call at a time, blocking. Never raises: every outcome is a reply."""

    def perform(self, call: Call, *, timeout_s: float) -> Reply: ...
=======
Perform = Callable[[Call], Reply]
Row = TypeVar("Row")

# Between two looks at what is open: an accepted cancel takes a moment to show.
PAUSE_S: Final = 0.2
PAUSE_MAX_S: Final = 2.0
# An empty list counts when it stays empty this long: the exchange's lists may lag behind its books.
QUIET_S: Final = 1.0
# Looks after which what a whole-account cancel left alive is cancelled one by one.
_ROUNDS_BEFORE_SINGLE: Final = 2
_BY_COIN: Final = tuple(scope for scope in SCOPES if scope.settle_coin)
# More pages than this of one list: 500 open orders per symbol are far below.
_MAX_PAGES: Final = 500
# Chunks of one position that are sent before it is looked at again.
_MAX_CHUNKS: Final = 50
>>>>>>> theirs


@frozen(kw_only=True)
class KillReport:
    """
<<<<<<< ours
    What became of a kill.

    Attributes:
        cancelled: orders that the exchange took in hand to cancel.
        open_orders: still open at the last look.
        flattened: order_link_ids of the reduce-only orders that were sent.
        positions: still open at the last look; None where they were left alone.
        problems: what could not be done or seen, in words; with one of these nothing is certain.
        notes: what need not worry anybody.
    """

    cancelled: tuple[OrderId, ...]
    open_orders: tuple[OrderRow, ...]
    flattened: tuple[OrderLinkId, ...]
    positions: tuple[PositionRow, ...] | None
    problems: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def done(self) -> bool:
        """Nothing is open, as far as was wished for, and everything was seen."""
        return not (self.open_orders or self.positions or self.problems)

    @property
    def text(self) -> str:
        """The report in a line."""
        parts = [f"{len(self.cancelled)} orders cancelled", f"{len(self.open_orders)} still open"]
        if self.positions is not None:
            parts += [f"{len(self.flattened)} closing orders sent", f"{len(self.positions)} positions still open"]
        return "; ".join([*parts, *self.problems])


class Kill:
    """
    One kill.

    Args:
        client: performs calls over REST.
        now_ms: our clock.
        pause: waits that many seconds.
        late_s: how long after its signing a request may still be taken: the receive window and a second. Whoever holds
            our key and is not halted may have requests under way for so long.
        timeout_s: for all of it; what is open then is in the report.
=======
    What was done, and what the exchange showed afterwards.

    Attributes:
        complete: a complete list showed nothing open, and every position flat where that was asked for.
        cancelled: order_ids that the exchange took for cancelling.
        open_orders: what the last complete list still showed.
        looked: whether there was a complete list at all; without one `open_orders` says nothing.
        flattened: order_link_ids of the reduce-only orders that were sent.
        positions: what is still held; () where nobody asked.
        problems: what went wrong on the way, each once.
        refused: the exchange refused us altogether: key, permission or address.
        took_s: seconds.
    """

    complete: bool
    cancelled: tuple[OrderId, ...] = ()
    open_orders: tuple[OrderRow, ...] = ()
    looked: bool = False
    flattened: tuple[OrderLinkId, ...] = ()
    positions: tuple[PositionRow, ...] = ()
    problems: tuple[str, ...] = ()
    refused: bool = False
    took_s: float = 0.0


@define
class _Closing:
    """One chunk that was sent; `known` when its reply, or a look-up, said what became of it."""

    request: OrderRequest
    sent_s: float
    attempt: int
    known: bool = False


class KillSwitch:
    """
    One run of the kill switch; for one caller, who waits for it.

    Args:
        perform: does one call, with a deadline of its own; never raises.
        now_s: a clock that does not jump.
        now_ms: our clock.
        pause: lets so many seconds pass.
        timeout_s: for the orders, and once more for the positions.
        settle_s: after this long the exchange cannot take a request any more; the receive window and a second.
        tell: how far it is.
>>>>>>> theirs
    """

    def __init__(
        self,
<<<<<<< ours
        client: Client,
        *,
        now_ms: Callable[[], Ms],
        pause: Callable[[float], object],
        late_s: float,
        timeout_s: float = 60.0,
    ) -> None:
        self._client = client
        self._now_ms = now_ms
        self._pause = pause
        self._late_s = late_s
        self._timeout_s = timeout_s
        self._began_ms = now_ms()
        self._banned = False
        self._cancelled: dict[OrderId, None] = {}
        self._flattened: list[OrderLinkId] = []
        self._notes: dict[str, None] = {}

    def run(self, *, flatten: bool) -> KillReport:
        """Cancel, look, flatten, look again; returns by the time-out at the latest, give or take one call."""
        orders, positions, problems = self._clear(flatten=flatten, since_ms=self._began_ms)
        left_s = self._late_s - (self._now_ms() - self._began_ms) / 1000
        if left_s > 0 and not self._over:
            self._pause(left_s)
        if not problems:
            orders, positions, problems = self._clear(flatten=flatten, since_ms=self._now_ms())
        return KillReport(
            cancelled=tuple(self._cancelled),
            open_orders=orders,
            flattened=tuple(self._flattened),
            positions=positions if flatten else None,
            problems=problems,
            notes=tuple(self._notes),
        )

    @property
    def _over(self) -> bool:
        return self._banned or self._now_ms() - self._began_ms >= self._timeout_s * 1000

    def _clear(
        self, *, flatten: bool, since_ms: Ms
    ) -> tuple[tuple[OrderRow, ...], tuple[PositionRow, ...], tuple[str, ...]]:
        """Cancel and look until nothing is open; then the same with positions, whose closing orders never rest."""
        round_ = 0
        before: dict[str, None] = {}
        while True:
            problems: dict[str, None] = {}
            if round_ == 0:
                self._cancel_blindly(problems)
            orders = self._open_orders(problems)
            positions: tuple[PositionRow, ...] = ()
            if orders:
                self._cancel(orders, problems)
            elif flatten and not problems:
                positions = self._open_positions(problems)
                for position in positions:
                    self._close(position, f"{since_ms:x}-{round_:x}", problems)
            if not (orders or positions or problems):
                return orders, positions, ()
            if self._over:
                # The time may have run out before this round met what stood in the way of the last.
                return orders, positions, tuple(before | problems)
            self._pause(_PAUSE_S)
            round_ += 1
            before = problems

    def _cancel_blindly(self, problems: dict[str, None]) -> None:
        # Asking what there is would take longer than cancelling it.
        for category, coin in _COINS:
            if coin:
                self._cancel_all(CancelAll(category=category, settle_coin=coin), problems)
        for order_filter in _SPOT_FILTERS:
            self._cancel_all(CancelAll(category=Category.SPOT, order_filter=order_filter), problems)

    def _cancel(self, orders: tuple[OrderRow, ...], problems: dict[str, None]) -> None:
        for category, symbol in dict.fromkeys((order.category, order.symbol) for order in orders):
            filters = _SPOT_FILTERS if category is Category.SPOT else ("",)
            for order_filter in filters:
                self._cancel_all(CancelAll(category=category, symbol=symbol, order_filter=order_filter), problems)

    def _cancel_all(self, call: CancelAll, problems: dict[str, None]) -> None:
        result = self._ask(call, problems)
        if isinstance(result, Cancelled):
            self._cancelled.update(dict.fromkeys(result.order_ids))

    def _open_orders(self, problems: dict[str, None]) -> tuple[OrderRow, ...]:
        found: list[OrderRow] = []
        for category, coin in (*_COINS, (Category.SPOT, "")):
            for page in self._pages(QueryOrders(category=category, settle_coin=coin), problems):
                found += [row for row in page.orders if not row.status.final]
        return tuple(found)

    def _open_positions(self, problems: dict[str, None]) -> tuple[PositionRow, ...]:
        found: list[PositionRow] = []
        for category, coin in _COINS:
            for page in self._pages(QueryPositions(category=category, settle_coin=coin), problems):
                found += [row for row in page.positions if row.size > 0]
        return tuple(found)

    def _pages(self, call: QueryOrders | QueryPositions, problems: dict[str, None]) -> list[Page]:
        pages: list[Page] = []
        cursors: set[str] = set()
        while len(pages) < _MAX_PAGES:
            page = self._ask(call, problems)
            if not isinstance(page, Page):
                return pages
            for spoiled in page.quarantined:
                problems[f"{type(call).__name__} {call.category}: a row does not read: {spoiled.why}"] = None
            pages.append(page)
            if not page.next_cursor or page.next_cursor in cursors or not (page.orders or page.positions):
                return pages
            cursors.add(page.next_cursor)
            call = evolve(call, cursor=page.next_cursor)
        problems[f"{type(call).__name__} {call.category}: more than {_MAX_PAGES} pages"] = None
        return pages

    def _close(self, position: PositionRow, name: str, problems: dict[str, None]) -> None:
        """
        Send what closes a position, in parts that the exchange takes.

        Reduce-only, so that whatever arrives late or twice ends at zero and never beyond.
        """
        instrument = self._instrument(position, problems)
        if instrument is None or position.side is None:
            return
        left, number = position.size, len(self._flattened)
        while left > 0:
            qty = min(left, instrument.max_market_qty) if instrument.max_market_qty > 0 else left
            left -= qty
            link_id = OrderLinkId(f"kill-{name}-{number:x}")
            number += 1
            request = _closing(position, position.side.opposite, qty, link_id, self._now_ms())
            self._flattened.append(link_id)
            self._ask(CreateOrder(request=request), problems)

    def _instrument(self, position: PositionRow, problems: dict[str, None]) -> Instrument | None:
        page = self._ask(QueryInstruments(category=position.category, symbol=position.symbol), problems)
        rows = page.instruments if isinstance(page, Page) else ()
        return next((row for row in rows if row.symbol == position.symbol), None)

    def _ask(self, call: Call, problems: dict[str, None]) -> object:
        """Do one call; what stands against it is a problem of this round, or a note where it is nobody's worry."""
        if self._over:
            problems[_BANNED if self._banned else f"no time left after {self._timeout_s:g} s"] = None
            return None
        reply = self._client.perform(call, timeout_s=_CALL_S)
        verdict = reply.verdict
        if verdict.kind is VerdictKind.ACCEPTED:
            return reply.result
        # Every further call would prolong a ban.
        self._banned = verdict.http_status == _FORBIDDEN
        what = f"{type(call).__name__} {getattr(call, 'category', '')}: {said(verdict)}"
        if verdict.kind is VerdictKind.AUTH and not verdict.hopeless:
            # An account that may not trade a product has nothing open in it.
            self._notes[what] = None
        else:
            problems[what] = None
        return None


def _closing(position: PositionRow, side: Side, qty: Decimal, link_id: OrderLinkId, now_ms: Ms) -> OrderRequest:
=======
        perform: Perform,
        *,
        now_s: Callable[[], float],
        now_ms: Callable[[], int],
        pause: Callable[[float], object],
        timeout_s: float = 30.0,
        settle_s: float = 6.0,
        tell: Callable[[str], object] = lambda _: None,
    ) -> None:
        self._perform = perform
        self._now_s = now_s
        self._now_ms = now_ms
        self._pause = pause
        self._began_s = now_s()
        self._timeout_s = timeout_s
        self._deadline_s = self._began_s + timeout_s
        self._settle_s = settle_s
        self._tell = tell
        self._cancelled: dict[OrderId, None] = {}
        self._flattened: dict[OrderLinkId, None] = {}
        self._problems: dict[str, None] = {}
        self._refused = False
        self._closing: dict[OrderLinkId, _Closing] = {}
        self._instruments: dict[tuple[Category, str], Instrument] = {}

    def run(self, *, flatten: bool = False) -> KillReport:
        """Cancel everything, flatten where asked, and look until it is so or the time is over."""
        left, nothing_open = self._cancel_everything()
        held: tuple[PositionRow, ...] | None = ()
        if flatten and not self._refused:
            # Reduce-only can close alone, so what may still be open is no reason to hold a position.
            self._deadline_s = self._now_s() + self._timeout_s
            held = self._flatten_everything()
        return KillReport(
            complete=nothing_open and held == (),
            cancelled=tuple(self._cancelled),
            open_orders=left or (),
            looked=left is not None,
            flattened=tuple(self._flattened),
            positions=held or (),
            problems=tuple(self._problems),
            refused=self._refused,
            took_s=self._now_s() - self._began_s,
        )

    # Orders.

    def _cancel_everything(self) -> tuple[tuple[OrderRow, ...] | None, bool]:
        """
        Cancel until nothing is open.

        A list may lag behind: an empty one counts when all was cancelled in its round, and it stays empty for a while.

        Returns:
            what the last complete list showed, None where there was none; and whether nothing is proven to be open.
        """
        left: tuple[OrderRow, ...] | None = None
        empty_s: float | None = None
        for round_ in self._rounds():
            replies = [self._cancel(CancelAll(category=at.category, settle_coin=at.settle_coin)) for at in _BY_COIN]
            taken = all(replies)
            listed = self._open_orders()
            if listed is None or not taken:
                empty_s = None
            if listed is None:
                continue
            left = listed
            if not left and taken:
                empty_s = self._now_s() if empty_s is None else empty_s
                if self._now_s() - empty_s >= QUIET_S:
                    return left, True
                continue
            empty_s = None
            self._tell(f"{len(left)} orders are still open")
            # Inverse has no coin for all; and whatever an account-wide cancel left alive is named.
            for category, symbol in dict.fromkeys((row.category, row.symbol) for row in left):
                self._cancel(CancelAll(category=category, symbol=symbol))
            if round_ >= _ROUNDS_BEFORE_SINGLE:
                for row in left:
                    self._cancel(
                        CancelOrder(
                            category=row.category,
                            symbol=row.symbol,
                            order_link_id=row.order_link_id,
                            order_id=row.order_id,
                        )
                    )
        return left, False

    def _cancel(self, call: CancelAll | CancelOrder) -> bool:
        reply = self._ask(call)
        if isinstance(reply.result, Cancelled):
            self._cancelled.update(dict.fromkeys(reply.result.order_ids))
        elif reply.verdict.kind is VerdictKind.ACCEPTED and isinstance(call, CancelOrder) and call.order_id:
            self._cancelled[call.order_id] = None
        return reply.verdict.kind is VerdictKind.ACCEPTED

    def _open_orders(self) -> tuple[OrderRow, ...] | None:
        """Every open order of everything that is traded here; None where a list was not complete."""
        rows: list[OrderRow] = []
        for scope in SCOPES:
            question = QueryOrders(category=scope.category, settle_coin=scope.settle_coin)
            found = self._pages(question, lambda page: page.orders)
            if found is None:
                return None
            rows += [row for row in found if not row.status.final]
        return tuple(rows)

    # Positions.

    def _flatten_everything(self) -> tuple[PositionRow, ...] | None:
        held: tuple[PositionRow, ...] | None = None
        for _ in self._rounds():
            listed = self._positions()
            if listed is None:
                continue
            held = listed
            if not held:
                return held
            self._tell(f"{len(held)} positions are still held")
            for row in held:
                self._close(row)
        return held

    def _positions(self) -> tuple[PositionRow, ...] | None:
        rows: list[PositionRow] = []
        for scope in SCOPES:
            question = QueryPositions(category=scope.category, settle_coin=scope.settle_coin)
            found = self._pages(question, lambda page: page.positions)
            if found is None:
                return None
            rows += [row for row in found if row.size > ZERO]
        return tuple(rows)

    def _close(self, row: PositionRow) -> None:
        instrument = self._instrument(row)
        if instrument is None or row.side is None or not self._all_known(row):
            return
        most = max(instrument.max_market_qty - instrument.max_market_qty % instrument.qty_step, instrument.qty_step)
        left = row.size
        for chunk in range(_MAX_CHUNKS):
            if left <= ZERO:
                return
            qty = min(left, most)
            self._send_chunk(row, row.side.opposite, qty, chunk)
            left -= qty

    def _all_known(self, row: PositionRow) -> bool:
        """Whether no chunk of this position is on its way with an outcome that nobody knows."""
        for closing in self._closing.values():
            request = closing.request
            about = (request.category, request.symbol, request.position_idx)
            if closing.known or about != (row.category, row.symbol, row.position_idx):
                continue
            if self._look_up(closing) is None:
                return False
            closing.known = True
        return True

    def _send_chunk(self, row: PositionRow, side: Side, qty: Decimal, chunk: int) -> None:
        first = _link_id(row, chunk, 0)
        closing, attempt = self._closing.get(first), 0
        if closing is not None:
            # The position has not moved since: this chunk ended without a fill, or never came.
            ended = self._look_up(closing)
            if ended is None:
                return
            attempt = closing.attempt + (1 if ended else 0)
        request = _request(row, side, qty, _link_id(row, chunk, attempt), Ms(self._now_ms()))
        self._closing[first] = closing = _Closing(request=request, sent_s=self._now_s(), attempt=attempt)
        self._flattened[request.order_link_id] = None
        closing.known = self._ask(CreateOrder(request=request)).verdict.kind is not VerdictKind.UNKNOWN

    def _look_up(self, closing: _Closing) -> bool | None:
        """
        What became of a chunk.

        Returns:
            True when it ended, so that the next needs another ID; False when the exchange does not have it and cannot
            take it any more; None when nobody can say yet.
        """
        request = closing.request
        question = QueryOrders(
            category=request.category, symbol=request.symbol, order_link_id=request.order_link_id, open_only=False
        )
        found = self._pages(question, lambda page: page.orders)
        if found is None:
            return None
        for order in found:
            return True if order.status.final else None
        return False if self._now_s() - closing.sent_s > self._settle_s else None

    def _instrument(self, row: PositionRow) -> Instrument | None:
        key = (row.category, row.symbol)
        if key not in self._instruments:
            page = self._ask(QueryInstruments(category=row.category, symbol=row.symbol)).result
            if isinstance(page, Page):
                self._instruments.update({(each.category, each.symbol): each for each in page.instruments})
        return self._instruments.get(key)

    # Asking.

    def _rounds(self) -> Iterator[int]:
        """Numbers of the looks, with a pause before each but the first, until the time is over; at least one."""
        pause_s, number = PAUSE_S, 0
        while True:
            yield number
            number += 1
            left_s = self._deadline_s - self._now_s()
            if left_s <= 0 or self._refused:
                return
            self._pause(min(pause_s, left_s))
            pause_s = min(pause_s * 1.5, PAUSE_MAX_S)

    def _pages(
        self, question: QueryOrders | QueryPositions, rows_of: Callable[[Page], tuple[Row, ...]]
    ) -> list[Row] | None:
        """Every row of a list; None where a page failed or has rows that do not read: then nothing is proven."""
        rows: list[Row] = []
        cursor = ""
        for _ in range(_MAX_PAGES):
            page = self._ask(_at(question, cursor)).result
            if not isinstance(page, Page):
                return None
            if page.quarantined:
                self._problems[f"{type(question).__name__}: {page.quarantined[0].why}"] = None
                return None
            rows += rows_of(page)
            if not page.next_cursor or page.next_cursor == cursor:
                return rows
            cursor = page.next_cursor
        return None

    def _ask(self, call: Call) -> Reply:
        reply = self._perform(call)
        kind = reply.verdict.kind
        if kind not in {VerdictKind.ACCEPTED, VerdictKind.GONE}:
            self._problems[f"{type(call).__name__}: {said(reply.verdict)}"] = None
        if kind is VerdictKind.AUTH:
            self._refused = True
        return reply


def _at(question: QueryOrders | QueryPositions, cursor: str) -> QueryOrders | QueryPositions:
    return evolve(question, cursor=cursor)


def _link_id(row: PositionRow, chunk: int, attempt: int) -> OrderLinkId:
    """A pure function of the position as it stands: killing it twice is one order."""
    about = f"{row.category} {row.symbol} {row.position_idx} {row.side} {row.size} {row.seq} {chunk} {attempt}"
    return OrderLinkId("hk-" + b32encode(blake2b(about.encode(), digest_size=20).digest()).decode().lower())


def _request(row: PositionRow, side: Side, qty: Decimal, link_id: OrderLinkId, now_ms: Ms) -> OrderRequest:
>>>>>>> theirs
    return OrderRequest(
        order_link_id=link_id,
        correlation_id=link_id,
        strategy_id="kill",
        signal_id=link_id,
        leg=0,
<<<<<<< ours
        category=position.category,
        symbol=position.symbol,
=======
        category=row.category,
        symbol=row.symbol,
>>>>>>> theirs
        side=side,
        order_type=OrderType.MARKET,
        qty=qty,
        price=None,
        time_in_force=TimeInForce.IOC,
        reduce_only=True,
<<<<<<< ours
        position_idx=position.position_idx,
=======
        position_idx=row.position_idx,
>>>>>>> theirs
        submitted_ms=now_ms,
    )
