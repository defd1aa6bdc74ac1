"""
How far our clock is from the exchange's.

Every reply tells the exchange's time, and that instant lies between our send and our receive. So each sample bounds the
offset to an interval of half a round trip around its middle, whatever the asymmetry of the two ways; the narrowest
recent interval is the best estimate. Two intervals that do not meet are proof that one of the clocks jumped: what was
known before is forgotten. A constant error is corrected; one that is too large, too uncertain or that jumps is found.

Source: Bybit V5 docs, guide: a request is valid when server_time - recv_window <= timestamp < server_time + 1000.
"""

from __future__ import annotations

from enum import StrEnum

from attrs import evolve, frozen

from hean.core.types import Ms


class ClockFinding(StrEnum):
    """What is wrong with our clock, or with what we know about it."""

    UNKNOWN = "clock_unknown"  # no sample yet, or none since a jump
    UNCERTAIN = "clock_uncertain"  # the best sample is too wide or too old
    DRIFT = "clock_drift"  # further off than a disciplined clock ever is
    JUMP = "clock_jump"  # the offset changed in one step


@frozen(kw_only=True)
class ClockPolicy:
    """
    Figures of the estimator.

    Attributes:
        keep: samples remembered.
        drift_ppm: how fast a sample is taken to grow stale; twice what a bad quartz does.
        tolerance_ms: disagreement of two samples that is no jump yet: the exchange's nodes have clocks of their own.
        max_uncertainty_ms: beyond this a corrected timestamp might be refused; well under the 1000 ms that are.
        max_drift_ms: offset beyond which the host's clock is not trusted with the age of commands; the size of the
            receive window.
    """

    keep: int = 16
    drift_ppm: int = 200
    tolerance_ms: int = 100
    max_uncertainty_ms: int = 400
    max_drift_ms: int = 5_000


@frozen(kw_only=True)
class Sample:
    """
    One reply that told the time.

    Attributes:
        sent_ms: our clock just before the bytes.
        received_ms: our clock when the reply was complete.
        server_ms: the exchange's clock in the reply.
    """

    sent_ms: Ms
    received_ms: Ms
    server_ms: Ms

    @property
    def offset_ms(self) -> int:
        """To be added to our clock to get the exchange's."""
        return self.server_ms - (self.sent_ms + self.received_ms) // 2

    @property
    def uncertainty_ms(self) -> int:
        """The true offset is within this of `offset_ms`: half a round trip, and a millisecond of rounding."""
        return (self.received_ms - self.sent_ms + 1) // 2 + 1


@frozen(kw_only=True)
class Clock:
    """What we know of the exchange's clock. A value: `observe` returns the next one."""

    policy: ClockPolicy = ClockPolicy()
    samples: tuple[Sample, ...] = ()

    def best(self, now_ms: Ms) -> Sample | None:
        """Return the sample that bounds the offset closest, its age counted; None before the first."""
        return min(self.samples, key=lambda sample: self._width(sample, now_ms), default=None)

    def offset_ms(self, now_ms: Ms) -> int:
        """Return what to add to our clock; 0 while nothing is known."""
        best = self.best(now_ms)
        return 0 if best is None else best.offset_ms

    def uncertainty_ms(self, now_ms: Ms) -> int | None:
        """Return the bound on the error of `offset_ms`, growing with age; None while nothing is known."""
        best = self.best(now_ms)
        return None if best is None else self._width(best, now_ms)

    def finding(self, now_ms: Ms) -> ClockFinding | None:
        """Return what stands against trusting `offset_ms` and our own clock now; None where all is well."""
        width = self.uncertainty_ms(now_ms)
        if width is None:
            return ClockFinding.UNKNOWN
        if width > self.policy.max_uncertainty_ms:
            return ClockFinding.UNCERTAIN
        if abs(self.offset_ms(now_ms)) > self.policy.max_drift_ms:
            return ClockFinding.DRIFT
        return None

    def _width(self, sample: Sample, now_ms: Ms) -> int:
        age_ms = max(now_ms - sample.received_ms, 0)
        return sample.uncertainty_ms + age_ms * self.policy.drift_ppm // 1_000_000


def observe(clock: Clock, sample: Sample) -> tuple[Clock, ClockFinding | None]:
    """
    Learn from a reply.

    Returns:
        The new clock, and JUMP where this sample proves one; otherwise what `Clock.finding` says now. After a jump
        earlier samples are gone; where our clock went back during the call, so is this one, and the time must be
        asked again.
    """
    if sample.received_ms < sample.sent_ms:
        return evolve(clock, samples=()), ClockFinding.JUMP
    now_ms = sample.received_ms
    best = clock.best(now_ms)
    if best is not None:
        reach = clock.uncertainty_ms(now_ms) or 0
        apart = abs(sample.offset_ms - best.offset_ms)
        if apart > reach + sample.uncertainty_ms + clock.policy.tolerance_ms:
            return evolve(clock, samples=(sample,)), ClockFinding.JUMP
    learned = evolve(clock, samples=(*clock.samples, sample)[-clock.policy.keep :])
    return learned, learned.finding(now_ms)
