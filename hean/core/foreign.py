"""
What no signal of ours explains: whose doing it is, and what is kept of it.

An execution row carries neither its parent nor its position_idx, so the order row that came before it is remembered.

Source: Bybit V5 docs, enum: execType, createType, stopOrderType; websocket/private/order (parentOrderLinkId).
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from enum import StrEnum
from typing import Final

from attrs import frozen

from hean.core.record import Order
from hean.core.types import (
    ZERO,
    Category,
    ExecType,
    Execution,
    Ms,
    OrderId,
    OrderRequest,
    OrderRow,
    OrderSnapshot,
    OrderStatus,
    PositionRow,
    Side,
)


class Cause(StrEnum):
    """Whose doing an execution is that no tracked order owns."""

    CHILD = "child"  # an order that the exchange made of ours: an attached take-profit or stop-loss, a part of a split
    MANUAL = "manual"  # another hand on this account: the web, another program, a bot of the exchange
    ADL = "adl"
    LIQUIDATION = "liquidation"
    SETTLEMENT = "settlement"
    DELIVERY = "delivery"
    FUNDING = "funding"

    @property
    def forced(self) -> bool:
        """The exchange did it on its own account; nobody who trades here asked for it."""
        return self in _FORCED


_FORCED: Final = frozenset({Cause.ADL, Cause.LIQUIDATION, Cause.SETTLEMENT, Cause.DELIVERY})
_BY_TYPE: Final = {
    ExecType.FUNDING: Cause.FUNDING,
    ExecType.ADL_TRADE: Cause.ADL,
    ExecType.BUST_TRADE: Cause.LIQUIDATION,
    ExecType.SETTLE: Cause.SETTLEMENT,
    ExecType.DELIVERY: Cause.DELIVERY,
}
_BY_CREATE_TYPE: Final = {
    "CreateByLiq": Cause.LIQUIDATION,
    "CreateByTakeOver_PassThrough": Cause.LIQUIDATION,
    "CreateByMmRateClose": Cause.LIQUIDATION,
    "CreateByAdl_PassThrough": Cause.ADL,
    "CreateBySettle": Cause.SETTLEMENT,
}


@frozen(kw_only=True)
class ForeignOrder:
    """
    What is remembered of an order that is not ours.

    Attributes:
        parent_order_link_id: of the order of ours that it was made of; "" for none.
        qty: total, base coin.
        trigger_price: None where it is not conditional.
        heard_ms: our clock when a row of it last came.
    """

    order_id: OrderId
    category: Category
    symbol: str
    side: Side
    status: OrderStatus
    position_idx: int = 0
    parent_order_link_id: str = ""
    reduce_only: bool = False
    create_type: str = ""
    stop_order_type: str = ""
    qty: Decimal = ZERO
    trigger_price: Decimal | None = None
    heard_ms: Ms = Ms(0)

    @classmethod
    def of(cls, row: OrderRow, parent_order_link_id: str, heard_ms: Ms) -> ForeignOrder:
        """The part of a row that outlives it."""
        return cls(
            order_id=row.order_id,
            category=row.category,
            symbol=row.symbol,
            side=row.side,
            status=row.status,
            position_idx=row.position_idx,
            parent_order_link_id=parent_order_link_id,
            reduce_only=row.reduce_only,
            create_type=row.create_type,
            stop_order_type=row.stop_order_type,
            qty=row.qty,
            trigger_price=row.trigger_price,
            heard_ms=heard_ms,
        )


@frozen(kw_only=True)
class ForeignOrders:
    """Those that are remembered over a restart."""

    orders: tuple[ForeignOrder, ...] = ()


def may_split(wish: OrderRequest | OrderSnapshot) -> bool:
    """
    Whether the exchange may make several orders of it, all under its link ID.

    Source: Bybit V5 docs, order/create-order: a reduce-only order above the largest size is split into several; which
    link ID the others carry is not documented. A conditional one may get another order_id when it fires.
    """
    return wish.reduce_only and wish.trigger_price is None


def is_piece(ours: Order | OrderSnapshot, order_id: str) -> bool:
    """
    Whether the exchange's order of that ID, under our link ID, is a part that it split off ours.

    Args:
        ours: of that link ID.
        order_id: of the exchange's order.
    """
    other = bool(order_id) and ours.order_id is not None and ours.order_id != order_id
    return other and may_split(ours.request if isinstance(ours, Order) else ours)


def cause_of(execution: Execution, order: ForeignOrder | None, *, ours: bool = False) -> Cause:
    """
    Whose doing an execution is.

    Args:
        execution: of no tracked order.
        order: what is remembered of its order; None for nothing.
        ours: its order was made of one of ours.
    """
    by_type = _BY_TYPE.get(execution.exec_type)
    if by_type is not None:
        return by_type
    forced = _BY_CREATE_TYPE.get(execution.create_type or (order.create_type if order is not None else ""))
    if forced is not None:
        return forced
    return Cause.CHILD if ours else Cause.MANUAL


def hedged_by(execution: Execution, rows: Iterable[PositionRow]) -> bool | None:
    """
    Whether the symbol of an execution has two positions, one per side, as the exchange's rows tell; None: they do not.

    An account may be switched while it is flat, so a row tells of its own moment alone: one that is at or past the
    execution, or for funding, whose seq is no position's, one that is open.

    Args:
        execution: its row does not say.
        rows: the newest of each position of its symbol.
    """
    moved = execution.exec_type.moves_qty
    telling = [row for row in rows if (row.seq >= execution.seq if moved else row.size > ZERO)]
    newest = max(telling, key=lambda row: row.seq, default=None)
    return None if newest is None else newest.position_idx > 0


def position_idx_of(
    execution: Execution, order: ForeignOrder | None, *, hedged: bool, rows: Iterable[PositionRow] = ()
) -> int:
    """
    Which position an execution moves.

    Args:
        execution: its row does not say.
        order: whose row does; None where it is not known.
        hedged: the symbol has two positions, one per side.
        rows: of these positions; that of the execution's own seq is the one that it moved.
    """
    if order is not None:
        return order.position_idx
    if not hedged:
        return 0
    if execution.exec_type.moves_qty and execution.closed_size is None:
        moved = next((row.position_idx for row in rows if row.position_idx and row.seq == execution.seq), None)
        if moved is not None:
            return moved
    # Funding comes with the side of its position; a close carries the closed size, and is of the other side.
    closes = execution.exec_type.moves_qty and (
        execution.exec_type is not ExecType.TRADE or (execution.closed_size or ZERO) > ZERO
    )
    side = execution.side.opposite if closes else execution.side
    return 1 if side is Side.BUY else 2
