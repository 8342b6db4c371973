"""`pql-stream doctor` without a cluster: what it says of this machine."""

import json
import os
import socket

import pytest

from tests import program


@pytest.fixture
def doctor(tmp_path):
    """A function that runs doctor with exactly these settings: its code, and the findings by subject."""

    def run(**environ):
        given = {"PQL_DATA_DIR": str(tmp_path / "state"), "PQL_HTTP_PORT": "0", **environ}
        done = program.run("doctor", "--json", env={**os.environ, **given})
        return done.returncode, {finding["subject"]: finding for finding in json.loads(done.stdout)}

    return run


def test_without_brokers_the_machine_is_looked_at_all_the_same(doctor, tmp_path):
    """
    No brokers are given: that is told with what to do, what depends on them is skipped, and nothing was written.
    """
    code, findings = doctor()

    assert 1 == code
    assert "failed" == findings["kafka"]["state"]
    assert "KAFKA_BOOTSTRAP_SERVERS" in findings["kafka"]["what_to_do"]
    assert ["skipped", "skipped"] == [findings[subject]["state"] for subject in ("topics", "state")]
    assert "skipped" == findings["clock"]["state"]
    assert ["ok"] * 6 == [
        findings[subject]["state"] for subject in ("python", "packages", "wheels", "pack", "disk", "http")
    ]
    assert "aiokafka==0.14.0" in findings["packages"]["text"]
    assert [] == list(tmp_path.iterdir())


def test_a_bad_pack_is_told_with_its_problems(doctor, tmp_path):
    """
    The pack is checked as a worker would, and the rest of the list still comes.
    """
    pack = tmp_path / "pack.yaml"
    pack.write_text("name: mine\n")
    code, findings = doctor(PQL_PACK=str(pack))

    assert 1 == code
    assert "failed" == findings["pack"]["state"]
    assert "not a usable model pack" in findings["pack"]["text"]
    assert "disk" in findings


def test_a_taken_port_is_only_a_warning(doctor):
    """
    The port may be taken by the very worker that somebody asks about.
    """
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        _, findings = doctor(PQL_HTTP_PORT=str(port))

    assert "warning" == findings["http"]["state"]
    assert f"127.0.0.1:{port} cannot be listened on" in findings["http"]["text"]


def test_a_state_directory_below_a_file_fails(doctor, tmp_path):
    """
    What a worker would stumble over at its start is told before.
    """
    (tmp_path / "file").write_text("")
    _, findings = doctor(PQL_DATA_DIR=str(tmp_path / "file" / "state"))

    assert "failed" == findings["disk"]["state"]
    assert "PQL_DATA_DIR" in findings["disk"]["what_to_do"]


def test_without_java_only_the_local_broker_is_missed(doctor, tmp_path):
    """
    Java is for `pql-stream kafka` and the system tests: a worker runs without it.
    """
    _, findings = doctor(PATH=str(tmp_path), JAVA_HOME="")

    assert "warning" == findings["java"]["state"]
    assert "only for" in findings["java"]["what_to_do"]
