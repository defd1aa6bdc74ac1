"""
What can happen to a circuit breaker (facts), what its machine wants done about it (effects), and its record.

`core/breaker.py` is the only file that makes a new record from an old one.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias, assert_never

from attrs import frozen

from hean.core.calls import VerdictKind
from hean.core.retry import RetryPolicy
from hean.core.types import EventType, Ms


class BreakerState(StrEnum):
    """What may be sent."""

    CLOSED = "CLOSED"
    OPEN = "OPEN"
    HALF_OPEN = "HALF_OPEN"
    HALTED = "HALTED"


@frozen(kw_only=True)
class BreakerPolicy:
    """
    The figures a breaker lives by; times in milliseconds.

    Attributes:
        failures: within `window_ms` that open it.
        window_ms: in which failures are counted.
        open: pause before a probe; it doubles with each opening in a row, half of it is certain.
        probe_ms: for a probe to be answered, before the next.
        ban_silence_ms: of silence after HTTP 403. Source: Bybit V5 docs, rate-limit (lifted after 10 minutes).
    """

    failures: int = 5
    window_ms: int = 10_000
    open: RetryPolicy = RetryPolicy(base_ms=5_000, cap_ms=60_000)
    probe_ms: int = 10_000
    ban_silence_ms: int = 600_000


@frozen(kw_only=True)
class Breaker:
    """
    A breaker as its machine remembers it.

    Attributes:
        name: what it guards, for people.
        failed: when calls failed, our clock, as far back as the window looks; at most `policy.failures`.
        trips: openings in a row, without a success in between.
        banned_until_ms: our clock at which an IP ban may be over; None where there is none, or a probe showed its end.
        why: the reason of the present state.
        causes: what halted it, the first cause first.
    """

    name: str = "all"
    policy: BreakerPolicy = BreakerPolicy()
    state: BreakerState = BreakerState.CLOSED
    failed: tuple[Ms, ...] = ()
    trips: int = 0
    banned_until_ms: Ms | None = None
    why: str = ""
    causes: tuple[str, ...] = ()


@frozen(kw_only=True)
class Succeeded:
    """A call was answered by somebody who had read it."""


@frozen(kw_only=True)
class Failed:
    """A call was throttled, not executed for the exchange's own reasons, or its outcome is unknown."""

    kind: VerdictKind
    why: str


@frozen(kw_only=True)
class Banned:
    """HTTP 403: the IP is banned."""

    why: str


@frozen(kw_only=True)
class AuthFailed:
    """Key, permission, account or region were refused: no call will do better."""

    why: str


@frozen(kw_only=True)
class JournalFailed:
    """What is sent cannot be remembered, so nothing may be sent."""

    why: str


@frozen(kw_only=True)
class DriftExceeded:
    """What we hold and what the exchange says, or our clocks, are too far apart."""

    why: str


@frozen(kw_only=True)
class HaltAsked:
    """A person or a policy wants no more orders."""

    who: str
    why: str


@frozen(kw_only=True)
class ResumeAsked:
    """A person has looked, and wants orders again."""

    who: str


@frozen(kw_only=True)
class ProbeDue:
    """The probe timer fired."""


@frozen(kw_only=True)
class ProbeSucceeded:
    """The probe was answered."""


@frozen(kw_only=True)
class ProbeFailed:
    """The probe was not answered well; a 403 is Banned instead."""

    why: str


BreakerFact: TypeAlias = (
    Succeeded
    | Failed
    | Banned
    | AuthFailed
    | JournalFailed
    | DriftExceeded
    | HaltAsked
    | ResumeAsked
    | ProbeDue
    | ProbeSucceeded
    | ProbeFailed
)


def name_of(fact: BreakerFact) -> str:
    """Name of the fact in the chart."""
    match fact:
        case Succeeded():
            return "succeeded"
        case Failed():
            return "failed"
        case Banned():
            return "banned"
        case AuthFailed():
            return "auth_failed"
        case JournalFailed():
            return "journal_failed"
        case DriftExceeded():
            return "drift_exceeded"
        case HaltAsked():
            return "halt_asked"
        case ResumeAsked():
            return "resume_asked"
        case ProbeDue():
            return "probe_due"
        case ProbeSucceeded():
            return "probe_succeeded"
        case ProbeFailed():
            return "probe_failed"
        case _:
            assert_never(fact)


@frozen(kw_only=True)
class StartProbeTimer:
    """Tell me ProbeDue in `delay_ms`; it replaces an earlier one."""

    delay_ms: int


@frozen(kw_only=True)
class SendProbe:
    """Ask the exchange for its time, past every breaker; answer ProbeSucceeded, ProbeFailed or Banned."""


@frozen(kw_only=True)
class CloseConnections:
    """Close every connection to the exchange: a ban is lifted in silence only."""

    why: str


@frozen(kw_only=True)
class Announce:
    """
    The breaker is in another state, or in it for another reason: journal, log and publish it.

    Attributes:
        type: KILLSWITCH_TRIGGERED, KILLSWITCH_RESET or STATUS.
        why: the reason, for people.
        alarm: somebody should look.
    """

    type: EventType
    state: BreakerState
    why: str
    alarm: bool


BreakerEffect: TypeAlias = StartProbeTimer | SendProbe | CloseConnections | Announce
