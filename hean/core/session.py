"""
A stream's machine: every transition of a WebSocket session is in this file.

Rules:

- LIVE means: logged in, every topic answered for with a yes, everything missed while away queried and merged. A socket
  that is merely open is none of it, and a partial subscription is not live;
- live frames are buffered from the subscription on and released by the catch-up, never before;
- a fact about an older connection is recorded and changes nothing;
- no state waits for ever: each but STOPPED and LIVE has a timer that ends it, LIVE has the ping and the watchdog;
- connections are opened at a bounded rate, whatever happens.

To change a transition: its line in `SessionChart`. To add a fact: its class in `core/session_facts.py` and its case in
`name_of` there, its line in `SessionChart`, its sentence in `FACTS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol, assert_never

from attrs import evolve
from statemachine import State, StateChart

from hean.core.chart import compile_chart, stay
from hean.core.retry import next_delay_ms
from hean.core.session_facts import (
    Announce,
    AuthAnswered,
    CancelTimer,
    CatchUpFailed,
    CaughtUp,
    Closed,
    CloseSocket,
    DropBuffer,
    FrameSeen,
    Opened,
    OpenFailed,
    OpenSocket,
    PongSeen,
    Release,
    SendAuth,
    SendPing,
    SendSubscribe,
    SessionEffect,
    SessionFact,
    SessionState,
    SessionTimer,
    StartCatchUp,
    StartRequested,
    StartTimer,
    StopRequested,
    TimerFired,
    TopicAnswered,
    name_of,
)
from hean.core.session_record import Session
from hean.core.types import Ms
from hean.errors import IllegalTransition


class SessionChart(StateChart["SessionStep"]):
    """The life of a stream, one line per fact. An odd edge has its reason on the line above."""

    allow_event_without_transition = False
    catch_errors_as_events = False
    enable_self_transition_entries = False
    atomic_configuration_update = True
    validate_final_reachability = False

    STOPPED = State(initial=True, value="STOPPED")
    CONNECTING = State(value="CONNECTING")
    AUTHENTICATING = State(value="AUTHENTICATING")
    SUBSCRIBING = State(value="SUBSCRIBING")
    CATCHING_UP = State(value="CATCHING_UP")
    LIVE = State(value="LIVE")
    STALE = State(value="STALE")
    BACKING_OFF = State(value="BACKING_OFF")
    FAILED = State(value="FAILED")

    # What is wanted.
    start_requested = (
        STOPPED.to(CONNECTING, cond="may_open", on="open")
        | STOPPED.to(BACKING_OFF, on="wait_for_slot")
        | stay(CONNECTING, AUTHENTICATING, SUBSCRIBING, CATCHING_UP, LIVE, STALE, BACKING_OFF, FAILED)
    )
    stop_requested = (
        CONNECTING.to(STOPPED, on=["close", "stop"])
        | AUTHENTICATING.to(STOPPED, on=["close", "stop"])
        | SUBSCRIBING.to(STOPPED, on=["close", "stop"])
        | CATCHING_UP.to(STOPPED, on=["close", "stop"])
        | LIVE.to(STOPPED, on=["close", "stop"])
        | STALE.to(STOPPED, on="stop")
        | BACKING_OFF.to(STOPPED, on="stop")
        | FAILED.to(STOPPED, on="stop")
        | stay(STOPPED)
    )

    # The socket.
    opened = (
        CONNECTING.to(AUTHENTICATING, on="log_in")
        # Its deadline passed first: nobody waits for this connection any more.
        | stay(STOPPED, STALE, BACKING_OFF, FAILED, on="close")
    )
    open_failed = CONNECTING.to(BACKING_OFF, on="back_off") | stay(STOPPED, STALE, BACKING_OFF, FAILED)
    closed = (
        CONNECTING.to(BACKING_OFF, on="back_off")
        | AUTHENTICATING.to(BACKING_OFF, on="back_off")
        | SUBSCRIBING.to(BACKING_OFF, on="back_off")
        | CATCHING_UP.to(BACKING_OFF, on="back_off")
        | LIVE.to(BACKING_OFF, on="back_off")
        | STALE.to(BACKING_OFF, on="back_off")
        | stay(STOPPED, BACKING_OFF, FAILED)
    )

    # The login, and each topic.
    auth_acked = (
        AUTHENTICATING.to(SUBSCRIBING, cond="has_topics", on=["keep_alive", "subscribe"])
        | AUTHENTICATING.to(CATCHING_UP, cond="catches_up", on=["keep_alive", "catch_up"])
        | AUTHENTICATING.to(LIVE, on=["keep_alive", "go_live"])
        | stay(SUBSCRIBING, CATCHING_UP, LIVE, STOPPED, STALE, BACKING_OFF, FAILED)
    )
    # A login can be taken back later on; a stream that is not logged in is not live, however open.
    auth_refused = (
        AUTHENTICATING.to(FAILED, on=["close", "fail"])
        | SUBSCRIBING.to(FAILED, on=["close", "fail"])
        | CATCHING_UP.to(FAILED, on=["close", "fail"])
        | LIVE.to(FAILED, on=["close", "fail"])
        | stay(STOPPED, STALE, BACKING_OFF, FAILED)
    )
    topic_acked = (
        SUBSCRIBING.to(FAILED, cond=["last_topic", "some_denied"], on=["note_topic", "close", "fail"])
        | SUBSCRIBING.to(CATCHING_UP, cond=["last_topic", "catches_up"], on=["note_topic", "catch_up"])
        | SUBSCRIBING.to(LIVE, cond="last_topic", on=["note_topic", "go_live"])
        | stay(SUBSCRIBING, on="note_topic")
        | stay(AUTHENTICATING, CATCHING_UP, LIVE, STOPPED, STALE, BACKING_OFF, FAILED)
    )
    topic_refused = (
        # Every answer is waited for, so that the refusal names all topics it hit.
        SUBSCRIBING.to(FAILED, cond="last_topic", on=["note_topic", "note_denied", "close", "fail"])
        | stay(SUBSCRIBING, cond="topic_pending", on=["note_topic", "note_denied"])
        | CATCHING_UP.to(FAILED, cond="topic_ours", on=["note_denied", "close", "fail"])
        | LIVE.to(FAILED, cond="topic_ours", on=["note_denied", "close", "fail"])
        | stay(SUBSCRIBING, AUTHENTICATING, CATCHING_UP, LIVE, STOPPED, STALE, BACKING_OFF, FAILED)
    )

    # What was missed. An overdue catch-up that ends after all finds the stream LIVE by the next one.
    caught_up = CATCHING_UP.to(LIVE, on="go_live") | stay(LIVE, STOPPED, STALE, BACKING_OFF, FAILED)
    catch_up_failed = stay(CATCHING_UP, on="catch_up_later") | stay(LIVE, STOPPED, STALE, BACKING_OFF, FAILED)

    # Signs of life.
    frame_seen = (
        SUBSCRIBING.to(BACKING_OFF, cond="buffer_full", on=["close", "back_off"])
        | CATCHING_UP.to(BACKING_OFF, cond="buffer_full", on=["close", "back_off"])
        | stay(SUBSCRIBING, CATCHING_UP, on="buffer")
        | stay(AUTHENTICATING, LIVE, STOPPED, STALE, BACKING_OFF, FAILED)
    )
    pong_seen = stay(AUTHENTICATING, SUBSCRIBING, CATCHING_UP, LIVE, STOPPED, STALE, BACKING_OFF, FAILED)

    # Alarms. One that was cancelled too late finds another state and changes nothing.
    connect_due = CONNECTING.to(BACKING_OFF, on=["close", "back_off"]) | stay(
        AUTHENTICATING, SUBSCRIBING, CATCHING_UP, LIVE, STOPPED, STALE, BACKING_OFF, FAILED
    )
    auth_due = AUTHENTICATING.to(BACKING_OFF, on=["close", "back_off"]) | stay(
        SUBSCRIBING, CATCHING_UP, LIVE, STOPPED, STALE, BACKING_OFF, FAILED
    )
    ack_due = SUBSCRIBING.to(BACKING_OFF, on=["close", "back_off"]) | stay(
        CATCHING_UP, LIVE, STOPPED, STALE, BACKING_OFF, FAILED
    )
    catch_up_due = stay(CATCHING_UP, on="catch_up") | stay(LIVE, STOPPED, STALE, BACKING_OFF, FAILED)
    ping_due = stay(SUBSCRIBING, CATCHING_UP, LIVE, on="ping") | stay(STOPPED, STALE, BACKING_OFF, FAILED)
    silence_due = (
        SUBSCRIBING.to(STALE, cond="silent", on=["close", "suspect"])
        | CATCHING_UP.to(STALE, cond="silent", on=["close", "suspect"])
        | LIVE.to(STALE, cond="silent", on=["close", "suspect"])
        | stay(SUBSCRIBING, CATCHING_UP, LIVE, on="watch")
        | stay(STOPPED, STALE, BACKING_OFF, FAILED)
    )
    close_due = STALE.to(BACKING_OFF, on="back_off") | stay(STOPPED, BACKING_OFF, FAILED)
    back_off_due = (
        BACKING_OFF.to(CONNECTING, cond="may_open", on="open")
        | FAILED.to(CONNECTING, cond="may_open", on="open")
        | stay(BACKING_OFF, FAILED, on="wait_for_slot")
        | stay(STOPPED, CONNECTING, AUTHENTICATING, SUBSCRIBING, CATCHING_UP, LIVE, STALE)
    )


STATES: Final[Mapping[str, str]] = {
    "STOPPED": "Not wanted: before the start, after a stop, during a ban. Left by a start.",
    "CONNECTING": "A socket is being opened. A deadline ends it.",
    "AUTHENTICATING": "Open, the login sent. A deadline ends it; nothing is subscribed before the answer.",
    "SUBSCRIBING": "Logged in; each topic waits for its own answer. A deadline ends it; frames are buffered.",
    "CATCHING_UP": "Subscribed; what was missed is being queried. A failed query is made again on this connection; "
    "frames are buffered.",
    "LIVE": "Complete and current: the only state in which orders are submitted. Pings and a watchdog guard it.",
    "STALE": "Nothing was heard for too long: closing. A socket that does not close is left behind.",
    "BACKING_OFF": "No connection; the next one is opened after a jittered delay, at a bounded rate.",
    "FAILED": "The login or a topic was refused: an alarm, and a long delay before the next try. A person must look.",
}
"""What each state means, how it fails and how it recovers; the README's table is made from it."""

FACTS: Final[Mapping[str, str]] = {
    "start_requested": "start asked",
    "stop_requested": "stop asked",
    "opened": "socket open",
    "open_failed": "socket did not open",
    "closed": "socket gone",
    "auth_acked": "login accepted",
    "auth_refused": "login refused",
    "topic_acked": "topic accepted",
    "topic_refused": "topic refused",
    "caught_up": "catch-up complete",
    "catch_up_failed": "catch-up failed or partial",
    "frame_seen": "data frame",
    "pong_seen": "pong",
    "connect_due": "connect deadline",
    "auth_due": "login deadline",
    "ack_due": "topics deadline",
    "catch_up_due": "catch-up timer",
    "ping_due": "ping timer",
    "silence_due": "silence watchdog",
    "close_due": "close deadline",
    "back_off_due": "back-off timer",
}
"""What each fact of the chart stands for, in the order of its table."""


class SessionStep:
    """One fact on its way through the chart: the draft of the new session and the effects so far."""

    def __init__(self, session: Session, fact: SessionFact, now_ms: Ms, unit: float) -> None:
        self.draft = session
        self.effects: list[SessionEffect] = []
        self._policy = session.policy
        self._now_ms = now_ms
        self._unit = unit
        self._topic = fact.topic if isinstance(fact, TopicAnswered) else ""
        self._why = _why_of(session, fact)
        if isinstance(fact, Opened | AuthAnswered | TopicAnswered | FrameSeen | PongSeen):
            self.draft = evolve(session, seen_ms=now_ms)
        elif isinstance(fact, TimerFired):
            self.draft = evolve(session, timers=session.timers - {fact.timer})

    # Guards.

    def may_open(self) -> bool:
        return len(self._recent_opens()) < self._policy.max_opens

    def has_topics(self) -> bool:
        return bool(self._policy.topics)

    def catches_up(self) -> bool:
        return self._policy.catches_up

    def topic_pending(self) -> bool:
        return self._topic in self.draft.pending

    def topic_ours(self) -> bool:
        return self._topic in self._policy.topics

    def last_topic(self) -> bool:
        return self.draft.pending == {self._topic}

    def some_denied(self) -> bool:
        return bool(self.draft.denied)

    def buffer_full(self) -> bool:
        return self.draft.buffered >= self._policy.max_buffered

    def silent(self) -> bool:
        return self._now_ms - self.draft.seen_ms >= self._policy.silence_ms

    # Actions.

    def open(self) -> None:
        generation = self.draft.generation + 1
        opens = (*self._recent_opens(), self._now_ms)
        self._clear()
        self.draft = evolve(self.draft, generation=generation, opens=opens, catch_ups=0, denied=())
        self.effects.append(OpenSocket(generation=generation))
        self._start(SessionTimer.CONNECT, self._policy.connect_ms)

    def wait_for_slot(self) -> None:
        # A clock that went back must not turn five minutes into hours.
        slot_ms = self._recent_opens()[0] + self._policy.opens_window_ms - self._now_ms
        self._start(SessionTimer.BACK_OFF, min(slot_ms, self._policy.opens_window_ms))

    def log_in(self) -> None:
        self._cancel(SessionTimer.CONNECT)
        self.effects.append(SendAuth(generation=self.draft.generation))
        self._start(SessionTimer.AUTH, self._policy.auth_ms)

    def keep_alive(self) -> None:
        self._cancel(SessionTimer.AUTH)
        self._start(SessionTimer.PING, self._policy.ping_ms)
        self._start(SessionTimer.SILENCE, self._policy.silence_ms)

    def subscribe(self) -> None:
        self.draft = evolve(self.draft, pending=frozenset(self._policy.topics))
        for topic in self._policy.topics:
            self.effects.append(SendSubscribe(generation=self.draft.generation, topic=topic))
        self._start(SessionTimer.ACK, self._policy.ack_ms)

    def note_topic(self) -> None:
        self.draft = evolve(self.draft, pending=self.draft.pending - {self._topic})

    def note_denied(self) -> None:
        self.draft = evolve(self.draft, denied=(*self.draft.denied, self._topic))

    def catch_up(self) -> None:
        self._cancel(SessionTimer.ACK)
        self.effects.append(StartCatchUp(generation=self.draft.generation))
        self._start(SessionTimer.CATCH_UP, self._policy.catch_up_ms)

    def catch_up_later(self) -> None:
        self.draft = evolve(self.draft, catch_ups=self.draft.catch_ups + 1)
        self._start(SessionTimer.CATCH_UP, next_delay_ms(self._policy.catch_up, self.draft.catch_ups, self._unit))

    def go_live(self) -> None:
        self._cancel(SessionTimer.ACK)
        self._cancel(SessionTimer.CATCH_UP)
        self.draft = evolve(self.draft, live_ms=self._now_ms, catch_ups=0, refusals=0, buffered=0)
        self.effects.append(Release())

    def buffer(self) -> None:
        self.draft = evolve(self.draft, buffered=self.draft.buffered + 1)

    def ping(self) -> None:
        self.effects.append(SendPing(generation=self.draft.generation))
        self._start(SessionTimer.PING, self._policy.ping_ms)

    def watch(self) -> None:
        quiet_ms = max(self._now_ms - self.draft.seen_ms, 0)
        self._start(SessionTimer.SILENCE, self._policy.silence_ms - quiet_ms)

    def close(self) -> None:
        self.effects.append(CloseSocket(generation=self.draft.generation, why=self._why))

    def suspect(self) -> None:
        self._clear()
        self._start(SessionTimer.CLOSE, self._policy.close_ms)

    def back_off(self) -> None:
        self._clear()
        failures = self.draft.failures
        if self.draft.live_ms is not None and self.draft.seen_ms - self.draft.live_ms >= self._policy.stable_ms:
            failures = 0
        delay_ms = next_delay_ms(self._policy.back_off, failures, self._unit)
        if failures == 0:
            delay_ms = int(self._unit * self._policy.first_ms)
        # The run of failures starts anew only after another stable time LIVE.
        self.draft = evolve(self.draft, failures=failures + 1, live_ms=None)
        self._start(SessionTimer.BACK_OFF, delay_ms)

    def fail(self) -> None:
        self._clear()
        refusals = self.draft.refusals + 1
        self.draft = evolve(self.draft, refusals=refusals, live_ms=None)
        longest = next_delay_ms(self._policy.refused, refusals, 1.0)
        self._start(SessionTimer.BACK_OFF, int(longest * (1 + self._unit) / 2))

    def stop(self) -> None:
        self._clear()
        self.draft = evolve(self.draft, failures=0, refusals=0, live_ms=None)

    def finish(self, after: SessionState) -> None:
        """Take the new state; a change of it is announced."""
        before = self.draft.state
        if after is before:
            return
        self.draft = evolve(self.draft, state=after, why=self._why)
        worrying = after is SessionState.BACKING_OFF and self.draft.failures >= self._policy.alarm_after
        alarm = worrying or after in {SessionState.FAILED, SessionState.STALE}
        self.effects.append(Announce(state=after, why=self._why, alarm=alarm))

    def _recent_opens(self) -> tuple[Ms, ...]:
        since = self._now_ms - self._policy.opens_window_ms
        return tuple(at_ms for at_ms in self.draft.opens if at_ms > since)

    def _start(self, timer: SessionTimer, delay_ms: int) -> None:
        self.draft = evolve(self.draft, timers=self.draft.timers | {timer})
        self.effects.append(StartTimer(timer=timer, delay_ms=delay_ms, generation=self.draft.generation))

    def _cancel(self, timer: SessionTimer) -> None:
        if timer in self.draft.timers:
            self.draft = evolve(self.draft, timers=self.draft.timers - {timer})
            self.effects.append(CancelTimer(timer=timer))

    def _clear(self) -> None:
        for timer in sorted(self.draft.timers):
            self._cancel(timer)
        if self.draft.buffering:
            self.effects.append(DropBuffer())
        self.draft = evolve(self.draft, pending=frozenset(), buffered=0)


class SessionEngine(Protocol):
    """Runs one fact through the chart: the flat table, or the chart itself."""

    def step(self, step: SessionStep, state: str, fact: str, /) -> str: ...


TABLE: Final = compile_chart(SessionChart, SessionStep)


def apply(
    session: Session, fact: SessionFact, now_ms: Ms, *, unit: float = 0.5, engine: SessionEngine = TABLE
) -> tuple[Session, tuple[SessionEffect, ...]]:
    """
    Take one fact.

    Args:
        session: the stream before it.
        fact: what happened.
        now_ms: our clock.
        unit: a random number of [0, 1), spent on the jitter of at most one timer.
        engine: the flat table, or `Interpreted(SessionChart)` to check it.

    Returns:
        The stream after it, and what is to be done, in order.

    Raises:
        IllegalTransition: the fact cannot happen in this state by construction. Nothing has changed.
    """
    if not isinstance(fact, StartRequested | StopRequested) and fact.generation != session.generation:
        if fact.generation < session.generation:
            return session, ()
        raise IllegalTransition(f"{fact!r} is about a connection that was never asked for, newest {session.generation}")
    step = SessionStep(session, fact, now_ms, unit)
    step.finish(SessionState(engine.step(step, session.state, name_of(fact))))
    return step.draft, tuple(step.effects)


def _why_of(session: Session, fact: SessionFact) -> str:
    denied = ", ".join(session.denied)
    match fact:
        case StopRequested(why=why) | OpenFailed(why=why) | Closed(why=why) | CatchUpFailed(why=why):
            return why
        case Opened():
            return "open"
        case AuthAnswered(ok=ok, why=why):
            return "logged in" if ok else f"login refused: {why}"
        case TopicAnswered(ok=True):
            return f"topics refused: {denied}" if denied else "subscribed"
        case TopicAnswered(topic=topic, why=why):
            return f"topics refused: {', '.join((*session.denied, topic))}: {why}"
        case TimerFired(timer=SessionTimer.ACK):
            return f"no answer for topics {', '.join(sorted(session.pending))}; refused: {denied or 'none'}"
        case TimerFired(timer=SessionTimer.SILENCE):
            return f"nothing heard for {session.policy.silence_ms} ms"
        case TimerFired(timer=timer):
            return f"{timer} timer"
        case FrameSeen():
            return f"{session.buffered} frames wait for the catch-up, more are not kept"
        case StartRequested():
            return "start asked"
        case CaughtUp():
            return "caught up"
        case PongSeen():
            return "pong"
        case _:
            assert_never(fact)
