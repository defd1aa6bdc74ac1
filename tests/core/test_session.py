"""Every cell of a stream's machine, what it asks to be done, and what no sequence of facts can break."""

from __future__ import annotations

import pytest
from attrs import evolve
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from hean.core.chart import Interpreted
from hean.core.retry import RetryPolicy
from hean.core.session import FACTS, STATES, TABLE, SessionChart, SessionStep, apply
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
    SessionFact,
    SessionState,
    SessionTimer,
    StartCatchUp,
    StartRequested,
    StartTimer,
    StopRequested,
    TimerFired,
    TopicAnswered,
)
from hean.core.session_record import Session, SessionPolicy
from hean.core.types import Ms
from hean.errors import IllegalTransition

T0 = Ms(1_000_000)
PRIVATE = SessionPolicy(topics=("order", "execution"))
TRADE = SessionPolicy(topics=(), catches_up=False)

LETTERS = {
    "S": "STOPPED",
    "C": "CONNECTING",
    "A": "AUTHENTICATING",
    "U": "SUBSCRIBING",
    "K": "CATCHING_UP",
    "L": "LIVE",
    "T": "STALE",
    "B": "BACKING_OFF",
    "F": "FAILED",
}
# "." stays, a letter moves there, "/" separates the rows of a cell in the order they are tried, "-" is undeclared.
CELLS = """
                 S    C    A      U        K    L    T    B    F
start_requested  C/B  .    .      .        .    .    .    .    .
stop_requested   .    S    S      S        S    S    S    S    S
opened           .    A    -      -        -    -    .    .    .
open_failed      .    B    -      -        -    -    .    .    .
closed           .    B    B      B        B    B    B    .    .
auth_acked       .    -    U/K/L  .        .    .    .    .    .
auth_refused     .    -    F      F        F    F    .    .    .
topic_acked      .    -    .      F/K/L/.  .    .    .    .    .
topic_refused    .    -    .      F/./.    F/.  F/.  .    .    .
caught_up        .    -    -      -        L    .    .    .    .
catch_up_failed  .    -    -      -        .    .    .    .    .
frame_seen       .    -    .      B/.      B/.  .    .    .    .
pong_seen        .    -    .      .        .    .    .    .    .
connect_due      .    B    .      .        .    .    .    .    .
auth_due         .    -    B      .        .    .    .    .    .
ack_due          .    -    -      B        .    .    .    .    .
catch_up_due     .    -    -      -        .    .    .    .    .
ping_due         .    -    -      .        .    .    .    .    .
silence_due      .    -    -      T/.      T/.  T/.  .    .    .
close_due        .    -    -      -        -    -    B    .    .
back_off_due     .    .    .      .        .    .    .    C/.  C/.
"""


def cells() -> dict[tuple[str, str], str]:
    head, *rows = (line.split() for line in CELLS.strip().splitlines())
    return {(LETTERS[letter], row[0]): cell for row in rows for letter, cell in zip(head, row[1:], strict=True)}


def shown(state: str, fact: str) -> str:
    letter = {name: letter for letter, name in LETTERS.items()}
    edges = TABLE.cell(state, fact)
    return "/".join(letter[edge.after] if edge.moves else "." for edge in edges) or "-"


def drive(session: Session, *facts: SessionFact, at: int = T0, unit: float = 0.5) -> tuple[Session, list]:
    effects: list = []
    for fact in facts:
        session, effects = apply(session, fact, Ms(at), unit=unit)
    return session, list(effects)


def at_state(state: SessionState, policy: SessionPolicy = PRIVATE) -> Session:
    """A session that got to `state` the honest way, on connection 1."""
    session = Session(policy=policy)
    up = [
        StartRequested(),
        Opened(generation=1),
        AuthAnswered(generation=1, ok=True),
        TopicAnswered(generation=1, topic="order", ok=True),
        TopicAnswered(generation=1, topic="execution", ok=True),
        CaughtUp(generation=1),
    ]
    path = {
        SessionState.STOPPED: [StartRequested(), StopRequested()],
        SessionState.CONNECTING: up[:1],
        SessionState.AUTHENTICATING: up[:2],
        SessionState.SUBSCRIBING: up[:3],
        SessionState.CATCHING_UP: up[:5],
        SessionState.LIVE: up,
        SessionState.STALE: up,
        SessionState.BACKING_OFF: [*up[:1], OpenFailed(generation=1, why="refused")],
        SessionState.FAILED: [*up[:2], AuthAnswered(generation=1, ok=False, why="bad key")],
    }[state]
    session, _ = drive(session, *path)
    if state is SessionState.STALE:
        session, _ = drive(session, fired(SessionTimer.SILENCE), at=T0 + 30_000)
    assert state is session.state
    return session


def fired(timer: SessionTimer, generation: int = 1) -> TimerFired:
    return TimerFired(timer=timer, generation=generation)


FACT_OF = {
    "start_requested": StartRequested(),
    "stop_requested": StopRequested(),
    "opened": Opened(generation=1),
    "open_failed": OpenFailed(generation=1, why="refused"),
    "closed": Closed(generation=1, why="reset"),
    "auth_acked": AuthAnswered(generation=1, ok=True),
    "auth_refused": AuthAnswered(generation=1, ok=False, why="bad key"),
    "topic_acked": TopicAnswered(generation=1, topic="order", ok=True),
    "topic_refused": TopicAnswered(generation=1, topic="order", ok=False, why="no right"),
    "caught_up": CaughtUp(generation=1),
    "catch_up_failed": CatchUpFailed(generation=1, why="504"),
    "frame_seen": FrameSeen(generation=1),
    "pong_seen": PongSeen(generation=1),
} | {f"{timer}_due": fired(timer) for timer in SessionTimer}


# The table.


def test_table_names_exactly_the_states_and_facts_of_the_machine():
    states, facts = ({cell[i] for cell in cells()} for i in (0, 1))
    assert set(SessionState) == states == set(TABLE.states) == set(STATES)
    assert set(FACT_OF) == facts == set(TABLE.facts) == set(FACTS)


@pytest.mark.parametrize("state,fact,cell", [(*at, cell) for at, cell in cells().items()])
def test_cell_is_as_decided(state, fact, cell):
    assert cell == shown(state, fact)


@pytest.mark.parametrize("state", SessionState)
@pytest.mark.parametrize("fact", FACT_OF)
def test_table_and_chart_agree_on_every_cell(state, fact):
    """The flat engine and python-statemachine take the same row of each cell, or both refuse."""
    session = at_state(state)

    def outcome(engine):
        try:
            return apply(session, FACT_OF[fact], Ms(T0 + 60_000), engine=engine)
        except IllegalTransition:
            return "illegal"

    assert outcome(Interpreted[SessionStep](SessionChart)) == outcome(TABLE)


@pytest.mark.parametrize("state,fact", [at for at, cell in cells().items() if cell == "-"])
def test_undeclared_cell_raises(state, fact):
    with pytest.raises(IllegalTransition):
        apply(at_state(SessionState(state)), FACT_OF[fact], T0)


@pytest.mark.parametrize("state", SessionState)
@pytest.mark.parametrize("fact", FACT_OF)
def test_fact_of_an_older_connection_changes_nothing(state, fact):
    if fact in {"start_requested", "stop_requested"}:
        return
    session = evolve(at_state(state), generation=2)
    assert (session, ()) == apply(session, FACT_OF[fact], T0)


def test_fact_of_a_connection_never_asked_for_is_illegal():
    with pytest.raises(IllegalTransition, match="never asked for"):
        apply(at_state(SessionState.LIVE), FrameSeen(generation=2), T0)


def test_thing_that_is_no_fact_is_a_bug():
    class Unheard:
        generation = 1

    with pytest.raises(AssertionError):
        apply(at_state(SessionState.LIVE), Unheard(), T0)


# The way up.


def test_private_stream_goes_live_only_by_login_topics_and_catch_up():
    session = Session(policy=PRIVATE)
    session, effects = drive(session, StartRequested())
    assert [
        OpenSocket(generation=1),
        StartTimer(timer=SessionTimer.CONNECT, delay_ms=10_000, generation=1),
        Announce(state=SessionState.CONNECTING, why="start asked"),
    ] == effects
    session, effects = drive(session, Opened(generation=1))
    assert [
        CancelTimer(timer=SessionTimer.CONNECT),
        SendAuth(generation=1),
        StartTimer(timer=SessionTimer.AUTH, delay_ms=10_000, generation=1),
        Announce(state=SessionState.AUTHENTICATING, why="open"),
    ] == effects
    session, effects = drive(session, AuthAnswered(generation=1, ok=True))
    assert [
        CancelTimer(timer=SessionTimer.AUTH),
        StartTimer(timer=SessionTimer.PING, delay_ms=20_000, generation=1),
        StartTimer(timer=SessionTimer.SILENCE, delay_ms=30_000, generation=1),
        SendSubscribe(generation=1, topic="order"),
        SendSubscribe(generation=1, topic="execution"),
        StartTimer(timer=SessionTimer.ACK, delay_ms=10_000, generation=1),
        Announce(state=SessionState.SUBSCRIBING, why="logged in"),
    ] == effects
    session, effects = drive(session, TopicAnswered(generation=1, topic="execution", ok=True))
    assert [] == effects
    assert session.buffering
    session, effects = drive(session, TopicAnswered(generation=1, topic="order", ok=True))
    assert [
        CancelTimer(timer=SessionTimer.ACK),
        StartCatchUp(generation=1),
        StartTimer(timer=SessionTimer.CATCH_UP, delay_ms=60_000, generation=1),
        Announce(state=SessionState.CATCHING_UP, why="subscribed"),
    ] == effects
    assert not session.live
    session, effects = drive(session, CaughtUp(generation=1))
    assert [
        CancelTimer(timer=SessionTimer.CATCH_UP),
        Release(),
        Announce(state=SessionState.LIVE, why="caught up"),
    ] == effects
    assert session.live
    assert frozenset({SessionTimer.PING, SessionTimer.SILENCE}) == session.timers


def test_trade_stream_is_live_after_its_login():
    session, effects = drive(
        Session(policy=TRADE), StartRequested(), Opened(generation=1), AuthAnswered(generation=1, ok=True)
    )
    assert session.live
    assert [Release(), Announce(state=SessionState.LIVE, why="logged in")] == effects[-2:]


def test_stream_without_topics_can_still_catch_up():
    session, effects = drive(
        Session(policy=SessionPolicy(topics=())),
        StartRequested(),
        Opened(generation=1),
        AuthAnswered(generation=1, ok=True),
    )
    assert SessionState.CATCHING_UP is session.state
    assert StartCatchUp(generation=1) in effects


def test_stream_without_catch_up_is_live_after_its_last_topic():
    session, _ = drive(
        Session(policy=SessionPolicy(topics=("order",), catches_up=False)),
        StartRequested(),
        Opened(generation=1),
        AuthAnswered(generation=1, ok=True),
        TopicAnswered(generation=1, topic="order", ok=True),
    )
    assert session.live
    assert SessionTimer.ACK not in session.timers


def test_second_answer_to_one_topic_does_not_stand_for_the_other():
    session, _ = drive(at_state(SessionState.SUBSCRIBING), FACT_OF["topic_acked"], FACT_OF["topic_acked"])
    assert SessionState.SUBSCRIBING is session.state
    assert {"execution"} == session.pending


# Refusals.


def test_refused_login_fails_with_an_alarm_and_a_long_wait():
    session, effects = drive(at_state(SessionState.AUTHENTICATING), FACT_OF["auth_refused"], unit=0.5)
    assert [
        CloseSocket(generation=1, why="login refused: bad key"),
        CancelTimer(timer=SessionTimer.AUTH),
        StartTimer(timer=SessionTimer.BACK_OFF, delay_ms=7_500, generation=1),
        Announce(state=SessionState.FAILED, why="login refused: bad key", alarm=True),
    ] == effects
    session, effects = drive(session, fired(SessionTimer.BACK_OFF))
    assert SessionState.CONNECTING is session.state
    session, effects = drive(session, Opened(generation=2), AuthAnswered(generation=2, ok=False), unit=0.0)
    assert StartTimer(timer=SessionTimer.BACK_OFF, delay_ms=10_000, generation=2) in effects


def test_partial_subscription_is_not_live_and_is_named():
    session, _ = drive(at_state(SessionState.SUBSCRIBING), FACT_OF["topic_refused"])
    assert SessionState.SUBSCRIBING is session.state
    session, effects = drive(session, TopicAnswered(generation=1, topic="execution", ok=True))
    assert Announce(state=SessionState.FAILED, why="topics refused: order", alarm=True) == effects[-1]
    assert CloseSocket(generation=1, why="topics refused: order") in effects


def test_every_refused_topic_is_named():
    session, effects = drive(
        at_state(SessionState.SUBSCRIBING),
        FACT_OF["topic_refused"],
        TopicAnswered(generation=1, topic="execution", ok=False, why="no right"),
    )
    assert "topics refused: order, execution: no right" == effects[-1].why
    assert ("order", "execution") == session.denied


def test_refusal_of_a_topic_that_is_not_ours_changes_nothing():
    stranger = TopicAnswered(generation=1, topic="greeks", ok=False)
    for state in (SessionState.SUBSCRIBING, SessionState.CATCHING_UP, SessionState.LIVE):
        session, effects = drive(at_state(state), stranger)
        assert state is session.state
        assert () == session.denied
        assert [] == effects


def test_missing_answers_are_named():
    session, _ = drive(at_state(SessionState.SUBSCRIBING), FACT_OF["topic_refused"])
    session, effects = drive(session, fired(SessionTimer.ACK))
    assert SessionState.BACKING_OFF is session.state
    assert "no answer for topics execution; refused: order" == effects[-1].why
    _, effects = drive(at_state(SessionState.SUBSCRIBING), fired(SessionTimer.ACK))
    assert "no answer for topics execution, order; refused: none" == effects[-1].why


def test_new_connection_forgets_what_the_old_one_refused():
    session, _ = drive(at_state(SessionState.SUBSCRIBING), FACT_OF["topic_refused"], Closed(generation=1, why="cut"))
    session, _ = drive(session, fired(SessionTimer.BACK_OFF))
    assert () == session.denied
    assert frozenset() == session.pending


# Catching up.


def test_failed_catch_up_is_made_again_on_the_same_connection():
    session, effects = drive(at_state(SessionState.CATCHING_UP), FACT_OF["catch_up_failed"], unit=0.5)
    assert [StartTimer(timer=SessionTimer.CATCH_UP, delay_ms=250, generation=1)] == effects
    session, effects = drive(session, FACT_OF["catch_up_failed"], unit=0.5)
    assert [StartTimer(timer=SessionTimer.CATCH_UP, delay_ms=500, generation=1)] == effects
    session, effects = drive(session, fired(SessionTimer.CATCH_UP))
    assert StartCatchUp(generation=1) == effects[0]
    assert SessionState.CATCHING_UP is session.state
    session, _ = drive(session, CaughtUp(generation=1))
    assert 0 == session.catch_ups


def test_cut_during_the_catch_up_drops_the_buffer_and_ignores_its_result():
    session, _ = drive(at_state(SessionState.CATCHING_UP), FrameSeen(generation=1))
    session, effects = drive(session, Closed(generation=1, why="reset"))
    assert SessionState.BACKING_OFF is session.state
    assert DropBuffer() in effects
    assert 0 == session.buffered
    session, _ = drive(session, fired(SessionTimer.BACK_OFF), Opened(generation=2))
    assert (session, []) == drive(session, CaughtUp(generation=1))


def test_buffer_is_bounded():
    session = at_state(SessionState.CATCHING_UP, evolve(PRIVATE, max_buffered=3))
    session, effects = drive(session, *[FrameSeen(generation=1)] * 3)
    assert (3, []) == (session.buffered, effects)
    session, effects = drive(session, FrameSeen(generation=1))
    assert SessionState.BACKING_OFF is session.state
    assert CloseSocket(generation=1, why="3 frames wait for the catch-up, more are not kept") == effects[0]
    assert DropBuffer() in effects


def test_live_frames_are_not_counted_as_buffered():
    session, effects = drive(at_state(SessionState.LIVE), FrameSeen(generation=1), at=T0 + 7)
    assert (0, []) == (session.buffered, effects)
    assert Ms(T0 + 7) == session.seen_ms


# Silence.


def test_ping_goes_on_for_ever():
    _session, effects = drive(at_state(SessionState.LIVE), fired(SessionTimer.PING))
    assert [
        SendPing(generation=1),
        StartTimer(timer=SessionTimer.PING, delay_ms=20_000, generation=1),
    ] == effects


def test_watchdog_waits_for_what_is_left_of_the_silence():
    session, _ = drive(at_state(SessionState.LIVE), PongSeen(generation=1), at=T0 + 20_000)
    session, effects = drive(session, fired(SessionTimer.SILENCE), at=T0 + 30_000)
    assert [StartTimer(timer=SessionTimer.SILENCE, delay_ms=20_000, generation=1)] == effects
    _, effects = drive(session, fired(SessionTimer.SILENCE), at=T0 + 49_999)
    assert [StartTimer(timer=SessionTimer.SILENCE, delay_ms=1, generation=1)] == effects


def test_clock_that_went_back_does_not_lengthen_the_watch():
    _, effects = drive(at_state(SessionState.LIVE), fired(SessionTimer.SILENCE), at=0)
    assert [StartTimer(timer=SessionTimer.SILENCE, delay_ms=30_000, generation=1)] == effects


def test_silent_stream_is_stale_and_closed():
    _session, effects = drive(at_state(SessionState.LIVE), fired(SessionTimer.SILENCE), at=T0 + 30_000)
    assert [
        CloseSocket(generation=1, why="nothing heard for 30000 ms"),
        CancelTimer(timer=SessionTimer.PING),
        StartTimer(timer=SessionTimer.CLOSE, delay_ms=3_000, generation=1),
        Announce(state=SessionState.STALE, why="nothing heard for 30000 ms", alarm=True),
    ] == effects


def test_silent_socket_that_does_not_close_is_left_behind():
    session, _effects = drive(at_state(SessionState.STALE), fired(SessionTimer.CLOSE), at=T0 + 33_000)
    assert SessionState.BACKING_OFF is session.state
    assert SessionTimer.BACK_OFF in session.timers


# Reconnecting.


def test_first_reconnect_is_at_once_and_later_ones_back_off():
    session, effects = drive(at_state(SessionState.LIVE), Closed(generation=1, why="cut"), unit=0.999)
    assert StartTimer(timer=SessionTimer.BACK_OFF, delay_ms=249, generation=1) in effects
    delays = []
    for generation in range(2, 9):
        session, effects = drive(
            session,
            fired(SessionTimer.BACK_OFF, generation - 1),
            OpenFailed(generation=generation, why="refused"),
            unit=0.999,
        )
        delays += [effect.delay_ms for effect in effects if isinstance(effect, StartTimer)]
    assert [499, 999, 1998, 3996, 7992, 15984, 29970] == delays


@pytest.mark.parametrize("heard_ms,failures", [(9_999, 2), (10_000, 1)])
def test_only_a_stable_stream_ends_a_run_of_failures(heard_ms, failures):
    session = evolve(at_state(SessionState.LIVE), failures=1)
    session, _ = drive(session, PongSeen(generation=1), at=T0 + heard_ms)
    session, _ = drive(session, Closed(generation=1, why="cut"), at=T0 + heard_ms)
    assert failures == session.failures


def test_long_run_of_failures_is_an_alarm():
    session, alarms = Session(policy=PRIVATE), []
    session, _ = drive(session, StartRequested())
    for generation in range(1, 7):
        session, effects = drive(session, OpenFailed(generation=generation, why="refused"))
        alarms.append(effects[-1].alarm)
        session, _ = drive(session, fired(SessionTimer.BACK_OFF, generation))
    assert [False, False, False, False, True, True] == alarms


@pytest.mark.parametrize(
    "state,timer",
    [
        (SessionState.CONNECTING, SessionTimer.CONNECT),
        (SessionState.AUTHENTICATING, SessionTimer.AUTH),
        (SessionState.SUBSCRIBING, SessionTimer.ACK),
    ],
)
def test_passed_deadline_closes_and_backs_off(state, timer):
    session, effects = drive(at_state(state), fired(timer))
    assert SessionState.BACKING_OFF is session.state
    assert isinstance(effects[0], CloseSocket)
    assert frozenset({SessionTimer.BACK_OFF}) == session.timers


def test_socket_that_opens_after_its_deadline_is_closed():
    session, effects = drive(at_state(SessionState.BACKING_OFF), Opened(generation=1))
    assert [CloseSocket(generation=1, why="open")] == effects
    assert SessionState.BACKING_OFF is session.state


def test_rate_of_connections_is_bounded():
    session = evolve(at_state(SessionState.BACKING_OFF, evolve(PRIVATE, max_opens=2)), opens=(Ms(T0), Ms(T0 + 5)))
    for state in (SessionState.BACKING_OFF, SessionState.FAILED):
        held, effects = drive(evolve(session, state=state), fired(SessionTimer.BACK_OFF), at=T0 + 100)
        assert state is held.state
        assert [StartTimer(timer=SessionTimer.BACK_OFF, delay_ms=299_900, generation=1)] == effects
    free, _ = drive(session, fired(SessionTimer.BACK_OFF), at=T0 + 300_000)
    assert SessionState.CONNECTING is free.state
    assert (Ms(T0 + 5), Ms(T0 + 300_000)) == free.opens


def test_stopping_and_starting_does_not_evade_the_rate():
    session = Session(policy=evolve(PRIVATE, max_opens=1))
    session, _ = drive(session, StartRequested(), StopRequested())
    session, effects = drive(session, StartRequested(), at=T0 - 50)
    assert SessionState.BACKING_OFF is session.state
    # The clock went back: the wait is still no longer than the window.
    assert StartTimer(timer=SessionTimer.BACK_OFF, delay_ms=300_000, generation=1) == effects[0]


# Stopping.


@pytest.mark.parametrize("state", SessionState)
def test_stop_leaves_nothing_running(state):
    session, effects = drive(at_state(state), StopRequested(why="bye"))
    assert SessionState.STOPPED is session.state
    assert frozenset() == session.timers
    sockets = {SessionState.STOPPED, SessionState.STALE, SessionState.BACKING_OFF, SessionState.FAILED}
    assert (state not in sockets) == (CloseSocket(generation=1, why="bye") in effects)
    assert (DropBuffer() in effects) == (state in {SessionState.SUBSCRIBING, SessionState.CATCHING_UP})


def test_stopped_stream_starts_on_a_new_connection():
    _session, effects = drive(at_state(SessionState.STOPPED), StartRequested())
    assert OpenSocket(generation=2) in effects


# Whatever happens.

POLICY = SessionPolicy(
    topics=("order", "execution"),
    max_opens=6,
    max_buffered=4,
    back_off=RetryPolicy(base_ms=500, cap_ms=4_000),
    refused=RetryPolicy(base_ms=1_000, cap_ms=4_000),
)
UP = {
    SessionState.AUTHENTICATING,
    SessionState.SUBSCRIBING,
    SessionState.CATCHING_UP,
    SessionState.LIVE,
    SessionState.STALE,
}


class StreamLife(RuleBasedStateMachine):
    """A stream and a world that obeys its effects, but cuts, refuses, repeats, delays and is silent as it likes."""

    @initialize()
    def begin(self):
        self.now = 1_000_000
        self.session = Session(policy=POLICY)
        self.timers: dict[SessionTimer, tuple[int, int]] = {}
        self.opened: list[int] = []
        self.logged_in = False
        self.acked: set[str] = set()
        self.open_generation: int | None = None
        self.asked: int | None = None
        self.catching = False
        self.told: list[SessionFact] = []

    def tell(self, fact: SessionFact, unit: float = 0.5) -> None:
        self.told.append(fact)
        before = self.session
        self.session, effects = apply(before, fact, Ms(self.now), unit=unit)
        again = apply(before, fact, Ms(self.now), unit=unit, engine=Interpreted[SessionStep](SessionChart))
        assert (self.session, effects) == again
        for effect in effects:
            self.obey(effect)

    def obey(self, effect):
        if isinstance(effect, OpenSocket):
            assert self.open_generation is None, "a second socket beside an open one"
            self.asked = effect.generation
            self.opened.append(self.now)
            self.logged_in, self.catching = False, False
            self.acked.clear()
        elif isinstance(effect, CloseSocket):
            assert effect.generation == self.session.generation
            self.open_generation = None
        elif isinstance(effect, StartTimer):
            assert effect.delay_ms >= 0
            self.timers[effect.timer] = (self.now + effect.delay_ms, effect.generation)
        elif isinstance(effect, CancelTimer):
            del self.timers[effect.timer]
        elif isinstance(effect, SendAuth | SendSubscribe | SendPing | StartCatchUp):
            assert effect.generation == self.open_generation, "bytes for a socket that is not open"
            if isinstance(effect, StartCatchUp):
                assert self.acked == set(POLICY.topics)
                self.catching = True
        elif isinstance(effect, Release):
            assert self.catching

    @rule()
    def start(self):
        self.tell(StartRequested())

    @rule()
    def stop(self):
        self.tell(StopRequested())
        self.open_generation = self.asked = None

    @rule(steps=st.integers(1, 8))
    def climb(self, steps):
        """All goes well for a while; without it, chance hardly ever gets a stream LIVE."""
        for _ in range(steps):
            match self.session.state:
                case SessionState.STOPPED:
                    self.start()
                case SessionState.CONNECTING:
                    self.socket_answers(ok=True)
                case SessionState.AUTHENTICATING:
                    self.login_answers(ok=True)
                case SessionState.SUBSCRIBING:
                    self.topic_answers(topic=min(self.session.pending), ok=True)
                case SessionState.CATCHING_UP:
                    self.catch_up_ends(ok=True)
                case SessionState.BACKING_OFF | SessionState.FAILED | SessionState.STALE:
                    self.next_timer(unit=0.5)
                case SessionState.LIVE:
                    self.frame()

    @rule(ok=st.sampled_from([True, True, True, False]))
    def socket_answers(self, ok):
        if self.asked is None:
            return
        generation, self.asked = self.asked, None
        if ok:
            self.open_generation = generation
            self.tell(Opened(generation=generation))
        else:
            self.tell(OpenFailed(generation=generation, why="refused"))

    @rule(ok=st.sampled_from([True, True, True, False]))
    def login_answers(self, ok):
        if self.open_generation is not None and self.session.state in UP:
            self.logged_in = ok
            self.tell(AuthAnswered(generation=self.open_generation, ok=ok))

    @rule(topic=st.sampled_from(POLICY.topics), ok=st.sampled_from([True, True, True, False]))
    def topic_answers(self, topic, ok):
        if self.open_generation is not None and self.session.state in UP:
            if ok and self.session.state is SessionState.SUBSCRIBING:
                self.acked.add(topic)
            elif not ok:
                self.acked.discard(topic)
            self.tell(TopicAnswered(generation=self.open_generation, topic=topic, ok=ok))

    @rule(ok=st.booleans())
    def catch_up_ends(self, ok):
        if self.catching and self.session.state not in {SessionState.CONNECTING, SessionState.AUTHENTICATING}:
            generation = self.session.generation
            self.tell(CaughtUp(generation=generation) if ok else CatchUpFailed(generation=generation, why="504"))

    @rule()
    def frame(self):
        if self.open_generation is not None and self.session.state in UP:
            self.tell(FrameSeen(generation=self.open_generation))

    @rule()
    def pong(self):
        if self.open_generation is not None and self.session.state in UP:
            self.tell(PongSeen(generation=self.open_generation))

    @rule()
    def cut(self):
        if self.open_generation is not None:
            generation, self.open_generation = self.open_generation, None
            self.tell(Closed(generation=generation, why="cut"))

    @rule(unit=st.floats(0, 1, exclude_max=True))
    def next_timer(self, unit):
        if self.timers:
            timer, (due_ms, generation) = min(self.timers.items(), key=lambda item: item[1])
            del self.timers[timer]
            self.now = max(self.now, due_ms)
            if timer is SessionTimer.CONNECT:
                self.asked = None
            if timer is SessionTimer.CLOSE:
                self.open_generation = None
            self.tell(fired(timer, generation), unit)

    @rule(index=st.integers(0, 10**6))
    def late_echo(self, index):
        """Anything an older connection ever said may come again at any time."""
        old = [fact for fact in self.told if getattr(fact, "generation", 10**9) < self.session.generation]
        if old:
            before = self.session
            self.tell(old[index % len(old)])
            assert before == self.session

    @rule(ms=st.integers(0, 40_000))
    def wait(self, ms):
        due = min((due_ms for due_ms, _ in self.timers.values()), default=self.now + ms)
        self.now = max(self.now, min(self.now + ms, due))

    @invariant()
    def live_is_earned(self):
        if self.session.live:
            assert self.logged_in
            assert self.acked == set(POLICY.topics)
            assert self.catching
            assert self.open_generation == self.session.generation

    @invariant()
    def no_state_waits_for_ever(self):
        assert set(self.timers) == set(self.session.timers)
        assert (self.session.state is SessionState.STOPPED) == (not self.timers)

    @invariant()
    def connections_are_bounded_in_every_window(self):
        for at in self.opened:
            assert sum(at <= other < at + POLICY.opens_window_ms for other in self.opened) <= POLICY.max_opens

    @invariant()
    def memory_is_bounded(self):
        assert len(self.session.opens) <= POLICY.max_opens
        assert self.session.buffered <= POLICY.max_buffered
        assert self.session.buffered == 0 or self.session.buffering


TestStreamLife = StreamLife.TestCase
TestStreamLife.settings = settings(max_examples=40, stateful_step_count=50, deadline=None)
