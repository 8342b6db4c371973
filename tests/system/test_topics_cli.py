"""`pql-stream topics` against a real broker."""

import json
import os
import subprocess

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from pql_stream.ops.topics.cluster import TopicCluster
from pql_stream.ops.topics.declarations import load_declarations
from pql_stream.stream.names import CO_PARTITIONED, CONTROL, TOPICS
from tests import program

pytestmark = pytest.mark.system

MIB = 1024 * 1024
NOWHERE = "127.0.0.1:1"  # nobody listens on port 1 (tcpmux)


@pytest.fixture
def topics(kafka, topic_prefix, make_topics):
    """A function that runs `pql-stream topics ...` under the test's prefix; its topics go after the test."""

    def run(*args: str, bootstrap: str = kafka.bootstrap, **others: str) -> subprocess.CompletedProcess[str]:
        given = {"KAFKA_BOOTSTRAP_SERVERS": bootstrap, "PQL_TOPIC_PREFIX": topic_prefix, **others}
        environment = {**os.environ, **given}
        return program.run("topics", *args, env=environment)

    return run


def read(kafka, prefix):
    """Topic without prefix -> what it is on the cluster."""
    cluster = TopicCluster({"bootstrap.servers": kafka.bootstrap}).read(f"{prefix}{name}" for name in TOPICS)
    return {name.removeprefix(prefix): topic for name, topic in cluster.items()}


def test_apply_makes_what_plan_shows_and_check_then_agrees(topics, kafka, topic_prefix):
    """
    plan shows six missing topics (exit 0), check fails on them, apply creates them as declared, check is
    silent.
    """
    planned, checked = topics("plan"), topics("check")
    nothing = read(kafka, topic_prefix)
    applied, agreed = topics("apply"), topics("check")
    made = read(kafka, topic_prefix)

    assert (0, 1, 0, 0) == tuple(done.returncode for done in (planned, checked, applied, agreed))
    counts = {name: "1 partition" if name == CONTROL else "12 partitions" for name in sorted(TOPICS)}
    assert [f"+ {topic_prefix}{name}: {count}" for name, count in counts.items()] == planned.stdout.splitlines()
    assert planned.stdout == checked.stdout == applied.stdout
    assert "" == agreed.stdout
    assert {} == nothing
    for declared in load_declarations():
        assert (1 if declared.name == CONTROL else 12) == made[declared.name].partitions
        assert declared.config == {key: made[declared.name].config[key] for key in declared.config}


def test_sinks_of_the_settings_file_have_their_topics(topics, kafka, topic_prefix, tmp_path):
    """
    Three for each sink, as large as the others; nobody asks for the sinks' secrets.
    """
    (tmp_path / "pql.toml").write_text('[sinks.crm]\ntype = "hubspot"\nservice_key = { env = "NOT_HERE" }\n')
    applied = topics("apply", "--partitions", "2", PQL_CONFIG=str(tmp_path / "pql.toml"))
    names = [f"{topic_prefix}delivery-crm{end}" for end in ("", "-dlq", "-parked")]
    made = TopicCluster({"bootstrap.servers": kafka.bootstrap}).read(names)

    assert 0 == applied.returncode, applied.stderr
    assert names == sorted(made)
    assert {(2, "delete", str(2 * MIB))} == {
        (topic.partitions, topic.config["cleanup.policy"], topic.config["max.message.bytes"]) for topic in made.values()
    }
    assert len(load_declarations(sinks=["crm"])) == len(applied.stdout.splitlines())


def test_apply_mends_settings_and_raises_the_dead_letter_topic(topics, kafka, topic_prefix):
    """
    A setting that somebody changed is put back, and a topic without a lead's key gets its partitions.
    """
    name = f"{topic_prefix}product-activity"
    kafka.create_topics({name: 2}, {"retention.ms": "1000"})
    kafka.create_topics({f"{name}-dlq": 1})
    applied = topics("apply", "--partitions", "2")
    made = read(kafka, topic_prefix)

    assert 0 == applied.returncode
    assert f"~ {name}: retention.ms: 1000 -> 2592000000" in applied.stdout.splitlines()
    assert f"~ {name}-dlq: partitions: 1 -> 2" in applied.stdout.splitlines()
    assert "2592000000" == made["product-activity"].config["retention.ms"]
    assert set(TOPICS) == set(made)
    assert {2} == {topic.partitions for topic in made.values()}


@pytest.mark.parametrize("existing", [2, 6], ids=["raise", "lower"])
def test_apply_refuses_other_partitions_of_a_keyed_topic_and_changes_nothing(topics, kafka, topic_prefix, existing):
    """
    Neither more nor fewer partitions: exit 1, what and why and what to do, and no topic is created beside it.
    """
    kafka.create_topics({f"{topic_prefix}product-activity": existing})
    applied, planned = topics("apply", "--partitions", "4"), topics("plan", "--partitions", "4", "--json")
    left = read(kafka, topic_prefix)
    refused = {
        one["topic"].removeprefix(topic_prefix): one["refused"]
        for one in json.loads(planned.stdout)["differences"]
        if one["refused"]
    }

    assert 1 == applied.returncode
    assert "" == applied.stdout
    assert "Traceback" not in applied.stderr
    assert applied.stderr.startswith("Error: nothing was changed")
    assert {"product-activity": existing} == {name: topic.partitions for name, topic in left.items()}
    assert CO_PARTITIONED == set(refused)


def test_replicas_that_the_cluster_cannot_have_are_refused_by_kafka(topics, kafka, topic_prefix):
    """
    Kafka's own reason is shown, without a traceback.
    """
    brokers = len(kafka.admin.list_topics(timeout=10).brokers)
    applied = topics("apply", "--replicas", str(brokers + 1))

    assert 1 == applied.returncode
    assert applied.stderr.startswith("Error: Kafka refused to create")
    assert "replication factor" in applied.stderr
    assert "Traceback" not in applied.stderr


def test_json_says_everything_that_the_lines_say(topics, topic_prefix):
    """
    --json is one object: how many topics there are, and each difference with all its fields.
    """
    checked = topics("check", "--json", "--partitions", "1")
    answer = json.loads(checked.stdout)

    assert 1 == checked.returncode
    assert len(TOPICS) == answer["topics"]
    assert {
        "topic": f"{topic_prefix}score-changed",
        "setting": "topic",
        "actual": None,
        "declared": "1 partition",
        "refused": "",
    } in answer["differences"]


def test_a_cluster_that_is_away_is_an_error_of_three_lines(topics):
    """
    Nobody answers: exit 1 within a bounded time, with the address and the reason, without a traceback.
    """
    planned = topics("plan", bootstrap=NOWHERE)
    lines = planned.stderr.splitlines()

    assert 1 == planned.returncode
    assert f"Error: no answer from Kafka at {NOWHERE}" == lines[0]
    assert "Connection refused" in lines[1]
    assert 3 == len(lines)


def test_without_servers_the_usage_is_wrong(topics):
    """
    No KAFKA_BOOTSTRAP_SERVERS: exit 2, as for every missing setting.
    """
    planned = topics("plan", bootstrap="")

    assert 2 == planned.returncode
    assert "KAFKA_BOOTSTRAP_SERVERS" in planned.stderr


def test_the_dead_letter_topic_takes_what_the_input_topic_took(kafka, topic_prefix, make_topics):
    """
    A record at the input topic's limit, with headers, fits into the rekeyed and the dead-letter topic, and
    the rekeyed topic stamps it with the broker's time.
    """
    make_topics(1)
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "message.max.bytes": 4 * MIB})
    value, headers, failed = b"x" * (2 * MIB - 200), [("pql-dlq-detail", b"x" * 1024)], []
    for name in ("product-activity", "product-activity-rekeyed", "product-activity-dlq"):
        with_headers = [] if name == "product-activity" else headers
        producer.produce(
            f"{topic_prefix}{name}",
            value,
            headers=with_headers,
            timestamp=1,
            on_delivery=lambda error, record: failed.append(error) if error else None,
        )
        producer.flush(30)
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": topic_prefix})
    consumer.assign([TopicPartition(f"{topic_prefix}product-activity-rekeyed", 0, 0)])
    [record] = consumer.consume(1, timeout=30)
    consumer.close()

    assert [] == failed
    assert value == record.value()
    assert record.timestamp()[1] > 1
