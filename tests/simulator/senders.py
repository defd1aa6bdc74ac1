"""The senders in virtual time: calls over HTTP, each built, signed and read by the code of production."""

from __future__ import annotations

from collections.abc import Callable

from hean.bybit.answers import Answer, judge
from hean.bybit.auth import Credentials, request_headers
from hean.bybit.codec import dump_body, query
from hean.bybit.endpoints import path_of
from hean.bybit.retcodes import Channel, classify
from hean.core.calls import Call, CreateOrder, Group, Phase, Reply, group_of
from hean.core.types import Ms
from tests.exchange.wire import Hangup, Request
from tests.simulator.network import Net
from tests.simulator.runtime import Process

Settle = Callable[[Reply], None]


class SimPool:
    """
    The senders: calls over HTTP, each built, signed and read by the code of production.

    Args:
        net: to the exchange.
        process: that the senders are threads of.
        credentials: sign.
        exchange_ms: the exchange's clock as well as it is known.
        recv_window_ms: goes with each request.
        size: senders.
    """

    def __init__(
        self,
        net: Net,
        process: Process,
        credentials: Credentials,
        *,
        exchange_ms: Callable[[], int],
        recv_window_ms: int,
        size: int,
    ) -> None:
        self._net = net
        self._process = process
        self._credentials = credentials
        self._exchange_ms = exchange_ms
        self._recv_window_ms = recv_window_ms
        self._size = size
        self.in_flight = 0

    def room(self, call: Call) -> bool:
        if self._net.kernel.held.get("gateway", 0) > self._net.kernel.now_ms:
            # Whoever holds the gateway wants calls to wait there.
            return False
        kept = 1 if isinstance(call, CreateOrder) and self._size > 1 else 0
        return self.in_flight < self._size - kept

    def over_http(self, call: Call) -> bool:
        return True

    def hang_up(self) -> None:
        return

    def perform(self, call: Call, timeout_s: float, answer: Settle) -> None:
        net, process, kernel = self._net, self._process, self._net.kernel
        process.require_alive()
        self.in_flight += 1
        deadline_ms = kernel.now_ms + int(timeout_s * 1000)
        settled = False
        deadline = 0

        def settle(reply: Reply) -> None:
            nonlocal settled
            if not settled and process.alive:
                settled = True
                self.in_flight -= 1
                if kernel.now_ms < deadline_ms:
                    kernel.drop(deadline)
                answer(reply)

        def fail(due_ms: int, phase: Phase, why: str, sent_ms: Ms | None) -> int:
            def late() -> None:
                verdict = classify(channel=Channel.REST, group=group_of(call), phase=phase, ret_msg=why)
                settle(Reply(call=call, verdict=verdict, sent_ms=sent_ms, received_ms=process.now_ms()))

            return kernel.at(min(due_ms, deadline_ms), late)

        if net.strikes("unreachable"):
            fail(kernel.now_ms + net.delay_ms(), Phase.BEFORE_SEND, "ConnectionRefusedError", None)
            return
        request, text = self._request(call)
        sent_ms = process.now_ms()
        if isinstance(call, CreateOrder):
            net.create_leaves(call.request.order_link_id, "rest")
        deadline = fail(deadline_ms, Phase.AFTER_SEND, "DeadlinePassed", sent_ms)
        if net.strikes("lost_there"):
            if isinstance(call, CreateOrder):
                net.create_arrives(call.request.order_link_id)
            fail(kernel.now_ms + 2 * net.delay_ms(), Phase.AFTER_SEND, "ConnectionResetError", sent_ms)
            return
        stuck = net.strikes("stuck")
        net.in_flight += 1

        def arrive() -> None:
            net.in_flight -= 1
            if isinstance(call, CreateOrder):
                net.create_arrives(call.request.order_link_id)
            http = net.http(request)
            name = f"{request.method} {request.path}"
            if isinstance(http, Hangup):
                net.tell("http", call=name, query=request.query or request.body, answer="hangup")
                fail(kernel.now_ms + http.delay_ms + net.delay_ms(), Phase.AFTER_SEND, "RemoteDisconnected", sent_ms)
                return
            net.tell("http", call=name, query=request.query or request.body, answer=http.status, body=http.body[:600])
            heard = net.on_answer(request, http.body)
            if stuck or net.strikes("lost_back"):
                due_ms = deadline_ms if stuck else kernel.now_ms + net.delay_ms()
                fail(due_ms, Phase.AFTER_SEND, "ConnectionResetError", sent_ms)
                return
            net.in_flight += 1

            def come_back() -> None:
                net.in_flight -= 1
                if process.alive and not settled:
                    heard()
                    settle(self._reply(call, judge(call, http.status, http.headers.items(), http.body), sent_ms, text))

            kernel.at(kernel.now_ms + http.delay_ms + net.delay_ms(), come_back)

        kernel.at(kernel.now_ms + net.delay_ms(), arrive)

    def _request(self, call: Call) -> tuple[Request, str]:
        method, path = path_of(call)
        if method == "POST":
            payload, body = dump_body(call), dump_body(call).encode()
            text = f"{method} {path} {payload}"
        else:
            path, payload = query(call)
            body = b""
            text = f"{method} {path}?{payload}"
        headers: dict[str, str] = {}
        if group_of(call) is not Group.PUBLIC:
            headers = request_headers(
                self._credentials,
                timestamp_ms=self._exchange_ms(),
                recv_window_ms=self._recv_window_ms,
                payload=payload,
            )
        return (
            Request(
                channel="http",
                method=method,
                path=path,
                query="" if body else payload,
                headers={name.lower(): value for name, value in headers.items()},
                body=body,
            ),
            text,
        )

    def _reply(self, call: Call, answer: Answer, sent_ms: Ms, text: str) -> Reply:
        return Reply(
            call=call,
            verdict=answer.verdict,
            result=answer.result,
            budget=answer.budget,
            sent_ms=sent_ms,
            received_ms=self._process.now_ms(),
            server_ms=answer.server_ms,
            channel=Channel.REST.value,
            request_text=text,
            reply_text=answer.text,
        )


class SimClient:
    """The blocking client of the start-up: the caller waits while everything else goes on."""

    def __init__(self, pool: SimPool, process: Process) -> None:
        self._pool = pool
        self._process = process

    def perform(self, call: Call, *, timeout_s: float) -> Reply:
        replies: list[Reply] = []
        self._pool.perform(call, timeout_s, replies.append)
        kernel = self._process.kernel
        kernel.run_until(kernel.now_ms + 600_000, lambda: bool(replies) or not self._process.alive)
        self._process.require_alive()
        return replies[0]
