"""
Order entry over the trade WebSocket: the six operations on the handlers the REST side uses.

Source: Bybit V5 docs, websocket/trade/guideline.
"""

from tests.exchange.accounts import Connection
from tests.exchange.calls import Call
from tests.exchange.outbox import Outbox
from tests.exchange.rest import (
    ACKED,
    DEFAULT_WINDOW_MS,
    DELAY_MS,
    PUSH_LEAD_MS,
    Rest,
    Route,
    budget_headers,
    check_clock,
    refused,
    request_facts,
)
from tests.exchange.sessions import Sessions
from tests.exchange.venue import LogEntry, Venue
from tests.exchange.wire import Close, Json, Refusal, Send, dumps

OPERATIONS = frozenset(
    (
        "order.create",
        "order.amend",
        "order.cancel",
        "order.create-batch",
        "order.amend-batch",
        "order.cancel-batch",
    )
)
REQ_ID_MOST = 36


class Trade:
    """
    The trade channel's requests.
    """

    def __init__(self, venue: Venue, outbox: Outbox, sessions: Sessions, rest: Rest, routes: dict[str, Route]) -> None:
        self._venue = venue
        self._outbox = outbox
        self._sessions = sessions
        self._rest = rest
        self._routes = routes

    def handle(self, connection: Connection, frame: Json) -> None:
        """
        One request frame that is neither ping nor auth.
        """
        venue, faults = self._venue, self._venue.faults
        op = str(frame.get("op", ""))
        args = frame.get("args")
        params: Json = args[0] if isinstance(args, list) and args and isinstance(args[0], dict) else {}
        api_key = connection.account.api_key if connection.account else ""
        log = LogEntry(
            time_ms=venue.clock_ms,
            channel="trade",
            name=op,
            method="",
            api_key=api_key,
            order_link_id=str(params.get("orderLinkId") or ""),
            order_id=str(params.get("orderId") or ""),
            symbol=str(params.get("symbol") or ""),
        )
        venue.requests.append(log)
        facts = request_facts("trade", op, api_key, params)
        if faults.any_armed() and faults.fire("lose_request", facts):
            log.verdict = "lost"
            self._drop(connection)
            return
        # The pushes this request causes are collected behind the answer, unless a fault lets them overtake it.
        before = self._outbox.drain()
        answer = self._verdict(connection, frame, op, params=params, facts=facts, log=log)
        pushes = self._outbox.drain()
        delay_ms = venue.behaviour.delay_ms("ack_delay_ms") if op.replace(".", "/") in ACKED else 0
        for delivery in before:
            self._outbox.put(delivery)
        lost = False
        if faults.any_armed():
            lost = faults.fire("lose_reply", facts) is not None
            late = faults.fire("delay_reply", facts) if not lost else None
            pushed = faults.fire("push_before_ack", facts) if not lost else None
            delay_ms += int(late.args.get("ms", DELAY_MS)) if late is not None else 0
            delay_ms += int(pushed.args.get("ms", PUSH_LEAD_MS)) if pushed is not None else 0
        if not lost and not connection.silent:
            log.replied = True
            self._outbox.put(Send(connection.connection_id, dumps(answer), delay_ms))
        for delivery in pushes:
            self._outbox.put(delivery)
        if lost:
            self._drop(connection)

    def _drop(self, connection: Connection) -> None:
        self._outbox.put(Close(connection.connection_id))
        self._sessions.closed(connection.connection_id)

    def _verdict(
        self,
        connection: Connection,
        frame: Json,
        op: str,
        *,
        params: Json,
        facts: dict[str, str | tuple[str, ...]],
        log: LogEntry,
    ) -> Json:
        venue = self._venue
        headers: dict[str, str] = {}
        data: object = {}
        ext: object = {}
        code, message = 0, "OK"
        try:
            if op not in OPERATIONS:
                raise Refusal(10404, "op type is not found")
            if connection.account is None:
                raise Refusal(10004, "Request not authorized")
            self._check(connection, frame, params)
            name = op.replace(".", "/")
            limited = venue.faults.fire("rate_limit", facts) if venue.faults.armed("rate_limit") else None
            budget = self._rest.take(connection.account, name, params, "trade")
            headers = budget_headers(budget)
            if limited is not None:
                headers["X-Bapi-Limit-Status"] = "0"
                headers["X-Bapi-Limit-Reset-Timestamp"] = str(venue.clock_ms + int(limited.args.get("ms", 1000)))
                if not limited.args.get("reset_header", True):
                    headers = {}
            if limited is not None or not budget.granted:
                raise Refusal(10006, "Too many visits!")
            error = self._rest.error_fault(name, facts)
            if error is not None and not error.args.get("executed", False):
                raise refused(error)
            call = Call(
                account=connection.account, name=name, params=params, granted=budget.granted, facts=facts, log=log
            )
            answer = self._routes[name].handler(call)
            if error is not None:
                raise refused(error)
            data, ext = answer.result, answer.ext if answer.ext is not None else {}
        except Refusal as refusal:
            code, message = refusal.code, refusal.message
        log.verdict = code
        reply: Json = {"reqId": frame["reqId"]} if frame.get("reqId") is not None else {}
        return reply | {
            "retCode": code,
            "retMsg": message,
            "op": op,
            "data": data,
            "retExtInfo": ext,
            "header": headers | {"Traceid": venue.ids.trace_id(), "Timenow": str(venue.clock_ms)},
            "connId": connection.conn_id,
        }

    def _check(self, connection: Connection, frame: Json, params: Json) -> None:
        """
        The frame's own rules: reqId, header, exactly one argument.

        Raises:
            Refusal: The first that is broken.
        """
        account = connection.account
        assert account is not None
        req_id = frame.get("reqId")
        if req_id is not None:
            if not isinstance(req_id, str) or len(req_id) > REQ_ID_MOST:
                raise Refusal(10001, "params error: reqId invalid")
            used = connection.req_ids if self._venue.behaviour.word("req_id_scope") == "connection" else account.req_ids
            if req_id in used:
                raise Refusal(20006, "reqId is duplicated")
            used.add(req_id)
        args = frame.get("args")
        if not isinstance(args, list) or len(args) != 1 or not params:
            raise Refusal(10001, "params error: args must hold one object")
        header = frame.get("header")
        if not isinstance(header, dict) or "X-BAPI-TIMESTAMP" not in header:
            raise Refusal(10001, "params error: X-BAPI-TIMESTAMP is required")
        window = header.get("X-BAPI-RECV-WINDOW")
        # pybit sends the timestamp as a number.
        check_clock(
            str(header["X-BAPI-TIMESTAMP"]), str(DEFAULT_WINDOW_MS if window is None else window), self._venue.clock_ms
        )
        if account.read_only:
            raise Refusal(10005, "Permission denied, please check your API key permissions.")
