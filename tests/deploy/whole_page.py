"""The metrics page of a worker that scores, delivers and sends canaries, with something in every metric."""

from __future__ import annotations

from typing import get_args

from pql_stream.core.changes import MODES
from pql_stream.core.packs import PackId
from pql_stream.delivery.outcomes import RefusalReason
from pql_stream.delivery.ports import DeliveryReport, DispatchOutcome, OutcomeName
from pql_stream.ops.dead_letter_watch import Lying
from pql_stream.ops.metrics.delivering import PrometheusDeliveryMeter, show_calls_left
from pql_stream.ops.metrics.page import MetricsPage
from pql_stream.ops.metrics.reloading import ReloadMeter
from pql_stream.ops.metrics.scoring import PrometheusMeter
from pql_stream.ops.metrics.watching import PrometheusCanaryMeter
from pql_stream.stream.metrics import (
    BatchReport,
    ModeReport,
    PackTier,
    PartitionId,
    PartitionProgress,
    RecordsReport,
    Rejection,
    ShadowNote,
    ShadowWhat,
)

NOW_S = 1_000_000.0
PARTITIONS = 12
SINKS = {"crm": "hubspot", "sales-org": "salesforce", "chat": "slack", "mail": "email", "hook": "webhook"}
TIERS = ("unqualified", "bronze", "silver", "gold", "platinum")
SHADOW = PackId("pql-100-linear", 1)
EVENTS = ("trial_created", "feature_used", "workflow_completed", "community_post", "tutorial_completed")


def report(**parts: object) -> RecordsReport:
    """Records with which everything happened, but for what *parts* say."""
    tier = PackTier("silver", "pql-100", 1)
    each = {
        "accepted": {"feature_used": 4, "something_else": 1},
        "rejected": {Rejection("decode", "bad_time"): 2},
        "rekeyed": 1,
        "skipped": 1,
        "leads_evaluated": 3,
        "changed": {tier: 3},
        "qualified": {tier: 1},
        "shadows": {ShadowNote(SHADOW.name, SHADOW.version, what): 1 for what in get_args(ShadowWhat)},
        "event_to_score_s": {0.3: 4, 7.0: 1},
    }
    modes = {mode: ModeReport(**(each | parts)) for mode in MODES}
    return RecordsReport(topic="product-activity", modes=modes, skew_s=2.0)


def whole_page() -> tuple[MetricsPage, PrometheusMeter]:
    """The page, and the meter of scoring on it."""
    page = MetricsPage(clock=lambda: NOW_S)
    meter = PrometheusMeter(page, EVENTS)
    meter.pack_loaded("pql-100", 1, "ab" * 32, TIERS)
    meter.pack_loaded(SHADOW.name, SHADOW.version, "cd" * 32, TIERS)
    for partition in range(PARTITIONS):
        meter.packs_cast(partition, PackId("pql-100", 1), [SHADOW])
        meter.fill_left(partition, SHADOW, 1000)
    meter.records_done(report())
    meter.batch_done(BatchReport(records=9, seconds={"score": 0.02, "send": 0.2, "store": 0.1}))
    _own(meter, ["product-activity", "product-activity-rekeyed"])
    published = ["score-changed", "pql-qualified"]
    delivery = PrometheusDeliveryMeter(page, SINKS, published)
    _own(page.partitions(), [*published, *(f"delivery-{sink}{end}" for sink in SINKS for end in ("", "-parked"))])
    show_calls_left(page, {sink: lambda: 0.7 for sink in SINKS})
    for topic in published:
        delivery.dispatched(topic, dict.fromkeys(get_args(DispatchOutcome), 1))
    for sink in SINKS:
        delivery.stands(sink, "open", int(NOW_S - 90) * 1000)
        delivery.reported(
            sink,
            DeliveryReport(
                outcomes=dict.fromkeys(get_args(OutcomeName), 1),
                dead_letters=dict.fromkeys(get_args(RefusalReason), 1),
                delivered_s=[0.4, 70.0],
                parked=1,
                superseded=1,
                repeated=1,
            ),
        )
    page.depths().lying({"product-activity-dlq": Lying(3, NOW_S - 60)})
    page.depths().lying({f"delivery-{sink}-dlq": Lying(0, None) for sink in SINKS})
    canary = PrometheusCanaryMeter(page.registry, 60)
    canary.returned(0.2)
    canary.lost()
    ReloadMeter(page.registry, clock=lambda: NOW_S)
    return page, meter


def _own(meter, topics) -> None:
    partitions = [PartitionId(topic, number) for topic in topics for number in range(PARTITIONS)]
    meter.assigned(partitions, NOW_S - 900)
    meter.rebalanced(2.0)
    meter.recovery_started()
    meter.recovery_left(500)
    meter.recovery_ended(12.0)
    state = PartitionProgress(lag_records=4, record_at_s=NOW_S - 9, committed_at_s=NOW_S - 8, waiting=True)
    meter.progressed(dict.fromkeys(partitions, state))
