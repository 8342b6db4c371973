"""`pql-stream replay --topic`: the same answers as from a file, on a broker in memory."""

from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner
from confluent_kafka import Producer

from pql_stream.ops.cli import cli
from pql_stream.testing.simulation import simulate
from tests.replay.replays import files_in

TOPIC = "product-activity"
START_MS = 1_767_607_200_000


@pytest.fixture
def recorded(embedded_kafka, monkeypatch, tmp_path) -> tuple[Path, int]:
    """A file of events; and a topic of three partitions that has them, too: when the middle one was written."""
    broker = embedded_kafka({TOPIC: 3})
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", broker.bootstrap)
    values = [activity.value for activity in simulate(30, form="mixed")]
    (tmp_path / "events.jsonl").write_bytes(b"".join(value + b"\n" for value in values))
    producer = Producer({"bootstrap.servers": broker.bootstrap, "log_level": 0})
    for number, value in enumerate(values):
        # Long after they happened: no event may be ahead of its record.
        producer.produce(TOPIC, value, b"key", number % 3, timestamp=written_ms(number))
    producer.flush(10)
    return tmp_path / "events.jsonl", written_ms(len(values) // 2)


def written_ms(number: int) -> int:
    return START_MS + 10**10 + number


def replayed(out: Path, *args: object) -> dict[str, list]:
    """What a replay writes, without where the events lay."""
    ended = CliRunner().invoke(cli, ["replay", "--out", str(out), *map(str, args)])
    assert 0 == ended.exit_code, ended.output
    return {
        name: [without_places(orjson.loads(line)) for line in content.splitlines()]
        for name, content in files_in(out).items()
    }


def without_places(record: dict) -> dict:
    for part in record.get("contributions", ()):
        part["moved_by"] = part["moved_by"] and part["moved_by"]["event_id"]
    if "cause" in record:
        record["cause"] = record["cause"]["event_id"]
    return record


def test_a_topic_replays_as_the_file_that_has_the_same(recorded, tmp_path):
    """All changes in the same order, in one process and in two; a lead's events lie on all partitions."""
    file, _ = recorded
    one, two = (replayed(tmp_path / str(count), "--topic", TOPIC, "--processes", count) for count in (1, 2))

    assert replayed(tmp_path / "file", file) == one
    assert files_in(tmp_path / "1") == files_in(tmp_path / "2")
    assert one == two
    assert one["pql-qualified.jsonl"]


def test_as_of_counts_what_kafka_had_by_then(recorded, tmp_path):
    """The topic up to a moment, by Kafka's time: as if the rest had never been written."""
    file, middle_ms = recorded
    lines = file.read_bytes().splitlines()
    (tmp_path / "half.jsonl").write_bytes(b"\n".join(lines[: len(lines) // 2 + 1]))

    assert replayed(tmp_path / "half", tmp_path / "half.jsonl") == (
        replayed(tmp_path / "as-of", "--topic", TOPIC, "--as-of", middle_ms)
    )
