"""
HTTP on the bare engine: the order of the checks, the clock rule, rate limits, paging, retention, account endpoints.
"""

from typing import Any

import pytest

from tests.exchange.orders import CLOSED_RETENTION_MS, FILLED_RETENTION_MS, UNFILLED_RETENTION_MS
from tests.exchange.trader import Trader
from tests.exchange.wire import Request

BTC = {"category": "linear", "symbol": "BTCUSDT"}
DAY_MS = 24 * 3600 * 1000


@pytest.fixture
def trader() -> Trader:
    return Trader(limits="none")


# Signature and clock


def test_worked_signing_example_of_the_docs() -> None:
    trader = Trader(api_key="EXAMPLEKEY1234567", api_secret="EXAMPLESECRETabcdefghijklmnopqrstuv")
    body = (
        b'{"category":"linear","symbol":"BTCUSDT","side":"Buy","orderType":"Limit","qty":"0.010","price":"60000.00",'
        b'"timeInForce":"PostOnly","positionIdx":0,"orderLinkId":"demo-0001"}'
    )
    headers = {
        "x-bapi-api-key": "EXAMPLEKEY1234567",
        "x-bapi-timestamp": "1720000000000",
        "x-bapi-recv-window": "5000",
        "x-bapi-sign": "f035f229299cc2d25b18f76122119bb108e256c9b1517adce874ef8a791dd0bd",
    }
    request = Request(channel="http", method="POST", path="/v5/order/create", headers=headers, body=body)
    assert "demo-0001" == trader.send(request)["result"]["orderLinkId"]


def test_checks_come_in_order(trader: Trader) -> None:
    def ask(**changes: str) -> int:
        headers = {
            "x-bapi-api-key": trader._key,
            "x-bapi-timestamp": str(trader.now_ms),
            "x-bapi-recv-window": "5000",
            "x-bapi-sign": "0" * 64,
        } | changes
        request = Request(channel="http", method="GET", path="/v5/account/info", headers=headers)
        return int(trader.send(request)["retCode"])

    assert 10003 == ask(**{"x-bapi-api-key": "nobody", "x-bapi-timestamp": "1"})
    assert 10002 == ask(**{"x-bapi-timestamp": "1"})
    assert 10004 == ask()
    assert 10001 == ask(**{"x-bapi-timestamp": "soon"})


@pytest.mark.parametrize("off_ms,code", [(-5000, 0), (-5001, 10002), (999, 0), (1000, 10002)])
def test_clock_rule_is_asymmetric(trader: Trader, off_ms: int, code: int) -> None:
    trader.clock_off_ms = off_ms
    assert code == trader.get("account/info")["retCode"]


def test_read_only_key_may_look_but_not_trade(trader: Trader) -> None:
    secret = trader._secret.decode()
    trader.control("POST", "accounts", api_key=trader._key, api_secret=secret, read_only=True)
    assert 1 == trader.get("user/query-api")["result"]["readOnly"]
    assert 10005 == trader.market("Buy", "0.01")["retCode"]
    trader.request(trader.desk(), "order.create", **BTC, side="Buy", orderType="Market", qty="0.01")
    assert [10005] == [ack["retCode"] for ack in trader.acks()]


def test_http_statuses(trader: Trader) -> None:
    trader.signed("GET", "order/nope")
    assert 404 == trader.status
    trader.signed("GET", "order/create")
    assert 404 == trader.status
    trader.signed("GET", "account/info", body=b"{}")
    assert 403 == trader.status
    trader.signed("PUT", "order/create")
    assert 400 == trader.status
    trader.send(Request(channel="http", path="/v5/account/info"))
    assert 401 == trader.status
    assert 10001 == trader.signed("POST", "order/create", body=b"{no json")["retCode"]
    assert 10001 == trader.signed("POST", "order/create", body=b"[]")["retCode"]


def test_public_endpoints_need_no_key(trader: Trader) -> None:
    request = Request(channel="http", path="/v5/market/instruments-info", query="category=linear&limit=3")
    first = trader.send(request)["result"]
    query = f"category=linear&limit=3&cursor={first['nextPageCursor']}"
    rest = trader.send(Request(channel="http", path="/v5/market/instruments-info", query=query))["result"]
    names = [row["symbol"] for row in first["list"] + rest["list"]]
    assert (["BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT"], "") == (names, rest["nextPageCursor"])


# Rate limits


def test_each_endpoint_and_product_group_has_its_own_second() -> None:
    trader = Trader()
    for index in range(10):
        trader.limit("Buy", "0.001", "94000")
        assert ("10", str(9 - index)) == (trader.headers["X-Bapi-Limit"], trader.headers["X-Bapi-Limit-Status"])
    assert 10006 == trader.limit("Buy", "0.001", "94000")["retCode"]
    assert str(trader.now_ms + 1000) == trader.headers["X-Bapi-Limit-Reset-Timestamp"]
    spot = {"category": "spot", "symbol": "BTCUSDT", "side": "Buy", "orderType": "Market", "qty": "100"}
    assert 0 == trader.post("order/create", **spot)["retCode"]
    assert "20" == trader.headers["X-Bapi-Limit"]
    assert 0 == trader.get("order/realtime", **BTC)["retCode"]
    trader.advance(1000)
    assert 0 == trader.limit("Buy", "0.001", "94000")["retCode"]


@pytest.mark.parametrize("shared,code", [(True, 10006), (False, 0)])
def test_both_channels_share_the_budget_of_single_orders(code: int, *, shared: bool) -> None:
    trader = Trader()
    trader.control("POST", "behaviour", share_budget=shared)
    for _ in range(10):
        trader.limit("Buy", "0.001", "94000")
    trader.request(trader.desk(), "order.create", **BTC, side="Buy", orderType="Market", qty="0.01")
    assert [code] == [ack["retCode"] for ack in trader.acks()]


def test_a_batch_over_the_budget_fails_item_by_item() -> None:
    trader = Trader()
    item = {"symbol": "BTCUSDT", "side": "Buy", "orderType": "Limit", "qty": "0.001", "price": "94000"}
    reply = trader.post("order/create-batch", category="linear", request=[item] * 12)
    assert [0] * 10 + [10006] * 2 == [verdict["code"] for verdict in reply["retExtInfo"]["list"]]
    assert 10 == len(trader.books()["orders"])


def test_ip_budget_bans_until_silence() -> None:
    trader = Trader()
    request = Request(channel="http", path="/v5/market/time")
    for _ in range(600):
        trader.send(request)
    assert 200 == trader.status
    trader.send(request)
    assert 403 == trader.status
    trader.advance(599_000)
    trader.send(request)
    trader.advance(599_000)
    trader.send(request)
    assert 403 == trader.status
    trader.advance(600_000)
    trader.send(request)
    assert 200 == trader.status


def test_limits_can_be_set_and_open_orders_are_capped(trader: Trader) -> None:
    trader.control("POST", "limits", open_orders_per_symbol=2)
    trader.control("POST", "limits", endpoint="order/create", per_s=3)
    codes = [trader.limit("Buy", "0.001", "94000")["retCode"] for _ in range(4)]
    assert [0, 0, 110020, 10006] == codes


def test_at_most_ten_conditional_orders_per_symbol() -> None:
    trader = Trader()
    trader.control("POST", "limits", endpoint="order/create", per_s=100)
    stop = {"triggerPrice": "99000", "triggerDirection": 1}
    codes = [trader.market("Buy", "0.001", **stop)["retCode"] for _ in range(11)]
    assert [0] * 10 + [110009] == codes


# Queries


@pytest.mark.parametrize("encode", [lambda c: c, lambda c: c.replace("%", "%25")])
def test_cursor_comes_back_encoded_once_or_twice(trader: Trader, encode: Any) -> None:
    for index in range(5):
        trader.limit("Buy", "0.001", "94000", orderLinkId=f"o{index}")
    seen: list[str] = []
    cursor = ""
    for _ in range(3):
        query = f"category=linear&symbol=BTCUSDT&limit=2&cursor={encode(cursor)}"
        page = trader.signed("GET", "order/realtime", query=query)["result"]
        seen += [order["orderLinkId"] for order in page["list"]]
        cursor = page["nextPageCursor"]
    assert (["o4", "o3", "o2", "o1", "o0"], "") == (seen, cursor)
    assert 10001 == trader.get("order/realtime", **BTC, cursor="nonsense")["retCode"]


def test_a_full_last_page_has_a_cursor_to_an_empty_one(trader: Trader) -> None:
    trader.limit("Buy", "0.001", "94000")
    page = trader.get("order/realtime", **BTC, limit=1)["result"]
    assert "page_token%3D" in page["nextPageCursor"]
    behind = trader.get("order/realtime", **BTC, limit=1, cursor=page["nextPageCursor"])["result"]
    assert ([], "") == (behind["list"], behind["nextPageCursor"])


def test_realtime_filters(trader: Trader) -> None:
    trader.limit("Buy", "0.001", "94000", orderLinkId="plain")
    trader.market("Buy", "0.001", triggerPrice="99000", triggerDirection=1, orderLinkId="stop")
    trader.post(
        "order/create", category="linear", symbol="ETHUSDT", side="Buy", orderType="Limit", qty="1", price="3000"
    )
    trader.market("Buy", "0.001", orderLinkId="done")

    def names(**params: object) -> list[str]:
        return [o["orderLinkId"] for o in trader.get("order/realtime", category="linear", **params)["result"]["list"]]

    assert ["stop", "plain"] == names(symbol="BTCUSDT")
    assert ["", "stop", "plain"] == names(settleCoin="USDT")
    assert [""] == names(baseCoin="ETH")
    assert ["plain"] == names(symbol="BTCUSDT", orderFilter="Order")
    assert ["stop"] == names(symbol="BTCUSDT", orderFilter="StopOrder")
    assert ["done"] == names(symbol="BTCUSDT", openOnly=1)
    assert ["done"] == names(orderLinkId="done")
    assert [] == names(orderLinkId="unknown")
    assert 10001 == trader.get("order/realtime", category="linear")["retCode"]
    assert 10001 == trader.get("order/realtime", category="nope")["retCode"]


def test_realtime_remembers_five_hundred_closed_orders(trader: Trader) -> None:
    for index in range(502):
        trader.market("Buy", "0.001", orderLinkId=f"o{index}")
    assert [] == trader.get("order/realtime", category="linear", orderLinkId="o1")["result"]["list"]
    assert 1 == len(trader.get("order/realtime", category="linear", orderLinkId="o2")["result"]["list"])


@pytest.mark.parametrize("jump", ["wait", "behaviour"])
def test_history_forgets_what_bybit_forgets(trader: Trader, jump: str) -> None:
    def later(ms: int) -> None:
        if jump == "wait":
            trader.advance(ms)
        else:
            trader.control("POST", "behaviour", retention_age_ms=ms + 1)

    def kept() -> list[str]:
        found = [trader.get("order/history", category="linear", orderLinkId=name)["result"]["list"] for name in "cpf"]
        return [rows[0]["orderLinkId"] for rows in found if rows]

    trader.limit("Buy", "0.010", "94000", orderLinkId="c")
    trader.limit("Buy", "0.010", "94000", orderLinkId="p")
    trader.control("POST", "market", symbol="BTCUSDT", trade={"price": "94000", "qty": "0.013"})
    trader.post("order/cancel", **BTC, orderLinkId="p")
    trader.limit("Buy", "0.010", "93000", orderLinkId="f")
    trader.post("order/cancel", **BTC, orderLinkId="f")
    assert ["c", "p", "f"] == kept()
    later(UNFILLED_RETENTION_MS)
    assert (["c", "p", "f"] if jump == "wait" else ["c", "p"]) == kept()
    later(UNFILLED_RETENTION_MS + 1)
    assert ["c", "p"] == kept()
    later(FILLED_RETENTION_MS)
    assert [] == kept()
    assert [] == trader.get("execution/list", category="linear", orderLinkId="c")["result"]["list"]
    assert 3 == len(trader.books()["orders"])
    assert CLOSED_RETENTION_MS == 7 * DAY_MS


def test_time_windows_of_seven_days(trader: Trader) -> None:
    trader.market("Buy", "0.001")
    start = trader.now_ms

    def found(**window: int) -> int:
        return len(trader.get("execution/list", category="linear", **window)["result"].get("list", []))

    assert (1, 1) == (found(), len(trader.get("order/history", category="linear")["result"]["list"]))
    trader.advance(8 * DAY_MS)
    assert (0, 1, 1, 0) == (found(), found(startTime=start), found(endTime=start), found(endTime=start - 1))
    assert 10001 == trader.get("execution/list", category="linear", startTime=start, endTime=trader.now_ms)["retCode"]
    assert [] == trader.get("order/history", category="linear")["result"]["list"]


def test_executions_filter_and_page(trader: Trader) -> None:
    trader.market("Buy", "0.001", orderLinkId="a")
    trader.post("order/create", category="linear", symbol="ETHUSDT", side="Buy", orderType="Market", qty="1")
    trader.fault("funding", args={"symbol": "BTCUSDT"})

    def kinds(**params: object) -> list[str]:
        rows = trader.get("execution/list", category="linear", **params)["result"]["list"]
        return [f"{row['symbol']} {row['execType']}" for row in rows]

    assert ["BTCUSDT Funding", "ETHUSDT Trade", "BTCUSDT Trade"] == kinds()
    assert ["BTCUSDT Funding", "BTCUSDT Trade"] == kinds(symbol="BTCUSDT")
    assert ["ETHUSDT Trade", "BTCUSDT Trade"] == kinds(execType="Trade")
    assert ["BTCUSDT Trade"] == kinds(orderLinkId="a", symbol="ETHUSDT")
    assert [] == kinds(orderLinkId="unknown")


# Positions and account


def test_position_list_by_symbol_and_by_coin(trader: Trader) -> None:
    flat = trader.get("position/list", **BTC)["result"]["list"]
    assert [("", "0", -1, "0")] == [(row["side"], row["size"], row["seq"], row["avgPrice"]) for row in flat]
    assert [] == trader.get("position/list", category="linear", settleCoin="USDT")["result"]["list"]
    assert 10001 == trader.get("position/list", category="linear")["retCode"]
    trader.market("Buy", "0.001")
    assert 1 == len(trader.get("position/list", category="linear", settleCoin="USDT")["result"]["list"])
    assert [] == trader.get("position/list", category="inverse")["result"]["list"]


def test_setters_say_when_nothing_changed(trader: Trader) -> None:
    leverage = BTC | {"buyLeverage": "5", "sellLeverage": "5"}
    assert [0, 110043] == [trader.post("position/set-leverage", **leverage)["retCode"] for _ in range(2)]
    assert 110025 == trader.post("position/switch-mode", **BTC, mode=0)["retCode"]
    assert 0 == trader.post("position/switch-mode", category="linear", coin="USDT", mode=3)["retCode"]
    assert 10001 == trader.market("Buy", "0.01")["retCode"]
    trader.limit("Buy", "0.01", "94000", positionIdx=1)
    assert 110028 == trader.post("position/switch-mode", **BTC, mode=0)["retCode"]


def test_cancel_all_by_filter(trader: Trader) -> None:
    trader.limit("Buy", "0.001", "94000", orderLinkId="plain")
    trader.market("Buy", "0.001", triggerPrice="99000", triggerDirection=1, orderLinkId="stop")
    spot = {"category": "spot", "symbol": "BTCUSDT", "side": "Buy", "orderType": "Limit", "qty": "0.01"}
    trader.post("order/create", **spot, price="94000", orderLinkId="spot")
    trader.post("order/create", **spot, price="96000", triggerPrice="96000", orderFilter="StopOrder", orderLinkId="s2")

    def cancelled(**params: str) -> list[str]:
        return [o["orderLinkId"] for o in trader.post("order/cancel-all", **params)["result"]["list"]]

    assert 10001 == trader.post("order/cancel-all", category="linear")["retCode"]
    assert ["stop"] == cancelled(category="linear", symbol="BTCUSDT", orderFilter="StopOrder")
    assert ["plain"] == cancelled(category="linear", settleCoin="USDT")
    assert [] == cancelled(category="linear", settleCoin="USDT")
    assert ["spot"] == cancelled(category="spot")
    assert ["s2"] == cancelled(category="spot", orderFilter="StopOrder")


def test_pre_check_places_nothing(trader: Trader) -> None:
    order = BTC | {"side": "Buy", "orderType": "Market"}
    assert 0 == trader.post("order/pre-check", **order, qty="0.01")["retCode"]
    assert 110007 == trader.post("order/pre-check", **order, qty="400")["retCode"]
    assert [] == trader.books()["orders"]


def test_requests_are_logged_with_their_verdicts(trader: Trader) -> None:
    trader.limit("Buy", "0.01", "94000", orderLinkId="a")
    trader.limit("Buy", "0.01", "94000", orderLinkId="a")
    trader.request(trader.desk(), "order.cancel", **BTC, orderLinkId="a")
    rows = [
        (r["channel"], r.get("endpoint") or r["op"], r["orderLinkId"], r["verdict"], r["executed"], r["replied"])
        for r in trader.control("GET", "requests", api_key=trader._key)
    ]
    assert [
        ("http", "order/create", "a", 0, True, True),
        ("http", "order/create", "a", 110072, False, True),
        ("trade", "order.cancel", "a", 0, True, True),
    ] == rows
    assert [] == trader.control("GET", "requests", api_key="nobody")


def test_accounts_do_not_see_each_other(trader: Trader) -> None:
    trader.control("POST", "accounts", api_key="other", api_secret="s", wallet={"USDT": "500"})
    other = Trader(trader.engine, api_key="other", api_secret="s")
    trader.limit("Buy", "0.01", "94000", orderLinkId="same")
    assert 0 == other.limit("Buy", "0.01", "94000", orderLinkId="same")["retCode"]
    assert 110007 == other.limit("Buy", "1", "94000")["retCode"]
    assert [1, 1] == [len(who.get("order/realtime", **BTC)["result"]["list"]) for who in (trader, other)]
    assert "error" in trader.control("GET", "books", api_key="nobody")
