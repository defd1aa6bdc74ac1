"""
Rows of streams and queries as core values.

Deciding fields (identity, status, execution type, side, category, quantities) must be understood; any other may be
missing, empty or hold a value nobody has heard of, and unknown keys are ignored.

Source: Bybit V5 docs, websocket/private/{order,execution,fast-execution,position}, order/{open-order,execution},
position, market/instrument, enum.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import TypeVar

from hean.bybit.codec.fields import CodecError, Row, show
from hean.core.calls import Quarantine
from hean.core.types import (
    Category,
    ExecId,
    ExecType,
    Execution,
    Instrument,
    Ms,
    OrderId,
    OrderLinkId,
    OrderRow,
    OrderStatus,
    PositionRow,
    Side,
)

T = TypeVar("T")


def each(raws: Iterable[object], read: Callable[[object], T]) -> tuple[tuple[T, ...], tuple[Quarantine, ...]]:
    """The rows that read, and the others with the reason: one bad row never loses its neighbours."""
    good: list[T] = []
    bad: list[Quarantine] = []
    for raw in raws:
        try:
            good.append(read(raw))
        except CodecError as error:
            bad.append(Quarantine(why=str(error), raw=show(raw)))
    return tuple(good), tuple(bad)


def order_row(raw: object, category: Category | None = None) -> OrderRow:
    """
    One order of the stream or of a query.

    Args:
        raw: the decoded object.
        category: where it stands beside the list instead of in the row.

    Raises:
        CodecError: a deciding field is missing or not understood.
    """
    row = Row(raw, "order")
    fees = row.row("cumFeeDetail")
    return OrderRow(
        category=category or row.one_of("category", Category),
        symbol=row.name("symbol"),
        order_id=OrderId(row.name("orderId")),
        order_link_id=OrderLinkId(row.text("orderLinkId")),
        side=row.one_of("side", Side),
        status=row.one_of("orderStatus", OrderStatus),
        qty=row.needed("qty"),
        cum_exec_qty=row.amount("cumExecQty"),
        order_type=row.text("orderType"),
        time_in_force=row.text("timeInForce"),
        price=row.price("price"),
        avg_price=row.price("avgPrice"),
        cum_exec_value=row.number("cumExecValue"),
        cum_fees=tuple((coin, fees.number(coin) or Decimal(0)) for coin, _ in fees.items()),
        trigger_price=row.price("triggerPrice"),
        take_profit=row.price("takeProfit"),
        stop_loss=row.price("stopLoss"),
        reduce_only=row.flag("reduceOnly") or False,
        close_on_trigger=row.flag("closeOnTrigger") or False,
        position_idx=row.integer("positionIdx"),
        parent_order_link_id=row.text("parentOrderLinkId"),
        stop_order_type=row.text("stopOrderType"),
        create_type=row.text("createType"),
        cancel_type=row.text("cancelType"),
        reject_reason=row.text("rejectReason"),
        market_unit=row.text("marketUnit"),
        created_ms=Ms(row.integer("createdTime")),
        updated_ms=Ms(row.integer("updatedTime")),
    )


def execution(raw: object, category: Category | None = None, *, fast: bool = False) -> Execution:
    """
    One execution of the stream or of a query.

    Args:
        raw: the decoded object.
        category: where it stands beside the list instead of in the row.
        fast: a row of `execution.fast`, which carries trades only and does not say so.

    Raises:
        CodecError: a deciding field is missing or not understood.
    """
    row = Row(raw, "execution")
    exec_type = ExecType.TRADE if fast and not row.has("execType") else row.one_of("execType", ExecType)
    moves = exec_type is not ExecType.FUNDING
    return Execution(
        category=category or row.one_of("category", Category),
        symbol=row.name("symbol"),
        exec_id=ExecId(row.name("execId")),
        # Only a trade is an order's; settlements may come without one.
        order_id=OrderId(row.name("orderId") if exec_type is ExecType.TRADE else row.text("orderId")),
        order_link_id=OrderLinkId(row.text("orderLinkId")),
        side=row.one_of("side", Side),
        exec_type=exec_type,
        exec_qty=row.positive("execQty") if moves else row.amount("execQty"),
        exec_price=row.needed("execPrice"),
        exec_value=row.number("execValue"),
        exec_fee=row.number("execFee"),
        fee_currency=row.text("feeCurrency"),
        order_qty=row.number("orderQty"),
        leaves_qty=row.number("leavesQty"),
        closed_size=row.number("closedSize"),
        is_maker=row.flag("isMaker"),
        seq=row.integer("seq"),
        exec_ms=Ms(row.integer("execTime")),
        create_type=row.text("createType"),
        stop_order_type=row.text("stopOrderType"),
    )


def position_row(raw: object, category: Category | None = None) -> PositionRow:
    """
    One position of the stream (which says entryPrice) or of a query (avgPrice).

    Raises:
        CodecError: a deciding field is missing or not understood, or side and size contradict each other.
    """
    row = Row(raw, "position")
    size = row.needed("size")
    return PositionRow(
        category=category or row.one_of("category", Category),
        symbol=row.name("symbol"),
        position_idx=row.integer("positionIdx"),
        side=row.one_of("side", Side) if size else None,
        size=size,
        avg_price=row.price("avgPrice" if row.has("avgPrice") else "entryPrice"),
        leverage=row.number("leverage"),
        cum_realised_pnl=row.number("cumRealisedPnl"),
        position_status=row.text("positionStatus"),
        seq=row.integer("seq", -1),
        updated_ms=Ms(row.integer("updatedTime")),
    )


def instrument(raw: object, category: Category | None = None) -> Instrument:
    """
    One instrument; spot names its grid and its limits differently.

    Raises:
        CodecError: a grid or a limit is missing.
    """
    row = Row(raw, "instrument")
    group = category or row.one_of("category", Category)
    spot = group is Category.SPOT
    prices, lots = row.row("priceFilter"), row.row("lotSizeFilter")
    max_qty = lots.positive("maxLimitOrderQty" if spot and lots.has("maxLimitOrderQty") else "maxOrderQty")
    return Instrument(
        category=group,
        symbol=row.name("symbol"),
        base_coin=row.name("baseCoin"),
        quote_coin=row.name("quoteCoin"),
        settle_coin=row.text("settleCoin") or row.name("quoteCoin"),
        tick_size=prices.positive("tickSize"),
        qty_step=lots.positive("basePrecision" if spot else "qtyStep"),
        min_order_qty=lots.amount("minOrderQty"),
        max_order_qty=max_qty,
        # Options name no cap of their own for market orders.
        max_market_qty=lots.number("maxMarketOrderQty" if spot else "maxMktOrderQty") or max_qty,
        min_notional=lots.amount("minOrderAmt" if spot else "minNotionalValue"),
        min_price=prices.price("minPrice"),
        max_price=prices.price("maxPrice"),
        max_leverage=row.row("leverageFilter").price("maxLeverage"),
        trading=row.text("status") == "Trading",
    )
