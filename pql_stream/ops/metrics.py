"""
The worker's numbers for Prometheus.

Every label comes from a closed set: topics, partitions, stages, reasons, tiers, packs, and the event names
that the pack knows. Never a lead, an account, an event id or a text that came from outside.
"""

from __future__ import annotations

import importlib.metadata
import platform
import time
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import get_args

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

import pql_stream
from pql_stream.core.words import word
from pql_stream.errors import RejectReason
from pql_stream.stream.metrics import BatchReport, PartitionId, PartitionProgress, Rejection

MODE = "live"
"""Replays have no metrics of their own yet; the label is there so that they never mix with live traffic."""

OTHER = "other"
"""The event label of every name that the pack does not know: names are input, and must not make series."""

EVENT_TO_SCORE_BOUNDS_S = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
"""5 s is the bound of the latency objective, so it must be one of these."""

BATCH_BOUNDS_S = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
BATCH_BOUNDS_RECORDS = (1, 10, 50, 100, 250, 500, 1000, 2500, 5000, 10000)


class PrometheusMeter:
    """
    A `Meter` whose numbers `render` writes as a page.

    *event_names* are the names that become labels, *clock* gives seconds since 1970. Each meter has its own
    registry, so two of them in one process do not meet.
    """

    def __init__(self, event_names: Iterable[str], *, clock: Callable[[], float] = time.time) -> None:
        # Process-wide, and before any counter: `_created` doubles the series of a page and nothing reads it.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library has no type here
        self.registry = CollectorRegistry(auto_describe=True)
        self._event_labels = {word(name): name for name in event_names}
        self._declare_counters()
        self._start_rejections_at_zero()
        self._declare_state()
        self._latency = _BulkHistogram(
            "pql_event_to_score_seconds",
            "From the Kafka timestamp of an accepted record to its score",
            EVENT_TO_SCORE_BOUNDS_S,
        )
        self._partitions = _Partitions(clock)
        self.registry.register(self._latency)
        self.registry.register(self._partitions)
        ProcessCollector(registry=self.registry)

    def _declare_counters(self) -> None:
        self._consumed = self._counter("events_consumed", "Events accepted", "topic", "event")
        self._rejected = self._counter("events_rejected", "Records that are no event", "stage", "reason")
        self._rekeyed = self._counter("events_rekeyed", "Events forwarded to their lead's own partition", "topic")
        self._skipped = self._counter("events_skipped", "Records without a value (tombstones)", "topic")
        self._evaluated = self._counter("leads_evaluated", "Leads scored, once a batch")
        self._changed = self._counter("scores_changed", "Score changes, by the tier after", "tier", "pack", "version")
        self._qualified = self._counter("qualifications", "First times in a tier", "tier", "pack", "version")
        # No mode: a dead letter is a record on a topic, whoever wrote it.
        self._dead_letters = Counter(
            "pql_dlq_records",
            "Records written to the dead-letter topic",
            ["stage", "reason"],
            registry=self.registry,
        )
        self._rebalances = Counter("pql_rebalances", "Rebalances that ended", registry=self.registry)

    def _start_rejections_at_zero(self) -> None:
        """As for tiers in `pack_loaded`. Only a bug of ours can fail in scoring."""
        rejections = [Rejection("decode", reason) for reason in get_args(RejectReason)]
        for rejection in (*rejections, Rejection("score", "internal_error")):
            self._rejected.labels(MODE, *rejection)
            self._dead_letters.labels(*rejection)

    def _counter(self, name: str, documentation: str, *labels: str) -> Counter:
        return Counter(f"pql_{name}", documentation, ["mode", *labels], registry=self.registry)

    def _declare_state(self) -> None:
        self._recovering = Gauge(
            "pql_table_recovering", "1 while rows are read back from the changelog", registry=self.registry
        )
        self._batch_records = Histogram(
            "pql_batch_records", "Records in a batch", buckets=BATCH_BOUNDS_RECORDS, registry=self.registry
        )
        self._batch_seconds = Histogram(
            "pql_batch_seconds",
            "Time of a batch's steps",
            ["stage"],
            buckets=BATCH_BOUNDS_S,
            registry=self.registry,
        )
        self._pack = Gauge(
            "pql_pack_info",
            "The pack that scores: always 1",
            ["pack", "version", "sha256"],
            registry=self.registry,
        )
        build = Gauge("pql_build_info", "What runs: always 1", ["version", "python", "faust"], registry=self.registry)
        build.labels(
            version=pql_stream.__version__,
            python=platform.python_version(),
            faust=importlib.metadata.version("faust-streaming"),  # importing faust would parse sys.argv
        ).set(1)

    def pack_loaded(self, pack: str, version: int, sha256: str, tiers: Sequence[str]) -> None:
        """Show that this pack scores."""
        self._pack.labels(pack, str(version), sha256).set(1)
        # From 0: a counter that appears with its first value hides it from increase(), so from alerts.
        for tier in tiers:
            self._changed.labels(MODE, tier, pack, str(version))
            self._qualified.labels(MODE, tier, pack, str(version))

    def assigned(self, partitions: Collection[PartitionId], at_s: float) -> None:
        """Count a rebalance; forget the partitions that others own now."""
        self._rebalances.inc()
        self._partitions.assign(partitions, at_s)

    def recovery_started(self) -> None:
        """Show that rows are being read back."""
        self._recovering.set(1)

    def recovery_ended(self) -> None:
        """Show that all rows are back."""
        self._recovering.set(0)

    def batch_done(self, report: BatchReport) -> None:
        """Add one batch."""
        for event, count in self._by_label(report.accepted).items():
            self._consumed.labels(MODE, report.topic, event).inc(count)
        for rejection, count in report.rejected.items():
            self._rejected.labels(MODE, *rejection).inc(count)
            # The batch is done, so each of them was acknowledged by the dead-letter topic.
            self._dead_letters.labels(*rejection).inc(count)
        self._rekeyed.labels(MODE, report.topic).inc(report.rekeyed)
        self._skipped.labels(MODE, report.topic).inc(report.skipped)
        self._evaluated.labels(MODE).inc(report.leads_evaluated)
        for tier, count in report.changed.items():
            self._changed.labels(MODE, tier.tier, tier.pack, str(tier.version)).inc(count)
        for tier, count in report.qualified.items():
            self._qualified.labels(MODE, tier.tier, tier.pack, str(tier.version)).inc(count)
        self._batch_records.observe(report.records)
        for stage, seconds in report.seconds.items():
            self._batch_seconds.labels(stage).observe(seconds)
        self._latency.observe_all(report.event_to_score_s)

    def progressed(self, progress: Mapping[PartitionId, PartitionProgress]) -> None:
        """Keep where the partitions are."""
        self._partitions.update(progress)

    def render(self, accept: str) -> tuple[bytes, str]:
        """The page and its content type: OpenMetrics if *accept* (an HTTP header) asks for it, else text."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type

    def _by_label(self, accepted: Mapping[str, int]) -> dict[str, int]:
        counts: dict[str, int] = {}
        for name, count in accepted.items():
            label = self._event_labels.get(word(name), OTHER)
            counts[label] = counts.get(label, 0) + count
        return counts


class _BulkHistogram(Collector):
    """A histogram that takes many values at once: the client library's own takes two locks a value."""

    def __init__(self, name: str, documentation: str, bounds_s: Sequence[float]) -> None:
        self._name = name
        self._documentation = documentation
        self._bounds_s = bounds_s
        self._counts = [0] * (len(bounds_s) + 1)
        self._sum_s = 0.0

    def observe_all(self, counts_by_s: Mapping[float, int]) -> None:
        for value_s, count in counts_by_s.items():
            # Clocks differ between machines: a record "from the future" took no time.
            seconds = max(value_s, 0.0)
            self._counts[bisect_left(self._bounds_s, seconds)] += count
            self._sum_s += seconds * count

    def collect(self) -> Iterator[Metric]:
        family = HistogramMetricFamily(self._name, self._documentation, labels=["mode"])
        bounds = [*(str(float(bound_s)) for bound_s in self._bounds_s), "+Inf"]
        buckets = list(zip(bounds, accumulate(self._counts), strict=True))
        family.add_metric([MODE], buckets=buckets, sum_value=self._sum_s)
        yield family


class _Partitions(Collector):
    """
    Lag and progress of the partitions we own.

    Written out when the page is asked for, because the lag in seconds must grow while nothing happens.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._progress: dict[PartitionId, PartitionProgress] = {}

    def assign(self, partitions: Collection[PartitionId], at_s: float) -> None:
        fresh = PartitionProgress(lag_records=0, record_at_s=at_s, committed_at_s=at_s)
        self._progress = {partition: self._progress.get(partition, fresh) for partition in partitions}

    def update(self, progress: Mapping[PartitionId, PartitionProgress]) -> None:
        # A commit may end after its partition has gone to another worker, which reports it now.
        owned = {partition: state for partition, state in progress.items() if partition in self._progress}
        self._progress = self._progress | owned

    def collect(self) -> Iterator[Metric]:
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
        for (topic, partition), state in sorted(self._progress.items()):
            values = [topic, str(partition)]
            lag_records.add_metric(values, state.lag_records)
            lag_seconds.add_metric(values, max(now_s - state.record_at_s, 0.0) if state.lag_records > 0 else 0.0)
            progress.add_metric(values, state.committed_at_s)
        yield from (lag_records, lag_seconds, progress)
