"""What contenders need beside the project: an environment with Quix Streams, and the compiled Java program."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from pql_stream.errors import BrokerError
from pql_stream.ops.brokers.jars import find_java, find_maven

CACHE = Path("~/.cache/pql-stream/bench").expanduser()
HERE = Path(__file__).parent
REQUIREMENTS = HERE / "requirements-bench.txt"
STREAMS = HERE / "contenders" / "kafka_streams"
BUILD_S_MAX = 600.0


class NotAvailable(Exception):
    """What is missing on this machine for a contender, in a sentence."""


def bench_python() -> Path:
    """
    The interpreter of the benchmark's own environment, made when it is not there yet (a minute, once).

    Raises:
        NotAvailable: it cannot be made.
    """
    return _cached(f"python-{_digest(REQUIREMENTS)}", _make_environment) / "bin" / "python"


def streams_classpath() -> str:
    """
    The class path of the Kafka Streams program, fetched and compiled when it is not there yet.

    Raises:
        NotAvailable: Java's compiler or Maven is missing, or the network, or it does not compile.
    """
    built = _cached(f"streams-{_digest(*sorted(STREAMS.rglob('*.java')), STREAMS / 'pom.xml')}", _compile_streams)
    return f"{built / 'classes'}:{built / 'jars'}/*"


def java() -> str:
    """
    The `java` to run.

    Raises:
        NotAvailable: there is none.
    """
    try:
        return find_java()
    except BrokerError as exc:
        raise NotAvailable(exc.what) from exc


def _digest(*paths: Path) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _cached(name: str, make: Callable[[Path], None]) -> Path:
    """The directory *name* of the cache; *make* fills a new one, which is there whole or not at all."""
    directory = CACHE / name
    if directory.is_dir():
        return directory
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not directory.is_dir():
            new = Path(tempfile.mkdtemp(prefix="new-", dir=CACHE))
            try:
                make(new)
                new.rename(directory)
            finally:
                shutil.rmtree(new, ignore_errors=True)  # gone already when it was renamed
    return directory


def _make_environment(directory: Path) -> None:
    _run([sys.executable, "-m", "venv", str(directory)])
    install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "--no-deps"]
    _run([str(directory / "bin" / "python"), *install, "-r", str(REQUIREMENTS)])


def _compile_streams(directory: Path) -> None:
    compiler = shutil.which("javac", path=_java_bin())
    if compiler is None:
        raise NotAvailable("no javac: the Kafka Streams program is compiled here (Debian: openjdk-17-jdk-headless)")
    try:
        maven = find_maven()
    except BrokerError as exc:
        raise NotAvailable(exc.what) from exc
    jars, classes = directory / "jars", directory / "classes"
    _run(
        [
            maven,
            "--batch-mode",
            "--quiet",
            f"--file={STREAMS / 'pom.xml'}",
            "dependency:copy-dependencies",
            f"-DoutputDirectory={jars}",
            "-DincludeScope=runtime",
        ]
    )
    sources = [str(path) for path in sorted(STREAMS.rglob("*.java"))]
    _run([compiler, "--release", "17", "-Xlint:all", "-cp", f"{jars}/*", "-d", str(classes), *sources])


def _java_bin() -> str | None:
    home = os.environ.get("JAVA_HOME")
    return str(Path(home) / "bin") if home else None


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=BUILD_S_MAX)
    except subprocess.TimeoutExpired as exc:
        raise NotAvailable(f"{Path(command[0]).name} was not done after {BUILD_S_MAX:.0f} s") from exc
    if done.returncode != 0:
        lines = (done.stderr + done.stdout).strip().splitlines()
        raise NotAvailable(f"{Path(command[0]).name} failed: {' / '.join(lines[:3]) or done.returncode}")
