"""
Calls over HTTP: one call in, exactly one `Reply` out, and never an exception.

One client per thread: its connection is not shared. Nothing is retried, redirected, proxied or remembered here, and
nothing is taken from the environment; what to do about a reply is decided by who asked. Queries go the same way as
orders: two ways to ask would be two places to get the phase and the deadline right.

Source: Bybit V5 docs, guide (REST conventions), rate-limit; RFC 3986, section 3.4 (what a query string may hold).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Final
from urllib.parse import quote, urlsplit

from attrs import evolve

from hean.bybit.answers import SECRET_MAX_CHARS, TEXT_MAX_CHARS, Answer, judge
from hean.bybit.auth import Credentials, sign_request
from hean.bybit.codec import dump_body, query
from hean.bybit.endpoints import Door, Endpoints, checked_url, path_of
from hean.bybit.retcodes import Channel, classify, local_bug
from hean.bybit.wire import Connection, Wire
from hean.core.calls import Call, Group, Reply, group_of
from hean.core.types import Ms

_MSG_MAX_CHARS: Final = 500
_IDLE_MAX_S: Final = 25.0
"""A connection idle for longer is not used again: the other side may be closing it just then, and a create would end
in an unknown outcome for no reason."""
_ODD: Final = re.compile(r"%(?![0-9A-Fa-f]{2})|[^!$%&'()*+,\-./0-9:;=?@A-Z_a-z~]")
"""What may not stand in a query string as it is; a cursor is the exchange's own text and could hold anything."""


class RestClient:
    """
    Calls over one kept-alive connection.

    Args:
        endpoints: where; checked again at each connect by its owner.
        credentials: who.
        recv_window_ms: how old a request may be when it arrives; small on purpose, it is the dead man's switch for
            stale commands.
        reply_timeout_s: the whole call, connecting included, unless a call names its own.
        clock: now on the exchange's clock, in ms; signs requests.
        local_clock: now on our clock, in ms; dates replies. The exchange's clock where None.
    """

    def __init__(
        self,
        *,
        endpoints: Endpoints,
        credentials: Credentials,
        recv_window_ms: int = 5000,
        reply_timeout_s: float = 5.0,
        clock: Callable[[], int],
        local_clock: Callable[[], int] | None = None,
    ) -> None:
        self._rest_url = checked_url(Door.REST, endpoints.rest_url)
        self._credentials = credentials
        self._recv_window_ms = recv_window_ms
        self._reply_timeout_s = reply_timeout_s
        self._clock = clock
        self._local_clock = local_clock or clock
        self._sent_ms: Ms | None = None
        self._used_s = time.monotonic()
        self._wire = Wire(self._note_sent)
        # The address is checked again before each connect.
        self._connection = Connection(lambda: checked_url(Door.REST, self._rest_url), self._wire)
        # Uncompressed, so that the bound on an answer bounds what is read.
        self._common = (
            f"HTTP/1.1\r\nHost: {_host(self._rest_url)}\r\nUser-Agent: hean\r\n"
            "Accept: application/json\r\nAccept-Encoding: identity\r\n"
        )

    def perform(self, call: Call, *, timeout_s: float | None = None, deadline_ms: Ms | None = None) -> Reply:
        """
        Do one call and say what became of it; never raises.

        Args:
            call: what to do.
            timeout_s: bound of the whole call in seconds, connecting included; None for the client's own.
            deadline_ms: on our clock; nothing is sent at or after it.
        """
        group = group_of(call)
        self._sent_ms = None
        bound_s = self._reply_timeout_s if timeout_s is None else timeout_s
        if deadline_ms is not None:
            bound_s = min(bound_s, (deadline_ms - self._local_clock()) / 1000)
        self._wire.begin(bound_s)
        try:
            request, request_text = self._written(call, group)
        except Exception as error:  # noqa: BLE001 a call that cannot be written down must not cost the pool its thread
            return self._reply(call, Answer(verdict=local_bug(f"{type(error).__name__}: {error}")), "")
        try:
            answer = self._ask(call, request)
        except Exception as error:  # noqa: BLE001 whatever a socket or a library raises, the phase says what it proves
            msg = f"{type(error).__name__}: {error}"
            answer = Answer(verdict=classify(channel=Channel.REST, group=group, phase=self._wire.phase, ret_msg=msg))
        return self._reply(call, answer, request_text)

    def close(self) -> None:
        """Close the connection; the next call opens another."""
        self._connection.close()

    def _written(self, call: Call, group: Group) -> tuple[bytes, str]:
        """The request as it goes on the wire, and as it is kept."""
        method, path = path_of(call)
        if method == "POST":
            payload = dump_body(call)
            body = payload.encode()
            text = f"POST {path} {payload}"
            frame = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        else:
            path, parts = query(call)
            payload = _ODD.sub(lambda odd: quote(odd[0], safe=""), parts)
            body = b""
            path = f"{path}?{payload}" if payload else path
            text = f"GET {path}"
            frame = "\r\n"
        signed = "" if group is Group.PUBLIC else self._signed(payload)
        return f"{method} {path} {self._common}{signed}{frame}".encode("ascii") + body, text

    def _signed(self, payload: str) -> str:
        timestamp_ms = self._clock()
        sign = sign_request(
            self._credentials, timestamp_ms=timestamp_ms, recv_window_ms=self._recv_window_ms, payload=payload
        )
        return (
            f"X-BAPI-API-KEY: {self._credentials.api_key}\r\nX-BAPI-RECV-WINDOW: {self._recv_window_ms}\r\n"
            f"X-BAPI-TIMESTAMP: {timestamp_ms}\r\nX-BAPI-SIGN: {sign}\r\n"
        )

    def _ask(self, call: Call, request: bytes) -> Answer:
        if time.monotonic() - self._used_s > _IDLE_MAX_S:
            self._connection.close()
        http = self._connection.ask(request)
        self._used_s = time.monotonic()
        return judge(call, http.status, http.headers.items(), self._credentials.scrub(http.body))

    def _keep(self, text: str, bound: int = TEXT_MAX_CHARS) -> str:
        # Redacting megabytes takes seconds, so the text is cut first; the margin keeps a secret at the cut whole.
        return self._credentials.redact(text[: bound + SECRET_MAX_CHARS])[:bound]

    def _note_sent(self) -> None:
        self._sent_ms = Ms(self._local_clock())

    def _reply(self, call: Call, answer: Answer, request_text: str) -> Reply:
        verdict = answer.verdict
        ret_msg = self._keep(verdict.ret_msg, _MSG_MAX_CHARS)
        if ret_msg != verdict.ret_msg:
            verdict = evolve(verdict, ret_msg=ret_msg)
        return Reply(
            call=call,
            verdict=verdict,
            result=answer.result,
            budget=answer.budget,
            sent_ms=self._sent_ms,
            received_ms=Ms(self._local_clock()),
            server_ms=answer.server_ms,
            channel=Channel.REST.value,
            request_text=self._keep(request_text),
            reply_text=self._keep(answer.text),
        )


def _host(url: str) -> str:
    """The Host header of a checked address: its port only where it is not the scheme's own."""
    parts = urlsplit(url)
    return parts.netloc.removesuffix(":443" if parts.scheme == "https" else ":80")
