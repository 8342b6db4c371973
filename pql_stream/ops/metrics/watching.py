"""The numbers of what watches a worker from beside: its canary, and the depth of the dead-letter topics."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from pql_stream.ops.dead_letter_watch import Lying

ROUNDTRIP_BOUNDS_S = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class PrometheusCanaryMeter:
    """A `CanaryMeter` whose numbers are in *registry*; *every_s* is how often one is sent."""

    def __init__(self, registry: CollectorRegistry, every_s: float) -> None:
        self._roundtrip = Histogram(
            "pql_canary_roundtrip_seconds",
            "From writing the canary's event until its change could be read",
            buckets=ROUNDTRIP_BOUNDS_S,
            registry=registry,
        )
        self._failures = Counter("pql_canary_failures", "Canaries that did not come back", registry=registry)
        interval = Gauge(
            "pql_canary_interval_seconds",
            "How often the worker that owns the canary's partition sends one",
            registry=registry,
        )
        interval.set(every_s)

    def returned(self, seconds: float) -> None:
        """Add one."""
        self._roundtrip.observe(seconds)

    def lost(self) -> None:
        """Count one."""
        self._failures.inc()


class AppDepths:
    """A `DepthMeter` of one app."""

    def __init__(self, collector: DepthsCollector) -> None:
        self.topics: Mapping[str, Lying] = {}
        collector.apps.append(self)

    def lying(self, topics: Mapping[str, Lying]) -> None:
        """Keep what lies there."""
        self.topics = topics


class DepthsCollector(Collector):
    """The dead-letter topics of all apps. *clock* gives seconds since 1970. Ages grow while nothing happens."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.apps: list[AppDepths] = []
        self._clock = clock

    def collect(self) -> Iterator[Metric]:
        """Both gauges of each topic."""
        depth = GaugeMetricFamily(
            "pql_dlq_depth_records",
            "Dead letters that lie there; of sinks those that were not redriven. Told by one worker",
            labels=["topic"],
        )
        oldest = GaugeMetricFamily(
            "pql_dlq_oldest_seconds", "Age of the oldest of them; 0 when there is none", labels=["topic"]
        )
        now_s = self._clock()
        for topic, lying in sorted(item for app in self.apps for item in app.topics.items()):
            depth.add_metric([topic], lying.records)
            at_s = lying.oldest_at_s
            oldest.add_metric([topic], 0.0 if at_s is None else max(now_s - at_s, 0.0))
        yield from (depth, oldest)
