"""Every metric: its name, its labels, its meaning, and how it stands in this process."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Final

from attrs import frozen

# Beyond this many series of one metric, new ones are counted together under "other".
_SERIES_MAX: Final = 200
_OTHER: Final = "other"


class Kind(StrEnum):
    """How samples of a metric add up."""

    COUNTER = "counter"  # values are added
    GAUGE = "gauge"  # the newest value stands
    STATE = "state"  # the last label is a state: 1 for the newest, 0 for those before
    HISTOGRAM = "histogram"  # values are counted by bucket


class Metric(StrEnum):
    """Name of a metric, as Prometheus shows it."""

    OBSERVATIONS = "hean_observations_total"
    SIGNALS = "hean_signals_total"
    TRANSITIONS = "hean_order_transitions_total"
    ORDERS = "hean_orders"
    ACK_DELAY = "hean_ack_delay_seconds"
    FILL_DELAY = "hean_fill_delay_seconds"
    UNRESOLVED_AGE = "hean_unresolved_age_seconds"
    DUPLICATES = "hean_duplicates_total"
    DRIFT = "hean_drift"
    STREAM_STATE = "hean_stream_state"
    STREAM_SILENCE = "hean_stream_silence_seconds"
    RATE_BUDGET_LEFT = "hean_rate_budget_left"
    MAILBOX_DEPTH = "hean_mailbox_depth"
    ACTOR_RESTARTS = "hean_actor_restarts_total"
    BREAKER_STATE = "hean_breaker_state"
    RET_CODES = "hean_ret_codes_total"
    SINK_FAILURES = "hean_sink_failures_total"


@frozen(kw_only=True)
class MetricSpec:
    """What a metric is; `buckets` are upper bounds of a histogram, in seconds."""

    kind: Kind
    meaning: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


_DELAYS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)

METRICS: Final[Mapping[Metric, MetricSpec]] = {
    Metric.OBSERVATIONS: MetricSpec(kind=Kind.COUNTER, meaning="what happened, by name", labels=("name",)),
    Metric.SIGNALS: MetricSpec(
        kind=Kind.COUNTER, meaning="signals by outcome; the reason of a denial", labels=("outcome", "reason")
    ),
    Metric.TRANSITIONS: MetricSpec(kind=Kind.COUNTER, meaning="order transitions", labels=("before", "after")),
    Metric.ORDERS: MetricSpec(kind=Kind.GAUGE, meaning="tracked orders by state", labels=("state",)),
    Metric.ACK_DELAY: MetricSpec(
        kind=Kind.HISTOGRAM, meaning="from sending a create to its answer, seconds", buckets=_DELAYS_S
    ),
    Metric.FILL_DELAY: MetricSpec(
        kind=Kind.HISTOGRAM, meaning="from an execution to its journalling, seconds", buckets=_DELAYS_S
    ),
    Metric.UNRESOLVED_AGE: MetricSpec(kind=Kind.GAUGE, meaning="age of the oldest unknown outcome, seconds"),
    Metric.DUPLICATES: MetricSpec(
        kind=Kind.COUNTER, meaning="deliveries of something known, by source", labels=("source",)
    ),
    Metric.DRIFT: MetricSpec(
        kind=Kind.GAUGE, meaning="our position less the exchange's, base coin", labels=("category", "symbol")
    ),
    Metric.STREAM_STATE: MetricSpec(kind=Kind.STATE, meaning="state of a stream", labels=("stream", "state")),
    Metric.STREAM_SILENCE: MetricSpec(
        kind=Kind.GAUGE, meaning="age of a stream's last frame, seconds", labels=("stream",)
    ),
    Metric.RATE_BUDGET_LEFT: MetricSpec(
        kind=Kind.GAUGE, meaning="requests left in the window, by group", labels=("group",)
    ),
    Metric.MAILBOX_DEPTH: MetricSpec(kind=Kind.GAUGE, meaning="messages waiting, by kind of actor", labels=("actor",)),
    Metric.ACTOR_RESTARTS: MetricSpec(
        kind=Kind.COUNTER, meaning="actors that crashed and were rebuilt", labels=("actor",)
    ),
    Metric.BREAKER_STATE: MetricSpec(kind=Kind.STATE, meaning="state of a breaker", labels=("breaker", "state")),
    Metric.RET_CODES: MetricSpec(
        kind=Kind.COUNTER,
        meaning="replies by group of call and class of code; listed is false for a code that no table knows",
        labels=("group", "verdict", "listed"),
    ),
    Metric.SINK_FAILURES: MetricSpec(
        kind=Kind.COUNTER, meaning="sinks that raised, by sink and error", labels=("sink", "error")
    ),
}


@frozen(kw_only=True)
class Sample:
    """One value for one metric; `labels` in the order of its table."""

    metric: Metric
    value: float = 1.0
    labels: tuple[str, ...] = ()


@frozen(kw_only=True)
class Count:
    """
    One series as it stands.

    Attributes:
        value: sum of a counter or a histogram, else the newest value.
        buckets: of a histogram: (upper bound, how many at or below it), the last one for all.
    """

    metric: Metric
    labels: tuple[tuple[str, str], ...]
    value: float
    buckets: tuple[tuple[float, int], ...] = ()


class Tally:
    """The metrics of one router, in this process; bounded, and safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: dict[Metric, dict[tuple[str, ...], float]] = {metric: {} for metric in Metric}
        self._buckets: dict[tuple[Metric, tuple[str, ...]], list[int]] = {}

    def add(self, sample: Sample) -> None:
        """
        Add one sample.

        Raises:
            ValueError: its labels are not those of the table. Nothing has changed.
        """
        self.add_all(iter((sample,)))

    def add_all(self, samples: Iterator[Sample]) -> None:
        """
        Add what is left of some samples, at once.

        Raises:
            ValueError: the labels of one are not those of the table. Those before it are added and it is passed over;
                a second call goes on behind it.
        """
        with self._lock:
            for sample in samples:
                labels, value, spec = sample.labels, sample.value, METRICS[sample.metric]
                if len(labels) != len(spec.labels):
                    raise ValueError(f"{sample.metric}: expected labels {spec.labels}, was {labels}")
                series = self._values[sample.metric]
                if labels not in series and len(series) >= _SERIES_MAX:
                    labels = (_OTHER,) * len(labels)
                match spec.kind:
                    case Kind.COUNTER:
                        series[labels] = series.get(labels, 0.0) + value
                    case Kind.GAUGE:
                        series[labels] = value
                    case Kind.STATE:
                        series.update({known: 0.0 for known in series if known[:-1] == labels[:-1]})
                        series[labels] = 1.0
                    case Kind.HISTOGRAM:  # pragma: no branch - mypy sees that these are all
                        series[labels] = series.get(labels, 0.0) + value
                        counts = self._buckets.setdefault((sample.metric, labels), [0] * (len(spec.buckets) + 1))
                        counts[bisect_left(spec.buckets, value)] += 1

    def snapshot(self) -> tuple[Count, ...]:
        """List every series, in the order of the table."""
        with self._lock:
            return tuple(
                Count(
                    metric=metric,
                    labels=tuple(zip(METRICS[metric].labels, labels, strict=True)),
                    value=value,
                    buckets=self._cumulated(metric, labels),
                )
                for metric, series in self._values.items()
                for labels, value in sorted(series.items())
            )

    def _cumulated(self, metric: Metric, labels: tuple[str, ...]) -> tuple[tuple[float, int], ...]:
        counts = self._buckets.get((metric, labels))
        if counts is None:
            return ()
        bounds = (*METRICS[metric].buckets, float("inf"))
        return tuple((bound, sum(counts[: place + 1])) for place, bound in enumerate(bounds))
