"""The numbers of scoring."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, product
from typing import get_args

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.metrics_core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from pql_stream.core.changes import MODES, ModeName
from pql_stream.core.packs import PackId
from pql_stream.core.words import word
from pql_stream.errors import RejectReason
from pql_stream.ops.metrics.page import MetricsPage
from pql_stream.stream.metrics import (
    BatchReport,
    ModeReport,
    PartitionId,
    PartitionProgress,
    RecordsReport,
    Rejection,
    ShadowWhat,
)

OTHER = "other"
"""The event label of every name that the pack does not know: names are input, and must not make series."""

EVENT_TO_SCORE_BOUNDS_S = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
"""5 s is the bound of the latency objective, so it must be one of these."""

SKEW_BOUNDS_S = (1, 5, 60, 300, 3600, 86_400, 604_800)
"""An event of the future is refused from a day on; one of last week comes from a backlog."""

BATCH_BOUNDS_S = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
BATCH_BOUNDS_RECORDS = (1, 10, 50, 100, 250, 500, 1000, 2500, 5000, 10000)


class PrometheusMeter:
    """A `Meter` whose numbers are on *page*. *event_names* are the names that become labels."""

    def __init__(self, page: MetricsPage, event_names: Iterable[str]) -> None:
        self.page = page
        self._registry = page.registry
        self._event_labels = {word(name): name for name in event_names}
        self._roles: dict[int, list[tuple[str, ...]]] = {}
        self._declare_counters()
        self._start_rejections_at_zero()
        self._declare_state()
        self._latency = _BulkHistogram(
            "pql_event_to_score_seconds",
            "From the Kafka timestamp of an accepted record to its score",
            EVENT_TO_SCORE_BOUNDS_S,
        )
        self._registry.register(self._latency)
        self._partitions = page.partitions()

    def _declare_counters(self) -> None:
        self._consumed = self._counter("events_consumed", "Events accepted", "topic", "event")
        self._rejected = self._counter("events_rejected", "Records that are no event", "stage", "reason")
        self._rekeyed = self._counter("events_rekeyed", "Events forwarded to their lead's own partition", "topic")
        self._skipped = self._counter("events_skipped", "Records without a value (tombstones)", "topic")
        self._evaluated = self._counter("leads_evaluated", "Leads scored, once a batch")
        self._changed = self._counter("scores_changed", "Score changes, by the tier after", "tier", "pack", "version")
        self._qualified = self._counter("qualifications", "First times in a tier", "tier", "pack", "version")
        self._of_shadows: dict[ShadowWhat, Counter] = {
            "changed": self._counter(
                "shadow_differences",
                "Leads for whom a shadow pack came to differ otherwise than before",
                "pack",
                "version",
            ),
            "parted": self._counter(
                "shadow_tiers_parted", "Leads that a shadow pack came to see in another tier", "pack", "version"
            ),
            "met": self._counter(
                "shadow_tiers_met", "Leads that a shadow pack came to see in the same tier again", "pack", "version"
            ),
        }
        # No mode: a dead letter is a record on a topic, whoever wrote it.
        self._dead_letters = Counter(
            "pql_dlq_records",
            "Records written to the dead-letter topic",
            ["stage", "reason"],
            registry=self._registry,
        )

    def _start_rejections_at_zero(self) -> None:
        """As for tiers in `pack_loaded`. Only a bug of ours can fail in scoring."""
        rejections = [Rejection("decode", reason) for reason in get_args(RejectReason)]
        for rejection in (*rejections, Rejection("score", "internal_error")):
            self._dead_letters.labels(*rejection)
            for mode in MODES:
                self._rejected.labels(mode, *rejection)

    def _counter(self, name: str, documentation: str, *labels: str) -> Counter:
        return Counter(f"pql_{name}", documentation, ["mode", *labels], registry=self._registry)

    def _declare_state(self) -> None:
        self._batch_records = Histogram(
            "pql_batch_records", "Records in a batch", buckets=BATCH_BOUNDS_RECORDS, registry=self._registry
        )
        self._batch_seconds = Histogram(
            "pql_batch_seconds",
            "Time of a batch's steps",
            ["stage"],
            buckets=BATCH_BOUNDS_S,
            registry=self._registry,
        )
        self._skew = Histogram(
            "pql_event_time_skew_seconds",
            "How far in the past or the future of its record an event's own time lies, of some events",
            ["direction"],  # OpenMetrics has no histogram with values below 0
            buckets=SKEW_BOUNDS_S,
            registry=self._registry,
        )
        self._role = Gauge(
            "pql_pack_role",
            "The role of a pack on a partition of this worker: always 1",
            ["partition", "pack", "version", "role"],
            registry=self._registry,
        )
        self._fill_left = Gauge(
            "pql_shadow_fill_left_records",
            "Records of a partition that are to be read again until a shadow pack is filled from them",
            ["partition", "pack", "version"],
            registry=self._registry,
        )
        self._pack = Gauge(
            "pql_pack_info",
            "The pack that scores: always 1",
            ["pack", "version", "sha256"],
            registry=self._registry,
        )
        self._pack_loaded = Gauge(
            "pql_pack_loaded_timestamp_seconds",
            "Since when the pack scores in this process",
            ["pack", "version"],
            registry=self._registry,
        )

    def pack_loaded(self, pack: str, version: int, sha256: str, tiers: Sequence[str]) -> None:
        """Show that this pack scores."""
        self._pack.labels(pack, str(version), sha256).set(1)
        self._pack_loaded.labels(pack, str(version)).set(self.page.clock())
        # From 0: a counter that appears with its first value hides it from increase(), so from alerts.
        for mode, tier in product(MODES, tiers):
            self._changed.labels(mode, tier, pack, str(version))
            self._qualified.labels(mode, tier, pack, str(version))

    def packs_cast(self, partition: int, live: PackId, shadows: Collection[PackId]) -> None:
        """Show the roles on *partition*."""
        for labels in self._roles.get(partition, []):
            self._role.remove(*labels)
        cast = [(live, "live"), *((pack, "shadow") for pack in shadows)]
        self._roles[partition] = [(str(partition), pack.name, str(pack.version), role) for pack, role in cast]
        for labels in self._roles[partition]:
            self._role.labels(*labels).set(1)
        for mode, pack, counter in product(MODES, shadows, self._of_shadows.values()):
            counter.labels(mode, pack.name, str(pack.version))

    def fill_left(self, partition: int, pack: PackId, records: int) -> None:
        """Show how far the filling of *pack* is; nothing where it is over."""
        labels = (str(partition), pack.name, str(pack.version))
        self._fill_left.labels(*labels).set(records)
        if not records:
            self._fill_left.remove(*labels)

    def assigned(self, partitions: Collection[PartitionId], at_s: float) -> None:
        """`AppPartitions.assigned`."""
        self._partitions.assigned(partitions, at_s)

    def rebalanced(self, seconds: float) -> None:
        """`AppPartitions.rebalanced`."""
        self._partitions.rebalanced(seconds)

    def recovery_started(self) -> None:
        """`AppPartitions.recovery_started`."""
        self._partitions.recovery_started()

    def recovery_left(self, rows: int) -> None:
        """`AppPartitions.recovery_left`."""
        self._partitions.recovery_left(rows)

    def recovery_ended(self, seconds: float) -> None:
        """`AppPartitions.recovery_ended`."""
        self._partitions.recovery_ended(seconds)

    def records_done(self, report: RecordsReport) -> None:
        """Add some records."""
        for mode, part in report.modes.items():
            self._add(mode, report.topic, part)
        if report.skew_s is not None:
            self._skew.labels("past" if report.skew_s >= 0 else "future").observe(abs(report.skew_s))

    def batch_done(self, report: BatchReport) -> None:
        """Add one batch."""
        self._batch_records.observe(report.records)
        for stage, seconds in report.seconds.items():
            self._batch_seconds.labels(stage).observe(seconds)

    def _add(self, mode: ModeName, topic: str, report: ModeReport) -> None:
        for event, count in self._by_label(report.accepted).items():
            self._consumed.labels(mode, topic, event).inc(count)
        for rejection, count in report.rejected.items():
            self._rejected.labels(mode, *rejection).inc(count)
            # What they do is acknowledged, so each of them is in the dead-letter topic.
            self._dead_letters.labels(*rejection).inc(count)
        self._rekeyed.labels(mode, topic).inc(report.rekeyed)
        self._skipped.labels(mode, topic).inc(report.skipped)
        self._evaluated.labels(mode).inc(report.leads_evaluated)
        for tier, count in report.changed.items():
            self._changed.labels(mode, tier.tier, tier.pack, str(tier.version)).inc(count)
        for tier, count in report.qualified.items():
            self._qualified.labels(mode, tier.tier, tier.pack, str(tier.version)).inc(count)
        for note, count in report.shadows.items():
            self._of_shadows[note.what].labels(mode, note.pack, str(note.version)).inc(count)
        self._latency.observe_all(mode, report.event_to_score_s)

    def progressed(self, progress: Mapping[PartitionId, PartitionProgress]) -> None:
        """`AppPartitions.progressed`."""
        self._partitions.progressed(progress)

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
        self._counts = {mode: [0] * (len(bounds_s) + 1) for mode in MODES}
        self._sum_s = dict.fromkeys(MODES, 0.0)

    def observe_all(self, mode: ModeName, counts_by_s: Mapping[float, int]) -> None:
        counts = self._counts[mode]
        for value_s, count in counts_by_s.items():
            # Clocks differ between machines: a record "from the future" took no time.
            seconds = max(value_s, 0.0)
            counts[bisect_left(self._bounds_s, seconds)] += count
            self._sum_s[mode] += seconds * count

    def collect(self) -> Iterator[Metric]:
        family = HistogramMetricFamily(self._name, self._documentation, labels=["mode"])
        bounds = [*(str(float(bound_s)) for bound_s in self._bounds_s), "+Inf"]
        for mode, counts in self._counts.items():
            buckets = list(zip(bounds, accumulate(counts), strict=True))
            family.add_metric([mode], buckets=buckets, sum_value=self._sum_s[mode])
        yield family
