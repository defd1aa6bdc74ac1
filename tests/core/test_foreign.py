"""Whose doing an execution is that no order of ours explains."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from attrs import evolve

from hean.core.foreign import Cause, ForeignOrder, cause_of, hedged_by, is_piece, position_idx_of
from hean.core.record import Order
from hean.core.types import (
    Category,
    ExecId,
    ExecType,
    Execution,
    Ms,
    OrderId,
    OrderLinkId,
    OrderRow,
    OrderStatus,
    PositionRow,
    Side,
)
from tests.core.orders import REQUEST


def execution(**changes: Any) -> Execution:
    values: dict[str, Any] = {
        "category": Category.LINEAR,
        "symbol": "BTCUSDT",
        "exec_id": ExecId("e-1"),
        "order_id": OrderId("o-1"),
        "order_link_id": OrderLinkId(""),
        "side": Side.SELL,
        "exec_type": ExecType.TRADE,
        "exec_qty": Decimal("0.1"),
        "exec_price": Decimal(95000),
    }
    return Execution(**values | changes)


def foreign(**changes: Any) -> ForeignOrder:
    values: dict[str, Any] = {
        "order_id": OrderId("o-1"),
        "category": Category.LINEAR,
        "symbol": "BTCUSDT",
        "side": Side.SELL,
        "status": OrderStatus.NEW,
    }
    return ForeignOrder(**values | changes)


@pytest.mark.parametrize(
    "cause, told",
    [
        (Cause.MANUAL, {}),
        (Cause.MANUAL, {"create_type": "CreateByClosing"}),
        (Cause.FUNDING, {"exec_type": ExecType.FUNDING}),
        (Cause.ADL, {"exec_type": ExecType.ADL_TRADE, "create_type": "CreateByAdl_PassThrough"}),
        (Cause.ADL, {"create_type": "CreateByAdl_PassThrough"}),
        (Cause.LIQUIDATION, {"exec_type": ExecType.BUST_TRADE}),
        (Cause.LIQUIDATION, {"create_type": "CreateByLiq"}),
        (Cause.LIQUIDATION, {"create_type": "CreateByTakeOver_PassThrough"}),
        (Cause.SETTLEMENT, {"exec_type": ExecType.SETTLE}),
        (Cause.SETTLEMENT, {"create_type": "CreateBySettle"}),
        (Cause.DELIVERY, {"exec_type": ExecType.DELIVERY}),
    ],
)
def test_cause_is_read_from_the_execution(cause: Cause, told: dict[str, Any]) -> None:
    assert cause is cause_of(execution(**told), None)


def test_cause_is_read_from_the_order_where_the_execution_does_not_say() -> None:
    assert Cause.LIQUIDATION is cause_of(execution(), foreign(create_type="CreateByLiq"))
    assert Cause.CHILD is cause_of(execution(), foreign(parent_order_link_id="p"), ours=True)
    assert Cause.CHILD is cause_of(execution(), None, ours=True)
    assert Cause.MANUAL is cause_of(execution(), foreign())


def test_liquidation_of_a_child_is_a_liquidation() -> None:
    assert Cause.LIQUIDATION is cause_of(
        execution(create_type="CreateByLiq"), foreign(parent_order_link_id="p"), ours=True
    )


def test_what_nobody_here_asked_for_is_forced() -> None:
    forced = {Cause.ADL, Cause.LIQUIDATION, Cause.SETTLEMENT, Cause.DELIVERY}
    assert forced == {cause for cause in Cause if cause.forced}


@pytest.mark.parametrize(
    "idx, side, more",
    [
        (1, Side.BUY, {}),
        (2, Side.SELL, {}),
        (2, Side.BUY, {"closed_size": Decimal("0.1")}),
        (1, Side.SELL, {"closed_size": Decimal("0.1")}),
        (1, Side.SELL, {"exec_type": ExecType.ADL_TRADE}),
        (1, Side.BUY, {"exec_type": ExecType.FUNDING}),
        (2, Side.SELL, {"exec_type": ExecType.FUNDING}),
    ],
)
def test_position_of_a_hedged_symbol_follows_from_side_and_closed_size(
    idx: int, side: Side, more: dict[str, Any]
) -> None:
    assert idx == position_idx_of(execution(side=side, **more), None, hedged=True)


def test_position_of_a_known_order_is_its_own() -> None:
    assert 2 == position_idx_of(execution(side=Side.BUY), foreign(position_idx=2), hedged=True)


def test_position_of_a_one_way_symbol_is_the_only_one() -> None:
    assert 0 == position_idx_of(execution(), None, hedged=False)


def position(idx: int, seq: int, size: str = "0") -> PositionRow:
    return PositionRow(
        category=Category.LINEAR,
        symbol="BTCUSDT",
        position_idx=idx,
        side=Side.BUY if Decimal(size) else None,
        size=Decimal(size),
        avg_price=Decimal(1),
        seq=seq,
    )


def test_position_of_a_hedged_symbol_is_told_by_its_row_where_the_closed_size_is_missing() -> None:
    close = execution(side=Side.SELL, seq=10)
    assert 1 == position_idx_of(close, None, hedged=True, rows=[position(1, 10), position(2, 9)])
    assert 2 == position_idx_of(close, None, hedged=True, rows=[position(1, 11), position(2, 9)])
    funding = execution(side=Side.SELL, seq=10, exec_type=ExecType.FUNDING)
    assert 2 == position_idx_of(funding, None, hedged=True, rows=[position(1, 10)])


@pytest.mark.parametrize(
    "hedged, rows",
    [
        (None, []),
        (None, [position(0, 9, "1")]),
        (False, [position(0, 10)]),
        (True, [position(0, 9, "1"), position(1, 10), position(2, -1)]),
        (True, [position(0, 11), position(2, 12)]),
        (False, [position(1, 11), position(0, 12)]),
    ],
)
def test_how_a_symbol_is_held_is_told_by_rows_at_or_past_the_execution(
    hedged: bool | None, rows: list[PositionRow]
) -> None:
    assert hedged is hedged_by(execution(seq=10), rows)


@pytest.mark.parametrize(
    "hedged, rows",
    [
        (None, [position(0, 99)]),
        (False, [position(0, 1, "1"), position(1, 99)]),
        (True, [position(0, 99), position(2, 1, "1")]),
    ],
)
def test_how_a_symbol_is_held_is_told_to_funding_by_what_is_open(hedged: bool | None, rows: list[PositionRow]) -> None:
    assert hedged is hedged_by(execution(seq=10, exec_type=ExecType.FUNDING), rows)


def test_what_is_remembered_of_a_row_is_what_an_execution_leaves_out() -> None:
    row = OrderRow(
        category=Category.LINEAR,
        symbol="BTCUSDT",
        order_id=OrderId("o-1"),
        order_link_id=OrderLinkId(""),
        side=Side.SELL,
        status=OrderStatus.UNTRIGGERED,
        qty=Decimal(1),
        cum_exec_qty=Decimal(0),
        trigger_price=Decimal(99_000),
        reduce_only=True,
        position_idx=1,
        stop_order_type="TakeProfit",
        create_type="CreateByTakeProfit",
    )
    expected = foreign(
        status=OrderStatus.UNTRIGGERED,
        position_idx=1,
        parent_order_link_id="parent",
        reduce_only=True,
        create_type="CreateByTakeProfit",
        stop_order_type="TakeProfit",
        qty=Decimal(1),
        trigger_price=Decimal(99_000),
        heard_ms=Ms(7),
    )
    assert expected == ForeignOrder.of(row, "parent", Ms(7))


@pytest.mark.parametrize("snapshot", [True, False], ids=["as a snapshot", "as a record"])
@pytest.mark.parametrize(
    "piece, bound, told, wish",
    [
        (True, "o-1", "o-2", {"reduce_only": True}),
        (False, "o-1", "o-1", {"reduce_only": True}),
        (False, "o-1", "", {"reduce_only": True}),
        (False, None, "o-2", {"reduce_only": True}),
        (False, "o-1", "o-2", {}),
        (False, "o-1", "o-2", {"reduce_only": True, "trigger_price": Decimal(90_000), "trigger_direction": 2}),
    ],
)
def test_part_of_a_split_is_another_order_under_a_plain_reduce_only_orders_link_id(
    piece: bool, bound: str | None, told: str, wish: dict[str, Any], snapshot: bool
) -> None:
    ours = evolve(Order.of(evolve(REQUEST, **wish)), order_id=None if bound is None else OrderId(bound))
    assert piece is is_piece(ours.snapshot() if snapshot else ours, told)
