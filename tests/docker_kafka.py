"""
A real Apache Kafka in a container, where a Docker engine answers.

Docker's client is imported when there is an engine: most machines that run tests have none, and on its way to an engine
that is away it leaves sockets open, which is an error in a test.
"""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from pql_stream.ops.brokers.jars import KAFKA_VERSION
from pql_stream.ops.brokers.local import START_S_MAX
from pql_stream.ops.brokers.properties import HOST, ONE_NODE
from pql_stream.ops.brokers.ready import answers_metadata

IMAGE = f"apache/kafka:{KAFKA_VERSION}"
DEFAULT_ENGINE = "unix:///var/run/docker.sock"
CONNECT_S_MAX = 2
_PORT, _CONTROLLER_PORT = 9092, 9093


class NoDockerKafka(Exception):
    """Why there is none: what Docker says, or the broker that does not come up."""


def engine_answers() -> bool:
    """Does anybody listen where Docker's client would ask: at DOCKER_HOST, else at the usual socket?"""
    url = urlsplit(os.environ.get("DOCKER_HOST") or DEFAULT_ENGINE)
    family, address = (socket.AF_UNIX, url.path) if url.scheme == "unix" else (socket.AF_INET, (url.hostname, url.port))
    with socket.socket(family) as asking:
        asking.settimeout(CONNECT_S_MAX)
        try:
            asking.connect(address)
        except (OSError, TypeError):  # TypeError: an address that is none, such as ssh://host
            return False
    return True


def broker_environment(port: int) -> dict[str, str]:
    """The settings of our own one-node broker, as the image takes them; clients reach it on *port* of this machine."""
    properties = {
        **ONE_NODE,
        "listeners": f"PLAINTEXT://0.0.0.0:{_PORT},CONTROLLER://localhost:{_CONTROLLER_PORT}",
        "advertised.listeners": f"PLAINTEXT://{HOST}:{port}",
        "controller.quorum.voters": f"1@localhost:{_CONTROLLER_PORT}",
    }
    return {f"KAFKA_{name.upper().replace('.', '_')}": value for name, value in properties.items()}


@contextmanager
def docker_kafka(port: int) -> Iterator[str]:
    """
    The bootstrap servers of a broker in a container of its own, on *port* of this machine.

    Raises:
        NoDockerKafka: the image cannot be had, or the broker does not come up.
    """
    from docker.errors import DockerException
    from testcontainers.core.container import DockerContainer

    try:
        container = DockerContainer(IMAGE).with_bind_ports(_PORT, port)
        for name, value in broker_environment(port).items():
            container.with_env(name, value)
        container.start()
    except DockerException as exc:
        raise NoDockerKafka(f"{IMAGE}: {exc}") from exc
    try:
        _wait_until_ready(port)
        yield f"{HOST}:{port}"
    finally:
        container.stop()


def _wait_until_ready(port: int) -> None:
    until = time.monotonic() + START_S_MAX
    while not answers_metadata(HOST, port):
        if time.monotonic() > until:
            raise NoDockerKafka(f"{IMAGE}: no answer in {START_S_MAX:.0f} s")
        time.sleep(0.1)
