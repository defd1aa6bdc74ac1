"""The exchange's clock as the senders know it: corrected, measured against its first sample, forgiven by a person."""

from __future__ import annotations

import pytest

from hean.actors.clock import ExchangeClock
from hean.core.calls import QueryTime, Reply, ServerTime, Verdict, VerdictKind
from hean.core.clock import ClockFinding
from hean.core.types import Ms


class Host:
    """A host's clock, and an exchange whose clock is `offset_ms` ahead of it."""

    def __init__(self, max_drift_ms: int = 500) -> None:
        self.now_ms = Ms(1_000_000)
        self.clock = ExchangeClock(lambda: self.now_ms, max_drift_ms)

    def ask(self, offset_ms: int, round_trip_ms: int = 10, early_ms: int | None = None) -> str:
        """One question; the exchange reads it half way, or `early_ms` after it left."""
        sent_ms = self.now_ms
        self.now_ms = Ms(sent_ms + round_trip_ms)
        at_ms = sent_ms + (round_trip_ms // 2 if early_ms is None else early_ms)
        result = ServerTime(server_ms=Ms(at_ms + offset_ms))
        verdict = Verdict(kind=VerdictKind.ACCEPTED)
        return self.clock.observe(
            Reply(call=QueryTime(), verdict=verdict, result=result, sent_ms=sent_ms, received_ms=self.now_ms)
        )


def test_before_the_first_sample_it_is_our_own() -> None:
    host = Host()
    assert (host.now_ms, 0, None) == (host.clock.now_ms(), host.clock.offset_ms, host.clock.uncertainty_ms)


@pytest.mark.parametrize("offset_ms", [-120_000, -2_000, 0, 2_000, 120_000])
def test_offset_that_stays_is_corrected_and_no_drift(offset_ms: int) -> None:
    host = Host()
    assert ["", "", ""] == [host.ask(offset_ms) for _ in range(3)]
    assert (offset_ms, host.now_ms + offset_ms) == (host.clock.offset_ms, host.clock.now_ms())
    assert (ClockFinding.DRIFT if abs(offset_ms) > 5_000 else None) == host.clock.finding


@pytest.mark.parametrize("moved_ms, drifts", [(400, False), (-400, False), (600, True), (-600, True)])
def test_offset_that_moves_too_far_is_drift(moved_ms: int, drifts: bool) -> None:
    host = Host()
    host.ask(3_000)
    assert drifts == (f"moved by {moved_ms} ms" in host.ask(3_000 + moved_ms))
    assert 3_000 + moved_ms == host.clock.offset_ms


def test_slow_reply_is_no_drift() -> None:
    host = Host()
    # A second under way, and read at once: half of it looks like an offset.
    assert "" == host.ask(0, round_trip_ms=1_100, early_ms=0)
    assert -550 == host.clock.offset_ms
    assert "" == host.ask(0)
    assert 0 == host.clock.offset_ms


def test_resumed_clock_counts_from_where_it_is() -> None:
    host = Host()
    host.ask(0)
    assert "moved" in host.ask(2_000)
    assert "moved" in host.ask(2_000)
    host.clock.forgive()
    assert "" == host.ask(2_000)
    assert "moved" in host.ask(0)


def test_reply_without_a_time_teaches_nothing() -> None:
    host = Host()
    refused = Reply(call=QueryTime(), verdict=Verdict(kind=VerdictKind.UNKNOWN))
    assert ("", None) == (host.clock.observe(refused), host.clock.uncertainty_ms)
