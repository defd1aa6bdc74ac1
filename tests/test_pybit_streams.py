"""
An unmodified pybit listens and trades over WebSocket on the loopback exchange.

pybit builds ``wss://`` URLs from constants; a subclass hands its own `_connect` another URL and nothing else. pybit
registers a callback after it sent the request, so an answer must not come at once: here acks take 20 ms, which a
network would take anyway.
"""

import queue
from collections.abc import Iterator
from typing import Any

import pytest
from pybit.unified_trading import WebSocket, WebSocketTrading

from tests.exchange import LoopbackExchange

BTC = {"category": "linear", "symbol": "BTCUSDT"}
LATENCY_MS = 20
WAIT_S = 10


class PrivateStream(WebSocket):  # type: ignore[misc]
    """
    pybit's private stream, aimed at the loopback exchange.
    """

    target = ""

    def _connect(self, url: str) -> None:
        super()._connect(self.target)


class TradeStream(WebSocketTrading):  # type: ignore[misc]
    """
    pybit's trade stream, aimed at the loopback exchange.
    """

    target = ""

    def _connect(self, url: str) -> None:
        super()._connect(self.target)


@pytest.fixture
def exchange() -> Iterator[LoopbackExchange]:
    with LoopbackExchange() as exchange:
        exchange.market("BTCUSDT", bid="95000", ask="95001")
        exchange.behaviour(ack_delay_ms=LATENCY_MS, session_ack_delay_ms=LATENCY_MS)
        yield exchange


def keys(exchange: LoopbackExchange) -> dict[str, str]:
    return {name: exchange.urls[name] for name in ("api_key", "api_secret")}


@pytest.fixture
def heard(exchange: LoopbackExchange) -> Iterator[dict[str, queue.Queue[Any]]]:
    """
    Rows per topic, as pybit hands them to callbacks.
    """
    heard: dict[str, queue.Queue[Any]] = {n: queue.Queue() for n in ("order", "execution", "position", "wallet")}
    kind = type("Aimed", (PrivateStream,), {"target": exchange.urls["private"]})
    stream = kind(testnet=True, channel_type="private", **keys(exchange))
    for name, rows in heard.items():
        method = getattr(stream, f"{name}_stream")
        method(callback=lambda frame, rows=rows: [rows.put(row) for row in frame["data"]])
    wait_until_subscribed(exchange, stream, heard)
    yield heard
    stream.exit()


def wait_until_subscribed(exchange: LoopbackExchange, stream: Any, heard: dict[str, queue.Queue[Any]]) -> None:
    """
    An order nobody asked about, to know that all four topics are live.
    """
    exchange.accounts(exchange.urls["api_key"], exchange.urls["api_secret"])
    assert stream.is_connected()
    exchange.fault("foreign_order", args={"symbol": "BTCUSDT", "side": "Buy", "qty": "0.001"})
    while heard["wallet"].empty():
        try:
            heard["wallet"].get(timeout=0.2)
            break
        except queue.Empty:
            exchange.fault("foreign_order", args={"symbol": "BTCUSDT", "side": "Buy", "qty": "0.001"})
    for rows in heard.values():
        while not rows.empty():
            rows.get()


@pytest.fixture
def trade(exchange: LoopbackExchange) -> Iterator[Any]:
    kind = type("Aimed", (TradeStream,), {"target": exchange.urls["trade"]})
    stream = kind(testnet=True, **keys(exchange))
    yield stream
    stream.exit()


def answered(method: Any, **params: Any) -> Any:
    """
    The answer to one request, good or bad.
    """
    answers: queue.Queue[Any] = queue.Queue()
    method(callback=answers.put, error_callback=answers.put, **params)
    return answers.get(timeout=WAIT_S)


def order_row(rows: queue.Queue[Any], link_id: str) -> Any:
    """
    The next row of one order.
    """
    while True:
        row = rows.get(timeout=WAIT_S)
        if row["orderLinkId"] == link_id:
            return row


def test_pybit_trades_over_websocket_and_hears_of_it(trade: Any, heard: dict[str, queue.Queue[Any]]) -> None:
    order = BTC | {"side": "Buy", "orderType": "Limit", "qty": "0.01", "price": "94000", "orderLinkId": "w1"}
    placed = answered(trade.place_order, **order)
    assert (0, "order.create", "w1") == (placed["retCode"], placed["op"], placed["data"]["orderLinkId"])
    assert "10" == placed["header"]["X-Bapi-Limit"]
    assert "New" == order_row(heard["order"], "w1")["orderStatus"]
    amended = answered(trade.amend_order, **BTC, orderLinkId="w1", price="94100")
    assert placed["data"]["orderId"] == amended["data"]["orderId"]
    assert "94100" == order_row(heard["order"], "w1")["price"]
    answered(trade.cancel_order, **BTC, orderLinkId="w1")
    assert "Cancelled" == order_row(heard["order"], "w1")["orderStatus"]
    gone = answered(trade.cancel_order, **BTC, orderLinkId="w1")
    assert (110001, {}) == (gone["retCode"], gone["data"])


def test_pybit_hears_a_fill_on_all_four_topics(trade: Any, heard: dict[str, queue.Queue[Any]]) -> None:
    answered(trade.place_order, **BTC, side="Sell", orderType="Market", qty="0.01", orderLinkId="w2")
    execution = order_row(heard["execution"], "w2")
    assert ("95000", "0.01", False) == (execution["execPrice"], execution["execQty"], execution["isMaker"])
    assert "Filled" == order_row(heard["order"], "w2")["orderStatus"]
    position = heard["position"].get(timeout=WAIT_S)
    assert (execution["seq"], "Sell") == (position["seq"], position["side"])
    assert "USDT" == heard["wallet"].get(timeout=WAIT_S)["coin"][0]["coin"]


def test_pybit_batches_over_websocket(trade: Any) -> None:
    order = {"symbol": "BTCUSDT", "side": "Buy", "orderType": "Limit", "qty": "0.01", "price": "94000"}
    items = [order | {"orderLinkId": "b1"}, order | {"positionIdx": 1}]
    created = answered(trade.place_batch_order, category="linear", request=items)
    assert [0, 10001] == [verdict["code"] for verdict in created["retExtInfo"]["list"]]
    items = [{"symbol": "BTCUSDT", "orderLinkId": "b1", "qty": "0.02"}]
    amended = answered(trade.amend_batch_order, category="linear", request=items)
    assert [0] == [verdict["code"] for verdict in amended["retExtInfo"]["list"]]
    items = [{"symbol": "BTCUSDT", "orderLinkId": "b1"}]
    cancelled = answered(trade.cancel_batch_order, category="linear", request=items)
    assert ["b1"] == [row["orderLinkId"] for row in cancelled["data"]["list"]]


def test_pybit_reconnects_after_a_cut_and_hears_again(
    trade: Any, heard: dict[str, queue.Queue[Any]], exchange: LoopbackExchange
) -> None:
    exchange.fault("cut_private")
    assert 1 == exchange.faults()[-1]["fired"]
    for index in range(100):
        answered(trade.place_order, **BTC, side="Buy", orderType="Market", qty="0.001", orderLinkId=f"w3-{index}")
        try:
            assert heard["execution"].get(timeout=0.2)["orderLinkId"].startswith("w3-")
            break
        except queue.Empty:
            continue
    assert 2 == exchange.books()["counters"]["private_connections_ever"]
