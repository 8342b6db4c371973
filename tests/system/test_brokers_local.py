"""The real broker of this machine: killed and started again, refused, run by `pql-stream kafka`."""

import os
import select
import signal
import socket
import subprocess
import sys
import uuid

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from pql_stream.errors import BrokerError
from pql_stream.ops.brokers.local import LocalKafka
from pql_stream.ops.topics.cluster import TopicCluster
from tests.proof import proof

pytestmark = pytest.mark.system

START_AND_WAIT = """
import sys
from pathlib import Path
from pql_stream.ops.brokers.local import LocalKafka
broker = LocalKafka(Path(sys.argv[1])).start()
print(broker.pid, flush=True)
sys.stdin.read()
"""


def create(kafka: LocalKafka, topic: str) -> None:
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap, "log_level": 0})
    for created in admin.create_topics([NewTopic(topic, 1)]).values():
        created.result()
    TopicCluster({"bootstrap.servers": kafka.bootstrap}).wait_for({topic: 1})


def produce(kafka: LocalKafka, topic: str, values: list[bytes]) -> list[bytes]:
    """The values that the broker acknowledged, in order."""
    acknowledged: list[bytes] = []

    def remember(error, record):
        if error is None:
            acknowledged.append(record.value())

    producer = Producer({"bootstrap.servers": kafka.bootstrap, "enable.idempotence": True})
    for value in values:
        producer.produce(topic, value, on_delivery=remember)
    producer.flush(30)
    return acknowledged


def read(kafka: LocalKafka, topic: str) -> list[bytes]:
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": uuid.uuid4().hex})
    _, end = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=30)
    consumer.assign([TopicPartition(topic, 0, 0)])
    values = [record.value() for record in consumer.consume(end, timeout=30)]
    consumer.close()
    return values


def ended(pid: int) -> bool:
    """Whether the process *pid*, which may not be our child, ends within 30 s."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], 30)[0])
    finally:
        os.close(handle)


def test_acknowledged_records_survive_kill_9_and_a_restart_on_the_same_address(own_kafka):
    """
    What the broker acknowledged is there after kill -9 and a start on the same data, and on the same port.
    """
    create(own_kafka, "kept")
    bootstrap, values = own_kafka.bootstrap, [b"%d" % number for number in range(2_000)]
    acknowledged = produce(own_kafka, "kept", values)

    own_kafka.kill()
    own_kafka.start()

    assert values == acknowledged
    assert bootstrap == own_kafka.bootstrap
    assert values == read(own_kafka, "kept")


def test_a_new_object_on_the_same_directory_is_the_same_cluster(own_kafka, tmp_path):
    """
    The directory is the cluster: another LocalKafka on it, after a stop, has the records; a new port is
    taken.
    """
    create(own_kafka, "kept")
    produce(own_kafka, "kept", [b"one"])
    # Chosen as a cluster chooses, so it is none that a client's outgoing connection may have.
    other_port = LocalKafka(tmp_path / "never-started").port
    own_kafka.stop()

    with LocalKafka(own_kafka.data_dir, port=other_port) as again:
        kept = read(again, "kept")

    assert [b"one"] == kept
    assert own_kafka.port != other_port == again.port


def test_a_port_in_use_is_refused_before_anything_starts(apache_kafka, tmp_path):
    """
    A broker is not started on a port where another program would answer in its place.
    """
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        broker = LocalKafka(tmp_path / "kafka", port=port)

        with pytest.raises(BrokerError, match=f"127.0.0.1:{port}$"):
            broker.start()

    assert broker.pid is None


def test_a_broker_that_does_not_come_up_shows_the_end_of_its_log(own_kafka):
    """
    When Kafka ends during its start, the error says why in Kafka's own words, and no process is left.
    """
    own_kafka.stop()
    (own_kafka.data_dir / "kafka-log" / "meta.properties").write_text("version=1\nnode.id=99\n")

    with pytest.raises(BrokerError) as refused:
        own_kafka.start()

    assert "meta.properties" in refused.value.why
    assert own_kafka.pid is None


def test_a_setting_that_kafka_refuses_is_named(apache_kafka, tmp_path):
    """
    Formatting fails on a wrong setting, and the error has Kafka's reason.
    """
    broker = LocalKafka(tmp_path / "wrong", settings={"num.io.threads": "none"})

    with pytest.raises(BrokerError) as refused:
        broker.start()

    assert "num.io.threads" in refused.value.why


def test_the_broker_ends_when_its_launcher_is_killed(apache_kafka, tmp_path):
    """
    kill -9 of the process that started a broker takes the broker with it.
    """
    command = [sys.executable, "-c", START_AND_WAIT, str(tmp_path / "orphan")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as launcher:
        broker_pid = int(launcher.stdout.readline())
        launcher.kill()

    assert ended(broker_pid)


@pytest.mark.parametrize("stop_signal", [proof(signal.SIGINT), signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_the_kafka_command_runs_until_it_is_told_to_stop(stop_signal, apache_kafka, tmp_path):
    """
    `pql-stream kafka` prints its address alone on stdout, and ends its broker with exit code 0.
    """
    data_dir = tmp_path / "command"
    command = [sys.executable, "-m", "pql_stream", "kafka", "--data", str(data_dir)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        first = running.stdout.readline()
        running.send_signal(stop_signal)
        rest, _ = running.communicate(timeout=60)

    assert f"KAFKA_BOOTSTRAP_SERVERS={LocalKafka(data_dir).bootstrap}\n" == first
    assert "" == rest
    assert 0 == running.returncode
    assert (data_dir / "kafka-log" / ".kafka_cleanshutdown").exists()
