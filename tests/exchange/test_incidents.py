"""
Faults that change an order, and things no order of ours explains.
"""

from decimal import Decimal

import pytest

from tests.exchange.faults import AT_ONCE
from tests.exchange.trader import Trader

BTC = {"category": "linear", "symbol": "BTCUSDT"}


@pytest.fixture
def trader() -> Trader:
    trader = Trader(limits="none")
    trader.quotes("95000", "95001")
    trader.listen()
    return trader


# Orders


@pytest.mark.parametrize("executed_qty", ["0", "0.004"])
def test_reject_after_ack(trader: Trader, executed_qty: str) -> None:
    trader.fault("reject_after_ack", args={"executed_qty": executed_qty})
    assert 0 == trader.market("Buy", "0.01")["retCode"]
    row = trader.rows("order")[-1]
    assert ("Rejected", executed_qty) == (row["orderStatus"], row["cumExecQty"])
    assert executed_qty == trader.books()["orders"][0]["cumExecQty"]


def test_late_fill_after_cancelled(trader: Trader) -> None:
    trader.limit("Buy", "0.010", "94000", orderLinkId="a")
    trader.fault("late_fill", match={"orderLinkId": "a"}, args={"qty": "0.004", "ms": 200})
    trader.post("order/cancel", **BTC, orderLinkId="a")
    assert ("Cancelled", "0") == tuple(trader.rows("order")[-1][n] for n in ("orderStatus", "cumExecQty"))
    assert [] == trader.rows("execution")
    trader.advance(200)
    assert ["0.004"] == [row["execQty"] for row in trader.rows("execution")]
    order = trader.books()["orders"][0]
    assert ("Cancelled", "0.004") == (order["orderStatus"], order["cumExecQty"])
    assert "0.004" == trader.books()["positions"][0]["size"]


@pytest.mark.parametrize("resting", [True, False])
def test_overfill(trader: Trader, *, resting: bool) -> None:
    trader.fault("overfill", args={"qty": "0.002"})
    trader.limit("Buy", "0.010", "94000" if resting else "95001")
    trader.quotes("93000", "93001")
    row = trader.rows("order")[-1]
    assert ("Filled", "0.01", "0.012") == (row["orderStatus"], row["qty"], row["cumExecQty"])


def test_double_filled_is_a_cancel_that_lost(trader: Trader) -> None:
    trader.limit("Buy", "0.010", "94000", orderLinkId="a")
    trader.frames.clear()
    trader.fault("double_filled")
    assert 0 == trader.post("order/cancel", **BTC, orderLinkId="a")["retCode"]
    assert [("Filled", "UNKNOWN", "EC_NoError"), ("Filled", "CancelByUser", "EC_OrigClOrdIDDoesNotExist")] == [
        (row["orderStatus"], row["cancelType"], row["rejectReason"]) for row in trader.rows("order")
    ]
    assert 1 == len(trader.rows("execution"))


def test_shrink_reduce_only_rewrites_the_quantity(trader: Trader) -> None:
    trader.market("Buy", "0.010")
    trader.fault("shrink_reduce_only", args={"qty": "0.004"})
    trader.limit("Sell", "0.010", "96000", reduceOnly=True, orderLinkId="a")
    assert "0.004" == trader.rows("order")[-1]["qty"]


def test_split_reduce_only_brings_orders_without_our_id(trader: Trader) -> None:
    trader.market("Buy", "0.010")
    trader.frames.clear()
    trader.fault("split_reduce_only", args={"parts": 3})
    trader.market("Sell", "0.010", reduceOnly=True, orderLinkId="a")
    assert [("a", "0.003"), ("", "0.003"), ("", "0.004")] == [
        (row["orderLinkId"], row["cumExecQty"]) for row in trader.rows("order")
    ]
    assert "0" == trader.rows("position")[-1]["size"]


def test_move_price_to_band(trader: Trader) -> None:
    trader.fault("move_price_to_band", args={"price": "94000.5"})
    trader.limit("Buy", "0.010", "94500")
    assert "94000.5" == trader.rows("order")[-1]["price"]


# Things no order of ours explains


@pytest.mark.parametrize("name", sorted(set(AT_ONCE) - {"foreign_order", "cut_private", "cut_trade"}))
def test_nothing_happens_to_a_flat_account(trader: Trader, name: str) -> None:
    trader.fault(name, args={"symbol": "BTCUSDT"})
    assert ([], 0) == (trader.frames, trader.fired())


def test_foreign_order_and_manual_close(trader: Trader) -> None:
    trader.fault("foreign_order", args={"symbol": "BTCUSDT", "side": "Sell", "qty": "0.02"})
    trader.fault("foreign_order", args={"symbol": "BTCUSDT", "side": "Buy", "qty": "0.01", "price": "90000"})
    trader.fault("manual_close", args={"symbol": "BTCUSDT"})
    assert [("", "CreateByUser"), ("", "CreateByUser"), ("", "CreateByClosing")] == [
        (row["orderLinkId"], row["createType"]) for row in trader.rows("order")
    ]
    assert ("", "0") == tuple(trader.rows("position")[-1][name] for name in ("side", "size"))
    assert 3 == trader.fired()


def test_funding_moves_cash_and_looks_like_a_fill(trader: Trader) -> None:
    trader.market("Buy", "0.01")
    trader.frames.clear()
    before = Decimal(trader.books()["wallet"]["USDT"])
    trader.fault("funding", args={"symbol": "BTCUSDT", "rate": "0.001"})
    (row,) = trader.rows("execution")
    assert ("Funding", "0.01", "0", "UNKNOWN", "", "0.950005") == tuple(
        row[n] for n in ("execType", "execQty", "orderQty", "orderType", "orderLinkId", "execFee")
    )
    assert "order" not in trader.topics()
    assert "0.01" == trader.books()["positions"][0]["size"]
    assert before - Decimal("0.950005") == Decimal(trader.books()["wallet"]["USDT"])
    funded = trader.get("execution/list", category="linear", execType="Funding")["result"]["list"]
    assert [row["execId"]] == [execution["execId"] for execution in funded]


@pytest.mark.parametrize(
    "name,exec_type,create_type,cancel_type",
    [
        ("adl", "AdlTrade", "CreateByAdl_PassThrough", "CancelAllBeforeAdl"),
        ("settle", "Delivery", "CreateBySettle", "CancelBySettle"),
        ("liquidation", "Trade", "CreateByLiq", "CancelAllBeforeLiq"),
    ],
)
def test_the_exchange_takes_the_position(
    trader: Trader, name: str, exec_type: str, *, create_type: str, cancel_type: str
) -> None:
    trader.market("Buy", "0.01")
    trader.limit("Buy", "0.01", "94000")
    trader.frames.clear()
    trader.fault(name, args={"symbol": "BTCUSDT"})
    row = trader.rows("execution")[-1]
    assert (exec_type, create_type, "0.01", "") == tuple(
        row[n] for n in ("execType", "createType", "closedSize", "orderLinkId")
    )
    assert cancel_type == trader.rows("order")[0]["cancelType"]
    assert "0" == trader.books()["positions"][0]["size"]
    statuses = [row["positionStatus"] for row in trader.rows("position")]
    assert ("Liq" in statuses) is (name == "liquidation")


def test_liquidation_taken_over_is_a_bust_trade(trader: Trader) -> None:
    trader.market("Buy", "0.01")
    trader.fault("liquidation", args={"symbol": "BTCUSDT", "take_over": True, "price": "90000"})
    assert "BustTrade" == trader.rows("execution")[-1]["execType"]
