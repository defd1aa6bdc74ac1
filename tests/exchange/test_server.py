"""
The same exchange over real sockets: HTTP keep-alive, raw bytes, hang-ups, both kinds of ping, start and stop.
"""

import contextlib
import hashlib
import hmac
import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import websocket

from tests.exchange import LoopbackExchange
from tests.exchange.loopback import ControlRefused

SCRIPT = Path(__file__).parent.parent.parent / "scripts" / "exchange.py"
ORDER = {
    "category": "linear",
    "symbol": "BTCUSDT",
    "side": "Buy",
    "orderType": "Limit",
    "qty": "0.01",
    "price": "94000",
}
WAIT_S = 10


@pytest.fixture
def exchange() -> Iterator[LoopbackExchange]:
    with LoopbackExchange() as exchange:
        yield exchange


def wall_ms() -> int:
    return time.time_ns() // 1_000_000


def sign(urls: dict[str, str], text: str) -> str:
    return hmac.new(urls["api_secret"].encode(), text.encode(), hashlib.sha256).hexdigest()


class Client:
    """
    A signed HTTP client on one connection.
    """

    def __init__(self, urls: dict[str, str]) -> None:
        self.urls = urls
        self.http = http.client.HTTPConnection(urls["rest"].removeprefix("http://"), timeout=WAIT_S)

    def ask(self, method: str, path: str, query: str = "", body: str = "") -> Any:
        timestamp = str(wall_ms())
        headers = {
            "X-BAPI-API-KEY": self.urls["api_key"],
            "X-BAPI-TIMESTAMP": timestamp,
            "X-BAPI-RECV-WINDOW": "5000",
            "X-BAPI-SIGN": sign(self.urls, f"{timestamp}{self.urls['api_key']}5000{query}{body}"),
        }
        self.http.request(method, f"/v5/{path}" + (f"?{query}" if query else ""), body or None, headers)
        response = self.http.getresponse()
        return json.loads(response.read())


@pytest.fixture
def client(exchange: LoopbackExchange) -> Iterator[Client]:
    client = Client(exchange.urls)
    with contextlib.closing(client.http):
        yield client


def stream(urls: dict[str, str], name: str = "private") -> websocket.WebSocket:
    """
    An authenticated WebSocket.
    """
    opened = websocket.create_connection(urls[name], timeout=WAIT_S)
    expires = wall_ms() + 10_000
    opened.send(json.dumps({"op": "auth", "args": [urls["api_key"], expires, sign(urls, f"GET/realtime{expires}")]}))
    ack = json.loads(opened.recv())
    assert ack.get("success") or ack.get("retCode") == 0
    return opened


def test_signature_covers_the_raw_query_and_the_raw_body(client: Client) -> None:
    odd = "category=linear&symbol=BTCUSDT&cursor=page_token%3D5%26&x=%7e%20+%c3%a4"
    assert 0 == client.ask("GET", "order/realtime", query=odd)["retCode"]
    body = (
        '{ "category" : "linear" , "symbol":"BTCUSDT", "side":"Buy","orderType":"Limit","qty":"0.01","price":"94000" }'
    )
    assert 0 == client.ask("POST", "order/create", body=body)["retCode"]


def test_one_connection_serves_many_requests(client: Client) -> None:
    client.http.connect()
    before = client.http.sock.getsockname()
    for _ in range(5):
        client.ask("GET", "account/info")
    assert before == client.http.sock.getsockname()


def test_lost_reply_closes_the_connection_and_keeps_the_order(exchange: LoopbackExchange, client: Client) -> None:
    exchange.fault("lose_reply", match={"endpoint": "order/create"})
    with pytest.raises(http.client.RemoteDisconnected):
        client.ask("POST", "order/create", body=json.dumps(ORDER | {"orderLinkId": "a"}))
    assert ["a"] == [order["orderLinkId"] for order in exchange.books()["orders"]]


def test_delayed_reply_comes_after_its_pushes(exchange: LoopbackExchange, client: Client) -> None:
    listener = stream(exchange.urls)
    listener.send(json.dumps({"op": "subscribe", "args": ["order"]}))
    assert json.loads(listener.recv())["success"]
    exchange.fault("delay_reply", match={"endpoint": "order/create"}, args={"ms": 300})
    replied = threading.Event()

    def ask() -> None:
        client.ask("POST", "order/create", body=json.dumps(ORDER))
        replied.set()

    asking = threading.Thread(target=ask)
    asking.start()
    assert "New" == json.loads(listener.recv())["data"][0]["orderStatus"]
    assert not replied.is_set()
    asking.join(WAIT_S)
    assert replied.is_set()
    listener.close()


def test_reply_is_written_before_its_pushes(exchange: LoopbackExchange, client: Client) -> None:
    listener = stream(exchange.urls, "trade")
    private = stream(exchange.urls)
    private.send(json.dumps({"op": "subscribe", "args": ["order"], "req_id": "s"}))
    assert "s" == json.loads(private.recv())["req_id"]
    order = {"op": "order.create", "reqId": "r", "header": {"X-BAPI-TIMESTAMP": wall_ms()}, "args": [ORDER]}
    listener.send(json.dumps(order))
    assert "r" == json.loads(listener.recv())["reqId"]
    assert "New" == json.loads(private.recv())["data"][0]["orderStatus"]
    assert 0 == client.ask("GET", "account/info")["retCode"]
    for opened in (listener, private):
        opened.close()


@pytest.mark.parametrize("name", ["private", "trade", "public"])
def test_control_frame_pings_are_answered(exchange: LoopbackExchange, name: str) -> None:
    opened = websocket.create_connection(exchange.urls[name], timeout=WAIT_S)
    opened.ping(b"hello")
    opcode, payload = opened.recv_data(control_frame=True)
    assert (websocket.ABNF.OPCODE_PONG, b"hello") == (opcode, payload)
    opened.close()


def test_silent_keeps_the_socket_open_and_still(exchange: LoopbackExchange) -> None:
    opened = stream(exchange.urls)
    exchange.fault("silent")
    opened.ping(b"hello")
    opened.send(json.dumps({"op": "ping"}))
    opened.settimeout(0.3)
    with pytest.raises(websocket.WebSocketTimeoutException):
        opened.recv_data(control_frame=True)
    exchange.clear_faults()
    opened.settimeout(WAIT_S)
    opened.send(json.dumps({"op": "ping"}))
    assert "pong" == json.loads(opened.recv())["op"]
    opened.close()


def test_cut_ends_the_socket_and_keeps_new_ones_out(exchange: LoopbackExchange) -> None:
    opened = stream(exchange.urls)
    exchange.fault("cut_private", args={"refuse_s": 60})
    with pytest.raises((websocket.WebSocketConnectionClosedException, ConnectionError)):
        opened.recv()
    with pytest.raises(websocket.WebSocketBadStatusException) as refused:
        websocket.create_connection(exchange.urls["private"], timeout=WAIT_S)
    assert 503 == refused.value.status_code
    exchange.clear_faults()
    stream(exchange.urls).close()


def test_unknown_stream_path_is_refused(exchange: LoopbackExchange) -> None:
    with pytest.raises(websocket.WebSocketBadStatusException):
        websocket.create_connection(exchange.urls["private"] + "x", timeout=WAIT_S)


def test_delayed_pushes_keep_the_order_of_their_topic(exchange: LoopbackExchange, client: Client) -> None:
    exchange.behaviour(order_push_delay_ms=[0, 40])
    listener = stream(exchange.urls)
    listener.send(json.dumps({"op": "subscribe", "args": ["order"]}))
    assert json.loads(listener.recv())["success"]
    for index in range(8):
        client.ask("POST", "order/create", body=json.dumps(ORDER | {"orderLinkId": f"o{index}"}))
    assert [f"o{index}" for index in range(8)] == [
        json.loads(listener.recv())["data"][0]["orderLinkId"] for _ in range(8)
    ]
    listener.close()


def test_control_mistakes_are_said(exchange: LoopbackExchange) -> None:
    with pytest.raises(ControlRefused, match="no fault named 'nope'"):
        exchange.fault("nope")
    with pytest.raises(ControlRefused, match="no behaviour named 'nope'"):
        exchange.behaviour(nope=1)
    with pytest.raises(ControlRefused, match="no market 'NOPE'"):
        exchange.market("NOPE", bid="1")
    assert "95000" == exchange.market("BTCUSDT")["last"]


def test_two_exchanges_do_not_meet(exchange: LoopbackExchange, client: Client) -> None:
    with LoopbackExchange() as other:
        client.ask("POST", "order/create", body=json.dumps(ORDER))
        assert (1, 0) == (len(exchange.books()["orders"]), len(other.books()["orders"]))


def test_stop_closes_everything_and_ends_the_thread() -> None:
    exchange = LoopbackExchange().start()
    opened = stream(exchange.urls)
    exchange.stop()
    with pytest.raises((websocket.WebSocketConnectionClosedException, ConnectionError)):
        opened.recv()
    assert "loopback-exchange" not in {thread.name for thread in threading.enumerate()}
    port = int(exchange.urls["rest"].rpartition(":")[2])
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=WAIT_S)


@pytest.mark.parametrize("name", [signal.SIGTERM, signal.SIGINT])
def test_script_prints_one_ready_line_and_ends_on_a_signal(name: signal.Signals, tmp_path: Path) -> None:
    rows = [
        {
            "category": "linear",
            "lastPrice": "10",
            "symbol": "ABCUSDT",
            "status": "Trading",
            "baseCoin": "ABC",
            "quoteCoin": "USDT",
            "settleCoin": "USDT",
            "leverageFilter": {"maxLeverage": "10"},
            "priceFilter": {"minPrice": "0.1", "maxPrice": "1000", "tickSize": "0.1"},
            "lotSizeFilter": {"maxOrderQty": "9", "minOrderQty": "1", "qtyStep": "1", "maxMktOrderQty": "9"},
        }
    ]
    (tmp_path / "instruments.json").write_text(json.dumps(rows))
    options = ["--api-key", "K", "--api-secret", "S", "--limits", "none", "--seed", "3"]
    command = [sys.executable, str(SCRIPT), *options, "--instruments", str(tmp_path / "instruments.json")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        urls = json.loads(process.stdout.readline())
        assert {"rest", "private", "trade", "public", "control", "api_key", "api_secret"} == urls.keys()
        client = Client(urls)
        shown = client.ask("GET", "market/instruments-info", query="category=linear")["result"]["list"]
        assert ["ABCUSDT"] == [row["symbol"] for row in shown]
        assert "K" == client.ask("GET", "user/query-api")["result"]["apiKey"]
        listener = stream(urls)
        process.send_signal(name)
        assert 0 == process.wait(WAIT_S)
        assert "" == process.stdout.read()
        listener.close()
        client.http.close()
