"""
The queries that page: open and closed orders, executions, closed PnL, the transaction log.

Source: Bybit V5 docs, order/open-order, order/order-list, order/execution, position/close-pnl,
account/transaction-log. Newest first; a cursor names the last row shown, so rows that arrive later do not shift pages.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import islice

from tests.exchange.accounts import Account
from tests.exchange.calls import Answer, Call
from tests.exchange.executions import RETENTION_MS, Execution
from tests.exchange.faults import Fault
from tests.exchange.orders import Order
from tests.exchange.surprises import surprise
from tests.exchange.trading import order_filter
from tests.exchange.validation import category_of
from tests.exchange.venue import Venue
from tests.exchange.wire import Json, Refusal, money, plain, rounded

DAY_MS = 24 * 3600 * 1000
WEEK_MS = 7 * DAY_MS
LAG_MS = 10_000
# Executions are kept in the order in which they happened; a clock that a fault sets back makes some seem older than
# those before them.
SET_BACK_MS = 60_000
TOKEN = re.compile(r"page_token(?:=|%3D|%253D)(\d+)", re.IGNORECASE)


def page_size(params: Json, default: int, most: int) -> int:
    """
    The limit parameter, within its bounds.

    Raises:
        Refusal: 10001, no number.
    """
    text = str(params.get("limit") or default)
    if not text.isdigit():
        raise Refusal(10001, "params error: limit invalid")
    return max(1, min(most, int(text)))


def page_token(params: Json) -> int | None:
    """
    The position a cursor names; it may come back encoded once or twice.

    Raises:
        Refusal: 10001, not a cursor of ours.
    """
    cursor = str(params.get("cursor") or "")
    if not cursor:
        return None
    found = TOKEN.search(cursor)
    if found is None:
        raise Refusal(10001, "params error: cursor invalid")
    return int(found.group(1))


def time_window(params: Json, clock_ms: int, default_ms: int = WEEK_MS) -> tuple[int, int]:
    """
    startTime and endTime, filled in as documented; a span is at most 7 days.

    Raises:
        Refusal: 10001, no numbers, reversed, or too long.
    """
    edges: list[int | None] = []
    for name in ("startTime", "endTime"):
        text = str(params.get(name) or "")
        if text and not text.isdigit():
            raise Refusal(10001, f"params error: {name} invalid")
        edges.append(int(text) if text else None)
    start, end = edges
    if start is None and end is None:
        return clock_ms - default_ms, clock_ms + DAY_MS
    if start is None:
        assert end is not None
        return end - WEEK_MS, end
    if end is None:
        return start, start + WEEK_MS
    if end < start or end - start > WEEK_MS:
        raise Refusal(10001, "The time range between startTime and endTime cannot exceed 7 days")
    return start, end


class Queries:
    """
    Handlers that only read, and that faults make lie by omission.
    """

    def __init__(self, venue: Venue) -> None:
        self._venue = venue

    def realtime(self, call: Call) -> Answer:
        """
        GET order/realtime.
        """
        call.account.counters["queries_received"] += 1
        category = category_of(call.params)
        params, account = call.params, call.account
        by_id = bool(params.get("orderId") or params.get("orderLinkId"))
        if category == "linear" and not (by_id or any(params.get(n) for n in ("symbol", "baseCoin", "settleCoin"))):
            raise Refusal(10001, "params error: symbol, baseCoin or settleCoin is required")
        if self._venue.faults.armed("realtime_cleared") and self._venue.faults.fire("realtime_cleared", call.facts):
            account.closed.clear()
        lag = self._lag(call, "realtime_lag")
        shown_closed = account.closed.get(category, {})
        if by_id:
            order = account.find(str(params.get("orderId") or ""), str(params.get("orderLinkId") or ""))
            visible = order is not None and (not order.is_final or order.order_id in shown_closed)
            orders: Iterable[Order] = [order] if order is not None and visible else []
        elif str(params.get("openOnly") or "0") == "0":
            orders = reversed(account.open_orders.values())
            if lag is not None:
                both = [*account.open_orders.values(), *shown_closed.values()]
                orders = sorted(both, key=lambda order: order.serial, reverse=True)
        else:
            orders = sorted(shown_closed.values(), key=lambda order: order.serial, reverse=True)
        wants_closed = str(params.get("openOnly") or "0") != "0"
        if lag is not None:
            past = (order.as_of(self._venue.clock_ms - lag) for order in orders)
            orders = [o for o in past if o is not None and (by_id or o.is_final is wants_closed)]
        return self._order_page(call, category, orders, history=False)

    def history(self, call: Call) -> Answer:
        """
        GET order/history.
        """
        call.account.counters["queries_received"] += 1
        category = category_of(call.params)
        params = call.params
        age_ms = self._venue.behaviour.count("retention_age_ms")
        clock_ms = self._venue.clock_ms + age_ms
        lag = self._lag(call, "history_lag")
        by_id = bool(params.get("orderId") or params.get("orderLinkId"))
        if by_id:
            order = call.account.find(str(params.get("orderId") or ""), str(params.get("orderLinkId") or ""))
            orders: Iterable[Order] = [order] if order is not None else []
        else:
            start, end = time_window(params, clock_ms)
            orders = (o for o in reversed(call.account.orders.values()) if start <= o.created_ms <= end)
        if lag is not None:
            past = (order.as_of(self._venue.clock_ms - lag) for order in orders)
            orders = (order for order in past if order is not None)
        status = str(params.get("orderStatus") or "")
        kept = (o for o in orders if o.is_final and o.kept_at(clock_ms) and (not status or o.status == status))
        return self._order_page(call, category, kept, history=True)

    def _order_page(self, call: Call, category: str, orders: Iterable[Order], *, history: bool) -> Answer:
        params, token = call.params, page_token(call.params)
        size = page_size(params, 20, 50)
        names = [str(params.get(name) or "") for name in ("symbol", "baseCoin", "settleCoin", "orderFilter")]
        by_id = bool(params.get("orderId") or params.get("orderLinkId"))
        matching = (
            order
            for order in orders
            if order.category == category
            and (token is None or order.serial < token)
            and (by_id or self._matches(order, *names))
        )
        page = list(islice(matching, size))
        behaviour = self._venue.behaviour
        leaves, padded = behaviour.word("final_leaves"), behaviour.on("padded_numbers")
        rows = [order.rest_row(leaves, history=history, padded=padded) for order in page]
        return self._page(call, category, "order", rows=rows, tokens=[order.serial for order in page], size=size)

    @staticmethod
    def _matches(order: Order, symbol: str, base: str, settle: str, kind: str) -> bool:
        instrument = order.instrument
        if symbol:
            if instrument.symbol != symbol:
                return False
        elif base:
            if instrument.base_coin != base:
                return False
        elif settle and instrument.settle_coin != settle:
            return False
        return not kind or order_filter(order) == kind

    def executions(self, call: Call) -> Answer:
        """
        GET execution/list.
        """
        call.account.counters["queries_received"] += 1
        category = category_of(call.params)
        params = call.params
        clock_ms = self._venue.clock_ms + self._venue.behaviour.count("retention_age_ms")
        size = page_size(params, 50, 100)
        lag = self._lag(call, "history_lag")
        newest = clock_ms if lag is None else self._venue.clock_ms - lag
        by_id = bool(params.get("orderId") or params.get("orderLinkId"))
        found = (
            (index, e)
            for index, e in self._candidates(call, clock_ms, by_id=by_id)
            if e.instrument.category == category
            and e.exec_ms <= newest
            and clock_ms - e.exec_ms <= RETENTION_MS
            and (by_id or self._fits(e, params))
        )
        token = page_token(params)
        page = list(islice(((i, e) for i, e in found if token is None or i < token), size))
        rows = [execution.rest_row() for _, execution in page]
        return self._page(call, category, "execution", rows=rows, tokens=[index for index, _ in page], size=size)

    def _candidates(self, call: Call, clock_ms: int, *, by_id: bool) -> Iterator[tuple[int, Execution]]:
        account, params = call.account, call.params
        if by_id:
            order_id, link_id = str(params.get("orderId") or ""), str(params.get("orderLinkId") or "")
            order = account.find(order_id, link_id)
            rows = order.executions if order is not None else []
            if order is None and order_id:
                rows = [execution for execution in account.executions if execution.order_id == order_id]
            yield from zip(range(len(rows) - 1, -1, -1), reversed(rows), strict=True)
            return
        start, end = time_window(params, clock_ms)
        for index in range(len(account.executions) - 1, -1, -1):
            execution = account.executions[index]
            if execution.exec_ms < start - SET_BACK_MS:
                return
            if start <= execution.exec_ms <= end:
                yield index, execution

    @staticmethod
    def _fits(execution: Execution, params: Json) -> bool:
        symbol, settle, exec_type = (str(params.get(name) or "") for name in ("symbol", "settleCoin", "execType"))
        if symbol and execution.instrument.symbol != symbol:
            return False
        if not symbol and settle and execution.instrument.settle_coin != settle:
            return False
        return not exec_type or execution.exec_type == exec_type

    def closed_pnl(self, call: Call) -> Answer:
        """
        GET position/closed-pnl: one row per order that closed something.
        """
        category = category_of(call.params)
        symbol = str(call.params.get("symbol") or "")
        start, end = time_window(call.params, self._venue.clock_ms)
        token, size = page_token(call.params), page_size(call.params, 50, 100)
        found = (
            order
            for order in reversed(call.account.orders.values())
            if order.closed_qty
            and order.category == category
            and (not symbol or order.symbol == symbol)
            and start <= order.updated_ms <= end
            and (token is None or order.serial < token)
        )
        page = list(islice(found, size))
        rows = [self._closed_row(call.account, order) for order in page]
        return self._page(call, category, "closed-pnl", rows=rows, tokens=[order.serial for order in page], size=size)

    @staticmethod
    def _closed_row(account: Account, order: Order) -> Json:
        price_of = order.instrument.price_of
        return {
            "symbol": order.symbol,
            "orderType": order.order_type,
            "leverage": plain(account.leverage(order.category, order.symbol)),
            "updatedTime": str(order.updated_ms),
            "side": order.side,
            "orderId": order.order_id,
            "closedPnl": money(order.closed_pnl),
            "avgEntryPrice": rounded(price_of(order.closed_entry_value, order.closed_qty)),
            "qty": plain(order.qty),
            "cumEntryValue": money(order.closed_entry_value),
            "createdTime": str(order.created_ms),
            "orderPrice": plain(order.price),
            "closedSize": plain(order.closed_qty),
            "avgExitPrice": rounded(price_of(order.closed_exit_value, order.closed_qty)),
            "execType": "Trade",
            "fillCount": str(len(order.executions)),
            "cumExitValue": money(order.closed_exit_value),
            "openFee": money(order.closed_open_fee),
            "closeFee": money(order.closed_close_fee),
        }

    def transaction_log(self, call: Call) -> Answer:
        """
        GET account/transaction-log: trades and funding of one day by default.
        """
        category = str(call.params.get("category") or "")
        kind = str(call.params.get("type") or "")
        start, end = time_window(call.params, self._venue.clock_ms, DAY_MS)
        token, size = page_token(call.params), page_size(call.params, 20, 50)
        executions = call.account.executions
        found = (
            (index, executions[index])
            for index in range(len(executions) - 1, -1, -1)
            if start <= executions[index].exec_ms <= end
            and (not category or executions[index].instrument.category == category)
            and (not kind or kind == ("SETTLEMENT" if executions[index].exec_type == "Funding" else "TRADE"))
            and (token is None or index < token)
        )
        page = list(islice(found, size))
        rows = [self._log_row(execution) for _, execution in page]
        return self._page(call, "", "log", rows=rows, tokens=[index for index, _ in page], size=size)

    @staticmethod
    def _log_row(execution: Execution) -> Json:
        funding = execution.exec_type == "Funding"
        return {
            "transSubType": "",
            "id": execution.exec_id,
            "symbol": execution.symbol,
            "side": execution.side,
            # The sign is opposite to the execution's fee: negative is paid.
            "funding": money(-execution.fee) if funding else "",
            "orderLinkId": execution.order_link_id,
            "orderId": execution.order_id,
            "fee": "0" if funding else money(execution.fee),
            "change": money(execution.change),
            "cashFlow": money(execution.pnl),
            "transactionTime": str(execution.exec_ms),
            "type": "SETTLEMENT" if funding else "TRADE",
            "feeRate": plain(execution.fee_rate),
            "bonusChange": "",
            "size": plain(execution.qty),
            "qty": plain(execution.qty),
            "cashBalance": money(execution.balance),
            "currency": execution.instrument.settle_coin,
            "category": execution.instrument.category,
            "tradePrice": plain(execution.price),
            "tradeId": execution.exec_id,
            "extraFees": "",
        }

    def _lag(self, call: Call, name: str) -> int | None:
        fault: Fault | None = self._venue.faults.fire(name, call.facts) if self._venue.faults.armed(name) else None
        return None if fault is None else int(fault.args.get("ms", LAG_MS))

    def _page(self, call: Call, category: str, topic: str, *, rows: list[Json], tokens: list[int], size: int) -> Answer:
        faults = self._venue.faults
        # As at Bybit, a full last page still carries a cursor; the page behind it is empty.
        cursor = f"page_token%3D{tokens[-1]}%26" if len(tokens) == size else ""
        if faults.any_armed():
            short = faults.fire("partial_page", call.facts)
            if short is not None:
                rows, cursor = rows[: int(short.args.get("rows", len(rows) // 2))], ""
            for name in ("unknown_enum", "missing_key", "empty_numbers"):
                surprise(faults.fire(name, call.facts, needs="endpoint"), topic, rows)
        result: Json = {"list": rows, "nextPageCursor": cursor}
        if category:
            result["category"] = category
        call.log.executed = True
        return Answer(result)
