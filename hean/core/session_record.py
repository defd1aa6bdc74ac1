"""
A stream as it is remembered, and the figures it lives by.

`core/session.py` is the only file that makes a new record from an old one.
"""

from __future__ import annotations

from attrs import frozen

from hean.core.retry import RetryPolicy
from hean.core.session_facts import SessionState, SessionTimer
from hean.core.types import Ms


@frozen(kw_only=True)
class SessionPolicy:
    """
    The figures a stream lives by; times in milliseconds.

    Attributes:
        topics: to subscribe to; none for the trade stream.
        catches_up: whether something can be missed while away; False for the trade stream.
        connect_ms: for the socket to open.
        auth_ms: for the login to be answered.
        ack_ms: for every topic to be answered.
        catch_up_ms: for a catch-up to end, before it is started again.
        ping_ms: between pings. Source: Bybit V5 docs, ws/connect (20 s recommended, cut after 10 min).
        silence_ms: without any frame or pong, after which the stream is not believed; a ping and ten seconds.
        close_ms: for a silent socket to close, before it is left behind.
        stable_ms: heard from at least this long after it became LIVE: ends a run of failures.
        first_ms: upper end of the delay before the first reconnect of a run: at once, but not all streams together.
        back_off: delays of the later ones.
        catch_up: delays between catch-ups on one connection.
        refused: delays after a refused login or topic, half of each certain: nothing gets better by hurrying.
        alarm_after: failures in a row after which backing off is an alarm.
        max_opens: connections opened in any `opens_window_ms`. Source: Bybit V5 docs, ws/connect: 500 in 5 minutes per
            IP and domain, which the private and the trade stream share.
        max_buffered: live frames kept during a catch-up; beyond, the connection is given up and the next one catches
            up.
    """

    topics: tuple[str, ...] = ("order", "execution", "position", "wallet")
    catches_up: bool = True
    connect_ms: int = 10_000
    auth_ms: int = 10_000
    ack_ms: int = 10_000
    catch_up_ms: int = 60_000
    ping_ms: int = 20_000
    silence_ms: int = 30_000
    close_ms: int = 3_000
    stable_ms: int = 10_000
    first_ms: int = 250
    back_off: RetryPolicy = RetryPolicy(base_ms=500, cap_ms=30_000)
    catch_up: RetryPolicy = RetryPolicy(base_ms=500, cap_ms=10_000)
    refused: RetryPolicy = RetryPolicy(base_ms=10_000, cap_ms=300_000)
    alarm_after: int = 5
    max_opens: int = 200
    opens_window_ms: int = 300_000
    max_buffered: int = 10_000


@frozen(kw_only=True)
class Session:
    """
    A stream as its machine remembers it.

    Attributes:
        generation: number of the newest connection; 0 before the first.
        failures: connections lost or not made in a row.
        refusals: logins or subscriptions refused in a row.
        catch_ups: catch-ups failed in a row on this connection.
        pending: topics not answered yet on this connection.
        denied: topics refused on this connection.
        buffered: live frames that wait for the release.
        timers: alarms that are set.
        opens: when connections were opened, our clock, as far back as the rate bound looks.
        seen_ms: our clock when the exchange last said something on this connection.
        live_ms: our clock when the stream last became LIVE; None before.
        why: the reason of the last change of state.
    """

    policy: SessionPolicy = SessionPolicy()
    state: SessionState = SessionState.STOPPED
    generation: int = 0
    failures: int = 0
    refusals: int = 0
    catch_ups: int = 0
    pending: frozenset[str] = frozenset()
    denied: tuple[str, ...] = ()
    buffered: int = 0
    timers: frozenset[SessionTimer] = frozenset()
    opens: tuple[Ms, ...] = ()
    seen_ms: Ms = Ms(0)
    live_ms: Ms | None = None
    why: str = ""

    @property
    def live(self) -> bool:
        """Whether what the stream says is complete and current."""
        return self.state is SessionState.LIVE

    @property
    def buffering(self) -> bool:
        """Whether live frames wait for the catch-up."""
        return self.state in {SessionState.SUBSCRIBING, SessionState.CATCHING_UP}
