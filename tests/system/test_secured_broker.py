"""The commands and a worker against a broker that wants TLS and a login."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest
import trustme
from confluent_kafka.admin import AdminClient, ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from pql_stream.ops.brokers.local import PORTS, LocalKafka
from tests import program
from tests.program import Program

pytestmark = pytest.mark.system

HOST = "127.0.0.1"
USER, PASSWORD = "scorer", 'p"ss=w;rd\\ ü'
SCRAM = "SCRAM-SHA-512"
WAIT_S = 60
EVENT = {"event_id": "e1", "user_id": "u1", "event": "tutorial_completed", "occurred_at": "2026-01-05T10:00:00Z"}


def secured(kafka: LocalKafka, port: int, pem: Path) -> dict[str, str]:
    """Settings of a broker that has, beside its plain listener, one with TLS and SCRAM on *port*."""
    listeners = f"PLAINTEXT://{HOST}:{kafka.port},CONTROLLER://{HOST}:{kafka._controller_port},SASL_SSL://{HOST}:{port}"
    return {
        "listeners": listeners,
        "advertised.listeners": listeners,
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL",
        "sasl.enabled.mechanisms": SCRAM,
        "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": (
            "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        ),
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(pem),
    }


@pytest.fixture(scope="module")
def secured_environ(apache_kafka, tmp_path_factory):
    """The environment of a user of a broker that wants TLS and a login."""
    tmp_path = tmp_path_factory.mktemp("secured")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    issued = authority.issue_cert(HOST)
    key = load_pem_private_key(issued.private_key_pem.bytes(), None)
    # Kafka takes PKCS 8 only.
    (tmp_path / "broker.pem").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        + b"".join(part.bytes() for part in issued.cert_chain_pems)
    )
    kafka = LocalKafka(tmp_path / "kafka")
    # Above what a LocalKafka takes, and below what Linux gives to outgoing connections.
    port = random.randrange(PORTS.stop, 32_768)
    kafka._settings = secured(kafka, port, tmp_path / "broker.pem")
    with kafka:
        admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
        credential = UserScramCredentialUpsertion(
            USER, ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096), PASSWORD.encode()
        )
        for done in admin.alter_user_scram_credentials([credential]).values():
            done.result(30)
        (tmp_path / "password").write_text(PASSWORD + "\n")
        yield {
            **os.environ,
            "KAFKA_BOOTSTRAP_SERVERS": f"{HOST}:{port}",
            "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "KAFKA_SASL_MECHANISM": SCRAM,
            "KAFKA_SASL_USERNAME": USER,
            "KAFKA_SASL_PASSWORD_FILE": str(tmp_path / "password"),
            "KAFKA_SSL_CAFILE": str(tmp_path / "ca.pem"),
            "PQL_HTTP_PORT": "0",
        }


@pytest.fixture
def environ(secured_environ, tmp_path):
    """That environment, with a state of its own."""
    return secured_environ | {"PQL_DATA_DIR": str(tmp_path / "state")}


def run(environ: dict[str, str], *args: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """A command, to its end."""
    return program.run(*args, env=environ, input=stdin, timeout=WAIT_S)


def test_every_client_of_ours_logs_in(environ, tmp_path):
    """
    Topics, doctor, emit, worker (consumer, producer and recovery) and explain work over TLS with a login.
    """
    applied = run(environ, "topics", "apply", "--partitions", "2")
    doctor = run(environ, "doctor")
    emitted = run(environ, "emit", "-", stdin=json.dumps(EVENT) + "\n")
    with (tmp_path / "worker.log").open("wb") as log:
        worker = Program("worker", env=environ, stdout=log, stderr=log)
    try:
        until_s = time.monotonic() + WAIT_S
        while (explained := run(environ, "explain", "u1", "--json")).returncode and time.monotonic() < until_s:
            assert worker.poll() is None, (tmp_path / "worker.log").read_text()
        worker.send_signal(signal.SIGTERM)
        code = worker.wait(WAIT_S)
    finally:
        worker.kill()
        worker.wait()

    assert (0, "") == (applied.returncode, applied.stderr.partition("Error")[1])
    assert 0 == doctor.returncode, doctor.stdout
    assert 0 == emitted.returncode, emitted.stderr
    assert 5 == json.loads(explained.stdout)["score"]
    assert 0 == code
    assert PASSWORD not in (tmp_path / "worker.log").read_text()


@pytest.mark.parametrize(
    "changed", [{"KAFKA_SASL_PASSWORD_FILE": "", "KAFKA_SASL_PASSWORD": "wrong"}, {"KAFKA_SSL_CAFILE": ""}]
)
def test_who_may_not_come_in_is_told_why(environ, changed):
    """
    A wrong password, or a certificate that nobody we trust has signed: one clear error, and no password in it.
    """
    refused = run(environ | changed, "topics", "plan")

    assert 1 == refused.returncode
    assert "Traceback" not in refused.stderr
    assert "KAFKA_SASL_" in refused.stderr or "KAFKA_SSL_" in refused.stderr
    assert "wrong" not in refused.stderr
