"""Records that are no ordinary event: huge, empty, compressed in every way. None of them stops a partition."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from score_bench import MOSTLY_AT_LEAST_ONCE, ScoreBench, bench_on
from score_checks import faults
from score_expected import Run

from tests.oracle.murmur2 import partition_of_lead
from tests.oracle.render import Record

pytestmark = pytest.mark.system

MIB = 1024 * 1024
AT_MS = 1_767_571_200_000


@pytest.fixture(params=MOSTLY_AT_LEAST_ONCE)
def bench(kafka, topic_prefix, tmp_path: Path, request) -> Iterator[ScoreBench]:
    """Topics of four partitions, and a worker."""
    with bench_on(kafka, topic_prefix, tmp_path, guarantee=request.param) as made:
        made.start(PQL_STORE="memory")
        yield made


def event(number: int, lead_id: str = "u1", **more: object) -> Record:
    """The lead used its feature *number*."""
    fields = {
        "event_id": f"e{number}",
        "user_id": lead_id,
        "event": "feature_used",
        "occurred_at": AT_MS + number,
        "properties": {"feature": f"f{number}", **more},
    }
    return Record(json.dumps(fields).encode(), (), lead_id.encode(), AT_MS + number)


def record(value: bytes | None, key: bytes | None = b"u1", headers: tuple[tuple[str, bytes], ...] = ()) -> Record:
    return Record(value, headers, key, AT_MS)


def between_events(odd: Record) -> list[tuple[int, Record]]:
    """*odd* with events of one lead before and behind it, enough for a change after it."""
    home = partition_of_lead("u1", 4)
    return [(home, made) for made in (event(1), event(2), odd, event(3), event(4), event(5))]


def test_every_compression_of_a_producer_is_read(bench):
    """
    Producers choose how they compress, and most of those that do choose lz4, snappy or zstd.
    """
    for number, compression in enumerate(("gzip", "zstd", "lz4", "snappy"), start=1):
        bench.feed(between_events(event(10 * number)), compression=compression)
    bench.wait_all_committed()

    assert [] == faults(Run.of(bench))


def test_a_huge_record_that_compresses_becomes_a_dead_letter(bench):
    """
    Eight MiB of spaces fit into the topic when they are compressed: refused as too large, dead-lettered
    untouched, and the partition goes on.
    """
    huge = record(b'{"event_id": "e"' + b" " * 8 * MIB + b"}")
    bench.feed(between_events(huge), compression="gzip")
    bench.wait_all_committed()
    run = Run.of(bench)

    assert [] == faults(run)
    assert [huge.value] == [letter.value for letter in run.dead_letters]


def test_a_dead_letter_that_does_not_fit_becomes_a_stub(bench):
    """
    What zstd makes small and gzip does not: the dead letter has the size and the SHA-256 instead, says so,
    and the partition goes on.
    """
    huge = record(random.Random(1).randbytes(MIB) * 5, headers=(("trace", b"1"),))
    bench.feed(between_events(huge), compression="zstd")
    bench.wait_all_committed()
    run = Run.of(bench)
    letter = run.dead_letters[0]

    assert [] == faults(run)
    assert 1 == len(run.dead_letters)
    assert b"stub" == dict(letter.headers)["pql-dlq-detail"]
    assert {"size": 5 * MIB, "sha256": hashlib.sha256(huge.value or b"").hexdigest()} == json.loads(letter.value or b"")


def test_records_over_the_limit_and_records_without_a_value(bench):
    """
    One and a half MiB that nothing compresses, a null, an empty value, each with headers, and three
    partitions without a record: dead letter, skipped, skipped, and all the rest is scored.
    """
    odd = [
        record(random.Random(2).randbytes(3 * MIB // 2), key=None, headers=(("trace", b"1"),)),
        record(None, headers=(("ce_specversion", b"1.0"),)),
        record(b""),
    ]
    for one in odd:
        bench.feed(between_events(one))
    bench.wait_all_committed()
    run = Run.of(bench)

    assert [] == faults(run)
    assert [odd[0].value] == [letter.value for letter in run.dead_letters]


def test_a_large_event_on_a_wrong_partition_is_forwarded(bench):
    """
    An event of nearly a MiB whose lead belongs elsewhere is forwarded with its bytes and headers, and scored.
    """
    home = partition_of_lead("u1", 4)
    large = event(1, note=random.Random(3).randbytes(MIB // 2 - 200).hex())
    headers = (("trace", b"x" * 1000), ("trace", b"again"))
    bench.feed([((home + 1) % 4, Record(large.value, headers, None, AT_MS))])
    bench.feed([((home + 1) % 4, event(number)) for number in (2, 3)])
    bench.wait_all_committed()
    run = Run.of(bench)

    assert [] == faults(run)
    assert 3 == len(run.rekeyed)
    assert 1 == len(run.changes)
