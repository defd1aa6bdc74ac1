"""What is said of one thing that happened: its name, its level, its keys, and what it adds to metrics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Final

from attrs import frozen

from hean.telemetry.metrics import Metric, Sample


class Level(StrEnum):
    """loguru's own names."""

    TRACE = "TRACE"
    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"


@frozen(kw_only=True)
class TelemetryRecord:
    """
    One thing that happened.

    Attributes:
        event: stable name, for machines.
        level: None for samples without a log line.
        before: state before, "" where there was none; logged as `from`.
        after: state after; logged as `to`.
        fields: further keys and values of the log line.
        samples: what it adds to metrics.
    """

    event: str
    level: Level | None = Level.INFO
    before: str = ""
    after: str = ""
    correlation_id: str = ""
    signal_id: str = ""
    order_link_id: str = ""
    order_id: str = ""
    fields: tuple[tuple[str, object], ...] = ()
    samples: tuple[Sample, ...] = ()


_ERRORS: Final = frozenset({"event.ERROR", "actor.crash", "journal.failed", "handler.failed", "reader.failed"})
_WARNINGS: Final = frozenset(
    {
        "event.RISK_BLOCKED",
        "event.ORDER_REJECTED",
        "event.ORDER_UNKNOWN",
        "event.RECONCILIATION_ALERT",
        "event.QUARANTINED",
        "event.KILLSWITCH_TRIGGERED",
        "parked",
    }
)
# Keys of an observation that have a place of their own in its record.
_PLACED: Final = frozenset({"from", "to", "correlation_id", "signal_id", "order_link_id", "order_id"})


def record_of(name: str, fields: Mapping[str, object]) -> TelemetryRecord:
    """Make a record of an observation: its level, its keys, its samples."""
    return TelemetryRecord(
        event=name,
        level=level_of(name),
        before=_text(fields, "from"),
        after=_text(fields, "to"),
        correlation_id=_text(fields, "correlation_id"),
        signal_id=_text(fields, "signal_id"),
        order_link_id=_text(fields, "order_link_id"),
        order_id=_text(fields, "order_id"),
        fields=tuple((key, value) for key, value in fields.items() if key not in _PLACED),
        samples=tuple(samples_of(name, fields)),
    )


def level_of(name: str) -> Level:
    """Decide how loud an observation is: frames whisper, requests, replies and facts mumble, events speak."""
    if name in _ERRORS:
        return Level.ERROR
    if name in _WARNINGS:
        return Level.WARNING
    if name == "frame":
        return Level.TRACE
    return Level.INFO if name == "transition" or name.startswith("event.") else Level.DEBUG


def samples_of(name: str, fields: Mapping[str, object]) -> Iterator[Sample]:
    """Decide what an observation adds to the metrics."""
    yield Sample(metric=Metric.OBSERVATIONS, labels=(name,))
    match name:
        case "event.SIGNAL":
            yield Sample(metric=Metric.SIGNALS, labels=("received", ""))
        case "event.RISK_BLOCKED":
            yield Sample(metric=Metric.SIGNALS, labels=("denied", _text(fields, "reason")))
        case "event.ORDER_REQUEST":
            yield Sample(metric=Metric.SIGNALS, labels=("sent", ""))
        case "event.ORDER_PLACED":
            yield Sample(metric=Metric.SIGNALS, labels=("acknowledged", ""))
        case "event.ORDER_REJECTED":
            yield Sample(metric=Metric.SIGNALS, labels=("rejected", ""))
        case "event.ORDER_FILLED" if fields.get("complete"):
            yield Sample(metric=Metric.SIGNALS, labels=("filled", ""))
        case "transition":
            yield Sample(metric=Metric.TRANSITIONS, labels=(_text(fields, "from"), _text(fields, "to")))
        case "duplicate":
            yield Sample(metric=Metric.DUPLICATES, labels=(_text(fields, "source"),))
        case "fact" if fields.get("fact") == "executed_known":
            yield Sample(metric=Metric.DUPLICATES, labels=(_text(fields, "source"),))
        case "actor.crash":
            yield Sample(metric=Metric.ACTOR_RESTARTS, labels=(_text(fields, "actor"),))
        case "reply":
            listed = "false" if fields.get("listed") is False else "true"
            yield Sample(metric=Metric.RET_CODES, labels=(_text(fields, "group"), _text(fields, "verdict"), listed))
            delay_s = fields.get("delay_s")
            if fields.get("group") == "create" and isinstance(delay_s, int | float):
                yield Sample(metric=Metric.ACK_DELAY, value=float(delay_s))
        case _:
            pass


def _text(fields: Mapping[str, object], key: str) -> str:
    value = fields.get(key)
    return "" if value is None else str(value)
