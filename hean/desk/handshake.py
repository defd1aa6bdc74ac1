"""One login and subscription round trip on a stream, by hand: no actor, no session, nothing that reconnects."""

from __future__ import annotations

import queue
import time
from typing import Final

from attrs import frozen

from hean.bybit.codec import AuthAck, Pong, SubscribeAck, parse_frame, ping, socket_login, subscription
from hean.bybit.endpoints import Door
from hean.bybit.stream import Socket
from hean.bybit.trade import TradeAuth, TradePong, auth_frame, parse_reply
from hean.core.session_record import SessionPolicy
from hean.desk.exchange import Exchange

_LOGIN_VALID_MS: Final = 10_000
_CLOSE_S: Final = 2.0


@frozen(kw_only=True)
class Shaken:
    """How it went; `why` is empty where all was answered. Times in milliseconds, topics those that were taken."""

    why: str = ""
    login_ms: int = 0
    round_trip_ms: int = 0
    topics: tuple[str, ...] = ()


class _Refused(Exception):
    """The exchange said no, or nothing."""


def shake(exchange: Exchange, *, trade: bool) -> Shaken:
    """Connect, log in, subscribe, ping, and close; bounded by the stream's own settings."""
    given = exchange.settings.stream
    told: queue.SimpleQueue[object] = queue.SimpleQueue()
    parse = parse_reply if trade else parse_frame
    socket = Socket(
        door=Door.TRADE if trade else Door.PRIVATE,
        url=exchange.endpoints.trade_url if trade else exchange.endpoints.private_url,
        connection_id=1,
        on_open=lambda _: told.put("open"),
        on_frame=lambda _, raw: told.put(parse(raw)),
        on_closed=lambda _, why: told.put(_Refused(why)),
        on_error=lambda _, error: told.put(_Refused(repr(error))),
        connect_timeout_s=given.connect_timeout_s,
    )
    began_s = time.monotonic()
    socket.start()
    try:
        _await(told, "the connection", given.connect_timeout_s + given.ack_timeout_s, str)
        login_ms = _log_in(exchange, socket, told, trade=trade, timeout_s=given.ack_timeout_s)
        topics = () if trade else _subscribe(socket, told, given.ack_timeout_s)
        began_s = time.monotonic()
        socket.send(ping())
        _await(told, "a pong", given.ack_timeout_s, Pong | TradePong)
    except _Refused as refused:
        return Shaken(why=str(refused))
    finally:
        socket.close("the check is over")
        socket.join(_CLOSE_S)
    return Shaken(login_ms=login_ms, round_trip_ms=int((time.monotonic() - began_s) * 1000), topics=topics)


def _log_in(
    exchange: Exchange, socket: Socket, told: queue.SimpleQueue[object], *, trade: bool, timeout_s: float
) -> int:
    expires_ms = exchange.clock.now_ms() + _LOGIN_VALID_MS
    credentials = exchange.credentials
    began_s = time.monotonic()
    if trade:
        socket.send(auth_frame(credentials, expires_ms=expires_ms, req_id="login"))
    else:
        socket.send(socket_login(credentials, expires_ms=expires_ms))
    answer = _await(told, "the answer to the login", timeout_s, AuthAck | TradeAuth)
    assert isinstance(answer, AuthAck | TradeAuth), "awaited"
    if not answer.success:
        why = answer.msg if isinstance(answer, AuthAck) else f"{answer.verdict.ret_code} {answer.verdict.ret_msg}"
        raise _Refused(f"the login was refused: {why}")
    return int((time.monotonic() - began_s) * 1000)


def _subscribe(socket: Socket, told: queue.SimpleQueue[object], timeout_s: float) -> tuple[str, ...]:
    topics = SessionPolicy().topics
    for topic in topics:
        socket.send(subscription([topic], req_id=topic))
        answer = _await(told, f"the answer about {topic}", timeout_s, SubscribeAck)
        assert isinstance(answer, SubscribeAck), "awaited"
        if not answer.success:
            raise _Refused(f"the topic {topic} was refused: {answer.msg}")
    return topics


def _await(told: queue.SimpleQueue[object], what: str, timeout_s: float, kind: object) -> object:
    """The next thing of that kind; frames of other kinds are passed over."""
    deadline_s = time.monotonic() + timeout_s
    while True:
        try:
            said = told.get(timeout=max(deadline_s - time.monotonic(), 0))
        except queue.Empty:
            raise _Refused(f"{what} did not come within {timeout_s:g} s") from None
        if isinstance(said, _Refused):
            raise said
        if isinstance(said, kind):  # type: ignore[arg-type]
            return said
