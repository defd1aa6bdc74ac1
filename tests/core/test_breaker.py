"""Every cell of the breaker's machine, what passes in which state, and what no sequence of facts can break."""

from __future__ import annotations

import pytest
from attrs import evolve
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from hean.core.breaker import FACTS, STATES, TABLE, BreakerChart, BreakerStep, apply, fact_of, refuses
from hean.core.breaker_facts import (
    Announce,
    AuthFailed,
    Banned,
    Breaker,
    BreakerFact,
    BreakerPolicy,
    BreakerState,
    CloseConnections,
    DriftExceeded,
    Failed,
    HaltAsked,
    JournalFailed,
    ProbeDue,
    ProbeFailed,
    ProbeSucceeded,
    ResumeAsked,
    SendProbe,
    StartProbeTimer,
    Succeeded,
)
from hean.core.calls import Group, Phase, QueryTime, Reply, Verdict, VerdictKind
from hean.core.chart import Interpreted
from hean.core.types import EventType, Ms

T0 = Ms(1_000_000)
BAN_MS = 600_000
FAILED = Failed(kind=VerdictKind.UNKNOWN, why="504")

LETTERS = {"C": "CLOSED", "O": "OPEN", "P": "HALF_OPEN", "H": "HALTED"}
# "." stays, a letter moves there, "/" separates the rows of a cell in the order they are tried.
CELLS = """
                 C    O    P  H
succeeded        .    .    .  .
failed           O/.  .    O  .
banned           O    .    O  .
auth_failed      H    H    H  .
journal_failed   H    H    H  .
drift_exceeded   H    H    H  .
halt_asked       H    H    H  .
resume_asked     .    .    .  O/C
probe_due        .    P/.  .  ././.
probe_succeeded  .    .    C  ./.
probe_failed     .    .    O  ./.
"""
FACT_OF: dict[str, BreakerFact] = {
    "succeeded": Succeeded(),
    "failed": FAILED,
    "banned": Banned(why="403: too frequent"),
    "auth_failed": AuthFailed(why="10003: bad key"),
    "journal_failed": JournalFailed(why="disk full"),
    "drift_exceeded": DriftExceeded(why="0.5 against 0.3"),
    "halt_asked": HaltAsked(who="ann", why="lunch"),
    "resume_asked": ResumeAsked(who="ann"),
    "probe_due": ProbeDue(),
    "probe_succeeded": ProbeSucceeded(),
    "probe_failed": ProbeFailed(why="502"),
}
SUBMITS = {Group.CREATE, Group.AMEND, Group.SETTING}


def cells() -> dict[tuple[str, str], str]:
    head, *rows = (line.split() for line in CELLS.strip().splitlines())
    return {(LETTERS[letter], row[0]): cell for row in rows for letter, cell in zip(head, row[1:], strict=True)}


def shown(state: str, fact: str) -> str:
    letter = {name: letter for letter, name in LETTERS.items()}
    return "/".join(letter[edge.after] if edge.moves else "." for edge in TABLE.cell(state, fact)) or "-"


def drive(breaker: Breaker, *facts: BreakerFact, at: int = T0, unit: float = 0.5) -> tuple[Breaker, list]:
    effects: list = []
    for fact in facts:
        breaker, told = apply(breaker, fact, Ms(at), unit=unit)
        effects = list(told)
    return breaker, effects


def at_state(state: BreakerState) -> Breaker:
    path = {
        BreakerState.CLOSED: [],
        BreakerState.OPEN: [FAILED] * 5,
        BreakerState.HALF_OPEN: [FAILED] * 5 + [ProbeDue()],
        BreakerState.HALTED: [FACT_OF["halt_asked"]],
    }[state]
    breaker, _ = drive(Breaker(), *path)
    assert state is breaker.state
    return breaker


def banned(*facts: BreakerFact) -> Breaker:
    return drive(Breaker(), FACT_OF["banned"], *facts)[0]


def passing(breaker: Breaker) -> set[Group]:
    return {group for group in Group if not refuses(breaker, group)}


# The table.


def test_table_names_exactly_the_states_and_facts_of_the_machine():
    states, facts = ({cell[i] for cell in cells()} for i in (0, 1))
    assert set(BreakerState) == states == set(TABLE.states) == set(STATES)
    assert set(FACT_OF) == facts == set(TABLE.facts) == set(FACTS)


@pytest.mark.parametrize("state,fact,cell", [(*at, cell) for at, cell in cells().items()])
def test_cell_is_as_decided(state, fact, cell):
    assert cell == shown(state, fact)


@pytest.mark.parametrize("state", BreakerState)
@pytest.mark.parametrize("ban", [None, T0 - 1, T0 + 1])
@pytest.mark.parametrize("fact", FACT_OF)
def test_table_and_chart_agree_on_every_cell(state, ban, fact):
    breaker = evolve(at_state(state), banned_until_ms=ban)
    interpreted = apply(breaker, FACT_OF[fact], T0, engine=Interpreted[BreakerStep](BreakerChart))
    assert interpreted == apply(breaker, FACT_OF[fact], T0)


def test_thing_that_is_no_fact_is_a_bug():
    with pytest.raises(AssertionError):
        apply(Breaker(), "boom", T0)


# Failures.


def test_failures_within_the_window_open_it():
    breaker, effects = drive(Breaker(name="create"), *[FAILED] * 4)
    assert (BreakerState.CLOSED, []) == (breaker.state, effects)
    breaker, effects = drive(breaker, FAILED, unit=0.5)
    assert [
        StartProbeTimer(delay_ms=3_750),
        Announce(type=EventType.STATUS, state=BreakerState.OPEN, why="unknown: 504", alarm=True),
    ] == effects
    assert "create: OPEN: unknown: 504" == refuses(breaker, Group.CREATE)


def test_failures_apart_do_not_open_it():
    breaker = Breaker()
    for n in range(50):
        breaker, _ = drive(breaker, FAILED, at=T0 + n * 2_501)
    assert BreakerState.CLOSED is breaker.state
    assert 4 == len(breaker.failed)


def test_failures_of_the_future_do_not_count_when_the_clock_went_back():
    breaker, _ = drive(Breaker(), *[FAILED] * 4)
    breaker, _ = drive(breaker, FAILED, at=T0 - 60_000)
    assert BreakerState.CLOSED is breaker.state
    assert (Ms(T0 - 60_000),) == breaker.failed


@pytest.mark.parametrize("state", [BreakerState.OPEN, BreakerState.HALF_OPEN, BreakerState.HALTED])
def test_open_breaker_still_lets_cancels_and_queries_pass(state):
    assert set(Group) - SUBMITS == passing(at_state(state))


def test_closed_breaker_lets_everything_pass():
    assert set(Group) == passing(Breaker())


def test_probe_closes_it():
    breaker, effects = drive(at_state(BreakerState.OPEN), ProbeDue())
    assert [
        SendProbe(),
        StartProbeTimer(delay_ms=10_000),
        Announce(type=EventType.STATUS, state=BreakerState.HALF_OPEN, why="probing", alarm=False),
    ] == effects
    breaker, effects = drive(breaker, ProbeSucceeded())
    assert [Announce(type=EventType.STATUS, state=BreakerState.CLOSED, why="probe answered", alarm=False)] == effects
    assert () == breaker.failed


def test_lost_probe_is_sent_again():
    _, effects = drive(at_state(BreakerState.HALF_OPEN), ProbeDue())
    assert [SendProbe(), StartProbeTimer(delay_ms=10_000)] == effects


def test_each_opening_in_a_row_pauses_longer_until_a_success():
    breaker, delays = at_state(BreakerState.OPEN), []
    for _ in range(6):
        breaker, effects = drive(breaker, ProbeDue(), ProbeFailed(why="502"), unit=0.0)
        delays.append(effects[0].delay_ms)
    assert [5_000, 10_000, 20_000, 30_000, 30_000, 30_000] == delays
    breaker, _ = drive(breaker, ProbeDue(), ProbeSucceeded())
    assert 7 == breaker.trips
    assert 0 == drive(breaker, Succeeded())[0].trips


def test_failure_under_way_while_probing_opens_it_again():
    breaker, effects = drive(at_state(BreakerState.HALF_OPEN), FAILED)
    assert BreakerState.OPEN is breaker.state
    assert isinstance(effects[0], StartProbeTimer)


# A ban.


def test_ban_silences_everything_and_closes_connections():
    breaker, effects = drive(Breaker(), FACT_OF["banned"])
    assert [
        CloseConnections(why="IP ban: 403: too frequent"),
        StartProbeTimer(delay_ms=BAN_MS),
        Announce(type=EventType.STATUS, state=BreakerState.OPEN, why="IP ban: 403: too frequent", alarm=True),
    ] == effects
    assert set() == passing(breaker)
    assert "all: IP ban, nothing is sent until a probe is answered" == refuses(breaker, Group.CANCEL)


def test_ban_begins_anew_with_each_403_and_is_told_once():
    breaker, effects = drive(banned(), FACT_OF["banned"], at=T0 + 5)
    assert Ms(T0 + 5 + BAN_MS) == breaker.banned_until_ms
    assert [CloseConnections(why="IP ban: 403: too frequent"), StartProbeTimer(delay_ms=BAN_MS)] == effects


def test_probe_waits_for_the_end_of_the_ban():
    breaker, effects = drive(banned(), ProbeDue(), at=T0 + BAN_MS - 1)
    assert [StartProbeTimer(delay_ms=1)] == effects
    breaker, _ = drive(breaker, ProbeDue(), at=T0 + BAN_MS)
    assert BreakerState.HALF_OPEN is breaker.state
    assert set() == passing(breaker)
    breaker, _ = drive(breaker, ProbeSucceeded(), at=T0 + BAN_MS)
    assert set(Group) == passing(breaker)


def test_ban_that_persists_is_an_alarm_again():
    breaker, _ = drive(banned(), ProbeDue(), at=T0 + BAN_MS)
    breaker, effects = drive(breaker, FACT_OF["banned"], at=T0 + BAN_MS)
    assert effects[-1].alarm
    assert set() == passing(breaker)


def test_clock_that_went_back_does_not_lengthen_a_ban():
    assert [StartProbeTimer(delay_ms=BAN_MS)] == drive(banned(), ProbeDue(), at=0)[1]


def test_late_failure_does_not_shorten_a_ban():
    breaker, effects = drive(evolve(at_state(BreakerState.HALF_OPEN), banned_until_ms=Ms(T0 + 90_000)), FAILED)
    assert BreakerState.OPEN is breaker.state
    assert StartProbeTimer(delay_ms=90_000) in effects


def test_ban_outlasts_a_halt():
    breaker = banned(FACT_OF["halt_asked"])
    assert BreakerState.HALTED is breaker.state
    assert set() == passing(breaker)
    resumed, effects = drive(breaker, ResumeAsked(who="ann"), at=T0 + 1)
    assert BreakerState.OPEN is resumed.state
    assert StartProbeTimer(delay_ms=BAN_MS - 1) == effects[0]
    assert EventType.KILLSWITCH_RESET is effects[-1].type
    assert set() == passing(resumed)


def test_ban_during_a_halt_is_told_and_leaves_its_cause():
    breaker, effects = drive(at_state(BreakerState.HALTED), FACT_OF["banned"])
    assert "ann: lunch" == breaker.why
    assert (
        Announce(type=EventType.STATUS, state=BreakerState.HALTED, why="IP ban: 403: too frequent", alarm=True)
        == effects[-1]
    )


def test_halt_still_probes_the_end_of_a_ban_so_that_cancels_pass_again():
    breaker = banned(FACT_OF["halt_asked"])
    breaker, effects = drive(breaker, ProbeDue(), at=T0 + 1)
    assert [StartProbeTimer(delay_ms=BAN_MS - 1)] == effects
    breaker, effects = drive(breaker, ProbeDue(), at=T0 + BAN_MS)
    assert [SendProbe(), StartProbeTimer(delay_ms=10_000)] == effects
    breaker, effects = drive(breaker, ProbeFailed(why="502"), at=T0 + BAN_MS, unit=0.0)
    assert [StartProbeTimer(delay_ms=2_500)] == effects
    breaker, effects = drive(breaker, ProbeSucceeded(), at=T0 + BAN_MS)
    assert [Announce(type=EventType.STATUS, state=BreakerState.HALTED, why="probe answered", alarm=False)] == effects
    assert set(Group) - SUBMITS == passing(breaker)


def test_answer_to_a_probe_of_before_the_ban_does_not_lift_it():
    breaker = banned(FACT_OF["halt_asked"])
    assert (breaker, []) == drive(breaker, ProbeSucceeded(), at=T0 + 1)
    assert (breaker, []) == drive(breaker, ProbeFailed(why="502"), at=T0 + 1)


# A halt.


@pytest.mark.parametrize(
    "fact,why",
    [
        ("halt_asked", "ann: lunch"),
        ("auth_failed", "auth refused: 10003: bad key"),
        ("journal_failed", "journal: disk full"),
        ("drift_exceeded", "drift: 0.5 against 0.3"),
    ],
)
def test_halt_is_told_with_its_cause(fact, why):
    breaker, effects = drive(Breaker(), FACT_OF[fact])
    assert [Announce(type=EventType.KILLSWITCH_TRIGGERED, state=BreakerState.HALTED, why=why, alarm=True)] == effects
    assert why == breaker.why
    assert set(Group) - SUBMITS == passing(breaker)


def test_each_cause_of_a_halt_is_told_once_and_the_first_stands():
    breaker, effects = drive(at_state(BreakerState.HALTED), FACT_OF["auth_failed"])
    assert EventType.KILLSWITCH_TRIGGERED is effects[0].type
    assert "ann: lunch" == breaker.why
    assert (breaker, []) == drive(breaker, FACT_OF["auth_failed"])
    assert (breaker, []) == drive(breaker, FACT_OF["halt_asked"])


def test_causes_are_bounded():
    breaker, _ = drive(Breaker(), *(HaltAsked(who="ann", why=str(n)) for n in range(100)))
    assert 8 == len(breaker.causes)


def test_only_a_person_ends_a_halt():
    halted = at_state(BreakerState.HALTED)
    for fact in (Succeeded(), FAILED, ProbeDue(), ProbeSucceeded(), ProbeFailed(why="502")):
        assert (halted, []) == drive(halted, fact)
    breaker, effects = drive(halted, ResumeAsked(who="bob"))
    assert [
        Announce(type=EventType.KILLSWITCH_RESET, state=BreakerState.CLOSED, why="resumed by bob", alarm=False)
    ] == effects
    assert () == breaker.causes
    assert set(Group) == passing(breaker)


def test_halt_after_a_resume_is_told_again():
    _, effects = drive(at_state(BreakerState.HALTED), ResumeAsked(who="bob"), FACT_OF["halt_asked"])
    assert EventType.KILLSWITCH_TRIGGERED is effects[0].type


@pytest.mark.parametrize("state", [BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN])
def test_resume_does_not_close_what_failures_opened(state):
    breaker = at_state(state)
    assert (breaker, []) == drive(breaker, ResumeAsked(who="ann"))


# Replies.


@pytest.mark.parametrize(
    "kind,expected",
    [
        (VerdictKind.ACCEPTED, Succeeded()),
        (VerdictKind.REFUSED, Succeeded()),
        (VerdictKind.DUPLICATE, Succeeded()),
        (VerdictKind.GONE, Succeeded()),
        (VerdictKind.UNCHANGED, Succeeded()),
        (VerdictKind.NOT_EXECUTED, Failed(kind=VerdictKind.NOT_EXECUTED, why="10016: busy")),
        (VerdictKind.THROTTLED, Failed(kind=VerdictKind.THROTTLED, why="10016: busy")),
        (VerdictKind.UNKNOWN, Failed(kind=VerdictKind.UNKNOWN, why="10016: busy")),
        (VerdictKind.AUTH, Succeeded()),
        (VerdictKind.LOCAL_BUG, None),
    ],
)
def test_reply_is_judged_by_whether_somebody_read_the_call(kind, expected):
    reply = Reply(call=QueryTime(), verdict=Verdict(kind=kind, ret_code=10_016, ret_msg="busy"))
    assert expected == fact_of(reply)


def test_only_a_hopeless_refusal_of_the_account_halts():
    verdict = Verdict(kind=VerdictKind.AUTH, ret_code=10_003, ret_msg="no key", hopeless=True)
    assert AuthFailed(why="10003: no key") == fact_of(Reply(call=QueryTime(), verdict=verdict))


@pytest.mark.parametrize("kind", list(VerdictKind))
def test_what_we_did_not_even_try_to_send_says_nothing(kind):
    verdict = Verdict(kind=kind, phase=Phase.BEFORE_SEND, ret_msg="withdrawn", hopeless=True)
    assert fact_of(Reply(call=QueryTime(), verdict=verdict, channel="")) is None


def test_every_403_is_a_ban():
    for kind in VerdictKind:
        verdict = Verdict(kind=kind, http_status=403, hint="too frequent")
        assert Banned(why="403: too frequent") == fact_of(Reply(call=QueryTime(), verdict=verdict))


def test_failure_without_an_answer_names_how_far_it_got():
    verdict = Verdict(kind=VerdictKind.UNKNOWN, phase=Phase.AFTER_SEND, ret_msg="reset")
    assert "after_send: reset" == fact_of(Reply(call=QueryTime(), verdict=verdict)).why


# Whatever happens.


class BreakerLife(RuleBasedStateMachine):
    @initialize()
    def begin(self):
        self.now = int(T0)
        self.breaker = Breaker(policy=BreakerPolicy(failures=2, ban_silence_ms=30_000))
        self.timer: int | None = None
        self.person = False
        self.ban_ms = -1

    def tell(self, fact: BreakerFact, unit: float = 0.5) -> None:
        before = self.breaker
        self.breaker, effects = apply(before, fact, Ms(self.now), unit=unit)
        for effect in effects:
            if isinstance(effect, StartProbeTimer):
                assert effect.delay_ms >= 0
                self.timer = self.now + effect.delay_ms
            if isinstance(effect, SendProbe):
                assert self.now >= self.ban_ms, "a probe broke the silence"
        moved = before.state is not self.breaker.state
        assert moved <= any(isinstance(effect, Announce) for effect in effects)
        if before.state is BreakerState.HALTED and moved:
            assert isinstance(fact, ResumeAsked)

    @rule(name=st.sampled_from(sorted(set(FACT_OF) - {"probe_due", "banned"})), unit=st.floats(0, 1, exclude_max=True))
    def anything(self, name, unit):
        self.tell(FACT_OF[name], unit)

    @rule()
    def ban(self):
        self.ban_ms = self.now + 30_000
        self.tell(FACT_OF["banned"])

    @rule()
    def timer_fires(self):
        if self.timer is not None:
            self.now, self.timer = max(self.now, self.timer), None
            self.tell(ProbeDue())

    @rule()
    def probe_comes_early(self):
        """A timer that was replaced too late may still be told."""
        self.tell(ProbeDue())

    @rule(ms=st.integers(0, 20_000))
    def wait(self, ms):
        self.now += ms

    @invariant()
    def silence_is_total(self):
        if self.now < self.ban_ms:
            assert set() == passing(self.breaker)

    @invariant()
    def what_protects_the_position_passes_but_for_a_ban(self):
        if self.breaker.banned_until_ms is None:
            assert {Group.CANCEL, Group.QUERY, Group.PUBLIC} <= passing(self.breaker)

    @invariant()
    def submits_pass_only_when_closed(self):
        assert (self.breaker.state is BreakerState.CLOSED) == (Group.CREATE in passing(self.breaker))

    @invariant()
    def nothing_waits_for_ever(self):
        waiting = self.breaker.state in {BreakerState.OPEN, BreakerState.HALF_OPEN}
        if waiting or self.breaker.banned_until_ms is not None:
            assert self.timer is not None

    @invariant()
    def memory_is_bounded(self):
        assert len(self.breaker.failed) < 2
        assert len(self.breaker.causes) <= 8
        assert bool(self.breaker.causes) == (self.breaker.state is BreakerState.HALTED)


TestBreakerLife = BreakerLife.TestCase
TestBreakerLife.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
