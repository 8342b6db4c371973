"""The worker's numbers as Prometheus reads them."""

from dataclasses import replace

import pytest
from prometheus_client import parser as text_parser
from prometheus_client.openmetrics import parser as openmetrics_parser

from pql_stream.core.packs import PackId
from pql_stream.ops.metrics.page import MetricsPage
from pql_stream.ops.metrics.scoring import PrometheusMeter
from pql_stream.stream.metrics import (
    BatchReport,
    Meter,
    ModeReport,
    NoMeter,
    PackTier,
    PartitionId,
    PartitionProgress,
    RecordsReport,
    Rejection,
    ShadowNote,
)

NOW_S = 1_000.0
SILVER = PackTier("silver", "pql-100", 1)
OLD, NEW = PackId("pql-100", 1), PackId("mine", 2)
HERE = PartitionId("product-activity", 0)
THERE = PartitionId("product-activity", 1)


@pytest.fixture
def meter():
    """A meter that knows one event name, at a clock that stands."""
    return PrometheusMeter(MetricsPage(clock=lambda: NOW_S), ["feature_used"])


def samples(meter, name):
    """Label values (in the order of the label names) -> value, of one sample name."""
    page, _ = meter.page.render("text/plain")
    return {
        tuple(value for _, value in sorted(sample.labels.items())): sample.value
        for family in text_parser.text_string_to_metric_families(page.decode())
        for sample in family.samples
        if sample.name == name
    }


def records(*, mode="live", **parts):
    """Records that are all of one mode."""
    return RecordsReport(topic="product-activity", modes={mode: ModeReport(**parts)})


def test_records_and_batches_count_in_every_metric(meter):
    """
    Each number of a report arrives under its name and labels, and reports add up.
    """
    report = records(
        accepted={"feature_used": 4},
        rejected={Rejection("decode", "bad_time"): 2},
        rekeyed=1,
        skipped=2,
        leads_evaluated=3,
        changed={SILVER: 3},
        qualified={SILVER: 1},
    )
    for _ in range(2):
        meter.records_done(report)
        meter.batch_done(BatchReport(records=9, seconds={"score": 0.02, "send": 0.2}))

    assert {("feature_used", "live", "product-activity"): 8.0} == samples(meter, "pql_events_consumed_total")
    assert 4.0 == samples(meter, "pql_events_rejected_total")["live", "bad_time", "decode"]
    assert 4.0 == samples(meter, "pql_dlq_records_total")["bad_time", "decode"]
    assert {("live", "product-activity"): 2.0} == samples(meter, "pql_events_rekeyed_total")
    assert {("live", "product-activity"): 4.0} == samples(meter, "pql_events_skipped_total")
    assert {("live",): 6.0} == samples(meter, "pql_leads_evaluated_total")
    assert {("live", "pql-100", "silver", "1"): 6.0} == samples(meter, "pql_scores_changed_total")
    assert {("live", "pql-100", "silver", "1"): 2.0} == samples(meter, "pql_qualifications_total")
    assert {(): 18.0} == samples(meter, "pql_batch_records_sum")
    assert {("score",): 0.04, ("send",): 0.4} == samples(meter, "pql_batch_seconds_sum")


def test_latency_buckets_are_cumulative_and_never_negative(meter):
    """
    A value on a bound belongs to it, one past the last to +Inf only; a record from the future took 0 s.
    """
    meter.records_done(records(event_to_score_s={-3: 1, 0.05: 1, 5: 2, 5.1: 1, 301: 1}))

    buckets = samples(meter, "pql_event_to_score_seconds_bucket")
    assert [2.0, 4.0, 5.0, 5.0, 6.0] == [buckets[le, "live"] for le in ("0.05", "5.0", "10.0", "300.0", "+Inf")]
    assert {("live",): 6.0, ("backfill",): 0.0} == samples(meter, "pql_event_to_score_seconds_count")
    assert 0 == samples(meter, "pql_event_to_score_seconds_sum")["backfill",]
    assert pytest.approx(316.15) == samples(meter, "pql_event_to_score_seconds_sum")["live",]


def test_a_backfill_never_mixes_with_live_traffic(meter):
    """
    Alerts on latency and on qualifications look at what happens now: what is filled in has series of its own.
    """
    parts = {"leads_evaluated": 1, "qualified": {SILVER: 1}, "event_to_score_s": {1e9: 1}}
    meter.records_done(records(mode="backfill", **parts))
    meter.records_done(records(**parts | {"event_to_score_s": {0.01: 1}}))

    assert {("live",): 1.0, ("backfill",): 1.0} == samples(meter, "pql_leads_evaluated_total")
    assert {(mode, "pql-100", "silver", "1"): 1.0 for mode in ("live", "backfill")} == samples(
        meter, "pql_qualifications_total"
    )
    assert {("live",): 0.01, ("backfill",): 1e9} == samples(meter, "pql_event_to_score_seconds_sum")


def test_event_names_from_outside_make_no_series(meter):
    """
    10,000 names that the pack does not know are one series, and the whole page stays under 150.
    """
    meter.records_done(records(accepted={f"event {number}": 1 for number in range(10_000)}))
    meter.records_done(records(accepted={"Feature-Used": 2}))

    consumed = samples(meter, "pql_events_consumed_total")
    assert {
        ("other", "live", "product-activity"): 10_000.0,
        ("feature_used", "live", "product-activity"): 2.0,
    } == consumed
    page, _ = meter.page.render("")
    families = text_parser.text_string_to_metric_families(page.decode())
    assert 150 > sum(len(family.samples) for family in families)


def test_alerts_see_the_first_rejection_and_the_first_qualification(meter):
    """
    Counters of closed sets start at 0: increase() would miss the first step of one that appears with it.
    """
    meter.pack_loaded("pql-100", 1, "ab12", ["silver", "gold"])

    assert {0.0} == set(samples(meter, "pql_dlq_records_total").values())
    assert 20 == len(samples(meter, "pql_events_rejected_total"))
    assert {(mode, "pql-100", tier, "1"): 0.0 for mode in ("live", "backfill") for tier in ("silver", "gold")} == (
        samples(meter, "pql_qualifications_total")
    )
    assert {("pql-100", "ab12", "1"): 1.0} == samples(meter, "pql_pack_info")


def test_lag_in_seconds_follows_the_clock():
    """
    While records wait, the lag in seconds grows by itself; with none waiting it is 0.
    """
    now_s = [NOW_S]
    meter = PrometheusMeter(MetricsPage(clock=lambda: now_s[0]), [])
    meter.assigned([HERE, THERE], 900.0)
    behind = PartitionProgress(lag_records=7, record_at_s=940.0, committed_at_s=990.0)
    done = PartitionProgress(lag_records=0, record_at_s=10.0, committed_at_s=20.0)
    meter.progressed({HERE: behind, THERE: done})
    now_s[0] += 30

    assert {("0", "product-activity"): 90.0, ("1", "product-activity"): 0.0} == samples(
        meter, "pql_consumer_lag_seconds"
    )
    assert {("0", "product-activity"): 7.0, ("1", "product-activity"): 0.0} == samples(
        meter, "pql_consumer_lag_records"
    )
    assert {("0", "product-activity"): 990.0, ("1", "product-activity"): 20.0} == samples(
        meter, "pql_consumer_progress_timestamp_seconds"
    )


def test_a_partition_that_went_away_leaves_the_page(meter):
    """
    After a rebalance only owned partitions show, also when a late commit of a lost one is reported.
    """
    state = PartitionProgress(lag_records=1, record_at_s=1.0, committed_at_s=500.0)
    meter.assigned([HERE], 400.0)
    meter.progressed({HERE: state})
    meter.assigned([THERE], 600.0)
    meter.progressed({HERE: state})

    assert {("1", "product-activity"): 600.0} == samples(meter, "pql_consumer_progress_timestamp_seconds")


def test_a_partition_that_stays_keeps_its_progress(meter):
    """
    A rebalance does not hide a stalled partition by making its last commit look new.
    """
    meter.assigned([HERE], 400.0)
    meter.progressed({HERE: PartitionProgress(lag_records=1, record_at_s=1.0, committed_at_s=410.0)})
    meter.assigned([HERE, THERE], 600.0)

    assert {("0", "product-activity"): 410.0, ("1", "product-activity"): 600.0} == samples(
        meter, "pql_consumer_progress_timestamp_seconds"
    )


def test_two_apps_share_a_page():
    """
    What the app `deliver` owns stands beside what `score` owns, and neither forgets the other's at a rebalance.
    """
    page = MetricsPage(clock=lambda: NOW_S)
    meter, delivers = PrometheusMeter(page, []), page.partitions()
    meter.assigned([HERE], 400.0)
    delivers.assigned([PartitionId("delivery-crm", 0)], 500.0)
    meter.assigned([HERE], 600.0)
    for one in (meter, delivers, meter):
        one.rebalanced(2.0)

    assert {("0", "product-activity"): 400.0, ("0", "delivery-crm"): 500.0} == samples(
        meter, "pql_consumer_progress_timestamp_seconds"
    )
    assert {(): 3.0} == samples(meter, "pql_rebalances_total")


def test_recovery_is_visible(meter):
    """
    The gauge is 1 exactly while rows are read back, with how many are left; then its time is told.
    """
    seen = []
    for step in (meter.recovery_started, lambda: meter.recovery_left(7), lambda: meter.recovery_ended(12.0)):
        step()
        seen += [*samples(meter, "pql_table_recovering").values()]
        seen += [*samples(meter, "pql_table_recovery_left_records").values()]

    assert [1.0, 0.0, 1.0, 7.0, 0.0, 0.0] == seen
    assert {(): 12.0} == samples(meter, "pql_table_recovery_seconds_sum")


@pytest.mark.parametrize(("skew_s", "direction"), [(7.0, "past"), (-7.0, "future")])
def test_a_clock_that_is_wrong_shows_in_which_direction(meter, skew_s, direction):
    """
    Histograms have no values below 0, so the direction is a label.
    """
    meter.records_done(replace(records(), skew_s=skew_s))

    assert {(direction,): 7.0} == samples(meter, "pql_event_time_skew_seconds_sum")


def test_a_partition_that_waits_on_purpose_says_so(meter):
    """
    Alerts about lag leave it out.
    """
    waits = PartitionProgress(lag_records=1, record_at_s=1.0, committed_at_s=1.0, waiting=True)
    meter.assigned([HERE, THERE], 400.0)
    meter.progressed({HERE: waits})

    assert {("0", "product-activity"): 1.0, ("1", "product-activity"): 0.0} == samples(meter, "pql_consumer_waiting")


def test_stalls_are_counted_when_the_page_is_asked_for(meter):
    """
    None before a worker has anything that could stand still.
    """
    before = samples(meter, "pql_worker_stalls")
    meter.page.stalls(lambda: 2)

    assert ({(): 0.0}, {(): 2.0}) == (before, samples(meter, "pql_worker_stalls"))


def test_two_meters_do_not_meet():
    """
    Each meter has its own registry, so a second worker in the process starts from nothing.
    """
    first, second = PrometheusMeter(MetricsPage(), []), PrometheusMeter(MetricsPage(), [])
    first.records_done(records(leads_evaluated=1))

    assert {} == samples(second, "pql_leads_evaluated_total")


def test_openmetrics_when_asked_else_text(meter):
    """
    The Accept header picks the format; both parse, and neither has `_created` noise.
    """
    meter.records_done(records(accepted={"feature_used": 1}, event_to_score_s={1.0: 1}))
    open_page, open_type = meter.page.render("application/openmetrics-text; version=1.0.0")
    text_page, text_type = meter.page.render("")

    assert open_type.startswith("application/openmetrics-text")
    assert text_type.startswith("text/plain")
    families = list(openmetrics_parser.text_string_to_metric_families(open_page.decode()))
    assert {"pql_events_consumed", "pql_event_to_score_seconds"} <= {family.name for family in families}
    assert "_created" not in open_page.decode() + text_page.decode()


def test_names_keep_the_rules(meter):
    """
    Every metric of ours has the prefix, and every histogram is in a base unit.
    """
    meter.pack_loaded("pql-100", 1, "ab12", ["silver"])
    families = list(meter.page.registry.collect())

    assert [] == [family.name for family in families if not family.name.startswith(("pql_", "process_"))]
    histograms = [family.name for family in families if family.type == "histogram"]
    assert [] == [name for name in histograms if not name.endswith(("_seconds", "_records"))]


@pytest.mark.parametrize("make", [NoMeter, lambda: PrometheusMeter(MetricsPage(), [])], ids=["none", "prometheus"])
def test_every_meter_takes_every_call(make):
    """
    The worker can be handed any meter: all calls of the port are taken.
    """
    meter: Meter = make()

    answers = [
        meter.pack_loaded("pql-100", 1, "ab12", ["silver"]),
        meter.assigned([HERE], 0.0),
        meter.rebalanced(1.0),
        meter.recovery_started(),
        meter.recovery_left(3),
        meter.recovery_ended(2.0),
        meter.records_done(records()),
        meter.batch_done(BatchReport(records=1, seconds={})),
        meter.progressed({HERE: PartitionProgress(lag_records=0, record_at_s=0.0, committed_at_s=0.0)}),
    ]

    assert [None] * 9 == answers


def test_roles_are_those_of_the_last_cast(meter):
    """
    One series a pack and partition; after a cut-over nothing is left of the roles before it.
    """
    meter.packs_cast(0, OLD, [NEW])
    meter.packs_cast(1, OLD, [NEW])
    meter.packs_cast(1, NEW, [OLD])
    roles = [
        ("mine", "0", "shadow", "2"),
        ("mine", "1", "live", "2"),
        ("pql-100", "0", "live", "1"),
        ("pql-100", "1", "shadow", "1"),
    ]

    assert roles == sorted(samples(meter, "pql_pack_role"))


def test_disagreement_is_counted_from_zero_and_by_mode(meter):
    """
    A shadow has its counters from its cast on, so that the first difference is an increase; a difference that parts
    tiers counts as both.
    """
    meter.packs_cast(0, OLD, [NEW])
    before = samples(meter, "pql_shadow_tiers_met_total")
    notes = {ShadowNote("mine", 2, "changed"): 3, ShadowNote("mine", 2, "parted"): 1}
    meter.records_done(records(mode="backfill", shadows=notes))

    assert {("backfill", "mine", "2"): 0.0, ("live", "mine", "2"): 0.0} == before
    assert 3.0 == samples(meter, "pql_shadow_differences_total")["backfill", "mine", "2"]
    assert 1.0 == samples(meter, "pql_shadow_tiers_parted_total")["backfill", "mine", "2"]


def test_how_far_a_filling_is_goes_when_it_is_over(meter):
    """
    As long as records are to be read again there is a number of them, by partition.
    """
    meter.fill_left(3, NEW, 70)
    under_way = samples(meter, "pql_shadow_fill_left_records")
    meter.fill_left(3, NEW, 0)

    assert {("mine", "3", "2"): 70.0} == under_way
    assert {} == samples(meter, "pql_shadow_fill_left_records")
