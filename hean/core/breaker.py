"""
The circuit breaker and the halt: every reason not to send is a state of this machine.

One instance guards each group of calls and opens by its failures; one guards everything and is halted by people, by
refused keys, by a drifting clock and by a journal that cannot remember.

Rules:

- OPEN and HALF_OPEN close by themselves, by a probe that can do no harm; HALTED is left by a person alone;
- cancels and queries still pass while OPEN or HALTED: what protects the position is the last thing to give up;
- during an IP ban nothing at all is sent, for every call prolongs it; the ban ends with a probe, in HALTED too;
- a reason is announced once, not with each call that meets it.

To change a transition: its line in `BreakerChart`. To add a fact: its class in `core/breaker_facts.py` and its case in
`name_of` there, its line in `BreakerChart`, its sentence in `FACTS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

from attrs import evolve
from statemachine import State, StateChart

from hean.core.breaker_facts import (
    Announce,
    AuthFailed,
    Banned,
    Breaker,
    BreakerEffect,
    BreakerFact,
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
    name_of,
)
from hean.core.calls import Group, Reply, VerdictKind
from hean.core.chart import compile_chart, stay
from hean.core.retry import next_delay_ms
from hean.core.types import EventType, Ms

# Causes of a halt kept beside the first; a flood of them says nothing new.
_MAX_CAUSES: Final = 8
# Source: Bybit V5 docs, error (HTTP): "403 Forbidden": IP rate limit breached, or a region that is not served.
_FORBIDDEN: Final = 403

_SUBMITS = frozenset({Group.CREATE, Group.AMEND, Group.SETTING})


class BreakerChart(StateChart["BreakerStep"]):
    """What may be sent, one line per fact. An odd edge has its reason on the line above."""

    allow_event_without_transition = False
    catch_errors_as_events = False
    enable_self_transition_entries = False
    atomic_configuration_update = True
    validate_final_reachability = False

    CLOSED = State(initial=True, value="CLOSED")
    OPEN = State(value="OPEN")
    HALF_OPEN = State(value="HALF_OPEN")
    HALTED = State(value="HALTED")

    # Calls, as they are answered. What was sent before the breaker opened proves nothing about now.
    succeeded = stay(CLOSED, on="calm_down") | stay(OPEN, HALF_OPEN, HALTED)
    failed = (
        CLOSED.to(OPEN, cond="too_many", on="trip")
        | HALF_OPEN.to(OPEN, on="trip")
        | stay(CLOSED, on="note_failure")
        | stay(OPEN, HALTED)
    )
    banned = (
        CLOSED.to(OPEN, on="fall_silent")
        | HALF_OPEN.to(OPEN, on="fall_silent")
        # Answers to what was under way: the silence begins with the last of them. A halt does not end a ban.
        | stay(OPEN, HALTED, on="fall_silent")
    )

    # What only a person can mend.
    auth_failed = (
        CLOSED.to(HALTED, on="halt")
        | OPEN.to(HALTED, on="halt")
        | HALF_OPEN.to(HALTED, on="halt")
        | stay(HALTED, on="halt")
    )
    journal_failed = (
        CLOSED.to(HALTED, on="halt")
        | OPEN.to(HALTED, on="halt")
        | HALF_OPEN.to(HALTED, on="halt")
        | stay(HALTED, on="halt")
    )
    drift_exceeded = (
        CLOSED.to(HALTED, on="halt")
        | OPEN.to(HALTED, on="halt")
        | HALF_OPEN.to(HALTED, on="halt")
        | stay(HALTED, on="halt")
    )
    halt_asked = (
        CLOSED.to(HALTED, on="halt")
        | OPEN.to(HALTED, on="halt")
        | HALF_OPEN.to(HALTED, on="halt")
        | stay(HALTED, on="halt")
    )
    resume_asked = (
        # A person can end a halt, not a ban.
        HALTED.to(OPEN, cond="under_ban", on=["reset", "wait_out_ban"])
        | HALTED.to(CLOSED, on="reset")
        | stay(CLOSED, OPEN, HALF_OPEN)
    )

    # The way back.
    probe_due = (
        OPEN.to(HALF_OPEN, cond="silence_over", on="probe")
        | stay(OPEN, on="wait_out_ban")
        # The probe is lost: its answer is overdue.
        | stay(HALF_OPEN, on="probe")
        | stay(HALTED, cond="ban_may_be_over", on="probe")
        | stay(HALTED, cond="under_ban", on="wait_out_ban")
        | stay(CLOSED, HALTED)
    )
    probe_succeeded = (
        HALF_OPEN.to(CLOSED, on="recover")
        # Still halted, but cancels and queries pass again.
        | stay(HALTED, cond="ban_may_be_over", on="lift_ban")
        | stay(CLOSED, OPEN, HALTED)
    )
    probe_failed = (
        HALF_OPEN.to(OPEN, on="trip")
        | stay(HALTED, cond="ban_may_be_over", on="probe_later")
        | stay(CLOSED, OPEN, HALTED)
    )


STATES: Final[Mapping[str, str]] = {
    "CLOSED": "All is well: everything may be sent. Left by too many failures, a ban or a halt.",
    "OPEN": "Too many calls failed, or the IP is banned: no submits. After failures cancels and queries pass, in a ban "
    "nothing does. Left by the probe timer.",
    "HALF_OPEN": "The pause is over and a harmless probe is out; its answer decides. A lost probe is sent again.",
    "HALTED": "Stopped by a person, a refused key, a drift or the journal: no submits until a person resumes. Cancels "
    "and queries pass, but for a ban.",
}
"""What each state means, how it fails and how it recovers; the README's table is made from it."""

FACTS: Final[Mapping[str, str]] = {
    "succeeded": "call answered",
    "failed": "call throttled, not executed or unknown",
    "banned": "HTTP 403",
    "auth_failed": "key, permission, account or region refused",
    "journal_failed": "journal cannot remember",
    "drift_exceeded": "books or clocks too far apart",
    "halt_asked": "halt asked",
    "resume_asked": "resume asked",
    "probe_due": "probe timer",
    "probe_succeeded": "probe answered",
    "probe_failed": "probe failed",
}
"""What each fact of the chart stands for, in the order of its table."""


class BreakerStep:
    """One fact on its way through the chart: the draft of the new breaker and the effects so far."""

    def __init__(self, breaker: Breaker, fact: BreakerFact, now_ms: Ms, unit: float) -> None:
        self.draft = breaker
        self.effects: list[BreakerEffect] = []
        self._policy = breaker.policy
        self._now_ms = now_ms
        self._unit = unit
        self._why = _why_of(fact)
        self._type = EventType.STATUS
        # A reason worth telling although the state stays.
        self._news = False

    # Guards.

    def too_many(self) -> bool:
        return len(self._recent_failures()) + 1 >= self._policy.failures

    def under_ban(self) -> bool:
        return self.draft.banned_until_ms is not None

    def silence_over(self) -> bool:
        return self._ban_left_ms() == 0

    def ban_may_be_over(self) -> bool:
        return self.under_ban() and self.silence_over()

    # Actions.

    def calm_down(self) -> None:
        if self.draft.trips:
            self.draft = evolve(self.draft, trips=0)

    def note_failure(self) -> None:
        self.draft = evolve(self.draft, failed=(*self._recent_failures(), self._now_ms))

    def trip(self) -> None:
        self.draft = evolve(self.draft, failed=(), trips=self.draft.trips + 1)
        self.probe_later()

    def probe_later(self) -> None:
        longest = next_delay_ms(self._policy.open, max(self.draft.trips, 1), 1.0)
        self._start_probe_timer(max(int(longest * (1 + self._unit) / 2), self._ban_left_ms()))

    def wait_out_ban(self) -> None:
        self._start_probe_timer(self._ban_left_ms())

    def fall_silent(self) -> None:
        self._news = not self.under_ban()
        until_ms = Ms(self._now_ms + self._policy.ban_silence_ms)
        self.draft = evolve(self.draft, failed=(), banned_until_ms=until_ms)
        self.effects.append(CloseConnections(why=self._why))
        self.wait_out_ban()

    def probe(self) -> None:
        self.effects.append(SendProbe())
        self._start_probe_timer(self._policy.probe_ms)

    def recover(self) -> None:
        self.draft = evolve(self.draft, failed=(), banned_until_ms=None)

    def lift_ban(self) -> None:
        self._news = True
        self.draft = evolve(self.draft, banned_until_ms=None)

    def halt(self) -> None:
        causes = self.draft.causes
        if self._why not in causes and len(causes) < _MAX_CAUSES:
            self._news = True
            self._type = EventType.KILLSWITCH_TRIGGERED
            self.draft = evolve(self.draft, causes=(*causes, self._why))

    def reset(self) -> None:
        self._type = EventType.KILLSWITCH_RESET
        self.draft = evolve(self.draft, failed=(), trips=0, causes=())

    def finish(self, after: BreakerState) -> None:
        """Take the new state; a change of it, or a new reason for it, is announced."""
        if after is self.draft.state and not self._news:
            return
        # While a halt lasts, its first cause stands.
        why = self.draft.causes[0] if self.draft.causes else self._why
        self.draft = evolve(self.draft, state=after, why=why)
        alarm = self._type is EventType.KILLSWITCH_TRIGGERED or after is BreakerState.OPEN or self.under_ban()
        self.effects.append(Announce(type=self._type, state=after, why=self._why, alarm=alarm))

    def _recent_failures(self) -> tuple[Ms, ...]:
        since = self._now_ms - self._policy.window_ms
        # A clock that goes back must not keep failures of the future for ever.
        return tuple(at_ms for at_ms in self.draft.failed if since < at_ms <= self._now_ms)

    def _ban_left_ms(self) -> int:
        until_ms = self.draft.banned_until_ms
        if until_ms is None:
            return 0
        return min(max(until_ms - self._now_ms, 0), self._policy.ban_silence_ms)

    def _start_probe_timer(self, delay_ms: int) -> None:
        self.effects.append(StartProbeTimer(delay_ms=delay_ms))


class BreakerEngine(Protocol):
    """Runs one fact through the chart: the flat table, or the chart itself."""

    def step(self, step: BreakerStep, state: str, fact: str, /) -> str: ...


TABLE: Final = compile_chart(BreakerChart, BreakerStep)


def apply(
    breaker: Breaker, fact: BreakerFact, now_ms: Ms, *, unit: float = 0.5, engine: BreakerEngine = TABLE
) -> tuple[Breaker, tuple[BreakerEffect, ...]]:
    """
    Take one fact. Every fact can happen in every state, so none is illegal.

    Args:
        breaker: the breaker before it.
        fact: what happened.
        now_ms: our clock.
        unit: a random number of [0, 1), spent on the jitter of at most one timer.
        engine: the flat table, or `Interpreted(BreakerChart)` to check it.

    Returns:
        The breaker after it, and what is to be done, in order.
    """
    step = BreakerStep(breaker, fact, now_ms, unit)
    step.finish(BreakerState(engine.step(step, breaker.state, name_of(fact))))
    return step.draft, tuple(step.effects)


def refuses(breaker: Breaker, group: Group) -> str:
    """
    Why a call of `group` may not be sent now; "" where it may.

    A probe is not asked for here: it passes every breaker.
    """
    if breaker.banned_until_ms is not None:
        return f"{breaker.name}: IP ban, nothing is sent until a probe is answered"
    if breaker.state is BreakerState.CLOSED or group not in _SUBMITS:
        return ""
    return f"{breaker.name}: {breaker.state}: {breaker.why}"


def fact_of(reply: Reply) -> BreakerFact | None:
    """
    What a reply says about the health of its endpoint; None where it says nothing.

    A business refusal is a success: somebody read the call and answered it. So is one that denies a product to the
    account: it concerns the orders of that product, and halting the others would protect nobody.
    """
    verdict = reply.verdict
    if not reply.channel:
        return None
    why = f"{verdict.ret_code or verdict.http_status or verdict.phase}: {verdict.ret_msg or verdict.hint}"
    if verdict.http_status == _FORBIDDEN:
        return Banned(why=why)
    match verdict.kind:
        case VerdictKind.THROTTLED | VerdictKind.UNKNOWN | VerdictKind.NOT_EXECUTED:
            return Failed(kind=verdict.kind, why=why)
        case VerdictKind.AUTH if verdict.hopeless:
            return AuthFailed(why=why)
        case VerdictKind.LOCAL_BUG:
            return None
        case _:
            return Succeeded()


def _why_of(fact: BreakerFact) -> str:
    match fact:
        case Failed(kind=kind, why=why):
            return f"{kind}: {why}"
        case Banned(why=why):
            return f"IP ban: {why}"
        case AuthFailed(why=why):
            return f"auth refused: {why}"
        case JournalFailed(why=why):
            return f"journal: {why}"
        case DriftExceeded(why=why):
            return f"drift: {why}"
        case HaltAsked(who=who, why=why):
            return f"{who}: {why}"
        case ResumeAsked(who=who):
            return f"resumed by {who}"
        case ProbeFailed(why=why):
            return f"probe failed: {why}"
        case ProbeDue():
            return "probing"
        case ProbeSucceeded():
            return "probe answered"
        case _:
            return "call answered"
