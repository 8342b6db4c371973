"""The numbers of delivery."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from pql_stream.delivery.outcomes import RefusalReason
from pql_stream.delivery.ports import SINK_STATES, DeliveryReport, DispatchOutcome, OutcomeName, SinkState
from pql_stream.ops.metrics.page import MetricsPage

DELIVERY_BOUNDS_S = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600)
"""60 s is the bound of the delivery objective, so it must be one of these."""


class PrometheusDeliveryMeter:
    """
    A `DeliveryMeter` whose numbers are on *page*.

    *sinks*: the name of each that is configured, and its type. *topics*: those whose records become deliveries.
    """

    def __init__(self, page: MetricsPage, sinks: Mapping[str, str], topics: Iterable[str]) -> None:
        registry = page.registry
        self._declare(registry)
        self._standing = _Standing(sinks, page.clock)
        registry.register(self._standing)
        types = Gauge("pql_sink_info", "The sinks and their types: always 1", ["sink", "type"], registry=registry)
        for sink, type_ in sinks.items():
            types.labels(sink, type_).set(1)
        self._start_at_zero(sinks, topics)

    def _declare(self, registry: CollectorRegistry) -> None:
        self._dispatched = Counter(
            "pql_records_dispatched",
            "Published records by what became of them",
            ["topic", "outcome"],
            registry=registry,
        )
        self._outcomes = Counter(
            "pql_sink_deliveries", "Attempts by what came of them", ["sink", "outcome"], registry=registry
        )
        self._repeated = Counter(
            "pql_sink_repeats", "Deliveries sent again that may have arrived before", ["sink"], registry=registry
        )
        self._superseded = Counter(
            "pql_sink_superseded", "Deliveries whose values a later one carried", ["sink"], registry=registry
        )
        self._parked = Counter("pql_sink_parked", "Deliveries put aside to wait alone", ["sink"], registry=registry)
        self._dead_letters = Counter(
            "pql_sink_dead_letters", "Deliveries given up", ["sink", "reason"], registry=registry
        )
        self._seconds = Histogram(
            "pql_sink_delivery_seconds",
            "From the published record to the acknowledged request",
            ["sink"],
            buckets=DELIVERY_BOUNDS_S,
            registry=registry,
        )

    def _start_at_zero(self, sinks: Iterable[str], topics: Iterable[str]) -> None:
        """A counter that appears with its first value hides it from increase(), so from alerts."""
        for sink in sinks:
            for outcome in get_args(OutcomeName):
                self._outcomes.labels(sink, outcome)
            for reason in get_args(RefusalReason):
                self._dead_letters.labels(sink, reason)
            for counter in (self._repeated, self._superseded, self._parked):
                counter.labels(sink)
            self._seconds.labels(sink)
        for topic in topics:
            for dispatched in get_args(DispatchOutcome):
                self._dispatched.labels(topic, dispatched)

    def dispatched(self, topic: str, outcomes: Mapping[DispatchOutcome, int]) -> None:
        """Add a batch."""
        for outcome, count in outcomes.items():
            self._dispatched.labels(topic, outcome).inc(count)

    def reported(self, sink: str, report: DeliveryReport) -> None:
        """Add what happened."""
        for outcome, count in report.outcomes.items():
            self._outcomes.labels(sink, outcome).inc(count)
        for reason, count in report.dead_letters.items():
            self._dead_letters.labels(sink, reason).inc(count)
        self._repeated.labels(sink).inc(report.repeated)
        self._superseded.labels(sink).inc(report.superseded)
        self._parked.labels(sink).inc(report.parked)
        for seconds in report.delivered_s:
            # Clocks differ between machines: a record "from the future" took no time.
            self._seconds.labels(sink).observe(max(seconds, 0.0))

    def stands(self, sink: str, state: SinkState, oldest_pending_at_ms: int | None) -> None:
        """Keep how the sink stands."""
        self._standing.sinks[sink] = state, oldest_pending_at_ms


def show_calls_left(page: MetricsPage, sinks: Mapping[str, Callable[[], float | None]]) -> None:
    """Show on *page*, of *sinks* that count calls by the day, the share that is left; NaN until it is known."""
    gauge = Gauge(
        "pql_sink_calls_left_ratio", "Share of the account's daily calls that is left", ["sink"], registry=page.registry
    )
    for sink, calls_left in sinks.items():
        gauge.labels(sink).set_function(partial(_known, calls_left))


def _known(calls_left: Callable[[], float | None]) -> float:
    share = calls_left()
    return math.nan if share is None else share


class _Standing(Collector):
    """How the sinks stand. Written out when the page is asked for, because an age grows while nothing happens."""

    def __init__(self, sinks: Iterable[str], clock: Callable[[], float]) -> None:
        self.sinks: dict[str, tuple[SinkState, int | None]] = dict.fromkeys(sinks, ("closed", None))
        self._clock = clock

    def collect(self) -> Iterator[Metric]:
        breaker = GaugeMetricFamily(
            "pql_sink_breaker_state", "0 closed, 1 half-open, 2 open, 3 paused, 4 disabled by a 410", labels=["sink"]
        )
        oldest = GaugeMetricFamily(
            "pql_sink_oldest_pending_seconds", "Age of the delivery in work that waits longest", labels=["sink"]
        )
        now_s = self._clock()
        for sink, (state, at_ms) in sorted(self.sinks.items()):
            breaker.add_metric([sink], SINK_STATES[state])
            oldest.add_metric([sink], 0.0 if at_ms is None else max(now_s - at_ms / 1000, 0.0))
        yield from (breaker, oldest)
