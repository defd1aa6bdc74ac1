"""What a stream's record says of itself."""

from __future__ import annotations

import pytest

from hean.core.session_facts import SessionState
from hean.core.session_record import Session, SessionPolicy


@pytest.mark.parametrize("state", SessionState)
def test_only_live_is_live_and_frames_wait_only_before_it(state):
    session = Session(state=state)
    assert (state is SessionState.LIVE) == session.live
    assert (state in {SessionState.SUBSCRIBING, SessionState.CATCHING_UP}) == session.buffering


def test_two_streams_stay_within_the_exchanges_rate_of_connections():
    """Source: Bybit V5 docs, ws/connect: 500 connections in 5 minutes per IP and domain."""
    policy = SessionPolicy()
    assert 500 >= 2 * policy.max_opens
    assert 300_000 == policy.opens_window_ms


def test_watchdog_leaves_a_ping_time_to_be_answered():
    policy = SessionPolicy()
    assert policy.silence_ms >= policy.ping_ms + 5_000
