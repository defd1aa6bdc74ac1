"""Time in production: a clock that only goes forward, and timers that tell in their order."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from hean.actors.boundary import Inbox
from hean.actors.clock import ExchangeClock, SteadyClock, TimerThread
from hean.core.calls import QueryTime, Reply, ServerTime, Verdict, VerdictKind
from hean.core.types import Ms

WAIT_S = 10


@pytest.fixture
def timers() -> Iterator[TimerThread]:
    timers = TimerThread()
    yield timers
    timers.stop()


def test_our_time_is_the_worlds_and_never_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SteadyClock()
    assert abs(clock.now_ms() - time.time_ns() // 1_000_000) < 1_000
    before = clock.now_ms()
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    assert clock.now_ms() >= before


def test_timers_tell_in_the_order_in_which_they_are_due(timers: TimerThread) -> None:
    inbox = Inbox("box")
    for delay_ms in (40, 1, 20, 0):
        timers.after(delay_ms, inbox, delay_ms, (str(delay_ms),))
    assert [0, 1, 20, 40] == [inbox.receive(WAIT_S) for _ in range(4)]
    assert 0 == timers.pending()


def test_a_timer_of_the_same_key_is_replaced(timers: TimerThread) -> None:
    inbox = Inbox("box")
    timers.after(60_000, inbox, "old", ("a",))
    timers.after(1, inbox, "new", ("a",))
    assert 1 == timers.pending()
    assert "new" == inbox.receive(WAIT_S)
    timers.after(1, inbox, "earlier", ("b",))
    timers.after(30, inbox, "later", ("b",))
    assert ("later", 0) == (inbox.receive(WAIT_S), inbox.depth())


def test_a_cancelled_timer_tells_nothing(timers: TimerThread) -> None:
    inbox = Inbox("box")
    timers.after(1, inbox, "cancelled", ("a",))
    timers.cancel(("a",))
    timers.cancel(("never armed",))
    timers.after(20, inbox, "kept", ("b",))
    assert "kept" == inbox.receive(WAIT_S)


def test_a_stop_forgets_what_is_armed() -> None:
    timers, inbox = TimerThread(), Inbox("box")
    timers.after(60_000, inbox, "never", ("a",))
    timers.stop(WAIT_S)
    assert (0, 0) == (timers.pending(), inbox.depth())


def told(server_ms: int, sent_ms: int, received_ms: int) -> Reply:
    return Reply(
        call=QueryTime(),
        verdict=Verdict(kind=VerdictKind.ACCEPTED),
        result=ServerTime(server_ms=Ms(server_ms)),
        sent_ms=Ms(sent_ms),
        received_ms=Ms(received_ms),
    )


def test_the_exchanges_clock_is_ours_until_it_is_told() -> None:
    clock = ExchangeClock(lambda: Ms(5_000), 500)
    assert (5_000, 0, None) == (clock.now_ms(), clock.offset_ms, clock.uncertainty_ms)
    assert "" == clock.observe(told(7_000, 4_990, 5_010))
    assert 2_000 == clock.offset_ms
    assert 7_000 == clock.now_ms()


def test_an_offset_that_moves_is_drift_until_it_is_forgiven() -> None:
    clock = ExchangeClock(lambda: Ms(5_000), 500)
    assert "" == clock.observe(told(7_000, 4_990, 5_010))
    assert "moved by" in [clock.observe(told(17_000, 4_999, 5_001)) for _ in range(20)][-1]
    clock.forgive()
    assert "" == clock.observe(told(17_000, 4_999, 5_001))
