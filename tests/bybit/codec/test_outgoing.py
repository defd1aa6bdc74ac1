"""What leaves: bodies with the documented fields, query strings that are signed as they are sent, socket frames."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from hean.bybit.auth import Credentials
from hean.bybit.codec import body, dump_body, ping, query, socket_login, subscription, trade_request
from hean.core.calls import (
    AmendOrder,
    CancelAll,
    CancelOrder,
    CreateOrder,
    PreCheck,
    QueryExecutions,
    QueryInstruments,
    QueryKey,
    QueryOrders,
    QueryPositions,
    QueryTime,
    SetLeverage,
    SwitchMode,
)
from hean.core.types import Amend, Category, OrderType, Side, TimeInForce
from tests.bybit.samples import a_request, load, names

LINEAR, SPOT = Category.LINEAR, Category.SPOT
MARKET = {"order_type": OrderType.MARKET, "price": None, "time_in_force": TimeInForce.IOC}


def create(**changes: object) -> dict[str, object]:
    """The body of a create."""
    return body(CreateOrder(request=a_request(**changes)))


def test_limit_order_has_the_documented_body():
    documented = load("rest_order_create_request")
    assert {**documented, "reduceOnly": False} == create()
    assert create() == body(PreCheck(request=a_request()))
    assert create() == json.loads(dump_body(CreateOrder(request=a_request())))


def test_conditional_order_has_the_documented_body():
    documented = load("rest_order_create_conditional_request")
    built = create(
        **MARKET,
        order_link_id="r1-stop-01",
        side=Side.SELL,
        qty=Decimal("0.01"),
        trigger_price=Decimal(58000),
        reduce_only=True,
    )
    assert documented == built


@pytest.mark.parametrize("side, direction", [(Side.BUY, 1), (Side.SELL, 2)])
def test_trigger_direction_follows_the_side_unless_told(side, direction):
    trigger = {"side": side, "trigger_price": Decimal(1)}
    assert direction == create(**trigger)["triggerDirection"]
    assert 3 - direction == create(**trigger, trigger_direction=3 - direction)["triggerDirection"]


def test_market_order_sends_no_price():
    built = create(**{**MARKET, "price": Decimal(1)}, slippage_ticks=7)
    assert "price" not in built
    assert ("Market", "IOC") == (built["orderType"], built["timeInForce"])
    assert ("TickSize", "7") == (built["slippageToleranceType"], built["slippageTolerance"])


def test_limit_order_has_no_slippage():
    assert "slippageTolerance" not in create(slippage_ticks=7)


def test_spot_market_order_is_in_base_coin():
    built = create(**MARKET, category=SPOT)
    assert "baseCoin" == built["marketUnit"]
    assert not {"positionIdx", "reduceOnly", "triggerDirection"} & set(built)


def test_spot_conditional_order_names_its_filter():
    built = create(category=SPOT, trigger_price=Decimal(1))
    assert "StopOrder" == built["orderFilter"]
    assert not {"triggerDirection", "triggerBy", "marketUnit"} & set(built)


def test_attached_stops_close_the_whole_position():
    built = create(take_profit=Decimal("61000.0"), stop_loss=Decimal(59000))
    assert ("61000.0", "59000", "Full") == (built["takeProfit"], built["stopLoss"], built["tpslMode"])
    assert "tpslMode" not in create(category=Category.OPTION, stop_loss=Decimal(1))


def test_hedge_and_closing_flags_are_sent():
    built = create(position_idx=2, reduce_only=True, close_on_trigger=True)
    assert (2, True, True) == (built["positionIdx"], built["reduceOnly"], built["closeOnTrigger"])
    assert "closeOnTrigger" not in create(category=Category.OPTION, close_on_trigger=True)


@pytest.mark.parametrize(
    "number, sent", [("1E+3", "1000"), ("1E-8", "0.00000001"), ("0.010", "0.010"), ("0E-10", "0.0000000000")]
)
def test_numbers_leave_as_text_without_an_exponent(number, sent):
    assert sent == create(qty=Decimal(number))["qty"]


def test_amend_names_only_what_changes():
    call = AmendOrder(
        category=LINEAR,
        symbol="ETHPERP",
        order_link_id="linear-004",
        amend=Amend(
            qty=Decimal("0.15"),
            price=Decimal(1050),
            trigger_price=Decimal(1145),
            take_profit=Decimal(0),
            stop_loss=Decimal(0),
        ),
    )
    assert load("rest_order_amend_request") == body(call)
    bare = AmendOrder(category=LINEAR, symbol="S", order_link_id="l", amend=Amend())
    assert {"category": "linear", "symbol": "S", "orderLinkId": "l"} == body(bare)


def test_order_id_is_preferred_where_known():
    call = CancelOrder(category=SPOT, symbol="S", order_link_id="l", order_id="o", order_filter="StopOrder")
    assert {"category": "spot", "symbol": "S", "orderId": "o", "orderFilter": "StopOrder"} == body(call)
    assert {"category": "linear", "symbol": "S", "orderLinkId": "l"} == body(
        CancelOrder(category=LINEAR, symbol="S", order_link_id="l")
    )


def test_cancel_all_by_symbol_or_coin():
    documented = {key: value for key, value in load("rest_order_cancel_all_request").items() if value is not None}
    assert documented == body(CancelAll(category=LINEAR, settle_coin="USDT"))
    assert {"category": "spot", "symbol": "S", "orderFilter": "tpslOrder"} == body(
        CancelAll(category=SPOT, symbol="S", order_filter="tpslOrder")
    )


def test_settings_have_the_documented_bodies():
    assert load("rest_set_leverage_request") == body(SetLeverage(category=LINEAR, symbol="BTCUSDT", leverage="6"))
    documented = {key: value for key, value in load("rest_switch_mode_request").items() if value is not None}
    assert documented == body(SwitchMode(category=LINEAR, symbol="BTCUSDT", mode=0))


def test_get_has_no_body():
    assert {} == body(QueryTime())


@pytest.mark.parametrize(
    "call, path, text",
    [
        (
            QueryOrders(category=LINEAR, symbol="BTCUSDT"),
            "/v5/order/realtime",
            "category=linear&symbol=BTCUSDT&openOnly=0&limit=50",
        ),
        (
            QueryOrders(category=LINEAR, settle_coin="USDT", open_only=False),
            "/v5/order/realtime",
            "category=linear&settleCoin=USDT&openOnly=1&limit=50",
        ),
        (
            QueryOrders(category=LINEAR, symbol="S", order_link_id="l"),
            "/v5/order/realtime",
            "category=linear&symbol=S&orderLinkId=l&limit=50",
        ),
        (
            QueryOrders(category=SPOT, settle_coin="USDT", order_id="7"),
            "/v5/order/realtime",
            "category=spot&orderId=7&limit=50",
        ),
        (
            QueryOrders(category=LINEAR, history=True, start_ms=1, end_ms=2),
            "/v5/order/history",
            "category=linear&startTime=1&endTime=2&limit=50",
        ),
        (
            QueryExecutions(category=LINEAR, order_id="o", start_ms=5, cursor="132766%3A2%2C132766%3A2"),
            "/v5/execution/list",
            "category=linear&orderId=o&startTime=5&limit=100&cursor=132766%3A2%2C132766%3A2",
        ),
        (
            QueryPositions(category=LINEAR, settle_coin="USDT", cursor="page%26"),
            "/v5/position/list",
            "category=linear&settleCoin=USDT&limit=200&cursor=page%26",
        ),
        (
            QueryInstruments(category=LINEAR, symbol="BTC&USDT"),
            "/v5/market/instruments-info",
            "category=linear&symbol=BTC%26USDT&limit=1000",
        ),
        (QueryTime(), "/v5/market/time", ""),
        (QueryKey(), "/v5/user/query-api", ""),
    ],
)
def test_query_string_is_as_documented(call, path, text):
    assert (path, text) == query(call)


CREDENTIALS = Credentials(api_key="EXAMPLEKEY1234567", api_secret="EXAMPLESECRETabcdefghijklmnopqrstuv")


def test_login_frames_are_the_documented_ones():
    expires = 1_720_000_010_000
    assert load("ws_auth_request") == json.loads(socket_login(CREDENTIALS, expires_ms=expires, req_id="10001"))
    assert load("trade_auth_request") == json.loads(
        socket_login(CREDENTIALS, expires_ms=expires, req_id="auth-1", trade=True)
    )


def test_subscription_and_ping_are_the_documented_ones():
    topics = ["order", "execution", "position", "wallet"]
    assert load("ws_subscribe_request") == json.loads(subscription(topics, req_id="sub-1"))
    assert load("ws_ping_request") == json.loads(ping("100001"))
    assert load("trade_ping_request") == json.loads(ping())


def test_trade_request_wraps_the_rest_body():
    call = CancelOrder(
        category=LINEAR, symbol="ETHUSDT", order_link_id="", order_id="a4c1718e-fe53-4659-a118-1f6ecce04ad9"
    )
    frame = json.loads(
        trade_request(call, op="order.cancel", req_id="test-008", timestamp_ms=1711001595407, recv_window_ms=5000)
    )
    documented = load("trade_order_cancel_request")
    documented["header"]["X-BAPI-RECV-WINDOW"] = "5000"
    assert documented == frame


def wire_names(value: object) -> Iterator[str]:
    """Every key of a documented message that has two humps."""
    if isinstance(value, dict):
        yield from (key for key in value if re.fullmatch(r"[a-z]+[A-Z][A-Za-z]*", key))
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from wire_names(inner)


def test_only_the_codec_knows_wire_names():
    package = Path(__file__).parents[3] / "hean"
    documented = {key for name in names("") for key in wire_names(load(name))}
    found = {
        f"{path.relative_to(package)}: {name}"
        for path in package.rglob("*.py")
        if "codec" not in path.relative_to(package).parts
        for name in re.findall(r"""["']([A-Za-z]+)["']""", path.read_text())
        if name in documented
    }
    assert {"orderLinkId", "execQty", "retCode"} <= documented
    assert set() == found
