"""What a worker refuses to run on: it says what, why and what to do, and ends with 1."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)
from score_bench import ScoreBench, Worker
from score_feed import place, population

from pql_stream.ops.brokers.local import LocalKafka
from tests.oracle.murmur2 import partition_of_lead
from tests.oracle.render import Record

pytestmark = pytest.mark.system


@pytest.fixture
def bench(kafka, topic_prefix, tmp_path: Path) -> Iterator[ScoreBench]:
    """No topics and no worker yet."""
    made = ScoreBench(kafka.bootstrap, topic_prefix, tmp_path)
    yield made
    made.close()
    kafka.delete_topics(topic_prefix)


def refusal_of(bench: ScoreBench, worker: Worker) -> str:
    """What *worker* says as it ends, which must be three lines behind no traceback."""
    said = last_words_of(bench, worker)
    assert "Traceback" not in worker.log()
    return said


def last_words_of(bench: ScoreBench, worker: Worker) -> str:
    """What *worker* says as it ends, which must be three lines; it had begun to work, so its log may have more."""
    assert 1 == bench.wait_ended(worker)
    plain = [line for line in worker.log().splitlines() if not line.startswith("{")]
    assert plain[0].startswith("Error: ")
    assert 3 == len(plain)
    return "\n".join(plain)


def test_missing_topics_are_named(bench):
    """
    Without two of its topics a worker names them, and the command that makes them.
    """
    bench.create_topics(leave_out=["pql-qualified", "product-activity-rekeyed"])
    said = refusal_of(bench, bench.start())

    assert bench.topics.qualified in said
    assert bench.topics.activity_rekeyed in said
    assert bench.topics.score_changed not in said
    assert "pql-stream topics apply" in said


@pytest.mark.parametrize("topic", ["product-activity-rekeyed", "score-changed", "pql-score-leads-changelog"])
def test_partition_counts_that_do_not_fit_are_refused(bench, topic):
    """
    A topic keyed by lead with another number of partitions than product-activity is named with its number.
    """
    bench.create_topics({topic: 3})
    said = refusal_of(bench, bench.start())

    assert f"{topic} has 3" in said
    assert "product-activity has 4" in said


def test_the_state_of_another_pack_is_refused(bench):
    """
    State that was built with one pack is not continued with another, neither that of the directory nor, with
    an empty one, that of the changelog; both packs are named.
    """
    bench.create_topics()
    bench.feed(place(population(21, leads=4, events=60, dirt=0), 4, seed=21))
    first = bench.start("a")
    bench.wait_all_committed()
    first.stop()
    for name in ("a", "b"):
        said = refusal_of(bench, bench.start(name, PQL_PACK="pql-100-linear"))

        assert "pql-100 " in said or "pql-100," in said
        assert "pql-100-linear" in said


def test_the_state_of_another_number_of_partitions_is_refused(bench):
    """
    All topics are given more partitions alike: neither with the state directory that knows the number, nor with an
    empty one or with none, is a lead's history split.
    """
    bench.create_topics()
    bench.feed(place(population(22, leads=40, events=200, dirt=0), 4, seed=22))
    first = bench.start("a")
    bench.wait_all_committed()
    first.stop()
    bench.add_partitions(6)
    for name, store in (("a", "rocksdb"), ("b", "rocksdb"), ("c", "memory")):
        said = refusal_of(bench, bench.start(name, PQL_STORE=store))

        assert "partitions was 4, is 6" in said or "not built with 6 partitions" in said


def test_a_row_of_a_later_version_is_refused(bench):
    """
    A row that a newer program wrote ends the worker, and nothing of its lead's next event is written or
    committed.
    """
    bench.create_topics()
    home = partition_of_lead("u1", 4)
    bench.produce(bench.topics.leads_changelog, home, b"u1", msgspec.msgpack.encode([5, "what comes next"]))
    event = {"event_id": "e1", "user_id": "u1", "event": "tutorial_completed", "occurred_at": 1_767_571_200_000}
    bench.feed([(home, Record(json.dumps(event).encode(), (), b"u1", 1_767_571_200_000))])
    said = refusal_of(bench, bench.start())

    assert "version 5; this program reads 3 and 4" in said
    assert "replay" in said
    assert 0 == bench.size(bench.topics.score_changed)
    assert {f"{bench.topics.activity}-{home}": 1} == bench.not_committed()


def test_wrong_settings_are_a_wrong_usage(bench):
    """
    A setting that cannot be used, or a pack that is not there, ends with 2 and names it.
    """
    no_brokers = bench.run("worker", KAFKA_BOOTSTRAP_SERVERS="")
    no_pack = bench.run("worker", PQL_PACK="no-such-pack")

    assert [2, 2] == [no_brokers.returncode, no_pack.returncode]
    assert "KAFKA_BOOTSTRAP_SERVERS" in no_brokers.stderr
    assert "no-such-pack" in no_pack.stderr
    assert "Traceback" not in no_brokers.stderr + no_pack.stderr


def test_denied_transactions_are_told(apache_kafka, tmp_path):
    """
    Exactly once on a cluster that denies one of the transactional ids: what is denied, and what to allow.
    """
    authorizer = {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "true",
        "super.users": "User:nobody",
    }
    denied = AclBinding(
        ResourceType.TRANSACTIONAL_ID,
        "pql-score-2",
        ResourcePatternType.LITERAL,
        "User:ANONYMOUS",
        "*",
        AclOperation.ALL,
        AclPermissionType.DENY,
    )
    with LocalKafka(tmp_path / "kafka", settings=authorizer) as broker:
        admin = AdminClient({"bootstrap.servers": broker.bootstrap, "log_level": 0})
        admin.create_acls([denied])[denied].result()
        bench = ScoreBench(broker.bootstrap, "", tmp_path, guarantee="exactly_once")
        bench.create_topics()
        said = last_words_of(bench, bench.start())
        bench.close()

    assert "transactional id pql-score-2" in said
    assert "transactional ids that begin with pql-score-" in said
