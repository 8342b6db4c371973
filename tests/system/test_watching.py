"""What watches a worker, on a real Kafka: one worker, exactly once, with everything on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from score_bench import ScoreBench, bench_on
from score_feed import place, population

from pql_stream.ops.group_offsets import GroupReader
from pql_stream.stream.metrics import PartitionId
from pql_stream.stream.names import APP_ID

pytestmark = pytest.mark.system

PARTITIONS = 4


@pytest.fixture
def bench(kafka, topic_prefix, tmp_path: Path) -> Iterator[ScoreBench]:
    """Topics of four partitions, and no worker yet."""
    with bench_on(kafka, topic_prefix, tmp_path, partitions=PARTITIONS, guarantee="exactly_once") as made:
        yield made


def values(page: str) -> dict[str, float]:
    """The samples of *page*, summed up by name."""
    sums: dict[str, float] = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            sums[sample.name] = sums.get(sample.name, 0.0) + sample.value
    return sums


async def offsets_of(bench: ScoreBench) -> tuple[dict, dict]:
    """What the group's reader says of each partition of both inputs, and whether records wait there."""
    topics = (bench.topics.activity, bench.topics.activity_rekeyed)
    asked = [PartitionId(topic, number) for topic in topics for number in range(PARTITIONS)]
    reader = GroupReader({"bootstrap.servers": bench.bootstrap}, f"{bench.prefix}{APP_ID}", asyncio.Event())
    known = await reader.read(asked)
    return known, {at: await reader.has_record(at, offsets.committed) for at, offsets in known.items()}


def test_a_worker_is_watched(bench, promtool):
    """
    The pages say that it has started and is ready; the canary comes back; dead letters are counted where they lie;
    records wait where no commit was made, and markers of transactions are none; the page is as promtool wants it.
    """
    bench.feed(place(population(41, events=300), PARTITIONS, seed=41, routes=("home", "away")))
    waiting = asyncio.run(offsets_of(bench))
    worker = bench.start(PQL_STORE="memory", PQL_CANARY_EVERY_S="3")
    bench.wait_ready(worker)
    bench.wait_for(lambda: values(worker.get("/metrics")[1])["pql_canary_roundtrip_seconds_count"] > 0)
    bench.wait_all_committed()
    bench.wait_for(lambda: values(worker.get("/metrics")[1]).get("pql_dlq_depth_records", 0) > 0)
    page = worker.get("/metrics")[1]
    probes = {path: worker.get(path) for path in ("/healthz", "/readyz", "/startupz")}
    code = worker.stop()
    done, records = asyncio.run(offsets_of(bench))
    complaints = promtool(page)
    numbers = values(page)

    assert {
        "/healthz": (200, "the worker is alive\n"),
        "/readyz": (200, "pql-score: ready, with 12 partitions\n"),
        "/startupz": (200, "the worker has started\n"),
    } == probes
    assert 0 == code
    assert any(offsets.committed == 0 < offsets.end for offsets in waiting[0].values())
    assert {at for at, offsets in waiting[0].items() if offsets.end} == {at for at, has in waiting[1].items() if has}
    assert {False} == set(records.values())
    assert any(offsets.end > offsets.committed for offsets in done.values()), "no transaction's marker was seen"
    assert "" == complaints
    assert (0, 0, 3) == (
        numbers["pql_canary_failures_total"],
        numbers["pql_table_recovering"],
        numbers["pql_canary_interval_seconds"],
    )
    assert numbers["pql_rebalances_total"] == numbers["pql_rebalance_seconds_count"] >= 1
    assert 1 <= numbers["pql_table_recovery_seconds_count"] <= numbers["pql_rebalances_total"]
    # The depth is looked at once a minute, so it may be of a moment before.
    assert numbers["pql_dlq_records_total"] >= 1 <= numbers["pql_dlq_depth_records"]
