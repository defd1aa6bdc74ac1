"""
Calls over HTTP: one call in, exactly one `Reply` out, and never an exception.

One client per thread: a `requests.Session` is not shared. Nothing is retried, redirected, proxied or remembered here;
what to do about a reply is decided by who asked.

Source: Bybit V5 docs, guide (REST conventions), rate-limit.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from http.cookiejar import DefaultCookiePolicy
from typing import Final
from urllib.parse import urlsplit

import requests
from attrs import evolve

from hean.bybit.answers import SECRET_MAX_CHARS, TEXT_MAX_CHARS, Answer, judge
from hean.bybit.auth import Credentials, request_headers
from hean.bybit.codec import CodecError, dump_body, query
from hean.bybit.endpoints import Door, Endpoints, checked_url, path_of
from hean.bybit.retcodes import Channel, classify, local_bug
from hean.bybit.wire import Wire, WireAdapter
from hean.core.calls import Call, Group, Reply, group_of
from hean.core.types import Ms

BODY_MAX_BYTES: Final = 16 * 1024 * 1024
"""A page of a thousand instruments is about 1.5 MB; whatever is ten times that is no answer."""
_MSG_MAX_CHARS: Final = 500
_IDLE_MAX_S: Final = 25.0
"""A connection idle for longer is not used again: the other side may be closing it just then, and a create would end
in an unknown outcome for no reason."""


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
        self._session = self._new_session()

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
            prepared = self._prepare(call)
        except Exception as error:  # noqa: BLE001 a call that cannot be written down must not cost the pool its thread
            return self._reply(call, Answer(verdict=local_bug(f"{type(error).__name__}: {error}")), "")
        request_text = f"{prepared.method} {prepared.path_url} {_text(prepared.body)}".rstrip()
        try:
            answer = self._ask(call, prepared)
        except Exception as error:  # noqa: BLE001 whatever a socket or a library raises, the phase says what it proves
            self._session.close()
            msg = f"{type(error).__name__}: {error}"
            answer = Answer(verdict=classify(channel=Channel.REST, group=group, phase=self._wire.phase, ret_msg=msg))
        return self._reply(call, answer, request_text)

    def close(self) -> None:
        """Close the connection; the next call opens another."""
        self._session.close()

    def _new_session(self) -> requests.Session:
        session = requests.Session()
        # Neither proxies nor credentials from the environment, no cookies, no headers of fashion.
        session.trust_env = False
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        session.adapters.clear()
        session.mount(f"{urlsplit(self._rest_url).scheme}://", WireAdapter(self._wire))
        return session

    def _prepare(self, call: Call) -> requests.PreparedRequest:
        method, path = path_of(call)
        # Uncompressed, so that the bound on an answer bounds what is read.
        headers = {"User-Agent": "hean", "Accept": "application/json", "Accept-Encoding": "identity"}
        if method == "POST":
            body = dump_body(call)
            headers["Content-Type"] = "application/json"
            prepared = requests.Request(method, self._rest_url + path, data=body.encode()).prepare()
            payload = body
        else:
            path, text = query(call)
            url = f"{self._rest_url}{path}?{text}" if text else self._rest_url + path
            prepared = requests.Request(method, url).prepare()
            # Signed as prepared: the library may have quoted a character anew.
            payload = urlsplit(prepared.url or "").query
        if group_of(call) is not Group.PUBLIC:
            headers |= request_headers(
                self._credentials,
                timestamp_ms=self._clock(),
                recv_window_ms=self._recv_window_ms,
                payload=payload,
            )
        prepared.headers.update(headers)
        return prepared

    def _ask(self, call: Call, prepared: requests.PreparedRequest) -> Answer:
        left_s = self._wire.left_s()
        now_s = time.monotonic()
        if now_s - self._used_s > _IDLE_MAX_S:
            self._session.close()
        self._used_s = now_s
        with self._session.send(
            prepared, timeout=left_s, stream=True, allow_redirects=False, verify=True, proxies={}
        ) as response:
            raw = self._read(response)
        self._used_s = time.monotonic()
        return judge(call, response.status_code, response.headers.items(), raw)

    def _read(self, response: requests.Response) -> bytes:
        parts: list[bytes] = []
        size = 0
        for part in response.iter_content(65536):
            size += len(part)
            if size > BODY_MAX_BYTES:
                raise CodecError(f"answer of more than {BODY_MAX_BYTES} bytes")
            parts.append(part)
        return self._credentials.scrub(b"".join(parts))

    def _keep(self, text: str, bound: int = TEXT_MAX_CHARS) -> str:
        # Redacting megabytes takes seconds, so the text is cut first; the margin keeps a secret at the cut whole.
        return self._credentials.redact(text[: bound + SECRET_MAX_CHARS])[:bound]

    def _note_sent(self) -> None:
        self._sent_ms = Ms(self._local_clock())

    def _reply(self, call: Call, answer: Answer, request_text: str) -> Reply:
        return Reply(
            call=call,
            verdict=evolve(answer.verdict, ret_msg=self._keep(answer.verdict.ret_msg, _MSG_MAX_CHARS)),
            result=answer.result,
            budget=answer.budget,
            sent_ms=self._sent_ms,
            received_ms=Ms(self._local_clock()),
            server_ms=answer.server_ms,
            channel=Channel.REST.value,
            request_text=self._keep(request_text),
            reply_text=self._keep(answer.text),
        )


def _text(raw: bytes | str | None) -> str:
    return raw.decode(errors="replace") if isinstance(raw, bytes) else raw or ""
