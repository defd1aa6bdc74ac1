"""
WebSocket sessions: who is connected, authenticated, subscribed; pings; the three channels' small protocols.

Source: Bybit V5 docs, websocket/wss-authentication. Order operations of the trade channel are in `trade.py`.
"""

import hmac
from collections.abc import Callable
from urllib.parse import parse_qs

import orjson

from tests.exchange.accounts import Account, Connection
from tests.exchange.faults import Fault
from tests.exchange.matching import Matching
from tests.exchange.outbox import Outbox
from tests.exchange.venue import Venue
from tests.exchange.wire import Close, Delivery, Json, Pong, Refuse, Request

IDLE_MS = 600_000
CATEGORISED = {
    "order": ("spot", "linear", "inverse", "option"),
    "execution": ("spot", "linear", "inverse", "option"),
    "execution.fast": ("spot", "linear", "inverse", "option"),
    "position": ("linear", "inverse", "option"),
    "wallet": (),
    "greeks": (),
}
PRIVATE_TOPICS = frozenset(CATEGORISED) | {
    f"{topic}.{category}" for topic, categories in CATEGORISED.items() for category in categories
}
DCP_TOPICS = {"dcp.future": "DERIVATIVES", "dcp.spot": "SPOT", "dcp.option": "OPTIONS"}
DCP_CATEGORIES = {"DERIVATIVES": ("linear", "inverse"), "SPOT": ("spot",), "OPTIONS": ("option",)}
UNITS_MS = {"s": 1000, "m": 60_000}


def idle_limit_ms(query: str) -> int:
    """
    The max_active_time parameter of a stream URL: ``30s`` to ``600s``, or ``1m``.
    """
    value = parse_qs(query).get("max_active_time", [""])[0]
    if value[:-1].isdigit() and value[-1:] in UNITS_MS:
        return int(value[:-1]) * UNITS_MS[value[-1]]
    return IDLE_MS


def parse_frame(text: bytes) -> Json | None:
    """
    The JSON object in a frame; None when there is none.
    """
    try:
        frame = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return frame if isinstance(frame, dict) else None


class Sessions:
    """
    All WebSockets of one exchange.
    """

    def __init__(self, venue: Venue, outbox: Outbox, matching: Matching) -> None:
        self._venue = venue
        self._outbox = outbox
        self._matching = matching
        self._connections: dict[int, Connection] = {}
        self._closed_to: dict[str, tuple[int, Fault]] = {}
        self.on_trade: Callable[[Connection, Json], None] | None = None

    def opened(self, connection_id: int, channel: str, query: str) -> list[Delivery]:
        """
        A handshake: an empty list lets it in.
        """
        venue = self._venue
        until_ms, fault = self._closed_to.get(channel, (0, None))
        if venue.now_ms < until_ms and fault is not None:
            fault.fired += 1
            return [Refuse(503)]
        idle_ms = idle_limit_ms(query)
        connection = Connection(
            connection_id=connection_id,
            channel=channel,
            conn_id=venue.ids.conn_id(),
            opened_ms=venue.now_ms,
            max_active_ms=idle_ms,
            seen_ms=venue.now_ms,
        )
        self._connections[connection_id] = connection
        venue.schedule.plan(venue.now_ms + idle_ms, lambda: self._close_idle(connection))
        return []

    def closed(self, connection_id: int) -> None:
        """
        The socket is gone.
        """
        connection = self._connections.pop(connection_id, None)
        if connection is None:
            return
        self._outbox.forget(connection)
        account = connection.account
        if account is None:
            return
        dcp = [topic for topic in connection.topics if topic in DCP_TOPICS]
        for topic in list(connection.topics):
            account.unlisten(connection, topic)
        account.connections.pop(connection_id, None)
        for topic in dcp:
            self._plan_dcp(account, topic)

    def ping(self, connection_id: int, payload: bytes) -> list[Delivery]:
        """
        An RFC 6455 ping.
        """
        connection = self._connections.get(connection_id)
        if connection is None or connection.silent:
            return []
        connection.seen_ms = self._venue.now_ms
        return [Pong(connection_id, payload)]

    def received(self, request: Request) -> None:
        """
        A text frame.
        """
        connection = self._connections.get(request.connection_id)
        if connection is None:
            return
        connection.seen_ms = self._venue.now_ms
        frame = parse_frame(request.body)
        if connection.channel == "private":
            self._private(connection, frame)
        elif connection.channel == "trade":
            self._trade(connection, frame)
        else:
            self._public(connection, frame)

    # Faults that strike connections

    def cut(self, channel: str, fault: Fault) -> None:
        """
        Close the sockets of a channel now, and keep new ones out for ``args.refuse_s``.
        """
        for connection in list(self._connections.values()):
            if connection.channel == channel and self._struck(connection, fault):
                fault.fired += 1
                self._outbox.put(Close(connection.connection_id))
                self.closed(connection.connection_id)
        refuse_s = float(fault.args.get("refuse_s", 0))
        if refuse_s:
            self._closed_to[channel] = (self._venue.now_ms + int(refuse_s * 1000), fault)
        if fault.count is not None:
            fault.count = 0

    def reopen(self) -> None:
        """
        Faults were cleared: sockets speak again and may come back.
        """
        self._closed_to.clear()
        for connection in self._connections.values():
            connection.silent = False

    def silence(self, fault: Fault) -> None:
        """
        Strike the sockets there are; with none, or without a count, the fault stays for those to come.
        """
        struck = [c for c in self._connections.values() if not c.silent and c.account and self._struck(c, fault)]
        for connection in struck:
            connection.silent = True
            fault.fired += 1
        if struck and fault.count is not None:
            fault.count = 0

    @staticmethod
    def _struck(connection: Connection, fault: Fault) -> bool:
        channel = fault.match.get("channel", connection.channel)
        if channel != connection.channel or connection.channel == "public":
            return False
        wanted = fault.match.get("api_key")
        return wanted is None or (connection.account is not None and connection.account.api_key == wanted)

    def _close_idle(self, connection: Connection) -> None:
        if self._connections.get(connection.connection_id) is not connection:
            return
        due_ms = connection.seen_ms + connection.max_active_ms
        if due_ms > self._venue.now_ms:
            self._venue.schedule.plan(due_ms, lambda: self._close_idle(connection))
            return
        self._outbox.put(Close(connection.connection_id))
        self.closed(connection.connection_id)

    # DCP. Source: Bybit V5 docs, order/dcp.

    def _plan_dcp(self, account: Account, topic: str) -> None:
        window_s = account.dcp_windows.get(DCP_TOPICS[topic])
        if window_s is not None and topic not in account.listeners:
            due_ms = self._venue.now_ms + window_s * 1000
            self._venue.schedule.plan(due_ms, lambda: self._cancel_by_dcp(account, topic))

    def _cancel_by_dcp(self, account: Account, topic: str) -> None:
        if topic in account.listeners:
            return
        categories = DCP_CATEGORIES[DCP_TOPICS[topic]]
        for order in list(account.open_orders.values()):
            if order.category in categories and not order.is_conditional and not order.is_final:
                self._matching.cancel(order, "CancelByDCP")

    # The private channel

    def _private(self, connection: Connection, frame: Json | None) -> None:
        if frame is None:
            self._ack(connection, {}, "", ok=False, message="Params Error")
            return
        op = str(frame.get("op", ""))
        if op == "ping":
            pong: Json = {"op": "pong", "args": [str(self._venue.clock_ms)], "conn_id": connection.conn_id}
            self._answer(connection, frame, pong)
        elif op == "auth":
            ok = self._authenticate(connection, frame)
            self._ack(connection, frame, "auth", ok=ok, message="" if ok else "Params Error")
            self._after_auth(connection, ok=ok)
        elif op in ("subscribe", "unsubscribe"):
            message = self._subscribe(connection, op, frame.get("args"))
            self._ack(connection, frame, op, ok=not message, message=message)
        else:
            self._ack(connection, frame, op, ok=False, message="Params Error")

    def _answer(self, connection: Connection, frame: Json, answer: Json, delay_ms: int = 0) -> None:
        if frame.get("req_id") is not None:
            answer = {"req_id": frame["req_id"]} | answer
        self._outbox.answer(connection, answer, delay_ms)

    def _ack(self, connection: Connection, frame: Json, op: str, *, ok: bool, message: str) -> None:
        delay_ms = self._venue.behaviour.delay_ms("session_ack_delay_ms")
        ack: Json = {"success": ok, "ret_msg": message, "op": op, "conn_id": connection.conn_id}
        self._answer(connection, frame, ack, delay_ms)

    def _authenticate(self, connection: Connection, frame: Json) -> bool:
        args = frame.get("args")
        if not isinstance(args, list) or len(args) != 3:
            return False
        api_key, expires, sign = args
        account = self._venue.accounts.get(str(api_key))
        if isinstance(expires, str) and expires.isdecimal() and expires.isascii():
            # ccxt sends it quoted, and is let in.
            expires = int(expires)
        if account is None or type(expires) is not int or not isinstance(sign, str):
            return False
        facts = {"api_key": account.api_key, "channel": connection.channel, "op": "auth"}
        if self._venue.faults.fire("refuse_auth", facts):
            return False
        expected = hmac.digest(account.api_secret, f"GET/realtime{expires}".encode(), "sha256").hex()
        if expires <= self._venue.clock_ms or not hmac.compare_digest(expected.encode(), sign.encode()):
            return False
        connection.account = account
        account.connections[connection.connection_id] = connection
        account.counters[f"{connection.channel}_connections_ever"] += 1
        if self._venue.faults.armed("silent"):
            silent = self._venue.faults.fire("silent", facts)
            # The ack still goes out: a socket falls silent after it was up.
            if silent is not None:
                self._venue.schedule.plan(self._venue.now_ms, lambda: setattr(connection, "silent", True))
        return True

    def _after_auth(self, connection: Connection, *, ok: bool) -> None:
        if not ok and self._venue.behaviour.on("close_after_failed_auth"):
            self._outbox.put(Close(connection.connection_id))
            self.closed(connection.connection_id)

    def _subscribe(self, connection: Connection, op: str, args: object) -> str:
        account = connection.account
        if account is None:
            return "Request not authorized"
        if not isinstance(args, list) or not args or not all(isinstance(topic, str) for topic in args):
            return "Params Error"
        for topic in args:
            if topic not in PRIVATE_TOPICS and topic not in DCP_TOPICS:
                return f"error:handler not found,topic:{topic}"
        plain_forms = {topic for topic in args if topic in CATEGORISED}
        if any(topic not in CATEGORISED and topic.rpartition(".")[0] in plain_forms for topic in args):
            return "error:all-in-one and categorised topics cannot be mixed"
        if op == "subscribe":
            facts: dict[str, str | tuple[str, ...]] = {
                "api_key": account.api_key,
                "topic": tuple(args),
                "channel": "private",
            }
            if self._venue.faults.fire("refuse_topic", facts):
                return f"error:handler not found,topic:{args[0]}"
        for topic in args:
            if op == "subscribe":
                account.listen(connection, topic)
            else:
                account.unlisten(connection, topic)
        return ""

    # The trade channel

    def _trade(self, connection: Connection, frame: Json | None) -> None:
        if frame is None:
            self._trade_answer(connection, {}, {"retCode": 10001, "retMsg": "Params Error", "op": ""})
            return
        op = str(frame.get("op", ""))
        if op == "ping":
            answer: Json = {"retCode": 0, "retMsg": "OK", "op": "pong", "data": [str(self._venue.clock_ms)]}
            self._trade_answer(connection, frame, answer)
        elif op == "auth":
            code, message = self._trade_auth(connection, frame)
            self._trade_answer(connection, frame, {"retCode": code, "retMsg": message, "op": "auth"})
            self._after_auth(connection, ok=code in (0, 20001))
        else:
            assert self.on_trade is not None
            self.on_trade(connection, frame)

    def _trade_auth(self, connection: Connection, frame: Json) -> tuple[int, str]:
        if connection.account is not None:
            return 20001, "Repeat auth"
        args = frame.get("args")
        if not isinstance(args, list) or len(args) != 3:
            return 10001, "Params Error"
        return (0, "OK") if self._authenticate(connection, frame) else (10004, "Invalid sign")

    def _trade_answer(self, connection: Connection, frame: Json, answer: Json) -> None:
        if frame.get("reqId") is not None:
            answer = {"reqId": frame["reqId"]} | answer
        delay_ms = self._venue.behaviour.delay_ms("session_ack_delay_ms") if answer["op"] == "auth" else 0
        self._outbox.answer(connection, answer | {"connId": connection.conn_id}, delay_ms)

    # The public channel: alive, and no more

    def _public(self, connection: Connection, frame: Json | None) -> None:
        op = str((frame or {}).get("op", ""))
        ok = op in ("ping", "subscribe", "unsubscribe")
        answer: Json = {
            "success": ok,
            "ret_msg": "pong" if op == "ping" else "" if ok else "Params Error",
            "conn_id": connection.conn_id,
            "req_id": (frame or {}).get("req_id", ""),
            "op": op,
        }
        self._outbox.answer(connection, answer)
