"""The delivery promise (CONTRACT.md 7) for real workers on a real broker that nothing disturbs."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from score_bench import GUARANTEES, ScoreBench, Stored, bench_on
from score_checks import faults, repeats
from score_expected import Run
from score_feed import place, population

from tests.oracle.decode import read_record
from tests.oracle.generate import write_lines
from tests.oracle.score import PQL_100, PQL_100_LINEAR
from tests.proof import proof

pytestmark = pytest.mark.system


@pytest.fixture(params=GUARANTEES)
def bench(kafka, topic_prefix, tmp_path: Path, request) -> Iterator[ScoreBench]:
    """Topics of twelve partitions, and no worker yet."""
    with bench_on(kafka, topic_prefix, tmp_path, partitions=12, guarantee=request.param) as made:
        yield made


def test_two_workers_keep_the_promise_and_write_nothing_twice(bench):
    """
    Leads on their own partition, on a wrong one and on both, with dirt and tombstones, scored by two workers:
    everything is as the oracle says, and nothing is there twice. `explain` tells what the table has.
    """
    bench.feed(place(population(1), 12, seed=1, routes=("home", "home", "away", "both")))
    workers = [bench.start("a"), bench.start("b")]
    bench.wait_all_committed()
    explained = json.loads(bench.run("explain", "--json", _some_lead(bench)).stdout)
    assert [0, 0] == [worker.stop() for worker in workers]
    run = Run.of(bench)

    assert [] == faults(run)
    assert 0 == repeats(run)
    assert explained["score"] == _last_scores(run)[explained["lead_id"]]


@pytest.mark.parametrize("pack", [PQL_100, proof(PQL_100_LINEAR)], ids=lambda pack: pack.name)
def test_the_stream_is_the_replay_of_the_same_records(bench, tmp_path, pack):
    """
    The same records from the topic and from a file give the same changes with the same ids, the same
    qualifications and the same scores; only the places of the records differ.
    """
    made = [record for record in population(2, events=500) if _reads_the_same_from_a_file(record)]
    lines = write_lines(made, tmp_path / "events.jsonl")
    bench.feed(place(lines, 12, seed=2))
    bench.start(PQL_STORE="memory", PQL_PACK=pack.name)
    bench.wait_all_committed()
    replayed = bench.run("replay", str(tmp_path / "events.jsonl"), "--out", str(tmp_path), "--pack", pack.name)
    run = Run.of(bench)

    assert 0 == replayed.returncode
    assert [] == faults(run, pack)
    assert _by_lead(_lines_of(tmp_path / "score-changed.jsonl")) == _by_lead(_values_of(run.changes))
    assert _by_lead(_lines_of(tmp_path / "pql-qualified.jsonl")) == _by_lead(_values_of(run.qualifications))


def _reads_the_same_from_a_file(record: Any) -> bool:
    """A line has no timestamp, so a time too far ahead of it is none there."""
    read = read_record(record.value, headers=record.headers, timestamp_ms=record.timestamp_ms)
    return read == read_record(record.value)


def _some_lead(bench: ScoreBench) -> str:
    return json.loads(bench.read(bench.topics.qualified)[0][0].value or b"")["lead_id"]


def _last_scores(run: Run) -> dict[str, Any]:
    return {change["lead_id"]: change["score_after"] for change in _values_of(run.changes)}


def _lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def _values_of(records: list[Stored]) -> list[dict[str, Any]]:
    return [json.loads(record.value or b"") for record in records]


def _by_lead(records: list[dict[str, Any]]) -> dict[str, list[Any]]:
    grouped: dict[str, list[Any]] = defaultdict(list)
    for record in records:
        grouped[record["lead_id"]].append(_without_places(record))
    return grouped


def _without_places(value: Any) -> Any:
    """*value* without what says where a record lies."""
    if isinstance(value, dict):
        return {k: _without_places(v) for k, v in value.items() if k not in {"topic", "partition", "offset"}}
    return [_without_places(part) for part in value] if isinstance(value, list) else value
