"""Where a router says what happens, and the sink that writes it to the host's log."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Protocol

from loguru import logger

from hean.telemetry.metrics import Count, Metric, Sample, Tally
from hean.telemetry.records import Level, TelemetryRecord, record_of

# ASCII that can be seen, without what parts a line: a value of it alone needs no quotes.
_BARE: Final = re.compile(r"[!#-<>-~]+")
_quoted: Final = json.JSONEncoder(ensure_ascii=False).encode
_NUMBERS: Final = (int, float)
# A host's logger must not be fed megabytes because an exchange answered with a page.
_TEXT_MAX: Final = 2000


class Sink(Protocol):
    """Something that a record is handed to; it may raise, and must not wait."""

    def __call__(self, record: TelemetryRecord, /) -> None:
        """Take one record; its texts are redacted."""


class LogSink:
    """Writes each record as one line to the host's loguru, keys bound and repeated in the text."""

    def __init__(self) -> None:
        # Made once: each `patch` makes a logger. What it is to say waits on the thread that says it.
        self._logger = logger.patch(self._fill)
        self._now = threading.local()

    def __call__(self, record: TelemetryRecord) -> None:
        if record.level is not None:
            self._now.record = record
            self._logger.log(record.level, record.event)

    def _fill(self, line: Any) -> None:
        # Called only where some handler of the host's wants a line of this level.
        record: TelemetryRecord = self._now.record
        keys: dict[str, object] = {
            "from": record.before,
            "to": record.after,
            "correlation_id": record.correlation_id,
            "signal_id": record.signal_id,
            "order_link_id": record.order_link_id,
            "order_id": record.order_id,
        }
        for name, value in record.fields:
            if name not in keys and name != "event":
                keys[name] = value
        shown = [record.event]
        for name, value in keys.items():
            if type(value) is not str and isinstance(value, _NUMBERS):
                shown.append(f"{name}={value}")
            elif value is not None and value != "":
                # Kept on its line and apart from its neighbours.
                text = str(value)
                shown.append(f"{name}={text if _BARE.fullmatch(text) else _quoted(text)}")
        line["message"] = " ".join(shown)
        extra = line["extra"]
        extra["event"] = record.event
        extra.update(keys)


class Telemetry:
    """
    Where one router says what happens; safe to use from every thread.

    Args:
        redact: takes secrets out of a text.
        sinks: each gets every record, in this order.
    """

    def __init__(self, *, redact: Callable[[str], str], sinks: Iterable[Sink] | None = None) -> None:
        self._redact = redact
        self._sinks: tuple[Sink, ...] = (LogSink(),) if sinks is None else tuple(sinks)
        self._tally = Tally()
        self._reported: set[tuple[str, str]] = set()
        self._lock = threading.Lock()

    @property
    def counts(self) -> tuple[Count, ...]:
        """Every metric as it stands, with or without Prometheus."""
        return self._tally.snapshot()

    def record(self, record: TelemetryRecord) -> None:
        """Tell every sink; never raises."""
        cleaned = None
        try:
            cleaned = self._cleaned(record)
        except Exception as error:  # noqa: BLE001 - what cannot be cleaned is not said, but counted
            self._report(self._cleaned, error)
        samples = iter(record.samples)
        while True:
            try:
                self._tally.add_all(samples)
                break
            except Exception as error:  # noqa: BLE001 - one that cannot be counted must not cost those behind it
                self._report(self._tally.add, error)
        if cleaned is not None:
            for sink in self._sinks:
                try:
                    sink(cleaned)
                except Exception as error:  # noqa: BLE001 - whatever a host's handler raises
                    self._report(sink, error)

    def observe(self, name: str, fields: Mapping[str, object]) -> None:
        """
        Record something by its name and keys; what it counts is decided here. Never raises.

        Args:
            name: stable, for machines: "transition", "event.ORDER_FILLED", "actor.crash".
            fields: the keys of its log line; `from` and `to` are states.
        """
        try:
            record = record_of(name, fields)
        except Exception as error:  # noqa: BLE001 - an observation may hold anything
            self._report(record_of, error)
            return
        self.record(record)

    def sample(self, metric: Metric, value: float = 1.0, *labels: str) -> None:
        """Add to a metric without a log line; never raises."""
        self.record(
            TelemetryRecord(event=metric, level=None, samples=(Sample(metric=metric, value=value, labels=labels),))
        )

    def _cleaned(self, record: TelemetryRecord) -> TelemetryRecord:
        """Leave numbers as they are; whatever else it is, a sink gets it as clean text of a bounded length."""
        if record.level is None:
            return record
        texts = [
            record.event,
            record.before,
            record.after,
            record.correlation_id,
            record.signal_id,
            record.order_link_id,
            record.order_id,
        ]
        for _, value in record.fields:
            # Almost all are texts; asking for that first is the cheapest.
            if type(value) is str:
                texts.append(value)
            elif value is not None and not isinstance(value, _NUMBERS):
                texts.append(str(value))
        # Almost no record holds a secret, and one look at all its texts is much cheaper than one at each. The line end
        # between them keeps what would match in one text matching here.
        together = "\n".join(texts)
        if len(together) <= _TEXT_MAX and self._redact(together) == together:
            return record
        event, before, after, correlation_id, signal_id, order_link_id, order_id, *others = self._clean(texts)
        rest = iter(others)
        return TelemetryRecord(
            event=event,
            level=record.level,
            before=before,
            after=after,
            correlation_id=correlation_id,
            signal_id=signal_id,
            order_link_id=order_link_id,
            order_id=order_id,
            fields=tuple(
                (name, value if value is None or isinstance(value, _NUMBERS) else next(rest))
                for name, value in record.fields
            ),
            samples=record.samples,
        )

    def _clean(self, texts: list[str]) -> list[str]:
        # Cut first, with a margin that keeps a secret at the cut whole: patterns over megabytes take seconds.
        return [self._redact(text[: 2 * _TEXT_MAX])[:_TEXT_MAX] for text in texts]

    def _told(self, error: Exception) -> str:
        try:
            return self._clean([repr(error)])[0]
        except Exception:  # noqa: BLE001 - the redactor itself may be what fails; then nothing unredacted is said
            return type(error).__name__

    def _report(self, work: object, error: Exception) -> None:
        """Count a failure; tell the other sinks of the first of its kind."""
        name = str(getattr(work, "__qualname__", type(work).__name__))
        kind = (name, type(error).__name__)
        self._tally.add(Sample(metric=Metric.SINK_FAILURES, labels=kind))
        with self._lock:
            new = kind not in self._reported
            self._reported.add(kind)
        if not new:
            return
        fields = (("sink", name), ("error", self._told(error)))
        told = TelemetryRecord(event="sink.failed", level=Level.ERROR, fields=fields)
        for sink in self._sinks:
            if sink is not work:
                try:
                    sink(told)
                except Exception as another:  # noqa: BLE001 - as above; each kind is told once, so this ends
                    self._report(sink, another)
