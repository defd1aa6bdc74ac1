"""
A trader on the bare engine: signs, sends and listens in virtual time, without a socket.

It is the smallest shell there is: what the engine ordered for later arrives when `advance` gets there.
"""

import hashlib
import heapq
import hmac
import json
from typing import Any
from urllib.parse import urlencode

from tests.exchange.engine import API_KEY, API_SECRET, Engine
from tests.exchange.wire import Channel, Close, Delivery, Hangup, Json, Pong, Refuse, Reply, Request, Send

START_MS = 1_720_000_000_000
TOPICS = ("order", "execution", "position", "wallet")
WINDOW = "5000"


class Lost(Exception):
    """
    The connection closed without an answer.
    """


class Trader:
    """
    One client of one engine.

    Args:
        engine: Shared with other traders, or None for one of its own.
        clock_off_ms: How wrong this trader's clock is.

    Attributes:
        frames: Every frame that arrived: (when, connection, frame). A frame that is no JSON stays text.
        closed: Connections the exchange closed.
    """

    def __init__(
        self, engine: Engine | None = None, *, api_key: str = API_KEY, api_secret: str = API_SECRET, **options: Any
    ) -> None:
        self.engine = engine or Engine(api_key=api_key, api_secret=api_secret, **options)
        self.now_ms = START_MS
        self.clock_off_ms = 0
        self.recv_window = WINDOW
        self.frames: list[tuple[int, int, Any]] = []
        self.closed: set[int] = set()
        self.headers: dict[str, str] = {}
        self.status = 200
        self._key, self._secret = api_key, api_secret.encode()
        self._late: list[tuple[int, int, Send | Close]] = []
        self._planned = 0
        self._connection = 0

    # HTTP

    def get(self, name: str, **params: Any) -> Any:
        """
        A signed GET; gives the envelope.
        """
        return self.signed("GET", name, query=urlencode(params, safe="%"))

    def post(self, name: str, **params: Any) -> Any:
        """
        A signed POST; gives the envelope.
        """
        return self.signed("POST", name, body=json.dumps(params).encode())

    def signed(self, method: str, name: str, query: str = "", body: bytes = b"") -> Any:
        """
        Raises:
            Lost: No answer came.
        """
        timestamp = str(self.now_ms + self.clock_off_ms)
        origin = f"{timestamp}{self._key}{self.recv_window}{query}".encode() + body
        headers = {
            "x-bapi-api-key": self._key,
            "x-bapi-timestamp": timestamp,
            "x-bapi-recv-window": self.recv_window,
            "x-bapi-sign": hmac.new(self._secret, origin, hashlib.sha256).hexdigest(),
        }
        return self.send(
            Request(channel="http", method=method, path=f"/v5/{name}", query=query, headers=headers, body=body)
        )

    def send(self, request: Request) -> Any:
        """
        One HTTP request; time goes on until it is answered.

        Raises:
            Lost: No answer came.
        """
        delivered = self.engine.handle(request, self.now_ms)
        answer = next(delivery for delivery in delivered if isinstance(delivery, Reply | Hangup))
        self._take(delivered)
        self.advance(answer.delay_ms)
        if isinstance(answer, Hangup):
            raise Lost
        self.status, self.headers = answer.status, answer.headers
        try:
            return json.loads(answer.body)
        except ValueError:
            return answer.body.decode()

    def control(self, method: str, name: str, **params: Any) -> Any:
        """
        The control API.
        """
        query = urlencode(params) if method == "GET" else ""
        body = b"" if method == "GET" else json.dumps(params).encode()
        return self.send(Request(channel="control", method=method, path=f"/control/{name}", query=query, body=body))

    def books(self) -> Any:
        """
        What really happened to this trader's account.
        """
        return self.control("GET", "books", api_key=self._key)

    def fault(self, name: str, **arming: Any) -> Any:
        """
        Arm a fault.
        """
        return self.control("POST", "faults", fault=name, **arming)

    def fired(self) -> int:
        """
        How often all faults fired, together.
        """
        return sum(fault["fired"] for fault in self.control("GET", "faults"))

    # WebSocket

    def connect(self, channel: Channel, query: str = "") -> int:
        """
        Open a WebSocket.

        Raises:
            Lost: The handshake was refused.
        """
        self._connection += 1
        connection_id = id(self) * 1000 + self._connection
        if any(isinstance(d, Refuse) for d in self.engine.opened(connection_id, channel, query, self.now_ms)):
            raise Lost
        return connection_id

    def tell(self, connection_id: int, channel: Channel, frame: object) -> None:
        """
        Send one text frame.
        """
        text = frame if isinstance(frame, str) else json.dumps(frame)
        request = Request(channel=channel, body=text.encode(), connection_id=connection_id)
        self._take(self.engine.handle(request, self.now_ms))

    def auth_frame(self, lead_ms: int = 10_000) -> Json:
        """
        A good auth request.
        """
        expires = self.now_ms + lead_ms
        sign = hmac.new(self._secret, f"GET/realtime{expires}".encode(), hashlib.sha256).hexdigest()
        return {"op": "auth", "args": [self._key, expires, sign]}

    def listen(self, *topics: str) -> int:
        """
        A private stream, authenticated and subscribed; its acks are forgotten.
        """
        connection_id = self.connect("private")
        self.tell(connection_id, "private", self.auth_frame())
        self.tell(connection_id, "private", {"op": "subscribe", "args": list(topics or TOPICS)})
        self.frames.clear()
        return connection_id

    def desk(self) -> int:
        """
        A trade stream, authenticated; its ack is forgotten.
        """
        connection_id = self.connect("trade")
        self.tell(connection_id, "trade", self.auth_frame())
        self.frames.clear()
        return connection_id

    def request(self, connection_id: int, op: str, req_id: str | None = None, **params: Any) -> None:
        """
        One request on the trade stream.
        """
        frame: Json = {"op": op, "header": {"X-BAPI-TIMESTAMP": str(self.now_ms + self.clock_off_ms)}, "args": [params]}
        self.tell(connection_id, "trade", frame | ({"reqId": req_id} if req_id is not None else {}))

    def ping(self, connection_id: int, payload: bytes = b"") -> list[Delivery]:
        """
        An RFC 6455 ping.
        """
        return [d for d in self.engine.ping(connection_id, payload, self.now_ms) if isinstance(d, Pong)]

    def hang_up(self, connection_id: int) -> None:
        """
        Close a WebSocket.
        """
        self._take(self.engine.closed(connection_id, self.now_ms))

    # Time

    def advance(self, ms: int) -> None:
        """
        Let time go on; what was due meanwhile happens in order.
        """
        until_ms = self.now_ms + ms
        while True:
            due_ms = min(self._late[0][0] if self._late else until_ms + 1, self.engine.next_due_ms() or until_ms + 1)
            if due_ms > until_ms:
                break
            self.now_ms = max(self.now_ms, due_ms)
            self._take(self.engine.tick(self.now_ms))
            while self._late and self._late[0][0] <= self.now_ms:
                self._arrive(heapq.heappop(self._late)[2])
        self.now_ms = until_ms

    def _take(self, delivered: list[Delivery]) -> None:
        for delivery in delivered:
            if not isinstance(delivery, Send | Close):
                continue
            if delivery.delay_ms:
                self._planned += 1
                heapq.heappush(self._late, (self.now_ms + delivery.delay_ms, self._planned, delivery))
            else:
                self._arrive(delivery)

    def _arrive(self, delivery: Send | Close) -> None:
        if isinstance(delivery, Close):
            self.closed.add(delivery.connection_id)
            return
        try:
            frame = json.loads(delivery.text)
        except ValueError:
            frame = delivery.text
        self.frames.append((self.now_ms, delivery.connection_id, frame))

    # What arrived

    def acks(self) -> list[Json]:
        """
        The frames without a topic, and forget all frames.
        """
        acks = [frame for _, _, frame in self.frames if isinstance(frame, dict) and "topic" not in frame]
        self.frames.clear()
        return acks

    def topics(self) -> list[str]:
        """
        The topics of the frames that arrived, in order.
        """
        return [frame["topic"] for _, _, frame in self.frames if isinstance(frame, dict) and "topic" in frame]

    def rows(self, topic: str) -> list[Json]:
        """
        The rows of one topic that arrived, in order.
        """
        frames = [frame for _, _, frame in self.frames if isinstance(frame, dict) and frame.get("topic") == topic]
        return [row for frame in frames for row in frame["data"]]

    # Orders

    def limit(self, side: str, qty: str, price: str, **more: Any) -> Any:
        """
        A linear BTCUSDT limit order.
        """
        order = {"category": "linear", "symbol": "BTCUSDT", "orderType": "Limit", "side": side, "qty": qty}
        return self.post("order/create", **(order | {"price": price} | more))

    def market(self, side: str, qty: str, **more: Any) -> Any:
        """
        A linear BTCUSDT market order.
        """
        order = {"category": "linear", "symbol": "BTCUSDT", "orderType": "Market", "side": side, "qty": qty}
        return self.post("order/create", **(order | more))

    def quotes(self, bid: str, ask: str, qty: str = "100", **more: Any) -> None:
        """
        Others offer this on BTCUSDT.
        """
        asked = {"symbol": "BTCUSDT", "bid": bid, "ask": ask, "bid_qty": qty, "ask_qty": qty} | more
        assert "error" not in self.control("POST", "market", **asked)
