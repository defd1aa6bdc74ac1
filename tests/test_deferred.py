"""Saying it later: whoever trades only queues, and a graceful stop loses nothing of it."""

from __future__ import annotations

import threading
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from loguru import logger

from hean import ConfigError, OrderState, OrderType, Router, Side, Signal
from hean.telemetry import Deferred, Metric
from hean.telemetry import deferred as pace
from tests.conftest import Routers, our_threads
from tests.desk.conftest import WAIT_S, until
from tests.exchange import LoopbackExchange


def buy(name: str, **parts: Any) -> Signal:
    asked: dict[str, Any] = {"symbol": "BTCUSDT", "side": Side.BUY, "qty": "0.001"} | parts
    return Signal(strategy_id="trend", signal_id=name, **asked)


@pytest.fixture
def lines() -> Iterator[list[Any]]:
    seen: list[Any] = []
    number = logger.add(lambda message: seen.append(message.record), level="TRACE", format="{message}", catch=False)
    yield seen
    logger.remove(number)


class Heard:
    """An `observe` that can be made to wait."""

    def __init__(self) -> None:
        self.said: list[tuple[str, dict[str, object]]] = []
        self.threads: set[str] = set()
        self.open = threading.Event()
        self.open.set()

    def __call__(self, name: str, fields: Mapping[str, object]) -> None:
        self.open.wait(WAIT_S)
        self.threads.add(threading.current_thread().name)
        self.said.append((name, dict(fields)))


def test_what_is_queued_is_said_in_order_on_a_thread_of_its_own():
    heard = Heard()
    deferred = Deferred(heard)
    deferred.start()
    for number in range(1000):
        deferred.observe("fact", {"number": number})
    assert deferred.stop(WAIT_S)
    assert list(range(1000)) == [fields["number"] for _, fields in heard.said]
    assert {"hean-log"} == heard.threads
    assert all(isinstance(fields["at_ms"], int) for _, fields in heard.said)


def test_nothing_queued_before_a_stop_is_lost_however_slow_the_log_is():
    heard = Heard()
    heard.open.clear()
    deferred = Deferred(heard)
    deferred.start()
    for number in range(50):
        deferred.observe("fact", {"number": number})
    assert heard.said == []
    threading.Timer(0.1, heard.open.set).start()
    assert deferred.stop(WAIT_S)
    assert 50 == len(heard.said)


def test_a_log_that_stands_still_does_not_eat_the_memory_and_says_what_it_dropped():
    heard = Heard()
    deferred = Deferred(heard, bound=10)
    for number in range(30):
        deferred.observe("fact", {"number": number})
    assert 10 == deferred.depth()
    deferred.start()
    assert deferred.stop(WAIT_S)
    assert 10 == sum(name == "fact" for name, _ in heard.said)
    assert [20] == [fields["count"] for name, fields in heard.said if name == "log.dropped"]


def test_one_that_was_never_started_says_it_at_the_stop():
    heard = Heard()
    deferred = Deferred(heard)
    deferred.observe("fact", {})
    assert deferred.stop(WAIT_S)
    assert 1 == len(heard.said)


def test_a_stop_ends_every_pause_at_once(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pace, "IDLE_S", 3600)
    heard = Heard()
    deferred = Deferred(heard)
    deferred.start()
    deferred.observe("fact", {})
    assert deferred.stop(WAIT_S)
    assert 1 == len(heard.said)


@pytest.mark.parametrize("started", [True, False])
def test_a_second_stop_changes_nothing(started: bool):
    heard = Heard()
    deferred = Deferred(heard)
    if started:
        deferred.start()
    deferred.observe("fact", {})
    assert deferred.stop(WAIT_S)
    assert deferred.stop(WAIT_S)
    assert 1 == len(heard.said)


def test_an_order_that_is_on_its_way_is_let_through_first(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pace, "IDLE_S", 0.01)
    monkeypatch.setattr(pace, "LINGER_S", 3600)
    heard = Heard()
    deferred = Deferred(heard)
    deferred.start()
    deferred.observe("fact", {})
    assert not until(lambda: heard.said, 0.3)
    assert deferred.stop(WAIT_S)
    assert 1 == len(heard.said)


def test_the_more_waits_the_less_it_is_waited_for(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pace, "LINGER_S", 3600)
    heard = Heard()
    deferred = Deferred(heard)
    for number in range(2 * pace.FULL):
        deferred.observe("fact", {"number": number})
    deferred.start()
    # Beyond what is waited for; the rest would wait for an hour.
    assert until(lambda: len(heard.said) >= pace.FULL)
    assert deferred.stop(WAIT_S)
    assert list(range(2 * pace.FULL)) == [fields["number"] for _, fields in heard.said]


def test_those_who_never_fall_silent_are_told_all_the_same():
    heard = Heard()
    deferred = Deferred(heard)
    deferred.start()
    never = threading.Event()
    spoken = 0
    while not heard.said and spoken < 2 * pace.FULL:
        deferred.observe("fact", {"number": spoken})
        spoken += 1
        never.wait(0.005)
    # Long before there was so much of it that it was hardly waited for.
    assert spoken < pace.FULL / 2
    assert deferred.stop(WAIT_S)
    assert list(range(spoken)) == [fields["number"] for _, fields in heard.said]


def test_others_run_between_two_slices(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pace, "LINGER_S", 3600)
    monkeypatch.setattr(pace, "PATIENCE", 0)
    monkeypatch.setattr(pace, "IDLE_S", 0.01)
    heard = Heard()
    deferred = Deferred(heard)
    for number in range(pace.SLICE + 1):
        deferred.observe("fact", {"number": number})
    deferred.start()
    assert until(lambda: len(heard.said) == pace.SLICE)
    assert not until(lambda: len(heard.said) > pace.SLICE, 0.3)
    assert deferred.stop(WAIT_S)
    assert pace.SLICE + 1 == len(heard.said)


def test_a_thread_is_named_as_it_was_when_it_spoke():
    heard = Heard()
    deferred = Deferred(heard)

    def speak() -> None:
        for name in ("hean-OrderActor-1", "hean-idle"):
            threading.current_thread().name = name
            deferred.observe("fact", {})

    speaker = threading.Thread(target=speak)
    speaker.start()
    speaker.join()
    assert deferred.stop(WAIT_S)
    assert ["hean-OrderActor-1", "hean-idle"] == [fields["thread"] for _, fields in heard.said]


def test_no_trading_thread_writes_the_log(router: Routers, lines: list[Any]):
    made = router()
    made.submit(buy("one")).wait(WAIT_S)
    made.stop()
    ours = [line for line in lines if "event" in line["extra"]]
    assert {"hean-log"} == {line["thread"].name for line in ours}


def test_every_line_of_an_order_carries_its_ids_and_the_last_is_there_after_a_stop(router: Routers, lines: list[Any]):
    made = router()
    ticket = made.submit(buy("one"))
    order = ticket.wait(WAIT_S)
    made.stop()
    of_order = [line["extra"] for line in lines if line["extra"].get("order_link_id") == ticket.order_link_id]
    names = [extra["event"] for extra in of_order]
    assert {"event.SIGNAL", "event.ORDER_REQUEST", "event.ORDER_FILLED", "event.ORDER_SETTLED", "reply"} <= set(names)
    assert {ticket.correlation_id} == {extra["correlation_id"] for extra in of_order}
    assert {"one"} == {extra["signal_id"] for extra in of_order}
    [filled] = [extra for extra in of_order if extra["event"] == "event.ORDER_FILLED"]
    assert (True, order.order_id, "stream") == (filled["complete"], filled["order_id"], filled["source"])
    assert [("SUBMITTED", "FILLED"), ("FILLED", "CLOSED")] == [
        (extra["from"], extra["to"]) for extra in of_order if extra["event"] == "transition"
    ]


def values(router: Router) -> dict[tuple[str, tuple[str, ...]], float]:
    return {(count.metric, tuple(value for _, value in count.labels)): count.value for count in router.metrics}


def test_the_metrics_of_a_day_are_counted(router: Routers, exchange: LoopbackExchange):
    made = router()
    made.submit(buy("filled", qty="0.002")).wait(WAIT_S)
    resting = made.submit(buy("resting", order_type=OrderType.LIMIT, price="50000"))
    resting.wait_for(OrderState.ACKNOWLEDGED, WAIT_S)
    made.submit(buy("denied", qty="0.0015"))

    def told(metric: Metric, *labels: str) -> float | None:
        return values(made).get((metric, labels))

    assert until(lambda: told(Metric.ORDERS, "ACKNOWLEDGED") == 1)
    assert (3, 2, 2, 1, 1) == tuple(
        told(Metric.SIGNALS, *labels)
        for labels in (
            ("received", ""),
            ("sent", ""),
            ("acknowledged", ""),
            ("filled", ""),
            ("denied", "off_step"),
        )
    )
    assert told(Metric.RET_CODES, "create", "accepted", "true") == 2
    histograms = {count.metric: count.buckets[-1][1] for count in made.metrics if count.buckets}
    assert {Metric.ACK_DELAY: 2, Metric.FILL_DELAY: 1} == histograms
    assert 1 == told(Metric.STREAM_STATE, "private", "LIVE")
    assert 1 == told(Metric.BREAKER_STATE, "all", "CLOSED")
    assert 0 == told(Metric.UNRESOLVED_AGE)
    assert (told(Metric.RATE_BUDGET_LEFT, "create") or 0) > 0
    assert told(Metric.MAILBOX_DEPTH, "gateway") is not None
    assert told(Metric.STREAM_SILENCE, "private") is not None
    assert 0 == told(Metric.DRIFT, "linear", "BTCUSDT")
    resting.cancel()
    resting.wait(WAIT_S)
    assert until(lambda: told(Metric.ORDERS, "ACKNOWLEDGED") == 0)
    exchange.fault("cut_private")
    assert until(lambda: (told(Metric.DUPLICATES, "reconcile") or 0) >= 1)
    ids = {resting.order_link_id, resting.correlation_id, str(resting.snapshot().order_id)}
    assert not ids & {label for _, labels in values(made) for label in labels}


def test_a_prometheus_endpoint_on_request(router: Routers):
    made = router(metrics__port=0)
    made.submit(buy("one")).wait(WAIT_S)
    assert made.metrics_port

    def scraped() -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{made.metrics_port}/metrics") as reply:
            return str(reply.read().decode())

    assert until(lambda: 'hean_signals_total{outcome="filled",reason=""} 1.0' in scraped())
    assert "hean_fill_delay_seconds_bucket" in scraped()
    made.stop()
    assert [] == our_threads()


def test_without_a_port_nothing_listens(router: Routers):
    assert router().metrics_port is None


def test_a_port_that_is_taken_is_one_error_and_nothing_runs(router: Routers, router_env: dict[str, str]):
    made = router(metrics__port=0)
    with pytest.raises(ConfigError, match=r"metrics\.port"):
        Router.from_env(
            router_env, metrics__port=made.metrics_port, journal__path=f"{router_env['HEAN_JOURNAL__PATH']}.2"
        ).start()
