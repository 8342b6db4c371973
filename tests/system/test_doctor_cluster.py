"""`pql-stream doctor` against a real broker: topics, their settings, and whose state lies there."""

from __future__ import annotations

import os
import time

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from pql_stream.core.packs import compile_pack
from pql_stream.replay.replayer import Replayer
from pql_stream.replay.source import Recorded
from pql_stream.stream.names import LEADS_CHANGELOG
from pql_stream.wire.packs import load_pack
from pql_stream.wire.rows import dump_state
from tests import program

pytestmark = pytest.mark.system

EVENT = b'{"event_id": "e1", "user_id": "u1", "event": "tutorial_completed", "occurred_at": "2026-01-05T10:00:00Z"}'


@pytest.fixture
def doctor(kafka, topic_prefix, tmp_path):
    """A function that runs doctor under the test's prefix: its code, and the first line on each subject."""

    def run():
        environ = {
            "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap,
            "PQL_TOPIC_PREFIX": topic_prefix,
            "PQL_DATA_DIR": str(tmp_path),
            "PQL_HTTP_PORT": "0",
        }
        done = program.run("doctor", env={**os.environ, **environ})
        lines = [line.split(maxsplit=2) for line in done.stdout.splitlines() if not line.startswith(" ")]
        return done.returncode, {subject: (state, text) for state, subject, text in lines}, done.stdout

    return run


def test_before_and_after_topics_apply(doctor, make_topics, topic_prefix):
    """
    Without its topics the cluster fails, with the command that makes them; after that all is well.
    """
    code, findings, told = doctor()
    make_topics(3)
    code_after, findings_after, _ = doctor()

    assert 1 == code
    assert "failed" == findings["kafka"][0]
    assert f"{topic_prefix}product-activity" in findings["kafka"][1]
    assert "pql-stream topics apply" in told
    assert 0 == code_after
    assert ("skipped", "there are no sinks") == findings_after.pop("delivery")
    assert {"ok"} == {state for state, _ in findings_after.values()}
    assert "3 partitions" in findings_after["kafka"][1]
    assert "it speaks as Kafka 4" in findings_after["broker"][1]
    assert "the input has no records" in findings_after["clock"][1]


def test_a_record_of_the_future_is_a_warning(doctor, make_topics, kafka, topic_prefix):
    """
    Its producer's clock is an hour ahead; a worker runs, but what it measures is wrong.
    """
    make_topics(1)
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    producer.produce(f"{topic_prefix}product-activity", EVENT, key=b"u1", timestamp=int((time.time() + 3600) * 1000))
    assert producer.flush(30) == 0
    code, findings, told = doctor()

    assert 0 == code
    assert "warning" == findings["clock"][0]
    assert f"{topic_prefix}product-activity is of" in findings["clock"][1]
    assert "NTP" in told


def test_a_topic_with_another_setting_is_a_warning(doctor, make_topics, kafka, topic_prefix):
    """
    A worker would run, but score-changed would lose what it should keep.
    """
    make_topics(1)
    entry = ConfigEntry("cleanup.policy", "delete", incremental_operation=AlterConfigOpType.SET)
    topic = ConfigResource(ResourceType.TOPIC, f"{topic_prefix}score-changed", incremental_configs=[entry])
    for done in kafka.admin.incremental_alter_configs([topic]).values():
        done.result(30)
    code, findings, _ = doctor()

    assert 0 == code
    assert "warning" == findings["topics"][0]
    assert "cleanup.policy is delete, declared compact" in findings["topics"][1]


def test_the_state_of_another_pack_fails(doctor, make_topics, kafka, topic_prefix):
    """
    The rows on the cluster were made by another pack: a worker would refuse them, and doctor says so.
    """
    make_topics(1)
    pack = compile_pack(load_pack("pql-100-linear"))
    replayer = Replayer(pack)
    replayer.handle(Recorded("events.jsonl", 0, 1, EVENT))
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    producer.produce(f"{topic_prefix}{LEADS_CHANGELOG}", dump_state(replayer.states["u1"], pack), key=b"u1")
    assert producer.flush(30) == 0
    code, findings, _ = doctor()

    assert 1 == code
    assert "failed" == findings["state"][0]
    assert "pql-100-linear" in findings["state"][1]
