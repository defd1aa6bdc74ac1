"""What is said of one thing that happened: its name, its level, its keys, and what it adds to metrics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Final

from attrs import frozen

from hean.core.types import OrderState
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
        "log.dropped",
        "parked",
    }
)
_WHISPERS: Final = frozenset({"frame", "pulse"})
_STATES: Final = tuple(str(state) for state in OrderState)
# Keys of an observation that have a place of their own in its record.
_PLACED: Final = frozenset({"from", "to", "correlation_id", "signal_id", "order_link_id", "order_id"})


def record_of(name: str, fields: Mapping[str, object]) -> TelemetryRecord:
    """Make a record of an observation: its level, its keys, its samples."""
    others = [
        (key, value if value is None or isinstance(value, int | float) else str(value))
        for key, value in fields.items()
        if key not in _PLACED
    ]
    return TelemetryRecord(
        event=name,
        level=level_of(name),
        before=_text(fields, "from"),
        after=_text(fields, "to"),
        correlation_id=_text(fields, "correlation_id"),
        signal_id=_text(fields, "signal_id"),
        order_link_id=_text(fields, "order_link_id"),
        order_id=_text(fields, "order_id"),
        fields=tuple(others),
        samples=tuple(samples_of(name, fields)),
    )


def level_of(name: str) -> Level:
    """Decide how loud an observation is: frames whisper, requests, replies and facts mumble, events speak."""
    if name in _ERRORS:
        return Level.ERROR
    if name in _WARNINGS:
        return Level.WARNING
    if name in _WHISPERS:
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
        case "event.ORDER_CANCELLED":
            yield Sample(metric=Metric.SIGNALS, labels=("cancelled", ""))
        case "event.ORDER_FILLED":
            if fields.get("complete"):
                yield Sample(metric=Metric.SIGNALS, labels=("filled", ""))
            # One that a query brought was late for a reason of its own.
            delay_s = fields.get("delay_s")
            if fields.get("source") == "stream" and isinstance(delay_s, int | float):
                yield Sample(metric=Metric.FILL_DELAY, value=max(float(delay_s), 0.0))
        case "transition":
            yield Sample(metric=Metric.TRANSITIONS, labels=(_text(fields, "from"), _text(fields, "to")))
        case "duplicate":
            yield Sample(metric=Metric.DUPLICATES, labels=(_text(fields, "source"),))
        case "duplicates":
            count = fields.get("count")
            value = float(count) if isinstance(count, int) else 1.0
            yield Sample(metric=Metric.DUPLICATES, value=value, labels=(_text(fields, "source"),))
        case "pulse":
            yield from _gauges(fields)
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


def _gauges(pulse: Mapping[str, object]) -> Iterator[Sample]:
    """What a pulse says of how things stand."""
    at_ms = pulse.get("at_ms")
    now_ms = at_ms if isinstance(at_ms, int) else 0
    states = _numbers(pulse, "orders")
    for state in _STATES:
        # A state that no order is in any more is zero, not what it was.
        yield Sample(metric=Metric.ORDERS, value=states.get(state, 0.0), labels=(state,))
    since_ms = pulse.get("unresolved_since_ms")
    age_s = (now_ms - since_ms) / 1000 if isinstance(since_ms, int) else 0.0
    yield Sample(metric=Metric.UNRESOLVED_AGE, value=age_s)
    for key, drift in _parts(pulse, "drift").items():
        category, symbol, idx = (*key.split(" "), "", "")[:3]
        named = symbol if idx in {"", "0"} else f"{symbol}/{idx}"
        yield Sample(metric=Metric.DRIFT, value=float(str(drift)), labels=(category, named))
    for name, stream in _parts(pulse, "streams").items():
        if not isinstance(stream, Mapping):
            continue
        yield Sample(metric=Metric.STREAM_STATE, labels=(name, _text(stream, "state")))
        seen_ms = stream.get("seen_ms")
        if isinstance(seen_ms, int):
            yield Sample(metric=Metric.STREAM_SILENCE, value=(now_ms - seen_ms) / 1000, labels=(name,))
    for name, stands in _parts(pulse, "breakers").items():
        yield Sample(metric=Metric.BREAKER_STATE, labels=(name, str(stands)))
    for group, left in _numbers(pulse, "budgets").items():
        yield Sample(metric=Metric.RATE_BUDGET_LEFT, value=left, labels=(group,))
    for actor, depth in _numbers(pulse, "mailboxes").items():
        yield Sample(metric=Metric.MAILBOX_DEPTH, value=depth, labels=(actor,))


def _parts(fields: Mapping[str, object], key: str) -> Mapping[str, object]:
    parts = fields.get(key)
    return parts if isinstance(parts, Mapping) else {}


def _numbers(fields: Mapping[str, object], key: str) -> dict[str, float]:
    return {name: float(value) for name, value in _parts(fields, key).items() if isinstance(value, int | float)}


def _text(fields: Mapping[str, object], key: str) -> str:
    value = fields.get(key)
    return "" if value is None else str(value)
