"""A broker in a container: when it is tried, and what its image is told. The container itself needs an engine."""

import socket

import pytest

from pql_stream.ops.brokers.properties import ONE_NODE
from tests.docker_kafka import broker_environment, engine_answers


@pytest.mark.parametrize("host", ["unix:///nowhere/docker.sock", "tcp://127.0.0.1:1", "ssh://somebody@somewhere", "?"])
def test_without_an_engine_none_is_tried(monkeypatch, host):
    """Where nobody listens, or where we cannot ask, is no engine, and no error."""
    monkeypatch.setenv("DOCKER_HOST", host)

    assert not engine_answers()


def test_an_engine_is_noticed(monkeypatch, tmp_path):
    """Somebody who listens on the socket is taken for one; what comes of it, the start of the container shows."""
    path = tmp_path / "docker.sock"
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    with socket.socket(socket.AF_UNIX) as engine:
        engine.bind(str(path))
        engine.listen()

        assert engine_answers()


def test_the_image_is_told_what_our_own_broker_is_told():
    """Every setting of the one-node broker, in the names of the image; and where clients reach it."""
    environment = broker_environment(29_999)
    known = {f"KAFKA_{name.upper().replace('.', '_')}": value for name, value in ONE_NODE.items()}

    assert known.items() <= environment.items()
    assert "PLAINTEXT://127.0.0.1:29999" == environment["KAFKA_ADVERTISED_LISTENERS"]
    assert {"KAFKA_LISTENERS", "KAFKA_ADVERTISED_LISTENERS", "KAFKA_CONTROLLER_QUORUM_VOTERS"} == set(
        environment
    ) - set(known)
