"""Names of a breaker's facts."""

from __future__ import annotations

import pytest

from hean.core.breaker_facts import (
    AuthFailed,
    Banned,
    DriftExceeded,
    Failed,
    HaltAsked,
    JournalFailed,
    ProbeDue,
    ProbeFailed,
    ProbeSucceeded,
    ResumeAsked,
    Succeeded,
    name_of,
)
from hean.core.calls import VerdictKind


@pytest.mark.parametrize(
    "fact,name",
    [
        (Succeeded(), "succeeded"),
        (Failed(kind=VerdictKind.UNKNOWN, why=""), "failed"),
        (Banned(why=""), "banned"),
        (AuthFailed(why=""), "auth_failed"),
        (JournalFailed(why=""), "journal_failed"),
        (DriftExceeded(why=""), "drift_exceeded"),
        (HaltAsked(who="", why=""), "halt_asked"),
        (ResumeAsked(who=""), "resume_asked"),
        (ProbeDue(), "probe_due"),
        (ProbeSucceeded(), "probe_succeeded"),
        (ProbeFailed(why=""), "probe_failed"),
    ],
)
def test_each_fact_has_its_name(fact, name):
    assert name == name_of(fact)


def test_thing_that_is_no_fact_is_a_bug():
    with pytest.raises(AssertionError):
        name_of("boom")
