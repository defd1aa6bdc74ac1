"""Delays grow, have a ceiling, and are drawn over their full range."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hean.core.calls import Budget
from hean.core.retry import RetryPolicy, next_delay_ms, throttled_delay_ms
from hean.core.types import Ms

POLICY = RetryPolicy()
UNITS = st.floats(min_value=0, max_value=1, exclude_max=True)


def test_throttled_without_headers_waits_longest():
    assert 2_050 == throttled_delay_ms(POLICY, Budget(), None, 0.5)
    assert 2_050 == throttled_delay_ms(POLICY, Budget(reset_ms=Ms(10_700)), None, 0.5)


def test_throttled_waits_for_the_named_reset():
    assert 700 == throttled_delay_ms(POLICY, Budget(reset_ms=Ms(10_700)), Ms(10_000), 0.0)


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
