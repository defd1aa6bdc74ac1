"""
The rows and frames have the keys and JSON types of the recorded samples.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.exchange.trader import Trader

SAMPLES = Path(__file__).parent.parent / "data" / "bybit-v5"
SPOT = {"category": "spot", "symbol": "BTCUSDT"}
LINEAR = {"category": "linear", "symbol": "BTCUSDT"}


def sample(name: str) -> Any:
    return json.loads((SAMPLES / f"{name}.json").read_text())


def shape(value: Any) -> Any:
    """
    Keys and types, without values.
    """
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items() if key != "cumFeeDetail"}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return type(value).__name__


@pytest.fixture
def trader() -> Trader:
    trader = Trader(limits="none")
    trader.listen("order", "execution", "execution.fast", "position", "wallet")
    return trader


def first_frame(trader: Trader, topic: str) -> Any:
    return next(frame for _, _, frame in trader.frames if frame["topic"] == topic)


@pytest.mark.parametrize(
    "topic,name",
    [
        ("order", "ws_order_market_filled"),
        ("execution", "ws_execution_maker"),
        ("execution.fast", "ws_execution_fast"),
        ("position", "ws_position_open_linear"),
        ("wallet", "ws_wallet"),
    ],
)
def test_linear_frames(trader: Trader, topic: str, name: str) -> None:
    trader.market("Buy", "0.01", orderLinkId="a")
    assert shape(sample(name)) == shape(first_frame(trader, topic))


@pytest.mark.parametrize(
    "topic,name", [("order", "ws_order_spot_market_buy_quote"), ("execution", "ws_execution_spot")]
)
def test_spot_frames(trader: Trader, topic: str, name: str) -> None:
    trader.post("order/create", **SPOT, side="Buy", orderType="Market", qty="200", orderLinkId="a")
    assert shape(sample(name)) == shape(first_frame(trader, topic))


@pytest.mark.parametrize(
    "endpoint,params,name",
    [
        ("order/realtime", LINEAR, "rest_order_realtime_closed"),
        ("execution/list", LINEAR, "rest_execution_list"),
        ("position/list", LINEAR, "rest_position_list_linear"),
        ("account/wallet-balance", {"accountType": "UNIFIED"}, "rest_wallet_balance"),
        ("account/fee-rate", LINEAR, "rest_fee_rate"),
        ("account/info", {}, "rest_account_info"),
        ("account/smp-group", {}, "rest_smp_group"),
        ("account/user-setting-config", {}, "rest_user_setting_config"),
        ("account/transaction-log", {}, "rest_transaction_log"),
        ("market/instruments-info", LINEAR, "rest_instruments_linear"),
        ("market/instruments-info", SPOT, "rest_instruments_spot"),
        ("market/instruments-info", {"category": "inverse"}, "rest_instruments_inverse"),
        ("market/tickers", SPOT, "rest_tickers_spot"),
        ("market/price-limit", LINEAR, "rest_market_price_limit"),
        ("market/time", {}, "rest_market_time"),
    ],
)
def test_replies(trader: Trader, endpoint: str, params: dict[str, str], name: str) -> None:
    trader.market("Buy", "0.01", orderLinkId="a")
    if endpoint == "order/realtime":
        params = {**params, "openOnly": "1"}
    ours, recorded = shape(trader.get(endpoint, **params)), shape(sample(name))
    # The docs' examples of account/info lack two keys of the envelope.
    assert recorded == {key: ours[key] for key in recorded}


@pytest.mark.parametrize(
    "category,name",
    [
        ("linear", "rest_order_history_postonly_cancelled"),
        ("spot", "rest_order_history_spot_partially_filled_canceled"),
    ],
)
def test_history_rows_have_the_recorded_keys(trader: Trader, category: str, name: str) -> None:
    order = {"category": category, "symbol": "BTCUSDT", "side": "Buy", "orderType": "Limit", "qty": "0.01"}
    trader.post("order/create", **order, price="94900", orderLinkId="a")
    trader.post("order/cancel", category=category, symbol="BTCUSDT", orderLinkId="a")
    row = trader.get("order/history", category=category)["result"]["list"][0]
    recorded = sample(name)["result"]["list"][0]
    assert set() == recorded.keys() - row.keys()
    assert {k: type(v) for k, v in recorded.items()} == {k: type(row[k]) for k in recorded}


@pytest.mark.parametrize("name", ["trade_order_create_ack", "trade_order_create_error_110007"])
def test_trade_replies(trader: Trader, name: str) -> None:
    qty = "0.01" if name == "trade_order_create_ack" else "190"
    desk = trader.desk()
    order = LINEAR | {"side": "Buy", "orderType": "Limit", "qty": qty, "price": "94000"}
    trader.request(desk, "order.create", "r1", **order)
    (ack,) = trader.acks()
    assert shape(sample(name)) == shape(ack)


def test_trade_batch_reply(trader: Trader) -> None:
    desk = trader.desk()
    item = {"symbol": "BTCUSDT", "side": "Buy", "orderType": "Limit", "qty": "0.01", "price": "94000", "positionIdx": 1}
    trader.request(desk, "order.create-batch", category="linear", request=[item])
    (ack,) = trader.acks()
    recorded = sample("trade_order_create_batch_ack")
    assert shape(recorded) == shape(ack)
    assert recorded["retExtInfo"]["list"][0] == ack["retExtInfo"]["list"][0]
