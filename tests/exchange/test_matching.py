"""
Orders, fills, positions and money on the bare engine, to the last digit.
"""

from decimal import Decimal
from typing import Any

import pytest

from tests.exchange.trader import Trader


@pytest.fixture
def trader() -> Trader:
    trader = Trader(limits="none")
    trader.quotes("95000", "95001")
    trader.listen()
    return trader


def last(rows: list[dict[str, Any]], *names: str) -> tuple[Any, ...]:
    return tuple(rows[-1][name] for name in names)


def locked_usdt(trader: Trader) -> str:
    wallet = trader.get("account/wallet-balance", accountType="UNIFIED")["result"]["list"][0]
    return str(next(coin["locked"] for coin in wallet["coin"] if coin["coin"] == "USDT"))


def test_resting_limit_is_new_and_binds_margin(trader: Trader) -> None:
    reply = trader.limit("Buy", "0.010", "94000", orderLinkId="a")
    assert (0, "a") == (reply["retCode"], reply["result"]["orderLinkId"])
    assert ["order", "position"] == trader.topics()
    assert ("New", "0.01", "0.01", "940", "") == last(
        trader.rows("order"), "orderStatus", "qty", "leavesQty", "leavesValue", "avgPrice"
    )
    wallet = trader.get("account/wallet-balance", accountType="UNIFIED")["result"]["list"][0]
    assert "94" == wallet["coin"][0]["totalOrderIM"]


def test_market_order_walks_and_pays_taker_fees(trader: Trader) -> None:
    trader.market("Buy", "0.01", orderLinkId="a")
    assert ["execution", "order", "position", "wallet"] == trader.topics()
    assert ("95001", "0.01", "950.01", "0.5225055", "0.00055", False) == last(
        trader.rows("execution"), "execPrice", "execQty", "execValue", "execFee", "feeRate", "isMaker"
    )
    assert ("Filled", "IOC", "0", "0.01") == last(
        trader.rows("order"), "orderStatus", "timeInForce", "leavesQty", "cumExecQty"
    )
    assert ("Buy", "0.01", "95001", "-0.5225055") == last(
        trader.rows("position"), "side", "size", "entryPrice", "cumRealisedPnl"
    )
    assert "999999.4774945" == trader.books()["wallet"]["USDT"]


def test_resting_order_fills_in_parts_as_a_maker(trader: Trader) -> None:
    trader.limit("Buy", "0.010", "94000", orderLinkId="a")
    trader.frames.clear()
    for qty in ("0.003", "0.004", "0.003"):
        trader.control("POST", "market", symbol="BTCUSDT", trade={"price": "94000", "qty": qty})
    assert ["PartiallyFilled", "PartiallyFilled", "Filled"] == [r["orderStatus"] for r in trader.rows("order")]
    assert ["0.003", "0.007", "0.01"] == [row["cumExecQty"] for row in trader.rows("order")]
    assert ["0.007", "0.003", "0"] == [row["leavesQty"] for row in trader.rows("execution")]
    assert {"0.0002"} == {row["feeRate"] for row in trader.rows("execution")}
    assert ["execution", "order", "position", "wallet"] * 3 == trader.topics()
    seqs = [row["seq"] for row in trader.rows("execution")]
    assert seqs == sorted(set(seqs))


def test_price_moving_through_fills_at_the_orders_price_until_size_runs_out(trader: Trader) -> None:
    trader.limit("Buy", "0.010", "94000", orderLinkId="a")
    trader.quotes("93000", "93500", "0.004")
    assert ("94000", "0.004") == last(trader.rows("execution"), "execPrice", "execQty")
    assert "PartiallyFilled" == trader.rows("order")[-1]["orderStatus"]


def test_several_levels_give_several_fills_in_one_frame(trader: Trader) -> None:
    other = Trader(trader.engine, api_key="other", api_secret="s")
    other.control("POST", "accounts", api_key="other", api_secret="s")
    other.limit("Sell", "0.002", "95000.5")
    trader.market("Buy", "0.005")
    assert ["execution", "order", "position", "wallet"] == trader.topics()
    assert [("95000.5", "0.002", "0.003"), ("95001", "0.003", "0")] == [
        (row["execPrice"], row["execQty"], row["leavesQty"]) for row in trader.rows("execution")
    ]
    assert 1 == len({row["seq"] for row in trader.rows("execution")})
    assert ["Filled"] == [order["orderStatus"] for order in other.books()["orders"]]


def test_closing_realises_pnl_with_both_fees(trader: Trader) -> None:
    trader.market("Buy", "0.010")
    trader.quotes("96000", "96001")
    trader.frames.clear()
    trader.market("Sell", "0.010", reduceOnly=True)
    pnl = Decimal("960.00") - Decimal("950.01")
    fees = Decimal("0.5225055") + Decimal("0.528")
    assert (str(pnl), "0.01") == last(trader.rows("execution"), "execPnl", "closedSize")
    assert str(pnl - fees) == trader.rows("order")[-1]["closedPnl"]
    assert ("", "0", str(pnl - fees)) == last(trader.rows("position"), "side", "size", "cumRealisedPnl")
    closed = trader.get("position/closed-pnl", category="linear")["result"]["list"][0]
    assert (str(pnl - fees), "95001", "96000") == (closed["closedPnl"], closed["avgEntryPrice"], closed["avgExitPrice"])
    assert Decimal(1_000_000) + pnl - fees == Decimal(trader.books()["wallet"]["USDT"])


def test_flip_through_zero_closes_and_opens(trader: Trader) -> None:
    trader.market("Buy", "0.010")
    trader.market("Sell", "0.015")
    assert ("Sell", "0.005", "95000") == last(trader.rows("position"), "side", "size", "entryPrice")
    assert ("0.015", "0.01", "-0.01") == last(trader.rows("execution"), "execQty", "closedSize", "execPnl")


@pytest.mark.parametrize(
    "time_in_force,qty,status,reason,filled",
    [
        ("IOC", "0.010", "Cancelled", "EC_CancelForNoFullFill", "0.004"),
        ("FOK", "0.010", "Cancelled", "EC_NoEnoughQtyToFill", "0"),
        ("FOK", "0.004", "Filled", "EC_NoError", "0.004"),
        ("PostOnly", "0.010", "Cancelled", "EC_PostOnlyWillTakeLiquidity", "0"),
        ("GTC", "0.010", "PartiallyFilled", "EC_NoError", "0.004"),
    ],
)
def test_time_in_force(trader: Trader, time_in_force: str, qty: str, *, status: str, reason: str, filled: str) -> None:
    trader.quotes("95000", "95001", "0.004")
    assert 0 == trader.limit("Buy", qty, "95001", timeInForce=time_in_force)["retCode"]
    assert [(status, reason, filled)] == [
        (row["orderStatus"], row["rejectReason"], row["cumExecQty"]) for row in trader.rows("order")
    ]


def test_market_order_without_liquidity_is_cancelled(trader: Trader) -> None:
    trader.control("POST", "market", symbol="BTCUSDT", ask_qty="0")
    assert 0 == trader.market("Buy", "0.01")["retCode"]
    assert ("Cancelled", "EC_NoImmediateQtyToFill", "0") == last(
        trader.rows("order"), "orderStatus", "rejectReason", "cumExecQty"
    )


@pytest.mark.parametrize("policy,code", [("110118", 110118), ("10001", 10001)])
def test_market_order_without_liquidity_may_be_refused(trader: Trader, policy: str, code: int) -> None:
    trader.control("POST", "behaviour", market_no_liquidity=policy)
    trader.control("POST", "market", symbol="BTCUSDT", ask_qty="0")
    assert code == trader.market("Buy", "0.01")["retCode"]
    assert [] == trader.books()["orders"]


def test_market_order_stops_at_its_slippage_tolerance(trader: Trader) -> None:
    other = Trader(trader.engine, api_key="other", api_secret="s")
    other.control("POST", "accounts", api_key="other", api_secret="s")
    other.limit("Sell", "1", "95002")
    trader.quotes("95000", "95001", "0.004")
    trader.market("Buy", "0.010", slippageToleranceType="TickSize", slippageTolerance="5")
    assert ("Cancelled", "0.004", "95001.5") == last(trader.rows("order"), "orderStatus", "cumExecQty", "price")
    assert 110108 == trader.market("Buy", "0.01", slippageToleranceType="TickSize", slippageTolerance="0")["retCode"]


def test_cancel_is_acknowledged_and_then_shown(trader: Trader) -> None:
    order_id = trader.limit("Buy", "0.010", "94000", orderLinkId="a")["result"]["orderId"]
    trader.frames.clear()
    reply = trader.post("order/cancel", category="linear", symbol="BTCUSDT", orderLinkId="a")
    assert {"orderId": order_id, "orderLinkId": "a"} == reply["result"]
    assert ("Cancelled", "CancelByUser", "EC_PerCancelRequest", "0") == last(
        trader.rows("order"), "orderStatus", "cancelType", "rejectReason", "leavesQty"
    )
    again = trader.post("order/cancel", category="linear", symbol="BTCUSDT", orderLinkId="a")
    assert (110001, "order not exists or too late to cancel") == (again["retCode"], again["retMsg"])


def test_cancelled_after_a_partial_fill_keeps_the_fill(trader: Trader) -> None:
    trader.limit("Buy", "0.010", "94000", orderLinkId="a")
    trader.control("POST", "market", symbol="BTCUSDT", trade={"price": "94000", "qty": "0.003"})
    trader.post("order/cancel", category="linear", symbol="BTCUSDT", orderLinkId="a")
    assert ("Cancelled", "0.003", "0") == last(trader.rows("order"), "orderStatus", "cumExecQty", "leavesQty")


def test_amend_takes_the_total_quantity_and_keeps_the_status(trader: Trader) -> None:
    trader.limit("Buy", "0.010", "94000", orderLinkId="a")
    trader.control("POST", "market", symbol="BTCUSDT", trade={"price": "94000", "qty": "0.003"})
    amend = {"category": "linear", "symbol": "BTCUSDT", "orderLinkId": "a"}
    assert 0 == trader.post("order/amend", **amend, qty="0.012", price="94100")["retCode"]
    assert ("PartiallyFilled", "0.012", "94100", "0.009") == last(
        trader.rows("order"), "orderStatus", "qty", "price", "leavesQty"
    )
    assert 110064 == trader.post("order/amend", **amend, qty="0.003")["retCode"]
    assert 10001 == trader.post("order/amend", **amend, qty="0.012")["retCode"]
    assert 0 == trader.post("order/amend", **amend, price="95001")["retCode"]
    assert "Filled" == trader.rows("order")[-1]["orderStatus"]
    gone = trader.post("order/amend", **amend, price="94000")
    assert (110001, "order not exists or too late to replace") == (gone["retCode"], gone["retMsg"])


def test_duplicate_link_id_is_refused_for_ever(trader: Trader) -> None:
    trader.limit("Buy", "0.010", "94000", orderLinkId="a")
    assert 110072 == trader.limit("Buy", "0.010", "94000", orderLinkId="a")["retCode"]
    trader.post("order/cancel", category="linear", symbol="BTCUSDT", orderLinkId="a")
    assert 110072 == trader.limit("Buy", "0.010", "94000", orderLinkId="a")["retCode"]
    trader.control("POST", "behaviour", link_id_reuse=True)
    assert 0 == trader.limit("Buy", "0.010", "94000", orderLinkId="a")["retCode"]
    counters = trader.books()["counters"]
    assert (4, 2, 2) == tuple(counters[n] for n in ("creates_received", "creates_accepted", "duplicates_refused"))


@pytest.mark.parametrize(
    "changes,code",
    [
        ({"symbol": "NOPE"}, 10001),
        ({"category": "spot", "symbol": "NOPE"}, 170121),
        ({"side": "buy"}, 10001),
        ({"orderType": "Stop"}, 10001),
        ({"qty": 0.01}, 10001),
        ({"qty": "0"}, 10001),
        ({"qty": "-0.01"}, 10001),
        ({"qty": "0.0105"}, 10001),
        ({"qty": "1190.001"}, 10001),
        ({"price": None}, 10001),
        ({"price": "94000.05"}, 10001),
        ({"price": "1e5"}, 10001),
        ({"timeInForce": "GTX"}, 10001),
        ({"timeInForce": "RPI"}, 110119),
        ({"orderLinkId": "x" * 37}, 10001),
        ({"orderLinkId": "a b"}, 10001),
        ({"positionIdx": 1}, 10001),
        ({"qty": "0.001", "price": "4000"}, 110094),
        ({"qty": "200", "price": "94000"}, 110007),
        ({"reduceOnly": True}, 110017),
        ({"reduceOnly": "true"}, 10001),
        ({"triggerPrice": "94000", "triggerDirection": 1}, 110092),
        ({"triggerPrice": "96000", "triggerDirection": 2}, 110093),
        ({"triggerPrice": "96000"}, 10001),
    ],
)
def test_validation_refuses_and_leaves_no_trace(trader: Trader, changes: dict[str, Any], code: int) -> None:
    order = {"category": "linear", "symbol": "BTCUSDT", "side": "Buy", "orderType": "Limit", "qty": "0.010"}
    assert code == trader.post("order/create", **(order | {"price": "94000"} | changes))["retCode"]
    assert [] == trader.frames
    assert [] == trader.books()["orders"]


def test_linear_price_outside_the_band_is_moved(trader: Trader) -> None:
    trader.control("POST", "market", symbol="BTCUSDT", ask_qty="0")
    limit = trader.get("market/price-limit", category="linear", symbol="BTCUSDT")["result"]["buyLmt"]
    trader.limit("Buy", "0.010", "99000")
    assert limit == trader.rows("order")[-1]["price"]
    trader.control("POST", "behaviour", linear_price_band="reject")
    assert 110003 == trader.limit("Buy", "0.010", "99000")["retCode"]


def test_reduce_only_larger_than_the_position_is_truncated_or_capped(trader: Trader) -> None:
    trader.market("Buy", "0.010")
    trader.limit("Sell", "0.030", "96000", reduceOnly=True, orderLinkId="cut")
    assert "0.01" == trader.rows("order")[-1]["qty"]
    trader.post("order/cancel", category="linear", symbol="BTCUSDT", orderLinkId="cut")
    trader.control("POST", "behaviour", reduce_only_excess="cap")
    trader.market("Sell", "0.030", reduceOnly=True)
    assert ("Cancelled", "0.03", "0.01") == last(trader.rows("order"), "orderStatus", "qty", "cumExecQty")
    assert "0" == trader.rows("position")[-1]["size"]


def test_resting_reduce_only_goes_with_the_position(trader: Trader) -> None:
    trader.market("Buy", "0.010")
    trader.limit("Sell", "0.010", "96000", reduceOnly=True, orderLinkId="r")
    trader.market("Sell", "0.010", orderLinkId="close")
    order = trader.rows("order")[-1]
    assert ("r", "Cancelled", "CancelByReduceOnly") == (order["orderLinkId"], order["orderStatus"], order["cancelType"])


@pytest.mark.parametrize(
    "policy,qty,status,held",
    [("keep", "0.01", "New", "0"), ("rewrite", "0.004", "New", "0"), ("cancel", "0.01", "Cancelled", "0.004")],
)
def test_resting_reduce_only_and_a_position_that_shrinks(
    trader: Trader, policy: str, qty: str, status: str, held: str
) -> None:
    trader.control("POST", "behaviour", reduce_only_resting=policy)
    trader.market("Buy", "0.010")
    trader.limit("Sell", "0.010", "96000", reduceOnly=True, orderLinkId="r")
    trader.market("Sell", "0.006")
    order = next(order for order in trader.books()["orders"] if order["orderLinkId"] == "r")
    assert (qty, status) == (order["qty"], order["orderStatus"])
    trader.quotes("97000", "97001")
    assert held == trader.books()["positions"][0]["size"]


def test_zero_quantity_closes_the_whole_position(trader: Trader) -> None:
    trader.market("Buy", "0.013")
    trader.market("Sell", "0", reduceOnly=True, closeOnTrigger=True)
    assert ("Filled", "0.013") == last(trader.rows("order"), "orderStatus", "qty")
    assert "0" == trader.rows("position")[-1]["size"]


def test_hedge_mode_has_two_positions(trader: Trader) -> None:
    switch = {"category": "linear", "symbol": "BTCUSDT", "mode": 3}
    assert 0 == trader.post("position/switch-mode", **switch)["retCode"]
    assert 110025 == trader.post("position/switch-mode", **switch)["retCode"]
    assert 10001 == trader.market("Buy", "0.01")["retCode"]
    trader.market("Buy", "0.010", positionIdx=1)
    trader.market("Sell", "0.004", positionIdx=2)
    assert 110017 == trader.market("Sell", "0.004", positionIdx=2, reduceOnly=True)["retCode"]
    rows = trader.get("position/list", category="linear", symbol="BTCUSDT")["result"]["list"]
    assert [(1, "Buy", "0.01"), (2, "Sell", "0.004")] == [(r["positionIdx"], r["side"], r["size"]) for r in rows]
    assert 110024 == trader.post("position/switch-mode", **(switch | {"mode": 0}))["retCode"]


def test_self_match_prevention_cancels_the_maker(trader: Trader) -> None:
    maker = trader.limit("Buy", "0.010", "95000.5", orderLinkId="maker")["result"]["orderId"]
    taker = trader.market("Sell", "0.010", smpType="CancelMaker")["result"]["orderId"]
    rows = {row["orderId"]: row for row in trader.rows("order")}
    assert ("CancelBySmp", taker) == (rows[maker]["cancelType"], rows[maker]["smpOrderId"])
    assert "Filled" == rows[taker]["orderStatus"]


def test_inverse_counts_in_contracts_and_pays_in_coin(trader: Trader) -> None:
    trader.control("POST", "accounts", api_key=trader._key, api_secret=trader._secret.decode(), wallet={"BTC": "1"})
    trader.control("POST", "market", category="inverse", symbol="BTCUSD", bid="50000", ask="50000.1")
    order = {"category": "inverse", "symbol": "BTCUSD", "orderType": "Market"}
    trader.post("order/create", **order, side="Sell", qty="100")
    assert ("50000", "100", "0.002", "0.0000011", "BTC") == last(
        trader.rows("execution"), "execPrice", "execQty", "execValue", "execFee", "feeCurrency"
    )
    trader.control("POST", "market", category="inverse", symbol="BTCUSD", bid="39999.9", ask="40000")
    trader.post("order/create", **order, side="Buy", qty="100", reduceOnly=True)
    assert "0.0005" == trader.rows("execution")[-1]["execPnl"]


def test_spot_buys_for_a_quote_amount_and_sells_the_base(trader: Trader) -> None:
    trader.control("POST", "market", category="spot", symbol="BTCUSDT", bid="60000", ask="60010.5")
    order = {"category": "spot", "symbol": "BTCUSDT", "orderType": "Market"}
    reply = trader.post("order/create", **order, side="Buy", qty="200")
    assert reply["result"]["orderId"].isdigit()
    assert ("PartiallyFilledCanceled", "EC_CancelForNoFullFill", "200", "0.003332", "199.954986", "quoteCoin") == last(
        trader.rows("order"), "orderStatus", "rejectReason", "qty", "cumExecQty", "cumExecValue", "marketUnit"
    )
    assert ("0.000003332", "BTC") == last(trader.rows("execution"), "execFee", "feeCurrency")
    assert ["execution", "order", "wallet"] == trader.topics()
    assert "0.003328668" == trader.books()["wallet"]["BTC"]
    assert 170131 == trader.post("order/create", **order, side="Sell", qty="1")["retCode"]
    assert 170137 == trader.post("order/create", **order, side="Sell", qty="0.0000001")["retCode"]


def test_spot_partial_then_cancelled_has_its_own_status(trader: Trader) -> None:
    order = {"category": "spot", "symbol": "BTCUSDT", "orderType": "Limit", "side": "Buy", "orderLinkId": "s"}
    trader.post("order/create", **order, qty="0.01", price="94000")
    assert "940" == locked_usdt(trader)
    trader.control("POST", "market", category="spot", symbol="BTCUSDT", trade={"price": "94000", "qty": "0.004"})
    trader.post("order/cancel", category="spot", symbol="BTCUSDT", orderLinkId="s")
    assert ("PartiallyFilledCanceled", "CancelByUser", "0.004") == last(
        trader.rows("order"), "orderStatus", "cancelType", "cumExecQty"
    )
    assert "0" == locked_usdt(trader)
    assert 170213 == trader.post("order/cancel", category="spot", symbol="BTCUSDT", orderLinkId="s")["retCode"]


@pytest.mark.parametrize(
    "policy,code,status", [("Rejected", 0, "Rejected"), ("Cancelled", 0, "Cancelled"), ("170218", 170218, None)]
)
def test_spot_post_only_that_would_take(trader: Trader, policy: str, code: int, status: str | None) -> None:
    trader.control("POST", "behaviour", post_only_spot=policy)
    order = {"category": "spot", "symbol": "BTCUSDT", "orderType": "Limit", "side": "Buy", "timeInForce": "PostOnly"}
    assert code == trader.post("order/create", **order, qty="0.01", price="95100")["retCode"]
    assert ([status] if status else []) == [row["orderStatus"] for row in trader.rows("order")]


def test_the_default_book_refills_until_it_is_fixed() -> None:
    trader = Trader(limits="none")
    for _ in range(3):
        assert 0 == trader.market("Buy", "1")["retCode"]
    assert {"Filled"} == {order["orderStatus"] for order in trader.books()["orders"]}
    trader.quotes("95000", "95001", "1")
    trader.market("Buy", "1")
    trader.market("Buy", "1")
    assert "EC_NoImmediateQtyToFill" == trader.books()["orders"][-1]["rejectReason"]


def test_same_seed_and_calls_give_the_same_frames() -> None:
    def session() -> list[Any]:
        trader = Trader(seed=7)
        trader.control("POST", "behaviour", order_push_delay_ms=[0, 50], execution_push_delay_ms=[0, 50])
        trader.fault("drop_push", match={"topic": "execution"}, count=None, probability=0.5)
        trader.listen()
        for index in range(8):
            trader.market("Buy" if index % 3 else "Sell", "0.01", orderLinkId=f"a{index}")
            trader.advance(150)
        return [(when, frame) for when, _, frame in trader.frames]

    assert session() == session()
