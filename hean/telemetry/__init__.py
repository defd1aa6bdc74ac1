"""
Log lines and metrics, hung on one record: what happened is said once, and each sink makes of it what it can.

Rules:

1. `Telemetry.record` never raises and never waits: a sink that raises is reported once per kind of error, and skipped.
2. Every text goes through `redact` before any sink sees it; nothing else in hean needs to think of secrets in logs.
3. Every metric stands in `metrics.py`, and no label is ever an ID: series are bounded.
4. hean is a guest: it logs through loguru's `bind` and never adds, removes or configures a handler.

5. A router speaks through `Deferred`: what trades only queues, and a thread of its own writes.

To add a metric: one member of `Metric`, one line of `METRICS`. To count an observation: one case of `samples_of`.
"""

from hean.telemetry.deferred import Deferred
from hean.telemetry.exporter import Exporter
from hean.telemetry.hub import LogSink, Sink, Telemetry
from hean.telemetry.metrics import METRICS, Count, Kind, Metric, MetricSpec, Sample
from hean.telemetry.records import Level, TelemetryRecord

__all__ = [
    "METRICS",
    "Count",
    "Deferred",
    "Exporter",
    "Kind",
    "Level",
    "LogSink",
    "Metric",
    "MetricSpec",
    "Sample",
    "Sink",
    "Telemetry",
    "TelemetryRecord",
]
