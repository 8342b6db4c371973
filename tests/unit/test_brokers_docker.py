"""A broker in a container: when it is tried, and what its image is told. The container itself needs an engine."""

from pql_stream.ops.brokers.properties import ONE_NODE
from tests.docker_kafka import broker_environment, engine_answers


def test_without_an_engine_none_is_tried(monkeypatch, tmp_path):
    """A socket that nobody listens on is no engine, and no error."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")

    assert not engine_answers()


def test_the_image_is_told_what_our_own_broker_is_told():
    """Every setting of the one-node broker, in the names of the image; and where clients reach it."""
    environment = broker_environment(29_999)
    known = {f"KAFKA_{name.upper().replace('.', '_')}": value for name, value in ONE_NODE.items()}

    assert known.items() <= environment.items()
    assert "PLAINTEXT://127.0.0.1:29999" == environment["KAFKA_ADVERTISED_LISTENERS"]
    assert {"KAFKA_LISTENERS", "KAFKA_ADVERTISED_LISTENERS", "KAFKA_CONTROLLER_QUORUM_VOTERS"} == set(
        environment
    ) - set(known)
