"""CAPACITY.md's tables: what they are made of, and where they are put."""

import json

import pytest

from tests.bench.capacity import PAGE, bench_table, kafka_table, play, written
from tests.bench.check import Checked
from tests.bench.measure import Throughput
from tests.bench.results import Case, Results, Run


def run(contender: str, events_per_s: float, **verdict) -> Run:
    throughput = Throughput(
        events=1_000, events_per_s=events_per_s, cpu_s_per_million=20, memory_peak_mb=300, seconds=1, is_short=False
    )
    case = Case(contender=contender, stream="steady", leads=10_000, events=1_000, event_bytes=300)
    return Run(
        case=case,
        throughput=throughput,
        checked=Checked(leads=1, changes=1, qualifications=1, leads_by_oracle=1, **verdict),
    )


def test_the_worker_table_has_our_right_runs_alone():
    """The median of ours whose outputs were right; no contender, no wrong run."""
    right, wrong = {"faults": ()}, {"faults": ("a score is wrong",)}
    results = Results(about={"when": "today"})
    results.throughput = [
        run("rocksdb", 30_000, **right),
        run("rocksdb", 10_000, **right),
        run("rocksdb", 20_000, **right),
        run("rocksdb", 90_000, **wrong),
        run("quix", 70_000, **right),
    ]
    lines = bench_table(json.loads(json.dumps(results.as_json()))).splitlines()

    assert ["| pql-stream worker, RocksDB | steady | 10,000 | 20,000 | 20.0 | 300 |", "", "today"] == lines[2:]


def test_tables_stand_between_their_marks():
    """The page's own marks are found; what stood there goes, and what is around it stays."""
    page = PAGE.read_text()
    new = written(page, dict.fromkeys(("worker", "leads", "records", "kafka"), "| new |"))

    assert 4 == new.count("| new |")
    assert new == written(new, dict.fromkeys(("worker", "leads", "records", "kafka"), "| new |"))
    assert page.splitlines()[0] == new.splitlines()[0]
    assert page.splitlines()[-1] == new.splitlines()[-1]


def test_kafkas_load_grows_with_the_rate():
    """A thousand times the events are a thousand times the bytes, and a row of the table says what its formula says."""
    played = play(leads=20)
    rows = [
        [float(cell.replace(",", "")) for cell in row.strip("| ").split(" | ")]
        for row in kafka_table(played).splitlines()[2:]
    ]
    event = sum(played.events) / len(played.events) + 12

    assert [1e3, 1e4, 1e5, 1e6] == [row[0] for row in rows]
    assert rows[-1][1] == pytest.approx(event, rel=0.01)
    assert rows[-1][4] == pytest.approx(3 * sum(rows[-1][1:4]), rel=0.01)
