"""What happens is said once: as a line without secrets, and as numbers without IDs; and saying it never hurts."""

from __future__ import annotations

import sys
import threading
import urllib.request
from decimal import Decimal
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from loguru import logger

from hean.bybit.auth import REDACTED, Credentials
from hean.core.types import EventType
from hean.errors import ConfigError
from hean.telemetry import (
    METRICS,
    Exporter,
    Kind,
    Level,
    LogSink,
    Metric,
    Sample,
    Telemetry,
    TelemetryRecord,
)
from hean.telemetry.metrics import Tally
from hean.telemetry.records import level_of, record_of

SECRET = "s3cr3tOfTheAccount"
SIGNATURE = "0123456789abcdef" * 4
CREDENTIALS = Credentials(api_key="k3yOfTheAccount", api_secret=SECRET)


@pytest.fixture
def lines() -> Any:
    """The host's own handler, which is none of hean's business."""
    seen: list[Any] = []
    number = logger.add(lambda message: seen.append(message.record), level="TRACE", format="{message}", catch=False)
    yield seen
    logger.remove(number)


def telemetry(*sinks: Any) -> Telemetry:
    return Telemetry(redact=CREDENTIALS.redact, sinks=sinks or None)


def value_of(told: Telemetry, metric: Metric, **labels: str) -> float | None:
    for count in told.counts:
        if count.metric is metric and dict(count.labels) == labels:
            return count.value
    return None


TRANSITION = {
    "fact": "shown",
    "from": "SUBMITTED",
    "to": "ACKNOWLEDGED",
    "correlation_id": "c-1",
    "signal_id": "2026-11-22T10:00/BTC USDT",
    "order_link_id": "link-1",
    "order_id": "o-1",
    "latency_ms": 5,
}


# Lines


def test_a_transition_is_one_structured_line(lines: list[Any]) -> None:
    telemetry().observe("transition", TRANSITION)
    (line,) = lines
    assert {"event": "transition", **TRANSITION} == line["extra"]
    assert "INFO" == line["level"].name
    assert (
        "transition from=SUBMITTED to=ACKNOWLEDGED correlation_id=c-1"
        ' signal_id="2026-11-22T10:00/BTC USDT" order_link_id=link-1 order_id=o-1 fact=shown latency_ms=5'
    ) == line["message"]


def test_every_line_has_the_same_keys(lines: list[Any]) -> None:
    telemetry().observe("parked", {"exec_id": "e-1", "from": None})
    expected = {"event": "parked", "exec_id": "e-1"}
    empty = dict.fromkeys(("from", "to", "correlation_id", "signal_id", "order_link_id", "order_id"), "")
    assert expected | empty == lines[0]["extra"]
    assert "parked exec_id=e-1" == lines[0]["message"]


def test_a_text_cannot_break_out_of_its_line(lines: list[Any]) -> None:
    telemetry().observe(
        "reply", {"ret_msg": 'two\nlines "quoted" {braces} <red>', "qty": Decimal("0.10"), "none": None}
    )
    assert r'reply ret_msg="two\nlines \"quoted\" {braces} <red>" qty=0.10' == lines[0]["message"]


def test_a_field_cannot_pose_as_one_of_ours(lines: list[Any]) -> None:
    record = TelemetryRecord(event="true", fields=(("event", "forged"), ("order_id", "forged")))
    telemetry().record(record)
    assert ("true", "") == (lines[0]["extra"]["event"], lines[0]["extra"]["order_id"])


def test_a_record_without_a_level_makes_no_line(lines: list[Any]) -> None:
    told = telemetry()
    told.sample(Metric.MAILBOX_DEPTH, 7, "order")
    LogSink()(TelemetryRecord(event="x", level=None))
    assert ([], 7.0) == (lines, value_of(told, Metric.MAILBOX_DEPTH, actor="order"))


@pytest.mark.parametrize(
    "name, level",
    [
        ("frame", Level.TRACE),
        ("request", Level.DEBUG),
        ("fact", Level.DEBUG),
        ("transition", Level.INFO),
        ("event.ORDER_FILLED", Level.INFO),
        ("event.QUARANTINED", Level.WARNING),
        ("actor.crash", Level.ERROR),
        ("event.ERROR", Level.ERROR),
    ],
)
def test_loudness_follows_meaning(name: str, level: Level) -> None:
    assert level == level_of(name)


def test_every_event_has_a_level_of_at_least_info() -> None:
    assert {Level.INFO, Level.WARNING, Level.ERROR} == {level_of(f"event.{event}") for event in EventType}


def test_two_threads_do_not_speak_in_each_others_lines(lines: list[Any]) -> None:
    sink, inside, told = LogSink(), threading.Event(), threading.Event()

    def of_the_host(line: Any) -> None:
        if line["message"] == "first":
            inside.set()
            told.wait(10)

    logger.configure(patcher=of_the_host)
    first = threading.Thread(target=sink, args=(TelemetryRecord(event="first", order_id="o-1"),))
    first.start()
    inside.wait(10)
    sink(TelemetryRecord(event="second", order_id="o-2"))
    told.set()
    first.join()
    logger.configure(patcher=lambda _: None)
    assert ["second order_id=o-2", "first order_id=o-1"] == [line["message"] for line in lines]


# Secrets


@pytest.mark.parametrize(
    "text",
    [
        f"key was {SECRET}",
        f"X-BAPI-SIGN: {SIGNATURE}",
        f"it was {SIGNATURE}",
        '"secret": "elsewhere"',
        f"X-BAPI-SIGN: {SIGNATURE.upper()}",
        "'X-BAPI-SIGN': 'c2lnbmF0dXJl/+=='",
        "api_secret=elsewhere&x=1",
        "origin_string[1662350400000elsewhere5000]",
        '"signature": "elsewhere"',
        '{"op":"auth","args":["key",1662350400000,"elsewhere"]}',
        '{"op": "auth", "args": ["key", 1662350400000, "elsewhere"]}',
    ],
)
def test_a_secret_leaves_no_trace(text: str) -> None:
    cleaned = CREDENTIALS.redact(text)
    assert REDACTED in cleaned
    for word in (SECRET, SIGNATURE, SIGNATURE.upper(), "c2lnbmF0dXJl", "elsewhere"):
        assert word not in cleaned


@pytest.mark.parametrize(
    "text",
    ["", "BTCUSDT 0.001", "order-link_ID-36", SIGNATURE[:63], SIGNATURE + "0", "sign of life: yes", "design=good"],
)
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert text == CREDENTIALS.redact(text)


def test_every_text_of_a_line_is_cleaned(lines: list[Any]) -> None:
    keys = ("from", "to", "correlation_id", "signal_id", "order_link_id", "order_id", "detail", "error")
    fields = dict.fromkeys(keys, f"it is {SECRET}") | {"what": ValueError(SECRET), "raw": SECRET.encode()}
    telemetry().observe(SECRET, fields)
    assert SECRET not in f"{lines[0]['message']} {lines[0]['extra']}"
    assert {f"it is {REDACTED}"} == {lines[0]["extra"][key] for key in keys}


def test_a_secret_at_the_cut_is_not_left_in_half(lines: list[Any]) -> None:
    for padding in range(1980, 2001):
        telemetry().observe("reply", {"text": "x" * padding + SECRET + "y" * 100_000})
    assert [] == [line for line in lines if SECRET[:3] in line["message"]]
    assert 2000 == max(len(line["extra"]["text"]) for line in lines)


# Sinks


class Broken:
    """A sink of the host's that fails."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.calls = 0

    def __call__(self, record: TelemetryRecord) -> None:
        self.calls += 1
        raise self.error


def test_a_broken_sink_is_told_once_and_hurts_nobody() -> None:
    heard: list[TelemetryRecord] = []
    broken = Broken(OSError(f"full {SECRET}"))
    told = telemetry(broken, heard.append)
    for _ in range(3):
        told.observe("transition", TRANSITION)
    assert ["sink.failed", "transition", "transition", "transition"] == [record.event for record in heard]
    assert (("sink", "Broken"), ("error", f"OSError('full {REDACTED}')")) == heard[0].fields
    assert (3, 3.0) == (broken.calls, value_of(told, Metric.SINK_FAILURES, sink="Broken", error="OSError"))


def test_another_kind_of_failure_is_told_again() -> None:
    heard: list[TelemetryRecord] = []
    broken = Broken(OSError())
    told = telemetry(heard.append, broken)
    told.observe("a", {})
    broken.error = KeyError()
    told.observe("b", {})
    assert ["a", "sink.failed", "b", "sink.failed"] == [record.event for record in heard]


def test_sinks_that_all_fail_hurt_nobody() -> None:
    told = telemetry(Broken(OSError()), Broken(KeyError()))
    told.observe("transition", TRANSITION)
    assert 1.0 == value_of(told, Metric.TRANSITIONS, before="SUBMITTED", after="ACKNOWLEDGED")


def test_a_hosts_handler_that_raises_hurts_nobody() -> None:
    number = logger.add(Broken(OSError()), catch=False)
    told = telemetry()
    told.observe("transition", TRANSITION)
    logger.remove(number)
    assert 1.0 == value_of(told, Metric.SINK_FAILURES, sink="LogSink", error="OSError")


def test_a_broken_redactor_lets_nothing_through(lines: list[Any]) -> None:
    def broken(text: str) -> str:
        raise RuntimeError(text)

    told = Telemetry(redact=broken)
    told.observe("transition", TRANSITION)
    assert ["sink.failed"] == [line["extra"]["event"] for line in lines]
    assert "RuntimeError" == lines[0]["extra"]["error"]
    assert 1.0 == value_of(told, Metric.TRANSITIONS, before="SUBMITTED", after="ACKNOWLEDGED")


class Unprintable:
    def __str__(self) -> str:
        raise ValueError("no text")


@pytest.mark.parametrize("fields", [{"x": Unprintable()}, {"from": Unprintable()}], ids=["x", "from"])
def test_garbage_hurts_nobody(fields: Any, lines: list[Any]) -> None:
    told = telemetry()
    told.observe("transition", fields)
    assert [1.0] == [count.value for count in told.counts if count.metric is Metric.SINK_FAILURES]


# Numbers


def test_every_metric_stands_in_the_table() -> None:
    assert list(Metric) == list(METRICS)


def test_no_label_is_an_id() -> None:
    labels = {label for spec in METRICS.values() for label in spec.labels}
    assert set() == {label for label in labels if label == "id" or label.endswith(("_id", "_ids"))}


@pytest.mark.parametrize(
    "name, fields, metric, labels",
    [
        ("anything", {}, Metric.OBSERVATIONS, {"name": "anything"}),
        ("event.SIGNAL", {}, Metric.SIGNALS, {"outcome": "received", "reason": ""}),
        ("event.RISK_BLOCKED", {"reason": "halted"}, Metric.SIGNALS, {"outcome": "denied", "reason": "halted"}),
        ("event.ORDER_REQUEST", {}, Metric.SIGNALS, {"outcome": "sent", "reason": ""}),
        ("event.ORDER_PLACED", {}, Metric.SIGNALS, {"outcome": "acknowledged", "reason": ""}),
        ("event.ORDER_REJECTED", {"reason": "x"}, Metric.SIGNALS, {"outcome": "rejected", "reason": ""}),
        ("event.ORDER_FILLED", {"complete": True}, Metric.SIGNALS, {"outcome": "filled", "reason": ""}),
        ("transition", {"to": "PENDING"}, Metric.TRANSITIONS, {"before": "", "after": "PENDING"}),
        ("duplicate", {"source": "stream"}, Metric.DUPLICATES, {"source": "stream"}),
        ("fact", {"fact": "executed_known", "source": "query"}, Metric.DUPLICATES, {"source": "query"}),
        ("actor.crash", {"actor": "stream"}, Metric.ACTOR_RESTARTS, {"actor": "stream"}),
        (
            "reply",
            {"group": "query", "verdict": "unknown", "listed": False},
            Metric.RET_CODES,
            {"group": "query", "verdict": "unknown", "listed": "false"},
        ),
        (
            "reply",
            {"group": "create", "verdict": "accepted", "delay_s": 0.2},
            Metric.RET_CODES,
            {"group": "create", "verdict": "accepted", "listed": "true"},
        ),
    ],
)
def test_an_observation_is_counted(
    name: str, fields: dict[str, object], metric: Metric, labels: dict[str, str], lines: list[Any]
) -> None:
    told = telemetry()
    told.observe(name, fields)
    told.observe(name, fields)
    assert 2.0 == value_of(told, metric, **labels)


@pytest.mark.parametrize(
    "name, fields",
    [("event.ORDER_FILLED", {}), ("fact", {"fact": "shown"}), ("reply", {"group": "query", "delay_s": 1})],
)
def test_what_is_no_such_thing_is_not_counted_as_one(name: str, fields: dict[str, object]) -> None:
    counted = {sample.metric for sample in record_of(name, fields).samples}
    assert set() == counted & {Metric.SIGNALS, Metric.DUPLICATES, Metric.ACK_DELAY}


def test_the_delay_of_a_create_falls_into_its_bucket() -> None:
    told = telemetry(lambda _: None)
    for delay_s in (0.004, 0.005, 0.2, 100.0):
        told.observe("reply", {"group": "create", "verdict": "accepted", "delay_s": delay_s})
    (delay,) = [count for count in told.counts if count.metric is Metric.ACK_DELAY]
    assert 100.209 == pytest.approx(delay.value)
    at_or_below = dict(delay.buckets)
    assert (2, 2, 3, 3, 4) == tuple(at_or_below[bound] for bound in (0.005, 0.1, 0.25, 60.0, float("inf")))


def test_a_gauge_holds_the_newest_value() -> None:
    told = telemetry(lambda _: None)
    told.sample(Metric.DRIFT, 1.5, "linear", "BTCUSDT")
    told.sample(Metric.DRIFT, -0.5, "linear", "BTCUSDT")
    assert -0.5 == value_of(told, Metric.DRIFT, category="linear", symbol="BTCUSDT")


def test_a_state_is_one_and_its_predecessors_are_zero() -> None:
    told = telemetry(lambda _: None)
    for stream, state in (("private", "CONNECTING"), ("trade", "LIVE"), ("private", "LIVE")):
        told.sample(Metric.STREAM_STATE, 1, stream, state)
    assert (0.0, 1.0, 1.0) == (
        value_of(told, Metric.STREAM_STATE, stream="private", state="CONNECTING"),
        value_of(told, Metric.STREAM_STATE, stream="private", state="LIVE"),
        value_of(told, Metric.STREAM_STATE, stream="trade", state="LIVE"),
    )


def test_wrong_labels_are_refused() -> None:
    tally = Tally()
    with pytest.raises(ValueError, match=r"hean_drift: expected labels \('category', 'symbol'\), was \('BTCUSDT',\)"):
        tally.add(Sample(metric=Metric.DRIFT, labels=("BTCUSDT",)))
    assert () == tally.snapshot()


def test_wrong_labels_hurt_nobody() -> None:
    told = telemetry(lambda _: None)
    told.sample(Metric.DRIFT, 1, "BTCUSDT")
    assert 1.0 == value_of(told, Metric.SINK_FAILURES, sink="Tally.add", error="ValueError")


def test_a_sample_that_cannot_be_counted_costs_no_other() -> None:
    told = telemetry(lambda _: None)
    wrong = Sample(metric=Metric.DRIFT, labels=("BTCUSDT",))
    age, depth = (
        Sample(metric=Metric.UNRESOLVED_AGE, value=3.0),
        Sample(metric=Metric.MAILBOX_DEPTH, value=2.0, labels=("order",)),
    )
    told.record(TelemetryRecord(event="x", samples=(age, wrong, wrong, depth)))
    assert (3.0, 2.0) == (value_of(told, Metric.UNRESOLVED_AGE), value_of(told, Metric.MAILBOX_DEPTH, actor="order"))
    assert 2.0 == value_of(told, Metric.SINK_FAILURES, sink="Tally.add", error="ValueError")


@given(st.lists(st.text(max_size=3), max_size=400))
def test_series_are_bounded_and_no_sample_is_lost(names: list[str]) -> None:
    tally = Tally()
    for name in [*names, *map(str, range(300))]:
        tally.add(Sample(metric=Metric.OBSERVATIONS, labels=(name,)))
    counts = tally.snapshot()
    assert len(counts) <= 201
    assert len(names) + 300 == sum(count.value for count in counts)


def test_threads_lose_no_count() -> None:
    told = telemetry(lambda _: None)

    def work() -> None:
        for _ in range(1000):
            told.observe("x", {})

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 4000.0 == value_of(told, Metric.OBSERVATIONS, name="x")


def test_two_routers_do_not_meet() -> None:
    one, other = telemetry(lambda _: None), telemetry(lambda _: None)
    one.observe("x", {})
    assert () == other.counts


# Prometheus


def scrape(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as page:
        return page.read().decode()


def test_prometheus_sees_every_kind_of_metric() -> None:
    told = telemetry(lambda _: None)
    told.observe("event.RISK_BLOCKED", {"reason": "halted"})
    told.observe("reply", {"group": "create", "verdict": "accepted", "delay_s": 0.2})
    told.sample(Metric.STREAM_STATE, 1, "private", "LIVE")
    told.sample(Metric.UNRESOLVED_AGE, 2.5)
    exporter = Exporter(lambda: told.counts)
    port = exporter.start(0)
    page = scrape(port)
    exporter.stop()
    for line in (
        'hean_signals_total{outcome="denied",reason="halted"} 1.0',
        'hean_ack_delay_seconds_bucket{le="0.1"} 0.0',
        'hean_ack_delay_seconds_bucket{le="0.25"} 1.0',
        'hean_ack_delay_seconds_bucket{le="+Inf"} 1.0',
        "hean_ack_delay_seconds_sum 0.2",
        "hean_ack_delay_seconds_count 1.0",
        'hean_stream_state{state="LIVE",stream="private"} 1.0',
        "hean_unresolved_age_seconds 2.5",
    ):
        assert line in page.splitlines()
    for metric, spec in METRICS.items():
        kind = "gauge" if spec.kind is Kind.STATE else spec.kind
        assert f"# TYPE {metric} {kind}" in page.splitlines()
    assert "python_info" not in page


def test_two_exporters_stand_beside_each_other_and_leave_no_thread() -> None:
    before = set(threading.enumerate())
    one, other = Exporter(lambda: ()), Exporter(lambda: ())
    assert one.start(0) != other.start(0)
    assert {True} == {thread.daemon for thread in set(threading.enumerate()) - before}
    for exporter in (one, other, one):
        exporter.stop()
    assert before == set(threading.enumerate())


def test_a_taken_port_is_told() -> None:
    first = Exporter(lambda: ())
    port = first.start(0)
    with pytest.raises(ConfigError, match=rf"metrics.port: expected a free port of 127.0.0.1, was {port}: "):
        Exporter(lambda: ()).start(port)
    first.stop()


def test_without_prometheus_the_setting_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(ConfigError, match=r"pip install 'hean\[metrics\]'"):
        Exporter(lambda: ()).start(0)


def test_records_can_be_told_whole() -> None:
    heard: list[TelemetryRecord] = []
    record = TelemetryRecord(event="x", samples=(Sample(metric=Metric.UNRESOLVED_AGE, value=3.0),))
    told = telemetry(heard.append)
    told.record(record)
    told.record(evolve(record, level=None))
    assert [record, evolve(record, level=None)] == heard
    assert 3.0 == value_of(told, Metric.UNRESOLVED_AGE)
