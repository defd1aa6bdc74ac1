"""Metrics for Prometheus, where it is installed and asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from hean.errors import ConfigError
from hean.telemetry.metrics import METRICS, Count, Kind

if TYPE_CHECKING:
    from prometheus_client.core import Metric as Family


class Exporter:
    """
    Serves a router's metrics to Prometheus on 127.0.0.1, from a registry of its own.

    Args:
        counts: the metrics as they stand, asked at each scrape.
    """

    def __init__(self, counts: Callable[[], tuple[Count, ...]]) -> None:
        self._counts = counts
        self._stop: Callable[[], None] | None = None

    def start(self, port: int) -> int:
        """
        Begin to serve, on a daemon thread.

        Args:
            port: 0 takes a free one.

        Returns:
            the port that is served.

        Raises:
            ConfigError: prometheus-client is not installed, or the port is taken. Nothing has changed.
        """
        try:
            from prometheus_client import CollectorRegistry, start_http_server  # noqa: PLC0415 - an optional dependency
        except ImportError as error:
            raise ConfigError("metrics.port is set: expected prometheus-client, pip install 'hean[metrics]'") from error
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        try:
            server, thread = start_http_server(port, addr="127.0.0.1", registry=registry)
        except OSError as error:
            raise ConfigError(f"metrics.port: expected a free port of 127.0.0.1, was {port}: {error}") from error

        def stop() -> None:
            server.shutdown()
            server.server_close()
            thread.join()

        self._stop = stop
        return int(server.server_port)

    def stop(self) -> None:
        """Stop serving and end its thread; a second call does nothing."""
        if self._stop is not None:
            self._stop()
            self._stop = None

    def collect(self) -> Iterable[Family]:
        """Turn the counts into Prometheus' families; called by its registry."""
        from prometheus_client.core import (  # noqa: PLC0415 - an optional dependency
            CounterMetricFamily,
            GaugeMetricFamily,
            HistogramMetricFamily,
        )

        kinds: dict[Kind, Any] = {Kind.COUNTER: CounterMetricFamily, Kind.HISTOGRAM: HistogramMetricFamily}
        families = {
            metric: kinds.get(spec.kind, GaugeMetricFamily)(metric, spec.meaning, labels=spec.labels)
            for metric, spec in METRICS.items()
        }
        for count in self._counts():
            labels = [value for _, value in count.labels]
            if count.buckets:
                bounds = [("+Inf" if bound == float("inf") else str(bound), number) for bound, number in count.buckets]
                families[count.metric].add_metric(labels, buckets=bounds, sum_value=count.value)
            else:
                families[count.metric].add_metric(labels, count.value)
        return families.values()
