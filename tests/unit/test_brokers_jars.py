"""Fetching Apache Kafka's jars: once, whole, and with errors that say what to do."""

import re
import subprocess
import sys
from importlib.resources import files

import pytest

from pql_stream.errors import BrokerError
from pql_stream.ops.brokers.jars import KAFKA_VERSION, fetch_jars, find_java

# Stands in for Maven: leaves a jar in the directory that it is told, and a line for every run.
FAKE_MAVEN = """#!/bin/sh
for argument in "$@"; do
  case "$argument" in -DoutputDirectory=*) out="${argument#*=}" ;; esac
done
echo run >> "$RUNS"
echo jar > "$out/kafka.jar"
"""

FAILING_MAVEN = """#!/bin/sh
echo "[ERROR] no route to host"
exit 1
"""

FETCH = "from pql_stream.ops.brokers.jars import fetch_jars; print(fetch_jars())"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, and a PATH on which only the test's own programs and the shell's are."""
    monkeypatch.setenv("PQL_KAFKA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (tmp_path / "bin").mkdir()
    return tmp_path / "cache"


def install(tmp_path, script):
    program = tmp_path / "bin" / "mvn"
    program.write_text(script)
    program.chmod(0o755)


def test_two_processes_fetch_once(cache, tmp_path):
    """
    Two processes that want the jars at the same time get the same directory, and Maven runs once.
    """
    install(tmp_path, FAKE_MAVEN)
    running = [subprocess.Popen([sys.executable, "-c", FETCH], stdout=subprocess.PIPE) for _ in range(2)]
    directories = {process.communicate(timeout=60)[0] for process in running}

    assert 1 == len(directories)
    assert ["kafka.jar"] == [jar.name for jar in fetch_jars().iterdir()]
    assert "run\n" == (tmp_path / "runs").read_text()


def test_a_failed_fetch_leaves_no_half_filled_cache(cache, tmp_path):
    """
    Maven's own words are the reason, and the next try starts from nothing.
    """
    install(tmp_path, FAILING_MAVEN)

    with pytest.raises(BrokerError) as refused:
        fetch_jars()

    assert "[ERROR] no route to host" == refused.value.why
    assert ["lock"] == [path.name for path in cache.iterdir()]


def test_without_maven_the_error_says_what_to_install(cache):
    """
    No mvn and no cache: one line what, why and what to do.
    """
    with pytest.raises(BrokerError) as refused:
        fetch_jars()

    assert refused.value.what.startswith("mvn is missing")
    assert str(cache) in refused.value.why
    assert "install Maven" in refused.value.what_to_do


@pytest.mark.parametrize("home", [None, "/nowhere"], ids=["no-java-home", "wrong-java-home"])
def test_without_java_the_error_says_what_to_install(cache, monkeypatch, home):
    """
    JAVA_HOME goes before PATH; a wrong one is named.
    """
    monkeypatch.delenv("JAVA_HOME", raising=False)
    if home:
        monkeypatch.setenv("JAVA_HOME", home)

    with pytest.raises(BrokerError) as refused:
        find_java()

    assert "java is missing, and Apache Kafka is a Java program" == refused.value.what
    assert (home or "PATH") in refused.value.why


def test_the_pom_fetches_the_version_that_the_code_names():
    """
    KAFKA_VERSION, in messages and in the cache's name, is the version of the pom.
    """
    pom = files("pql_stream.ops.brokers").joinpath("pom.xml").read_text(encoding="utf-8")

    assert [KAFKA_VERSION] == re.findall(r"kafka_2\.13</artifactId>\s*<version>(.*)</version>", pom)
