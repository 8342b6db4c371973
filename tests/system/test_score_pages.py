"""The pages of a running worker: they tell its keeper the truth, and Prometheus what became of every record."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from score_bench import MOSTLY_AT_LEAST_ONCE, ScoreBench, bench_on
from score_checks import faults
from score_expected import Expected, Run
from score_feed import place, population, slices

pytestmark = pytest.mark.system


@pytest.fixture(params=MOSTLY_AT_LEAST_ONCE)
def bench(kafka, topic_prefix, tmp_path: Path, request) -> Iterator[ScoreBench]:
    """Topics of four partitions, and no worker yet."""
    with bench_on(kafka, topic_prefix, tmp_path, guarantee=request.param) as made:
        yield made


def counted(page: str, *labels: str) -> dict[tuple[str, ...], float]:
    """The samples of *page*, summed up by name and *labels*."""
    sums: dict[tuple[str, ...], float] = defaultdict(float)
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            sums[sample.name, *(sample.labels.get(label, "") for label in labels)] += sample.value
    return sums


def test_a_worker_is_ready_when_its_rows_are_back(bench):
    """
    While a worker waits for its partitions and their rows it is alive and not ready; when it is ready, what
    it scores continues from the rows of the one before.
    """
    first, second = slices(place(population(31, events=400), 4, seed=31), 2)
    before = bench.start(PQL_STORE="memory")
    bench.feed(first)
    bench.wait_all_committed()
    before.kill()
    # The group waits for the dead one's session to end, so the new one cannot be ready yet.
    worker = bench.start(PQL_STORE="memory")
    bench.wait_for(lambda: bool(worker.logged("worker_starting")))
    at_first = worker.get("/healthz")[0], worker.get("/readyz")[0]
    bench.wait_ready(worker)
    at_last = worker.get("/healthz")[0], worker.get("/readyz")[0]
    bench.feed(second)
    bench.wait_all_committed()

    assert (200, 503) == at_first
    assert (200, 200) == at_last
    assert [] == faults(Run.of(bench))


def test_the_counters_account_for_every_record(bench):
    """
    Scored, refused, forwarded and skipped records add up to what was sent, by topic and by reason; changes
    and qualifications are counted by tier; nothing is left over as lag.
    """
    bench.feed(place(population(32), 4, seed=32, routes=("home", "away")))
    worker = bench.start(PQL_STORE="memory")
    bench.wait_all_committed()
    bench.wait_for(lambda: counted(worker.get("/metrics")[1])["pql_consumer_lag_records",] == 0)
    page = worker.get("/metrics")[1]
    run = Run.of(bench)
    expected = Expected(run)
    by_topic, by_reason, by_tier = counted(page, "topic"), counted(page, "reason"), counted(page, "tier")
    activity, rekeyed = bench.topics.activity, bench.topics.activity_rekeyed

    assert [] == faults(run)
    assert len(expected.forwarded()) == by_topic["pql_events_rekeyed_total", activity]
    assert len(expected.forwarded()) == by_topic["pql_events_consumed_total", rekeyed]
    assert len(expected.events) - len(expected.forwarded()) == by_topic["pql_events_consumed_total", activity]
    assert expected.skipped == by_topic["pql_events_skipped_total", activity]
    for reason in {refusal.reason for _, refusal in expected.rejected.values()}:
        refused = sum(refusal.reason == reason for _, refusal in expected.rejected.values())
        assert refused == by_reason["pql_events_rejected_total", reason]
        assert refused == by_reason["pql_dlq_records_total", reason]
    for tier in ("unqualified", "bronze", "silver", "gold", "platinum"):
        changes = [change for of_lead in expected.changes.values() for change in of_lead]
        qualifications = [one for of_lead in expected.qualifications.values() for one in of_lead]
        assert sum(one["tier_after"] == tier for one in changes) == by_tier["pql_scores_changed_total", tier]
        assert sum(one["tier"] == tier for one in qualifications) == by_tier["pql_qualifications_total", tier]
    assert len(run.activity) + len(run.rekeyed) == counted(page)["pql_batch_records_sum",]
