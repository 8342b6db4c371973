"""`pql-stream emit` and `explain` against a real broker and a running worker."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Message, Producer, TopicPartition

from pql_stream.ops.emitter import VALUE_BYTES_MAX
from tests import program
from tests.oracle.murmur2 import partition_of
from tests.program import Program

pytestmark = pytest.mark.system

PARTITIONS = 4
WAIT_S = 60
NOWHERE = "127.0.0.1:1"  # nobody listens on port 1 (tcpmux)
LEADS = [f"lead-{number}" for number in range(40)]


def event(name: str, lead: str, **fields: object) -> dict[str, object]:
    return {
        "event_id": f"{name}-{lead}",
        "user_id": lead,
        "event": name,
        "occurred_at": "2026-01-05T10:00:00Z",
        **fields,
    }


def write_lines(path: Path, events: list[dict[str, object]]) -> str:
    path.write_text("".join(json.dumps(one) + "\n" for one in events))
    return str(path)


class Cli:
    """Runs commands against the test's cluster, under its prefix."""

    def __init__(self, bootstrap: str, prefix: str) -> None:
        self.environ = {**os.environ, "KAFKA_BOOTSTRAP_SERVERS": bootstrap, "PQL_TOPIC_PREFIX": prefix}

    def __call__(self, *args: str, stdin: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
        done = program.run(*args, env={**self.environ, **environ}, input=stdin, timeout=WAIT_S)
        assert "Traceback" not in done.stderr
        return done


@pytest.fixture
def run(kafka, topic_prefix) -> Cli:
    return Cli(kafka.bootstrap, topic_prefix)


@pytest.fixture
def received(kafka, topic_prefix) -> Callable[[], list[Message]]:
    """A function that gives every record of product-activity."""

    def read() -> list[Message]:
        topic = f"{topic_prefix}product-activity"
        consumer = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": topic_prefix})
        ends = [
            consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=WAIT_S)[1]
            for partition in range(PARTITIONS)
        ]
        consumer.assign([TopicPartition(topic, partition, 0) for partition in range(PARTITIONS)])
        records = consumer.consume(sum(ends), timeout=WAIT_S) if sum(ends) else []
        consumer.close()
        assert sum(ends) == len(records)
        return records

    return read


@pytest.fixture
def worker(run, make_topics, tmp_path) -> Iterator[Callable[[], Program[bytes]]]:
    """A function that starts a worker on the test's topics; it ends with the test, by SIGTERM and well."""
    started: list[Program[bytes]] = []

    def start() -> Program[bytes]:
        make_topics(PARTITIONS)
        with (tmp_path / "worker.log").open("wb") as log:
            started.append(
                Program(
                    "worker",
                    env={**run.environ, "PQL_DATA_DIR": str(tmp_path / "state"), "PQL_HTTP_PORT": "0"},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )
            )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def explained_when(run: Cli, lead: str, is_done: Callable[[dict[str, object]], bool]) -> dict[str, object]:
    """What `explain` says of *lead* as soon as it is what is waited for."""
    deadline_s = time.monotonic() + WAIT_S
    while time.monotonic() < deadline_s:
        done = run("explain", lead, "--json")
        if done.returncode == 0 and is_done(json.loads(done.stdout)):
            return json.loads(done.stdout)
    pytest.fail(f"explain does not get there: {done.stdout}{done.stderr}")


def test_events_lie_on_their_leads_partitions(run, received, make_topics, tmp_path):
    """
    Each record has its lead's id as key, lies on murmur2's partition of it, and is the line byte for byte.
    """
    make_topics(PARTITIONS)
    events = [event("feature_used", lead) for lead in LEADS]
    done = run("emit", "--json", write_lines(tmp_path / "events.jsonl", events))
    records = received()

    assert (0, {"acknowledged": 40, "refused": 0, "failed": 0}) == (done.returncode, json.loads(done.stdout))
    assert {(one.key().decode(), one.partition()) for one in records} == {
        (lead, partition_of(lead.encode(), PARTITIONS)) for lead in LEADS
    }
    assert {json.dumps(one).encode() for one in events} == {record.value() for record in records}


def test_an_anonymous_lead_is_keyed_with_its_prefix(run, received, make_topics):
    """
    Standard input: the key of a lead without a user id is anon:<id>, not the bare id.
    """
    make_topics(PARTITIONS)
    line = json.dumps({**event("page_viewed", ""), "anonymous_id": "x1"})
    done = run("emit", "-", stdin=f"{line}\n")
    [record] = received()

    assert (0, "1 event acknowledged") == (done.returncode, done.stderr[: len("1 event acknowledged")])
    assert (b"anon:x1", partition_of(b"anon:x1", PARTITIONS)) == (record.key(), record.partition())


def test_bad_lines_are_refused_with_their_reasons_and_the_rest_goes_on(run, received, make_topics, tmp_path):
    """
    What is no event is not sent: file, line and reason are told, and the exit code is 0. An event that
    lies too far ahead of the clock is refused here as it would be by the worker.
    """
    make_topics(PARTITIONS)
    path = tmp_path / "mixed.jsonl"
    ahead = {**event("x", "u3"), "occurred_at": "9000-01-01T00:00:00Z"}
    lines = [event("x", "u1"), "hello", event("x", ""), ahead, event("x", "u2")]
    path.write_text("".join((one if isinstance(one, str) else json.dumps(one)) + "\n" for one in lines))
    done = run("emit", "--json", str(path))

    assert (0, {"acknowledged": 2, "refused": 3, "failed": 0}) == (done.returncode, json.loads(done.stdout))
    assert [b"u1", b"u2"] == sorted(record.key() for record in received())
    for told in ("mixed.jsonl:2: not_json", "mixed.jsonl:3: missing_field", "mixed.jsonl:4: bad_time"):
        assert told in done.stderr


def test_raw_lines_go_as_they_are(run, received, make_topics):
    """
    --raw sends what is no event too, without a key, also what is over the limit of an event; only a line that the
    topic does not take is not sent.
    """
    make_topics(PARTITIONS)
    lines = ["hello", '{"user_id": "u1"}', "x" * (1024 * 1024 + 1), "y" * VALUE_BYTES_MAX, "z" * (VALUE_BYTES_MAX + 1)]
    done = run("emit", "--raw", "--json", "-", stdin="\n".join(lines))
    records = received()

    assert (0, {"acknowledged": 4, "refused": 1, "failed": 0}) == (done.returncode, json.loads(done.stdout))
    assert {(None, line.encode()) for line in lines[:4]} == {(one.key(), one.value()) for one in records}
    assert "-:5: too_large" in done.stderr


def test_what_comes_before_an_unreadable_file_is_sent_and_counted(run, received, make_topics, tmp_path):
    """
    A gzip that breaks off: exit 1 with the reason, after the count of what was acknowledged.
    """
    make_topics(PARTITIONS)
    first = write_lines(tmp_path / "first.jsonl", [event("x", "u1")])
    (tmp_path / "broken.gz").write_bytes(b"\x1f\x8b\x08\x00cut")
    done = run("emit", first, str(tmp_path / "broken.gz"))

    assert 1 == done.returncode
    assert "1 event acknowledged" in done.stderr.splitlines()[0]
    assert f"Error: cannot read {tmp_path / 'broken.gz'}" in done.stderr
    assert 1 == len(received())


def test_a_backfill_without_a_worker_gives_up_and_has_sent_all(run, make_topics, tmp_path):
    """
    Bad lines are refused with their reasons. Nobody scores the rest: exit 1, what is left and why, with the counts all
    the same; --no-wait does not ask.
    """
    make_topics(PARTITIONS)
    path = tmp_path / "old.jsonl"
    path.write_text(
        "\n".join([*(json.dumps(event("x", lead)) for lead in LEADS), "hello", json.dumps({"user_id": "u"})])
    )
    gave_up = run("backfill", "--json", "--stalled-after", "1", str(path))
    unasked = run("backfill", "--json", "--no-wait", str(path))
    counts = {"acknowledged": 40, "refused": 2, "failed": 0, "scored": False}

    assert (1, counts | {"untold": []}) == (gave_up.returncode, json.loads(gave_up.stdout))
    assert "Error: 40 events are not scored yet" in gave_up.stderr
    for told in ("old.jsonl:41: not_json", "old.jsonl:42: missing_field", "see that a worker runs"):
        assert told in gave_up.stderr
    assert (0, counts | {"untold": None}) == (unasked.returncode, json.loads(unasked.stdout))


@pytest.mark.parametrize(
    ("command", "topic"), [("emit", "product-activity"), ("backfill", "product-activity-backfill")]
)
def test_without_the_topic_nothing_is_sent(run, kafka, topic_prefix, command, topic):
    """
    A missing topic is exit 1 with the command that makes it, and is not created by the way.
    """
    done = run(command, "-", stdin=json.dumps(event("x", "u1")))

    assert (1, "") == (done.returncode, done.stdout)
    assert f"Error: there is no topic {topic_prefix}{topic}" == done.stderr.splitlines()[0]
    assert f"{topic_prefix}{topic}" not in kafka.admin.list_topics(timeout=WAIT_S).topics


@pytest.mark.parametrize("args", [("emit", "-"), ("backfill", "-"), ("explain", "u1")], ids=" ".join)
def test_a_cluster_that_is_away_is_an_error_in_bounded_time(run, args):
    """
    Nobody answers: exit 1 with the address and the reason (`run` has a time limit).
    """
    done = run(*args, stdin=json.dumps(event("x", "u1")), KAFKA_BOOTSTRAP_SERVERS=NOWHERE)

    assert 1 == done.returncode
    assert f"Error: no answer from Kafka at {NOWHERE}" == done.stderr.splitlines()[0]


def test_explain_says_the_same_from_the_cluster_and_from_files(run, worker, tmp_path):
    """
    A lead's rules, points, inputs and moving events are those of the files that were emitted; only the
    place of an event is the topic's. Under a prefix, with the lead's partition among several.
    """
    worker()
    events = [event("tutorial_completed", lead) for lead in LEADS]
    events += [event("trial_created", "lead-7"), event("workflow_completed", "lead-7", occurred_at=1767609000000)]
    path = write_lines(tmp_path / "events.jsonl", events)
    emitted = run("emit", path)
    from_files = json.loads(run("explain", "lead-7", path, "--json").stdout)
    from_cluster = explained_when(run, "lead-7", lambda fields: fields["score"] == from_files["score"])
    text = run("explain", "lead-7")
    unknown = run("explain", "nobody")

    def without_places(fields):
        for part in fields["contributions"]:
            part["moved_by"] = part["moved_by"] and part["moved_by"]["event_id"]
        return fields

    topics = {part["moved_by"]["topic"] for part in from_cluster["contributions"] if part["moved_by"]}
    assert 0 == emitted.returncode
    assert {f"{run.environ['PQL_TOPIC_PREFIX']}product-activity"} == topics
    assert without_places(from_files) == without_places(from_cluster)
    assert (0, "lead-7: 20 points") == (text.returncode, text.stdout[: len("lead-7: 20 points")])
    assert (1, "Error: there is no lead nobody") == (unknown.returncode, unknown.stderr.splitlines()[0])


def test_explain_without_topics_is_an_error(run, topic_prefix):
    """
    Nothing was ever scored under this prefix: exit 1, with the topic that is not there.
    """
    done = run("explain", "u1")

    assert 1 == done.returncode
    assert f"Error: there is no topic {topic_prefix}pql-score-leads-changelog" == done.stderr.splitlines()[0]


def test_explain_reads_past_transactions_and_other_leads(run, kafka, topic_prefix, make_topics):
    """
    The changelog ends in a transaction's marker and an aborted row: neither is waited for, nor believed.
    """
    make_topics(PARTITIONS)
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": topic_prefix})
    producer.init_transactions(WAIT_S)
    producer.begin_transaction()
    producer.produce(f"{topic_prefix}pql-score-leads-changelog", b"aborted", b"u1", partition_of(b"u1", PARTITIONS))
    producer.flush(WAIT_S)
    producer.abort_transaction(WAIT_S)
    done = run("explain", "u1")

    assert (1, "Error: there is no lead u1") == (done.returncode, done.stderr.splitlines()[0])


def test_a_worker_of_another_pack_is_refused_by_the_cluster(run, worker, tmp_path):
    """
    The state was built by pql-100. A worker of another pack with a state directory of its own refuses to
    start; one of the same pack starts.
    """
    first = worker()
    run("emit", "-", stdin=json.dumps(event("tutorial_completed", "u1")))
    explained_when(run, "u1", lambda fields: fields["score"] == 5)
    first.send_signal(signal.SIGTERM)
    ended = first.wait(WAIT_S)
    refused = run("worker", PQL_PACK="pql-100-linear", PQL_DATA_DIR=str(tmp_path / "new"), PQL_HTTP_PORT="0")

    assert 0 == ended
    assert 1 == refused.returncode
    assert "pql-100 version 1 is live on partition" in refused.stderr
    assert "this worker has only pql-100-linear version 1" in refused.stderr
    assert not (tmp_path / "new").exists()
