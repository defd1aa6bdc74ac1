"""
An unmodified pybit trades over HTTP on the loopback exchange: what keeps the exchange honest.

pybit's only change is where it points: `HTTP.endpoint` is a plain attribute.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from pybit.exceptions import FailedRequestError, InvalidRequestError
from pybit.unified_trading import HTTP

from tests.exchange import LoopbackExchange

BTC = {"category": "linear", "symbol": "BTCUSDT"}


@pytest.fixture
def exchange() -> Iterator[LoopbackExchange]:
    with LoopbackExchange() as exchange:
        exchange.market("BTCUSDT", bid="95000", ask="95001")
        yield exchange


@pytest.fixture
def session(exchange: LoopbackExchange) -> Iterator[HTTP]:
    session = HTTP(testnet=True, api_key=exchange.urls["api_key"], api_secret=exchange.urls["api_secret"])
    session.endpoint = exchange.urls["rest"]
    yield session
    session.client.close()


def limit(session: HTTP, link_id: str, price: str = "94000", **more: Any) -> Any:
    order = BTC | {"side": "Buy", "orderType": "Limit", "qty": "0.01", "price": price, "orderLinkId": link_id}
    return session.place_order(**(order | more))


def test_pybit_places_amends_and_cancels(session: HTTP, exchange: LoopbackExchange) -> None:
    placed = limit(session, "p1")["result"]
    assert "p1" == placed["orderLinkId"]
    shown = session.get_open_orders(**BTC)["result"]["list"]
    assert [(placed["orderId"], "New", "94000")] == [(o["orderId"], o["orderStatus"], o["price"]) for o in shown]
    session.amend_order(**BTC, orderLinkId="p1", qty="0.02", price="94100")
    shown = session.get_open_orders(**BTC, orderLinkId="p1")["result"]["list"]
    assert [("0.02", "94100")] == [(o["qty"], o["price"]) for o in shown]
    session.cancel_order(**BTC, orderLinkId="p1")
    assert [] == session.get_open_orders(**BTC)["result"]["list"]
    assert "Cancelled" == session.get_order_history(**BTC, orderLinkId="p1")["result"]["list"][0]["orderStatus"]
    assert 1 == len(exchange.books()["orders"])


def test_pybit_trades_and_sees_position_wallet_and_fees(session: HTTP) -> None:
    session.place_order(**BTC, side="Buy", orderType="Market", qty="0.01", orderLinkId="m1")
    execution = session.get_executions(**BTC, orderLinkId="m1")["result"]["list"][0]
    assert ("95001", "0.01", "Trade") == (execution["execPrice"], execution["execQty"], execution["execType"])
    position = session.get_positions(**BTC)["result"]["list"][0]
    assert ("Buy", "0.01", "95001") == (position["side"], position["size"], position["avgPrice"])
    coin = session.get_wallet_balance(accountType="UNIFIED", coin="USDT")["result"]["list"][0]["coin"][0]
    assert Decimal(1000000) - Decimal(execution["execFee"]) == Decimal(coin["walletBalance"])
    session.place_order(**BTC, side="Sell", orderType="Market", qty="0.01", reduceOnly=True)
    assert "0" == session.get_positions(**BTC)["result"]["list"][0]["size"]
    assert 1 == len(session.get_closed_pnl(category="linear")["result"]["list"])
    assert 2 == len(session.get_transaction_log(category="linear")["result"]["list"])


def test_pybit_pages_through_orders_and_executions(session: HTTP, exchange: LoopbackExchange) -> None:
    for endpoint in ("order/create", "order/realtime", "execution/list"):
        exchange.limits(endpoint=endpoint, per_s=1000)
    for index in range(7):
        limit(session, f"open-{index}")
        session.place_order(**BTC, side="Buy", orderType="Market", qty="0.001")
    seen: list[str] = []
    cursor = ""
    while True:
        page = session.get_open_orders(**BTC, limit=3, cursor=cursor)["result"]
        seen += [order["orderLinkId"] for order in page["list"]]
        cursor = page["nextPageCursor"]
        if not cursor:
            break
        assert "%3D" in cursor
    assert [f"open-{index}" for index in reversed(range(7))] == seen
    first = session.get_executions(**BTC, limit=5)["result"]
    second = session.get_executions(**BTC, limit=5, cursor=first["nextPageCursor"])["result"]
    assert 7 == len({e["execId"] for e in first["list"] + second["list"]})
    assert "" == second["nextPageCursor"]


def test_pybit_batches_with_an_outcome_per_item(session: HTTP) -> None:
    order = {"symbol": "BTCUSDT", "side": "Buy", "orderType": "Limit", "qty": "0.01", "price": "94000"}
    created = session.place_batch_order(
        category="linear",
        request=[order | {"orderLinkId": "b1"}, order | {"qty": "0.0001"}, order | {"orderLinkId": "b3"}],
    )
    assert [0, 10001, 0] == [verdict["code"] for verdict in created["retExtInfo"]["list"]]
    assert [True, False, True] == [bool(row["orderId"]) for row in created["result"]["list"]]
    assert "" == created["result"]["list"][1]["createAt"]
    amended = session.amend_batch_order(
        category="linear", request=[{"symbol": "BTCUSDT", "orderLinkId": "b1", "price": "94100"}]
    )
    assert [0] == [verdict["code"] for verdict in amended["retExtInfo"]["list"]]
    cancelled = session.cancel_batch_order(
        category="linear",
        request=[{"symbol": "BTCUSDT", "orderLinkId": name} for name in ("b1", "nope")],
    )
    assert [0, 110001] == [verdict["code"] for verdict in cancelled["retExtInfo"]["list"]]
    assert ["b3"] == [order["orderLinkId"] for order in session.get_open_orders(**BTC)["result"]["list"]]


def test_pybit_cancels_all(session: HTTP) -> None:
    for index in range(3):
        limit(session, f"c{index}")
    reply = session.cancel_all_orders(category="linear", settleCoin="USDT")["result"]
    assert ("1", 3) == (reply["success"], len(reply["list"]))
    assert [] == session.get_open_orders(category="linear", settleCoin="USDT")["result"]["list"]


def test_pybit_sets_leverage_mode_and_stops(session: HTTP) -> None:
    session.set_leverage(**BTC, buyLeverage="5", sellLeverage="5")
    with pytest.raises(InvalidRequestError) as refused:
        session.set_leverage(**BTC, buyLeverage="5", sellLeverage="5")
    assert 110043 == refused.value.status_code
    session.place_order(**BTC, side="Buy", orderType="Market", qty="0.01")
    session.set_trading_stop(**BTC, tpslMode="Full", takeProfit="99000", stopLoss="90000", positionIdx=0)
    stops = session.get_open_orders(**BTC)["result"]["list"]
    assert {"TakeProfit", "StopLoss"} == {order["stopOrderType"] for order in stops}
    assert {"Untriggered"} == {order["orderStatus"] for order in stops}


def test_pybit_reads_the_rest(session: HTTP) -> None:
    assert {"linear"} == {session.get_instruments_info(category="linear")["result"]["category"]}
    assert "95000" == session.get_tickers(**BTC)["result"]["list"][0]["bid1Price"]
    assert session.get_server_time()["result"]["timeSecond"].isdigit()
    assert 6 == session.get_account_info()["result"]["unifiedMarginStatus"]
    assert 0 == session.get_api_key_information()["result"]["readOnly"]
    assert "0.00055" == session.get_fee_rates(category="linear", symbol="BTCUSDT")["result"]["list"][0]["takerFeeRate"]
    assert "OK" == session.pre_check_order(**BTC, side="Buy", orderType="Market", qty="0.01")["retMsg"]
    session.set_dcp(product="DERIVATIVES", timeWindow=40)


def test_pybit_is_refused_as_bybit_refuses(session: HTTP, exchange: LoopbackExchange) -> None:
    limit(session, "dup")
    with pytest.raises(InvalidRequestError) as refused:
        limit(session, "dup")
    assert 110072 == refused.value.status_code
    session.api_secret = "wrong"
    with pytest.raises(InvalidRequestError) as refused:
        limit(session, "unsigned")
    assert 10004 == refused.value.status_code
    assert "error sign! origin_string[" in str(refused.value)
    session.api_key = "unknown"
    with pytest.raises(InvalidRequestError) as refused:
        limit(session, "unknown")
    assert 10003 == refused.value.status_code
    assert 1 == len(exchange.books()["orders"])


def test_pybit_sees_rate_headers_and_waits_for_the_reset(session: HTTP, exchange: LoopbackExchange) -> None:
    exchange.limits(endpoint="order/create", per_s=2)
    session.return_response_headers = True
    headers = [limit(session, f"r{index}")[2] for index in range(3)]
    assert ["2", "2", "2"] == [header["X-Bapi-Limit"] for header in headers]
    assert ["1", "0"] == [header["X-Bapi-Limit-Status"] for header in headers[:2]]
    verdicts = [r["verdict"] for r in exchange.requests() if r["endpoint"] == "order/create"]
    assert [0, 0, 10006] == verdicts[:3]
    assert (0, 3) == (verdicts[-1], len(exchange.books()["orders"]))


def test_pybit_meets_an_http_error_and_a_lost_reply(session: HTTP, exchange: LoopbackExchange) -> None:
    exchange.fault("error", match={"endpoint": "order/create"}, args={"http_status": 502})
    with pytest.raises(FailedRequestError) as failed:
        limit(session, "x1")
    assert 502 == failed.value.status_code
    exchange.fault("lose_reply", match={"orderLinkId": "x2"})
    with pytest.raises(Exception, match="Remote end closed"):
        limit(session, "x2")
    assert ["x2"] == [order["orderLinkId"] for order in exchange.books()["orders"]]
    assert [1, 1] == [fault["fired"] for fault in exchange.faults()]
