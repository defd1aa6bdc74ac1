"""What is said of one thing that happened: its name, its level, its keys, and what it adds to metrics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from functools import lru_cache
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
# Keys of an observation that have a place of their own in its record, as they are where it has none of them.
_PLACED: Final = {"from": "", "to": "", "correlation_id": "", "signal_id": "", "order_link_id": "", "order_id": ""}
_NUMBERS: Final = (int, float)
# Far more than there are names, and counts of one by their labels.
_KEPT: Final = 1024


def record_of(name: str, fields: Mapping[str, object]) -> TelemetryRecord:
    """Make a record of an observation: its level, its keys, its samples."""
    placed = _PLACED.copy()
    others: list[tuple[str, object]] = []
    # In one pass and without a function of our own for each key: this is done a dozen times for an order.
    for key, value in fields.items():
        if key in placed:
            if value is not None:
                placed[key] = str(value)
        else:
            kept = type(value) is str or value is None or isinstance(value, _NUMBERS)
            others.append((key, value if kept else str(value)))
    return TelemetryRecord(
        event=name,
        level=_level_of(name),
        before=placed["from"],
        after=placed["to"],
        correlation_id=placed["correlation_id"],
        signal_id=placed["signal_id"],
        order_link_id=placed["order_link_id"],
        order_id=placed["order_id"],
        fields=tuple(others),
        samples=samples_of(name, fields),
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


_level_of = lru_cache(_KEPT)(level_of)


@lru_cache(_KEPT)
def _one(metric: Metric, *labels: str) -> Sample:
    """A count of one; the same few are asked for again and again, and a sample never changes."""
    return Sample(metric=metric, labels=labels)


def samples_of(name: str, fields: Mapping[str, object]) -> tuple[Sample, ...]:
    """Decide what an observation adds to the metrics."""
    seen = _one(Metric.OBSERVATIONS, name)
    match name:
        case "event.SIGNAL":
            return (seen, _one(Metric.SIGNALS, "received", ""))
        case "event.RISK_BLOCKED":
            return (seen, _one(Metric.SIGNALS, "denied", _text(fields, "reason")))
        case "event.ORDER_REQUEST":
            return (seen, _one(Metric.SIGNALS, "sent", ""))
        case "event.ORDER_PLACED":
            return (seen, _one(Metric.SIGNALS, "acknowledged", ""))
        case "event.ORDER_REJECTED":
            return (seen, _one(Metric.SIGNALS, "rejected", ""))
        case "event.ORDER_CANCELLED":
            return (seen, _one(Metric.SIGNALS, "cancelled", ""))
        case "event.ORDER_FILLED":
            filled = (_one(Metric.SIGNALS, "filled", ""),) if fields.get("complete") else ()
            # One that a query brought was late for a reason of its own.
            delay_s = fields.get("delay_s")
            if fields.get("source") == "stream" and isinstance(delay_s, _NUMBERS):
                return (seen, *filled, Sample(metric=Metric.FILL_DELAY, value=max(float(delay_s), 0.0)))
            return (seen, *filled)
        case "transition":
            before, after = fields.get("from"), fields.get("to")
            return (
                seen,
                _one(Metric.TRANSITIONS, "" if before is None else str(before), "" if after is None else str(after)),
            )
        case "duplicate":
            return (seen, _one(Metric.DUPLICATES, _text(fields, "source")))
        case "duplicates":
            count = fields.get("count")
            value = float(count) if isinstance(count, int) else 1.0
            return (seen, Sample(metric=Metric.DUPLICATES, value=value, labels=(_text(fields, "source"),)))
        case "pulse":
            return (seen, *_gauges(fields))
        case "fact" if fields.get("fact") == "executed_known":
            return (seen, _one(Metric.DUPLICATES, _text(fields, "source")))
        case "actor.crash":
            return (seen, _one(Metric.ACTOR_RESTARTS, _text(fields, "actor")))
        case "reply":
            group, verdict = fields.get("group"), fields.get("verdict")
            code = _one(
                Metric.RET_CODES,
                "" if group is None else str(group),
                "" if verdict is None else str(verdict),
                "false" if fields.get("listed") is False else "true",
            )
            delay_s = fields.get("delay_s")
            if group == "create" and isinstance(delay_s, _NUMBERS):
                return (seen, code, Sample(metric=Metric.ACK_DELAY, value=float(delay_s)))
            return (seen, code)
        case _:
            return (seen,)


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
