"""Back-off and what follows a reply."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hean.core.calls import Budget, Group, Phase, Verdict, VerdictKind
from hean.core.retry import (
    Decision,
    GiveUp,
    LookUpFirst,
    RetryAt,
    RetryPolicy,
    decide,
    next_delay_ms,
    throttled_delay_ms,
)
from hean.core.types import Ms

POLICY = RetryPolicy()
UNITS = st.floats(min_value=0, max_value=1, exclude_max=True)


def after(kind: VerdictKind, group: Group = Group.CREATE, **over) -> Decision:
    phase = over.pop("phase", Phase.ANSWERED)
    args = {"tries": 1, "first_ms": Ms(1_000), "now_ms": Ms(2_000), "unit": 0.5} | over
    return decide(POLICY, Verdict(kind=kind, phase=phase), group, **args)


@pytest.mark.parametrize("kind", [VerdictKind.ACCEPTED, VerdictKind.UNCHANGED])
def test_success_leaves_nothing_to_do(kind):
    assert GiveUp(why=f"{kind}: nothing is left to do") == after(kind)


@pytest.mark.parametrize("kind", [VerdictKind.REFUSED, VerdictKind.AUTH, VerdictKind.LOCAL_BUG])
def test_permanent_refusal_is_never_repeated(kind):
    assert GiveUp(why=f"{kind}: the same request will be refused again") == after(kind, Group.QUERY)


@pytest.mark.parametrize("kind", [VerdictKind.DUPLICATE, VerdictKind.GONE])
def test_reply_that_hides_the_state_is_looked_up_at_once(kind):
    assert LookUpFirst(at_ms=Ms(2_000), why=str(kind)) == after(kind)


@pytest.mark.parametrize("group", [Group.CREATE, Group.AMEND, Group.CANCEL])
def test_unknown_write_is_looked_up_and_not_resent(group):
    expected = LookUpFirst(at_ms=Ms(2_250), why="unknown outcome: nothing is sent twice before proof")
    assert expected == after(VerdictKind.UNKNOWN, group)


@pytest.mark.parametrize("group", [Group.CREATE, Group.AMEND, Group.CANCEL])
def test_looking_up_an_unknown_write_has_no_maximum(group):
    decision = after(VerdictKind.UNKNOWN, group, tries=1_000, now_ms=Ms(86_400_000))
    assert LookUpFirst(at_ms=Ms(86_415_000), why="unknown outcome: nothing is sent twice before proof") == decision


@pytest.mark.parametrize("group", [Group.QUERY, Group.PUBLIC, Group.SETTING])
def test_unknown_repeatable_call_is_repeated(group):
    assert RetryAt(at_ms=Ms(2_250)) == after(VerdictKind.UNKNOWN, group)


def test_create_that_never_left_is_sent_without_a_look_up():
    assert RetryAt(at_ms=Ms(2_250)) == after(VerdictKind.UNKNOWN, phase=Phase.BEFORE_SEND)
    assert RetryAt(at_ms=Ms(2_250)) == after(VerdictKind.NOT_EXECUTED, phase=Phase.BEFORE_SEND)


def test_create_refused_before_matching_is_looked_up_before_the_resend():
    expected = LookUpFirst(at_ms=Ms(2_250), why="not_executed: look up before the re-send")
    assert expected == after(VerdictKind.NOT_EXECUTED)


@pytest.mark.parametrize("group", [Group.AMEND, Group.CANCEL, Group.QUERY, Group.SETTING, Group.PUBLIC])
def test_other_call_refused_before_matching_is_repeated(group):
    assert RetryAt(at_ms=Ms(2_250)) == after(VerdictKind.NOT_EXECUTED, group)


def test_tries_have_a_maximum():
    assert GiveUp(why="4 tries of 4 made") == after(VerdictKind.NOT_EXECUTED, tries=4)


def test_effort_has_one_deadline():
    expected = GiveUp(why="the next try would come 60000 ms after the first, limit 60000")
    assert expected == after(VerdictKind.NOT_EXECUTED, Group.CANCEL, now_ms=Ms(60_750))
    assert RetryAt(at_ms=Ms(60_999)) == after(VerdictKind.NOT_EXECUTED, Group.CANCEL, now_ms=Ms(60_749))


def test_throttled_waits_for_the_named_reset():
    decision = after(
        VerdictKind.THROTTLED, Group.CANCEL, budget=Budget(reset_ms=Ms(10_700)), server_ms=Ms(10_000), unit=0.0
    )
    assert RetryAt(at_ms=Ms(2_700)) == decision


def test_throttled_without_headers_waits_longest():
    assert RetryAt(at_ms=Ms(4_050)) == after(VerdictKind.THROTTLED, Group.CANCEL)


@pytest.mark.parametrize(
    "reset_ms,server_ms,expected",
    [(9_000, 10_000, 50), (10_049, 10_000, 50), (12_000, 10_000, 2_000), (99_000, 10_000, 2_000)],
)
def test_reset_is_clamped(reset_ms, server_ms, expected):
    assert expected == throttled_delay_ms(POLICY, Budget(reset_ms=Ms(reset_ms)), Ms(server_ms), 0.0)


@pytest.mark.parametrize("tries,expected", [(0, 500), (1, 500), (2, 1_000), (6, 16_000), (7, 30_000), (10_000, 30_000)])
def test_delay_doubles_up_to_the_cap(tries, expected):
    assert expected == next_delay_ms(POLICY, tries, 1.0)


@given(tries=st.integers(1, 10**9), unit=UNITS)
def test_delay_stays_within_its_ceiling(tries, unit):
    assert 0 <= next_delay_ms(POLICY, tries, unit) <= POLICY.cap_ms


@given(unit=UNITS, reset_ms=st.integers(-(10**15), 10**15), server_ms=st.none() | st.integers(-(10**15), 10**15))
def test_throttled_wait_has_both_bounds(unit, reset_ms, server_ms):
    wait = throttled_delay_ms(POLICY, Budget(reset_ms=Ms(reset_ms)), server_ms, unit)
    assert 50 <= wait <= 2_100


def test_kind_that_is_none_is_a_bug_and_not_a_retry():
    with pytest.raises(AssertionError):
        after("astonished")


@given(
    verdict=st.builds(Verdict, kind=st.sampled_from(VerdictKind), phase=st.sampled_from(Phase)),
    group=st.sampled_from(Group),
    tries=st.integers(1, 10),
    now_ms=st.integers(0, 10**6),
    unit=UNITS,
)
def test_unproven_write_is_never_resent(verdict, group, tries, now_ms, unit):
    """A create goes out again without a look-up only where no byte of it left; nothing is planned in the past."""
    decision = decide(POLICY, verdict, group, tries=tries, first_ms=Ms(0), now_ms=Ms(now_ms), unit=unit)
    unsent = verdict.phase is Phase.BEFORE_SEND
    if isinstance(decision, RetryAt):
        assert tries < POLICY.max_tries
        assert now_ms <= decision.at_ms < POLICY.effort_ms
        assert group is not Group.CREATE or unsent
        assert verdict.kind is not VerdictKind.UNKNOWN or unsent or group not in {Group.AMEND, Group.CANCEL}
    elif isinstance(decision, LookUpFirst):
        assert now_ms <= decision.at_ms
