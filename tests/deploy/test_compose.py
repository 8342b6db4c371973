"""`docker-compose.yml` and the image: what they must keep to, as far as it can be seen without an engine."""

import re
from pathlib import Path

import pytest
import yaml

from pql_stream.ops.brokers.jars import KAFKA_VERSION
from pql_stream.ops.settings import load_settings

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"] == "pql-stream:local"}
DOCKERFILE = (ROOT / "deploy" / "container" / "Dockerfile").read_text()


def source_of(volume):
    """The path of this checkout that is mounted; None for a volume."""
    source = volume.get("source", "") if isinstance(volume, dict) else volume.split(":")[0] if ":" in volume else ""
    source = re.sub(r"\$\{\w+:-(.*)\}", r"\1", source)
    return ROOT / source if source.startswith("./") else None


def test_the_services():
    """Those that run by themselves, and those that a profile adds."""
    assert {"kafka", "topics", "score"} == {name for name, service in SERVICES.items() if "profiles" not in service}
    assert {"redis": "deliver", "deliver": "deliver", "prometheus": "observe", "grafana": "observe"} == {
        name: service["profiles"][0] for name, service in SERVICES.items() if "profiles" in service
    }
    assert {"topics", "score", "deliver"} == set(OURS)


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_locked_down(name):
    """No capabilities, no new rights; ours with a root file system that is read only."""
    service = SERVICES[name]

    assert (["ALL"], ["no-new-privileges:true"]) == (service["cap_drop"], service["security_opt"])
    assert service.get("read_only") or name not in OURS


@pytest.mark.parametrize("name", OURS)
def test_our_services_end_in_time(name):
    """As long as Kubernetes gives them."""
    assert "60s" == OURS[name]["stop_grace_period"]


@pytest.mark.parametrize("name", [name for name in SERVICES if "ports" in SERVICES[name]])
def test_ports_are_open_to_this_machine_only(name):
    """Nothing here asks for a password."""
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name]["ports"])


@pytest.mark.parametrize("name", SERVICES)
def test_images_are_pinned(name):
    """No `latest`; Kafka is the one that the tests run on."""
    image = SERVICES[name]["image"]

    assert re.fullmatch(r"[a-z/-]+:(?!latest)[\w.-]+", image)
    assert f"apache/kafka:{KAFKA_VERSION}" == image or name != "kafka"


@pytest.mark.parametrize("name", OURS)
def test_the_settings_are_settings(name):
    """The worker's own settings take what the services are started with."""
    given = {key: re.sub(r"\$\{\w+:-(.*)\}", r"\1", value) for key, value in OURS[name]["environment"].items()}

    assert "kafka:19092" == load_settings(given).bootstrap_servers


def test_what_is_mounted_is_there():
    """Every path of this checkout that a service mounts; Docker would make a directory of a missing one."""
    mounted = {source_of(volume) for service in SERVICES.values() for volume in service.get("volumes", ())} - {None}

    assert mounted
    assert set() == {path for path in mounted if not path.exists()}


def test_what_the_image_is_built_of_is_let_in():
    """Each path that the Dockerfile copies is there, and in the list of what Docker gets to see; nothing else is."""
    copied = {
        word for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE) for word in line.split()[:-1]
    }
    let_in = (ROOT / "deploy" / "container" / "Dockerfile.dockerignore").read_text().splitlines()

    assert copied == {line[1:] for line in let_in if line.startswith("!")}
    assert "*" == let_in[1]
    assert all((ROOT / path).exists() for path in copied)


def test_the_image_runs_as_nobody_and_hears_signals():
    """A numbered user, a program that passes signals on, and the worker by default."""
    assert "USER 10001:10001" in DOCKERFILE
    assert 'ENTRYPOINT ["/usr/bin/tini", "--", "pql-stream"]' in DOCKERFILE
    assert 'CMD ["worker"]' in DOCKERFILE


def test_the_images_settings_are_settings():
    """What the Dockerfile sets in the environment is taken by the worker's own settings."""
    [block] = re.findall(r"^ENV PATH=(?:.*\\\n)*.*", DOCKERFILE, re.MULTILINE)
    given = dict(pair.split("=", 1) for pair in block.replace("\\\n", " ").split() if pair.startswith("PQL_"))

    settings = load_settings(given)
    assert ("0.0.0.0", 6066, Path("/var/lib/pql-stream"), "json") == (
        settings.http_host,
        settings.http_port,
        settings.data_dir,
        settings.log_format,
    )
