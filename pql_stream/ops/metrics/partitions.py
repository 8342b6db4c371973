"""Lag and progress of the partitions that the apps of this process own, and what the group's life costs them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from pql_stream.stream.metrics import PartitionId, PartitionProgress

REBALANCE_BOUNDS_S = (0.25, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300)
RECOVERY_BOUNDS_S = (0.5, 1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600)


class GroupNumbers:
    """What rebalances and recoveries cost, of all apps of a process together."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.rebalances = Counter("pql_rebalances", "Rebalances that ended", registry=registry)
        self.rebalance_s = Histogram(
            "pql_rebalance_seconds",
            "From when the group took our partitions until it gave us others; at first from the start",
            buckets=REBALANCE_BOUNDS_S,
            registry=registry,
        )
        self.recovery_s = Histogram(
            "pql_table_recovery_seconds",
            "From an assignment until its rows were back and records were handed out",
            buckets=RECOVERY_BOUNDS_S,
            registry=registry,
        )
        self.recovering = Gauge(
            "pql_table_recovering", "1 while rows are read back from the changelog", registry=registry
        )
        self.recovery_left = Gauge(
            "pql_table_recovery_left_records", "Records of the changelogs still to be read back", registry=registry
        )


class AppPartitions:
    """A `PartitionMeter` of one app."""

    def __init__(self, collector: PartitionsCollector, group: GroupNumbers) -> None:
        self.progress: dict[PartitionId, PartitionProgress] = {}
        self._group = group
        collector.apps.append(self)

    def assigned(self, partitions: Collection[PartitionId], at_s: float) -> None:
        """Forget the partitions that others own now."""
        fresh = PartitionProgress(lag_records=0, record_at_s=at_s, committed_at_s=at_s)
        self.progress = {partition: self.progress.get(partition, fresh) for partition in partitions}

    def progressed(self, progress: Mapping[PartitionId, PartitionProgress]) -> None:
        """Keep where the partitions are."""
        # A commit may end after its partition has gone to another worker, which reports it now.
        owned = {partition: state for partition, state in progress.items() if partition in self.progress}
        self.progress = self.progress | owned

    def rebalanced(self, seconds: float) -> None:
        """Count a rebalance."""
        self._group.rebalances.inc()
        self._group.rebalance_s.observe(seconds)

    def recovery_started(self) -> None:
        """Show that rows are being read back."""
        self._group.recovering.set(1)

    def recovery_left(self, rows: int) -> None:
        """Show how many are not back."""
        self._group.recovery_left.set(rows)

    def recovery_ended(self, seconds: float) -> None:
        """Show that all rows are back."""
        self._group.recovering.set(0)
        self._group.recovery_left.set(0)
        self._group.recovery_s.observe(seconds)


class PartitionsCollector(Collector):
    """
    The partitions of all apps. *clock* gives seconds since 1970.

    Written out when the page is asked for, because the lag in seconds must grow while nothing happens.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.apps: list[AppPartitions] = []
        self._clock = clock

    def collect(self) -> Iterator[Metric]:
        """The four gauges of every partition."""
        labels = ["topic", "partition"]
        lag_records = GaugeMetricFamily("pql_consumer_lag_records", "Records not read yet", labels=labels)
        lag_seconds = GaugeMetricFamily(
            "pql_consumer_lag_seconds", "Age of the last record done if more wait, else 0", labels=labels
        )
        progress = GaugeMetricFamily(
            "pql_consumer_progress_timestamp_seconds",
            "When a commit last moved the offset; at first, when the partition came to us",
            labels=labels,
        )
        waiting = GaugeMetricFamily(
            "pql_consumer_waiting",
            "1 while a partition waits on purpose: for a destination that is away, or a delivery that is not due",
            labels=labels,
        )
        now_s = self._clock()
        for (topic, partition), state in sorted(item for app in self.apps for item in app.progress.items()):
            values = [topic, str(partition)]
            lag_records.add_metric(values, state.lag_records)
            lag_seconds.add_metric(values, max(now_s - state.record_at_s, 0.0) if state.lag_records > 0 else 0.0)
            progress.add_metric(values, state.committed_at_s)
            waiting.add_metric(values, state.waiting)
        yield from (lag_records, lag_seconds, progress, waiting)
