"""
Conditional orders and attached TP/SL on the bare engine.
"""

from typing import Any

import pytest

from tests.exchange.trader import Trader

BTC = {"category": "linear", "symbol": "BTCUSDT"}
STOP = {"triggerPrice": "94000", "triggerDirection": 2}


@pytest.fixture
def trader() -> Trader:
    trader = Trader(limits="none")
    trader.quotes("95000", "95001")
    trader.listen()
    return trader


def trade(trader: Trader, price: str) -> None:
    trader.control("POST", "market", symbol="BTCUSDT", trade={"price": price, "qty": "0.001"})


def statuses(trader: Trader, link_id: str) -> list[str]:
    return [row["orderStatus"] for row in trader.rows("order") if row["orderLinkId"] == link_id]


def by_kind(trader: Trader) -> dict[str, Any]:
    return {row["stopOrderType"]: row for row in trader.books()["orders"] if row["stopOrderType"] != "UNKNOWN"}


def test_stop_order_waits_fires_and_fills(trader: Trader) -> None:
    trader.market("Buy", "0.01")
    placed = trader.market("Sell", "0.01", reduceOnly=True, orderLinkId="s", **STOP)["result"]["orderId"]
    row = trader.rows("order")[-1]
    assert ("Untriggered", "Stop", "94000", 2, "LastPrice", "0") == tuple(
        row[n] for n in ("orderStatus", "stopOrderType", "triggerPrice", "triggerDirection", "triggerBy", "price")
    )
    trade(trader, "94000.1")
    assert ["Untriggered"] == statuses(trader, "s")
    trade(trader, "94000")
    assert ["Untriggered", "Triggered", "Filled"] == statuses(trader, "s")
    assert (placed, "CreateByStopOrder") == tuple(trader.rows("order")[-1][n] for n in ("orderId", "createType"))
    assert "0" == trader.rows("position")[-1]["size"]


@pytest.mark.parametrize("trigger_by,figure", [("MarkPrice", "mark"), ("IndexPrice", "index"), ("LastPrice", "last")])
def test_the_named_price_triggers(trader: Trader, trigger_by: str, figure: str) -> None:
    trader.limit("Buy", "0.01", "93000", triggerBy=trigger_by, orderLinkId="s", **STOP)
    for name in ("mark", "index", "last"):
        if name != figure:
            trader.control("POST", "market", symbol="BTCUSDT", **{name: "93900"})
    assert ["Untriggered"] == statuses(trader, "s")
    trader.control("POST", "market", symbol="BTCUSDT", **{figure: "93900"})
    assert ["Untriggered", "Triggered", "New"] == statuses(trader, "s")


def test_behaviours_of_triggering(trader: Trader) -> None:
    trader.control(
        "POST", "behaviour", triggered_push=False, trigger_new_order_id=True, trigger_create_type="CreateByUser"
    )
    placed = trader.limit("Buy", "0.01", "93000", orderLinkId="s", **STOP)["result"]["orderId"]
    trade(trader, "94000")
    assert ["Untriggered", "New"] == statuses(trader, "s")
    row = trader.rows("order")[-1]
    assert "CreateByUser" == row["createType"]
    assert placed != row["orderId"]
    assert 1 == len(trader.get("order/realtime", **BTC)["result"]["list"])
    trader.post("order/cancel", **BTC, orderId=row["orderId"])
    assert "Cancelled" == statuses(trader, "s")[-1]


@pytest.mark.parametrize("status", ["Deactivated", "Cancelled"])
def test_cancelled_before_it_fired(trader: Trader, status: str) -> None:
    trader.control("POST", "behaviour", untriggered_cancel=status)
    trader.limit("Buy", "0.01", "93000", orderLinkId="s", **STOP)
    trader.post("order/cancel", **BTC, orderLinkId="s")
    assert ["Untriggered", status] == statuses(trader, "s")
    trade(trader, "94000")
    assert ["Untriggered", status] == statuses(trader, "s")


def test_conditional_orders_bind_nothing_and_can_be_amended(trader: Trader) -> None:
    assert 0 == trader.limit("Buy", "1000", "93000", orderLinkId="s", **STOP)["retCode"]
    trader.post("order/amend", **BTC, orderLinkId="s", triggerPrice="93500", qty="0.01", price="93400")
    row = trader.rows("order")[-1]
    assert ("93500", "0.01", "93400") == tuple(row[n] for n in ("triggerPrice", "qty", "price"))
    trade(trader, "93500")
    assert "New" == statuses(trader, "s")[-1]


def test_a_cascade_settles(trader: Trader) -> None:
    trader.market("Buy", "0.001", orderLinkId="a", triggerPrice="95500", triggerDirection=1)
    trader.market("Buy", "0.001", orderLinkId="b", triggerPrice="96000", triggerDirection=1)
    trader.quotes("95900", "96000", last="95500")
    assert ("Filled", "Filled") == (statuses(trader, "a")[-1], statuses(trader, "b")[-1])


def test_attached_orders_appear_when_the_parent_filled(trader: Trader) -> None:
    trader.market("Buy", "0.01", orderLinkId="p", takeProfit="99000", stopLoss="90000")
    children = by_kind(trader)
    assert {"TakeProfit", "StopLoss"} == children.keys()
    for kind, trigger, direction in (("TakeProfit", "99000", 1), ("StopLoss", "90000", 2)):
        child = children[kind]
        assert ("Untriggered", "Sell", "", "p", trigger, direction, True, f"CreateBy{kind}") == tuple(
            child[n]
            for n in (
                "orderStatus",
                "side",
                "orderLinkId",
                "parentOrderLinkId",
                "triggerPrice",
                "triggerDirection",
                "reduceOnly",
                "createType",
            )
        )
    assert "99000" == trader.get("position/list", **BTC)["result"]["list"][0]["takeProfit"]


def test_the_sibling_goes_when_one_fires(trader: Trader) -> None:
    trader.market("Buy", "0.01", orderLinkId="p", takeProfit="99000", stopLoss="90000")
    trade(trader, "90000")
    children = by_kind(trader)
    assert ("Filled", "CancelByOCOTpCanceledBySlTriggered") == (
        children["StopLoss"]["orderStatus"],
        children["TakeProfit"]["cancelType"],
    )
    assert "0" == trader.books()["positions"][0]["size"]


def test_attached_orders_go_with_the_position(trader: Trader) -> None:
    trader.market("Buy", "0.01", orderLinkId="p", takeProfit="99000", stopLoss="90000")
    trader.market("Sell", "0.01", reduceOnly=True)
    assert {"CancelByTpSlTsClear"} == {child["cancelType"] for child in by_kind(trader).values()}
    assert "0" == trader.get("position/list", **BTC)["result"]["list"][0]["takeProfit"]


def test_partial_mode_with_limit_prices_and_a_derived_id(trader: Trader) -> None:
    trader.control("POST", "behaviour", child_link_id="derived")
    more = {"tpslMode": "Partial", "tpOrderType": "Limit", "tpLimitPrice": "98900"}
    trader.market("Buy", "0.01", orderLinkId="p", takeProfit="99000", **more)
    child = by_kind(trader)["PartialTakeProfit"]
    assert ("Limit", "98900", "p-tp", "Partial") == tuple(
        child[n] for n in ("orderType", "price", "orderLinkId", "tpslMode")
    )
    assert 10001 == trader.market("Buy", "0.01", takeProfit="99000", tpOrderType="Limit")["retCode"]


def test_trading_stop_sets_replaces_and_removes(trader: Trader) -> None:
    stop = BTC | {"tpslMode": "Full", "positionIdx": 0}
    assert 10001 == trader.post("position/trading-stop", **stop, stopLoss="90000")["retCode"]
    trader.market("Buy", "0.01")
    assert 0 == trader.post("position/trading-stop", **stop, stopLoss="90000")["retCode"]
    assert 34040 == trader.post("position/trading-stop", **stop, stopLoss="90000")["retCode"]
    trader.post("position/trading-stop", **stop, stopLoss="91000")
    live = [row for row in trader.books()["orders"] if row["orderStatus"] == "Untriggered"]
    assert ["91000"] == [row["triggerPrice"] for row in live]
    trader.post("position/trading-stop", **stop, stopLoss="0")
    assert "0" == trader.get("position/list", **BTC)["result"]["list"][0]["stopLoss"]
    assert [] == trader.get("order/realtime", **BTC)["result"]["list"]


def test_spot_stop_order_locks_nothing_until_it_fires(trader: Trader) -> None:
    spot = {"category": "spot", "symbol": "BTCUSDT", "side": "Buy", "orderType": "Limit", "qty": "0.01"}
    trader.post("order/create", **spot, price="95900", triggerPrice="96000", orderFilter="StopOrder", orderLinkId="s")
    assert 170213 == trader.post("order/cancel", category="spot", symbol="BTCUSDT", orderLinkId="s")["retCode"]
    trader.control("POST", "market", category="spot", symbol="BTCUSDT", trade={"price": "96000", "qty": "0.001"})
    assert ["Untriggered", "Triggered", "Filled"] == statuses(trader, "s")
