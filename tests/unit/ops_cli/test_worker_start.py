"""`pql-stream worker` where it refuses to start, on the embedded broker or without one."""

import os
import signal
import socket
import subprocess

import pytest
from confluent_kafka import Producer

from pql_stream.core.packs import compile_pack
from pql_stream.replay.replayer import Replayer
from pql_stream.replay.source import Recorded
from pql_stream.stream.names import LEADS_CHANGELOG, TOPICS
from pql_stream.wire.packs import load_pack
from pql_stream.wire.rows import dump_state
from tests.program import Program

EVENT = b'{"event_id": "e1", "user_id": "u1", "event": "tutorial_completed", "occurred_at": "2026-01-05T10:00:00Z"}'
PARTITIONS = 2
WAIT_S = 60


def start(directory, **environ):
    """A worker with its state below *directory* and exactly these settings."""
    return Program(
        "worker",
        env={**os.environ, "PQL_DATA_DIR": str(directory / "state"), "PQL_HTTP_PORT": "0", **environ},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def refused(tmp_path):
    """A function that runs a worker which is expected to end by itself: its code and what it says of the error."""

    def run(**environ):
        with start(tmp_path, **environ) as process:
            try:
                _, stderr = process.communicate(timeout=WAIT_S)
            finally:
                process.kill()
        assert "Traceback" not in stderr
        return process.returncode, stderr[stderr.index("Error: ") :].splitlines()

    return run


@pytest.fixture
def broker(embedded_kafka):
    return embedded_kafka(dict.fromkeys(TOPICS, PARTITIONS))


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        ({}, "KAFKA_BOOTSTRAP_SERVERS is not set"),
        ({"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", "PQL_PAKC": "pql-100"}, "PQL_PAKC"),
        ({"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", "PQL_HTTP_PORT": "no"}, "PQL_HTTP_PORT"),
        ({"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", "PQL_PACK": "no-such-pack"}, "no-such-pack"),
    ],
    ids=["no brokers", "unknown setting", "bad value", "unknown pack"],
)
def test_wrong_settings_are_wrong_usage(refused, environ, told):
    """Exit 2 before any connection, with the name of what is wrong."""
    code, lines = refused(**environ)

    assert 2 == code
    assert told in "\n".join(lines)


def test_a_taken_port_is_an_error(refused, broker):
    """Exit 1, with the address that is taken and the setting that mends it."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        code, lines = refused(KAFKA_BOOTSTRAP_SERVERS=broker.bootstrap, PQL_HTTP_PORT=str(port))

    assert (1, 3) == (code, len(lines))
    assert f"Error: cannot serve metrics and health on 127.0.0.1:{port}" == lines[0]
    assert "PQL_HTTP_PORT" in lines[2]


def test_missing_topics_are_an_error(refused, embedded_kafka):
    """Exit 1 with the missing names; a worker creates no topics."""
    code, lines = refused(KAFKA_BOOTSTRAP_SERVERS=embedded_kafka({"product-activity": 2}).bootstrap)

    assert (1, 3) == (code, len(lines))
    assert "pql-score-leads-changelog" in lines[0]


def test_topics_that_do_not_fit_together_are_an_error(refused, embedded_kafka):
    """Exit 1: one of the topics keyed by lead has another number of partitions."""
    broker = embedded_kafka({**dict.fromkeys(TOPICS, PARTITIONS), "score-changed": 3})
    code, lines = refused(KAFKA_BOOTSTRAP_SERVERS=broker.bootstrap)

    assert 1 == code
    assert "Error: product-activity has 2 partitions, but score-changed has 3" == lines[0]


@pytest.mark.parametrize("partition", range(PARTITIONS))
def test_the_state_of_another_pack_on_the_cluster_is_refused(refused, broker, tmp_path, partition):
    """
    The local directory is new, but the changelog has a row of another pack, in whichever partition: exit 1,
    and the directory is not claimed, so that the right pack can still have it.
    """
    pack = compile_pack(load_pack("pql-100-linear"))
    replayer = Replayer(pack)
    replayer.handle(Recorded("events.jsonl", 0, 1, EVENT))
    producer = Producer({"bootstrap.servers": broker.bootstrap})
    producer.produce(LEADS_CHANGELOG, dump_state(replayer.states["u1"], pack), b"u1", partition)
    producer.flush(30)
    code, lines = refused(KAFKA_BOOTSTRAP_SERVERS=broker.bootstrap)

    assert (1, 3) == (code, len(lines))
    assert (
        "Error: the state on the cluster was built with pack pql-100-linear version 1, not pql-100 version 1"
        == lines[0]
    )
    assert not (tmp_path / "state").exists()


def test_a_cluster_that_is_away_is_waited_for_and_the_wait_can_be_ended(tmp_path):
    """It says so in its log and tries again; SIGHUP, without routes to reload, changes nothing; SIGTERM: exit 0."""
    with start(tmp_path, KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1", PQL_LOG_FORMAT="json") as process:
        said = next(line for line in process.stderr if "broker_away" in line)
        process.send_signal(signal.SIGHUP)
        hung_up = next(line for line in process.stderr if "config_reload" in line)
        process.send_signal(signal.SIGTERM)
        _, rest = process.communicate(timeout=WAIT_S)

    assert 0 == process.returncode
    assert "127.0.0.1:1" in said
    assert "config_reload_ignored" in hung_up
    assert "Traceback" not in rest
