"""
What can happen to a stream (facts) and what its machine wants done about it (effects).

Each fact about a connection carries the `generation` of that connection: the number of the `OpenSocket` that asked for
it. What an older connection still has to say is recorded and changes nothing.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias, assert_never

from attrs import frozen


class SessionState(StrEnum):
    """Where a stream is in its life; the machine of `core/session.py` explains each."""

    STOPPED = "STOPPED"
    CONNECTING = "CONNECTING"
    AUTHENTICATING = "AUTHENTICATING"
    SUBSCRIBING = "SUBSCRIBING"
    CATCHING_UP = "CATCHING_UP"
    LIVE = "LIVE"
    STALE = "STALE"
    BACKING_OFF = "BACKING_OFF"
    FAILED = "FAILED"


class SessionTimer(StrEnum):
    """Alarms a stream sets for itself; setting one replaces its predecessor of that name."""

    CONNECT = "connect"  # the socket has not opened
    AUTH = "auth"  # the login is not answered
    ACK = "ack"  # a topic is not answered
    CATCH_UP = "catch_up"  # the catch-up failed some time ago, or is overdue: ask again
    PING = "ping"  # time to say something
    SILENCE = "silence"  # time to look how long the exchange has said nothing
    CLOSE = "close"  # a silent socket has not closed
    BACK_OFF = "back_off"  # time to connect again


@frozen(kw_only=True)
class StartRequested:
    """The stream is wanted. Trigger: wiring, or the end of an IP ban."""


@frozen(kw_only=True)
class StopRequested:
    """The stream is not wanted. Trigger: the router stops, or an IP ban demands silence."""

    why: str = "stop asked"


@frozen(kw_only=True)
class Opened:
    """The socket is open and its reader runs."""

    generation: int


@frozen(kw_only=True)
class OpenFailed:
    """The socket did not open."""

    generation: int
    why: str


@frozen(kw_only=True)
class AuthAnswered:
    """The exchange answered the login. Source: Bybit V5 docs, ws/connect: `success` alone decides."""

    generation: int
    ok: bool
    why: str = ""


@frozen(kw_only=True)
class TopicAnswered:
    """The exchange answered the subscription to one topic."""

    generation: int
    topic: str
    ok: bool
    why: str = ""


@frozen(kw_only=True)
class CaughtUp:
    """Everything missed while away was queried, completely, and merged."""

    generation: int


@frozen(kw_only=True)
class CatchUpFailed:
    """A query of the catch-up failed or was partial: it proves nothing and is made again."""

    generation: int
    why: str


@frozen(kw_only=True)
class FrameSeen:
    """A frame that is neither an answer nor a pong came in."""

    generation: int


@frozen(kw_only=True)
class PongSeen:
    """The exchange answered a ping."""

    generation: int


@frozen(kw_only=True)
class TimerFired:
    """An alarm went off that `StartTimer` of that generation had set."""

    timer: SessionTimer
    generation: int


@frozen(kw_only=True)
class Closed:
    """The socket is gone, whoever closed it."""

    generation: int
    why: str


SessionFact: TypeAlias = (
    StartRequested
    | StopRequested
    | Opened
    | OpenFailed
    | AuthAnswered
    | TopicAnswered
    | CaughtUp
    | CatchUpFailed
    | FrameSeen
    | PongSeen
    | TimerFired
    | Closed
)


def name_of(fact: SessionFact) -> str:
    """Name of the fact in the chart: a yes and a no, and each alarm, have names of their own."""
    match fact:
        case StartRequested():
            return "start_requested"
        case StopRequested():
            return "stop_requested"
        case Opened():
            return "opened"
        case OpenFailed():
            return "open_failed"
        case AuthAnswered(ok=ok):
            return "auth_acked" if ok else "auth_refused"
        case TopicAnswered(ok=ok):
            return "topic_acked" if ok else "topic_refused"
        case CaughtUp():
            return "caught_up"
        case CatchUpFailed():
            return "catch_up_failed"
        case FrameSeen():
            return "frame_seen"
        case PongSeen():
            return "pong_seen"
        case TimerFired(timer=timer):
            return f"{timer}_due"
        case Closed():
            return "closed"
        case _:
            assert_never(fact)


@frozen(kw_only=True)
class OpenSocket:
    """Connect, and answer Opened or OpenFailed of this generation."""

    generation: int


@frozen(kw_only=True)
class SendAuth:
    """Log in."""

    generation: int


@frozen(kw_only=True)
class SendSubscribe:
    """Subscribe to one topic in a request of its own, so that a partial refusal has a name."""

    generation: int
    topic: str


@frozen(kw_only=True)
class SendPing:
    """Say something that the exchange answers."""

    generation: int


@frozen(kw_only=True)
class StartCatchUp:
    """Query open orders, executions since the watermark, and positions; answer CaughtUp or CatchUpFailed."""

    generation: int


@frozen(kw_only=True)
class CloseSocket:
    """Close this connection, without waiting for it."""

    generation: int
    why: str


@frozen(kw_only=True)
class StartTimer:
    """Tell me in `delay_ms`."""

    timer: SessionTimer
    delay_ms: int
    generation: int


@frozen(kw_only=True)
class CancelTimer:
    """That alarm is not needed any more."""

    timer: SessionTimer


@frozen(kw_only=True)
class Release:
    """Hand over the frames buffered since the subscription, in order; from here on none is buffered."""


@frozen(kw_only=True)
class DropBuffer:
    """Forget the buffered frames: the next connection's catch-up asks for what they said."""


@frozen(kw_only=True)
class Announce:
    """
    The stream is in another state: journal, log and publish it.

    Attributes:
        why: the reason, for people.
        alarm: somebody should look.
    """

    state: SessionState
    why: str
    alarm: bool = False


SessionEffect: TypeAlias = (
    OpenSocket
    | SendAuth
    | SendSubscribe
    | SendPing
    | StartCatchUp
    | CloseSocket
    | StartTimer
    | CancelTimer
    | Release
    | DropBuffer
    | Announce
)
