"""Names of a stream's facts."""

from __future__ import annotations

import pytest

from hean.core.session_facts import (
    AuthAnswered,
    CatchUpFailed,
    CaughtUp,
    Closed,
    FrameSeen,
    Opened,
    OpenFailed,
    PongSeen,
    SessionTimer,
    StartRequested,
    StopRequested,
    TimerFired,
    TopicAnswered,
    name_of,
)


@pytest.mark.parametrize(
    "fact,name",
    [
        (StartRequested(), "start_requested"),
        (StopRequested(), "stop_requested"),
        (Opened(generation=1), "opened"),
        (OpenFailed(generation=1, why=""), "open_failed"),
        (AuthAnswered(generation=1, ok=True), "auth_acked"),
        (AuthAnswered(generation=1, ok=False), "auth_refused"),
        (TopicAnswered(generation=1, topic="order", ok=True), "topic_acked"),
        (TopicAnswered(generation=1, topic="order", ok=False), "topic_refused"),
        (CaughtUp(generation=1), "caught_up"),
        (CatchUpFailed(generation=1, why=""), "catch_up_failed"),
        (FrameSeen(generation=1), "frame_seen"),
        (PongSeen(generation=1), "pong_seen"),
        (Closed(generation=1, why=""), "closed"),
        *((TimerFired(timer=timer, generation=1), f"{timer.value}_due") for timer in SessionTimer),
    ],
)
def test_each_fact_has_its_name(fact, name):
    assert name == name_of(fact)


def test_thing_that_is_no_fact_is_a_bug():
    with pytest.raises(AssertionError):
        name_of("boom")
