"""The jars of Apache Kafka: fetched once by Maven into a cache that all checkouts share."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from importlib.resources import as_file, files
from pathlib import Path

from pql_stream.errors import BrokerError

# 4.4.0 cannot be assembled: Maven Central has its kafka_2.13 but not its kafka-tools-api.
KAFKA_VERSION = "4.3.1"

FETCH_S_MAX = 600.0
"""46 files, 44 MB: seconds on a fast line. A Maven that hangs must not hang us for ever."""

CACHE_VARIABLE = "PQL_KAFKA_CACHE"


def cache_dir() -> Path:
    """Where the jars are kept: PQL_KAFKA_CACHE, else `~/.cache/pql-stream/kafka-<version>`."""
    named = os.environ.get(CACHE_VARIABLE, "").strip()
    if named:
        return Path(named).expanduser().resolve()
    return Path.home() / ".cache" / "pql-stream" / f"kafka-{KAFKA_VERSION}"


def find_java() -> str:
    """
    The `java` to run: that of JAVA_HOME, else of PATH.

    Raises:
        BrokerError: there is none.
    """
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=str(Path(home) / "bin") if home else None)
    if java is None:
        raise BrokerError(
            "java is missing, and Apache Kafka is a Java program",
            why=f"no executable java in JAVA_HOME={home}" if home else "no java in PATH, and JAVA_HOME is not set",
            what_to_do="install Java 17 or newer (Debian: apt-get install openjdk-17-jre-headless)",
        )
    return java


def find_maven() -> str:
    """
    The `mvn` in PATH.

    Raises:
        BrokerError: there is none.
    """
    maven = shutil.which("mvn")
    if maven is None:
        raise BrokerError(
            "mvn is missing, and Apache Kafka's jars are fetched with it once",
            why=f"no mvn in PATH, and no jars in {cache_dir()}",
            what_to_do=f"install Maven (Debian: apt-get install maven), or set {CACHE_VARIABLE} to a filled cache",
        )
    return maven


def jars_dir() -> Path:
    """The jars inside the cache; named after the pom's content, so that a new pom never meets old jars."""
    pom = files("pql_stream.ops.brokers").joinpath("pom.xml").read_bytes()
    return cache_dir() / f"jars-{hashlib.sha256(pom).hexdigest()[:10]}"


def fetch_jars() -> Path:
    """
    The directory of the jars, filled by Maven if it is not there yet (some seconds, once).

    Raises:
        BrokerError: Maven is missing, or cannot fetch them, or the cache cannot be written.
    """
    jars = jars_dir()
    if jars.is_dir():
        return jars
    maven = find_maven()
    try:
        jars.parent.mkdir(parents=True, exist_ok=True)
        # Two processes would do the work twice, and Maven's own repository does not like two writers.
        with (jars.parent / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not jars.is_dir():
                _fetch(maven, jars)
    except OSError as exc:
        raise BrokerError(
            "the cache for Apache Kafka's jars cannot be written",
            why=str(exc),
            what_to_do=f"set {CACHE_VARIABLE} to a directory of yours",
        ) from exc
    return jars


def _fetch(maven: str, jars: Path) -> None:
    """Let Maven copy into a directory beside *jars*, then rename: *jars* is there whole or not at all."""
    new = Path(tempfile.mkdtemp(prefix="new-", dir=jars.parent))
    try:
        with as_file(files("pql_stream.ops.brokers").joinpath("pom.xml")) as pom:
            run_maven(
                maven,
                f"--file={pom}",
                "dependency:copy-dependencies",
                f"-DoutputDirectory={new}",
                "-DincludeScope=runtime",
            )
        new.rename(jars)
    finally:
        shutil.rmtree(new, ignore_errors=True)  # gone already when it was renamed


def run_maven(maven: str, *args: str) -> None:
    """
    Run *maven* quietly.

    Raises:
        BrokerError: it failed, or was not done in time.
    """
    command = [maven, "--batch-mode", "--quiet", *args]
    try:
        done = subprocess.run(  # noqa: S603 - the program was found in PATH, the arguments are ours
            command, capture_output=True, text=True, check=False, timeout=FETCH_S_MAX
        )
    except subprocess.TimeoutExpired as exc:
        why = f"Maven was not done after {FETCH_S_MAX:.0f} s"
        raise _not_fetched(why) from exc
    if done.returncode != 0:
        lines = (done.stdout + done.stderr).strip().splitlines()
        raise _not_fetched("\n".join(lines[:5]) or f"Maven ended with {done.returncode}")


def _not_fetched(why: str) -> BrokerError:
    return BrokerError(
        f"Maven could not fetch Apache Kafka {KAFKA_VERSION}",
        why=why,
        what_to_do="look at the network and at ~/.m2/settings.xml (a proxy, a mirror), then try again",
    )
