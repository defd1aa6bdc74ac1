"""
The kill: cancel everything, see that nothing is open, and, where it is wished for, get flat.

It needs a client that performs calls and nothing else: no actor, no journal, no stream. So it works beside a router
that hangs, and after one that is gone. Its order: cancel first and ask later; look until nothing is open; look once
more when no request that was on its way can be taken any more.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Final, Protocol

from attrs import evolve, frozen

from hean.core.calls import (
    Call,
    CancelAll,
    Cancelled,
    CreateOrder,
    Page,
    QueryInstruments,
    QueryOrders,
    QueryPositions,
    Reply,
    VerdictKind,
)
from hean.core.replies import said
from hean.core.types import (
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


@frozen(kw_only=True)
class KillReport:
    """
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
        tell: how far it is, in words.
    """

    def __init__(
        self,
        client: Client,
        *,
        now_ms: Callable[[], Ms],
        pause: Callable[[float], object],
        late_s: float,
        timeout_s: float = 60.0,
        tell: Callable[[str], object] = lambda _: None,
    ) -> None:
        self._client = client
        self._tell = tell
        self._now_ms = now_ms
        self._pause = pause
        self._late_s = late_s
        self._timeout_s = timeout_s
        self._began_ms = now_ms()
        self._banned = False
        self._refused = self._taken = False
        self._cancelled: dict[OrderId, None] = {}
        self._flattened: list[OrderLinkId] = []
        self._notes: dict[str, None] = {}

    def run(self, *, flatten: bool) -> KillReport:
        """Cancel, look, flatten, look again; returns by the time-out at the latest, give or take one call."""
        orders, positions, problems = self._clear(flatten=flatten, since_ms=self._began_ms)
        left_s = self._late_s - (self._now_ms() - self._began_ms) / 1000
        if left_s > 0 and not (self._over or self._vain):
            self._tell(f"waiting {left_s:.1f} s until no request that was under way can be taken any more")
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

    @property
    def _vain(self) -> bool:
        """The key or the account was refused, whatever was asked: no patience helps."""
        return self._refused and not self._taken

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
            if self._over or self._vain:
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
        self._tell(f"{type(call).__name__} {getattr(call, 'category', '')}; {len(self._cancelled)} cancelled")
        reply = self._client.perform(call, timeout_s=_CALL_S)
        verdict = reply.verdict
        if verdict.kind is VerdictKind.ACCEPTED:
            self._taken = True
            return reply.result
        self._refused = self._refused or verdict.hopeless
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
    return OrderRequest(
        order_link_id=link_id,
        correlation_id=link_id,
        strategy_id="kill",
        signal_id=link_id,
        leg=0,
        category=position.category,
        symbol=position.symbol,
        side=side,
        order_type=OrderType.MARKET,
        qty=qty,
        price=None,
        time_in_force=TimeInForce.IOC,
        reduce_only=True,
        position_idx=position.position_idx,
        submitted_ms=now_ms,
    )
