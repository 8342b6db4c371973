"""Lag and progress of the partitions that the apps of this process own."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping

from prometheus_client import Counter
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from pql_stream.stream.metrics import PartitionId, PartitionProgress


class AppPartitions:
    """A `PartitionMeter` of one app."""

    def __init__(self, collector: PartitionsCollector, rebalances: Counter) -> None:
        self.progress: dict[PartitionId, PartitionProgress] = {}
        self._rebalances = rebalances
        collector.apps.append(self)

    def assigned(self, partitions: Collection[PartitionId], at_s: float) -> None:
        """Count a rebalance; forget the partitions that others own now."""
        self._rebalances.inc()
        fresh = PartitionProgress(lag_records=0, record_at_s=at_s, committed_at_s=at_s)
        self.progress = {partition: self.progress.get(partition, fresh) for partition in partitions}

    def progressed(self, progress: Mapping[PartitionId, PartitionProgress]) -> None:
        """Keep where the partitions are."""
        # A commit may end after its partition has gone to another worker, which reports it now.
        owned = {partition: state for partition, state in progress.items() if partition in self.progress}
        self.progress = self.progress | owned


class PartitionsCollector(Collector):
    """
    The partitions of all apps. *clock* gives seconds since 1970.

    Written out when the page is asked for, because the lag in seconds must grow while nothing happens.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.apps: list[AppPartitions] = []
        self._clock = clock

    def collect(self) -> Iterator[Metric]:
        """The three gauges of every partition."""
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
        now_s = self._clock()
        for (topic, partition), state in sorted(item for app in self.apps for item in app.progress.items()):
            values = [topic, str(partition)]
            lag_records.add_metric(values, state.lag_records)
            lag_seconds.add_metric(values, max(now_s - state.record_at_s, 0.0) if state.lag_records > 0 else 0.0)
            progress.add_metric(values, state.committed_at_s)
        yield from (lag_records, lag_seconds, progress)
