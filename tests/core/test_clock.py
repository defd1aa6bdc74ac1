"""The offset to the exchange's clock."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hean.core.clock import Clock, ClockFinding, ClockPolicy, Sample, observe
from hean.core.types import Ms

T0 = 1_700_000_000_000


def accepted(timestamp_ms: int, server_ms: int, recv_window_ms: int) -> bool:
    """The exchange's rule, which is not symmetric: no receive window helps a clock that is a second fast."""
    return server_ms - recv_window_ms <= timestamp_ms < server_ms + 1_000


def sample(sent: int = 0, rtt: int = 20, offset: int = 0, back: int | None = None) -> Sample:
    """A call sent at T0 + sent whose reply took `back` (half of rtt) to come home."""
    stamped = sent + rtt - (rtt // 2 if back is None else back)
    return Sample(sent_ms=Ms(T0 + sent), received_ms=Ms(T0 + sent + rtt), server_ms=Ms(T0 + stamped + offset))


def learn(*samples: Sample, policy: ClockPolicy | None = None) -> tuple[Clock, list[ClockFinding | None]]:
    clock, findings = Clock(policy=policy or ClockPolicy()), []
    for each in samples:
        clock, finding = observe(clock, each)
        findings.append(finding)
    return clock, findings


def corrected(clock: Clock, at: Ms) -> int:
    return at + clock.offset_ms(at)


def test_unknown_clock_is_a_finding_and_corrects_nothing():
    clock = Clock()
    assert ClockFinding.UNKNOWN == clock.finding(Ms(T0))
    assert Ms(T0) == corrected(clock, Ms(T0))
    assert clock.uncertainty_ms(Ms(T0)) is None


@pytest.mark.parametrize("offset", [-2_000, -3, 0, 3, 2_000])
def test_constant_error_is_corrected(offset):
    clock, findings = learn(sample(offset=offset))
    assert Ms(T0 + 500 + offset) == corrected(clock, Ms(T0 + 500))
    assert [None] == findings


def test_narrowest_round_trip_is_believed():
    clock, _ = learn(sample(0, rtt=400, back=390), sample(500, rtt=10, offset=50), sample(1_000, rtt=400, back=10))
    assert 50 == clock.offset_ms(Ms(T0 + 1_400))
    assert 6 == clock.uncertainty_ms(Ms(T0 + 510))


def test_old_sample_yields_to_a_wider_new_one():
    clock, _ = learn(sample(0, rtt=10), sample(1_000_000, rtt=100, offset=40))
    assert 0 == learn(sample(0, rtt=10), sample(1_000, rtt=100, offset=40))[0].offset_ms(Ms(T0 + 2_000))
    assert 40 == clock.offset_ms(Ms(T0 + 1_000_100))


def test_uncertainty_grows_until_it_is_a_finding():
    clock, _ = learn(sample(0, rtt=20))
    assert clock.finding(Ms(T0 + 1_900_000)) is None
    assert ClockFinding.UNCERTAIN == clock.finding(Ms(T0 + 2_000_000))


def test_slow_network_is_uncertain():
    assert [ClockFinding.UNCERTAIN] == learn(sample(rtt=900))[1]


@pytest.mark.parametrize(
    "offset,finding", [(5_000, None), (-5_000, None), (5_001, "clock_drift"), (-5_001, "clock_drift")]
)
def test_undisciplined_clock_is_a_finding(offset, finding):
    clock, findings = learn(sample(offset=offset))
    assert [finding] == findings
    assert finding == clock.finding(Ms(T0 + 20))


def test_jump_forgets_what_was_known():
    clock, findings = learn(sample(0), sample(1_000, offset=123), sample(2_000, offset=123))
    assert [None, ClockFinding.JUMP, None] == findings
    assert 123 == clock.offset_ms(Ms(T0 + 2_020))
    assert 2 == len(clock.samples)


def test_disagreement_that_the_round_trips_explain_is_no_jump():
    assert [None, None] == learn(sample(0), sample(1_000, offset=122))[1]


def test_clock_that_went_back_during_a_call_is_a_jump_and_leaves_nothing_known():
    clock, findings = learn(sample(0), sample(1_000, rtt=-50, back=0))
    assert ClockFinding.JUMP == findings[-1]
    assert ClockFinding.UNKNOWN == clock.finding(Ms(T0 + 950))


def test_clock_that_went_back_between_calls_does_not_make_samples_younger_than_new():
    clock, _ = learn(sample(0))
    assert 11 == clock.uncertainty_ms(Ms(T0 - 3_600_000))


def test_memory_is_bounded():
    clock, _ = learn(*(sample(i * 1_000) for i in range(50)), policy=ClockPolicy(keep=4))
    assert 4 == len(clock.samples)
    assert Ms(T0 + 49_000) == clock.samples[-1].sent_ms


@given(
    offset=st.integers(-(10**7), 10**7),
    ways=st.lists(st.tuples(st.integers(0, 390), st.integers(0, 390), st.integers(0, 5_000)), min_size=1, max_size=30),
    latency=st.integers(0, 3_000),
)
def test_corrected_timestamp_is_within_its_bound_and_accepted(offset, ways, latency):
    """Whatever the offset and however lopsided the ways, the error stays in its bound and the stamp is taken."""
    clock, at = Clock(), T0
    for there, back, pause in ways:
        told = Sample(sent_ms=Ms(at), received_ms=Ms(at + there + back), server_ms=Ms(at + there + offset))
        clock, finding = observe(clock, told)
        assert finding != ClockFinding.JUMP
        at += there + back + pause
    width = clock.uncertainty_ms(Ms(at))
    assert width is not None
    assert abs(corrected(clock, Ms(at)) - (at + offset)) <= width
    assert accepted(corrected(clock, Ms(at)), Ms(at + offset + latency), 5_000)


@given(
    jump=st.integers(1_000, 10**7) | st.integers(-(10**7), -1_000),
    rtts=st.lists(st.integers(0, 400), min_size=1, max_size=20),
    rtt=st.integers(0, 400),
)
def test_every_large_jump_is_found(jump, rtts, rtt):
    clock, _ = learn(*(sample(i * 1_000, rtt=each) for i, each in enumerate(rtts)))
    clock, finding = observe(clock, sample(len(rtts) * 1_000, rtt=rtt, offset=jump))
    assert ClockFinding.JUMP == finding
    assert abs(clock.offset_ms(Ms(T0 + 10**6)) - jump) <= 1
