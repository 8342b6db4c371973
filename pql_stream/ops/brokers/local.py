"""
A real Apache Kafka on this machine: one process on loopback, broker and controller in one (KRaft).

The data directory is the cluster: started again on the same directory it has the same records, groups and
ports. In it: `server.properties`, `log4j2.xml`, `broker.log` (what the broker prints) and `kafka-log/` (the
records).
"""

from __future__ import annotations

import base64
import os
import random
import socket
import subprocess
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from pql_stream.errors import BrokerError
from pql_stream.ops.brokers.child import Child
from pql_stream.ops.brokers.class_archive import ClassArchive
from pql_stream.ops.brokers.jars import fetch_jars, find_java
from pql_stream.ops.brokers.properties import (
    HOST,
    LOG4J2,
    one_node_properties,
    read_properties,
    write_properties,
)
from pql_stream.ops.brokers.ready import answers_metadata

START_S_MAX = 60.0
"""A start takes 2 s, 5 s after kill -9, several times that on a busy machine."""

STOP_S_MAX = 30.0
"""A stop takes half a second, that of the first broker some more (`ClassArchive`); after this long it is killed."""

FORMAT_S_MAX = 60.0

LOG_LINES_SHOWN = 15

# Below the range from which Linux and macOS take ports for outgoing connections: a broker that comes back
# must not find its port in such hands.
PORTS = range(20_000, 30_000)


class LocalKafka:
    """
    One broker in *data_dir*; `with LocalKafka(path) as kafka:` starts and stops it.

    *port* is the port for clients, by default the one of the last start, at first any free one. *settings*
    go over our own of `properties.py`. The broker ends with `stop`, with `kill`, and when this process
    ends, even by kill -9.
    """

    def __init__(self, data_dir: Path, *, port: int | None = None, settings: Mapping[str, str] | None = None) -> None:
        self.data_dir = data_dir.resolve()
        self.log_path = self.data_dir / "broker.log"
        self._properties_path = self.data_dir / "server.properties"
        self._settings = dict(settings or {})
        self._child: Child | None = None
        self._classes: ClassArchive | None = None
        self.port, self._controller_port = self._choose_ports(port)

    @property
    def bootstrap(self) -> str:
        """What clients take as bootstrap servers."""
        return f"{HOST}:{self.port}"

    @property
    def pid(self) -> int | None:
        """The broker's process; None when it is not running."""
        return None if self._child is None else self._child.pid

    def start(self) -> Self:
        """
        Start the broker and return when it answers; nothing happens when it runs already.

        Raises:
            BrokerError: Java or Maven is missing, the jars cannot be fetched, the directory cannot be used,
            or
                the broker does not come up.
        """
        if self._child is not None:
            return self
        java, jars = find_java(), fetch_jars()
        logging = f"-Dlog4j2.configurationFile={self.data_dir / 'log4j2.xml'}"
        java_command = [java, logging, "-XX:+UseSerialGC", "-cp", str(jars / "*")]
        self._classes = ClassArchive(java, jars)
        self._prepare([*java_command, *self._classes.options()])
        with ExitStack() as unfinished:
            unfinished.callback(self.kill)  # also after a Ctrl-C in the middle of it
            java_command += self._classes.broker_options()
            command = [*java_command, "-Xms512m", "-Xmx512m", "kafka.Kafka", str(self._properties_path)]
            self._child = Child(command, self.log_path)
            self._wait_until_ready(self._child)
            unfinished.pop_all()
        return self

    def stop(self) -> None:
        """End the broker cleanly, after `STOP_S_MAX` seconds by kill -9; no matter if it is running."""
        if self._child is not None:
            self._child.stop(STOP_S_MAX)
            self._child = None
        if self._classes is not None:
            self._classes.keep()

    def kill(self) -> None:
        """End the broker by kill -9: it closes nothing, and what it wrote is kept by the operating system."""
        if self._child is not None:
            self._child.kill()
            self._child = None

    def wait(self) -> None:
        """
        Wait while the broker runs.

        Raises:
            BrokerError: it ended by itself.
        """
        if self._child is not None:
            code = self._child.wait()
            self._child = None
            raise self._error("Apache Kafka ended", f"exit code {code}")

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _choose_ports(self, port: int | None) -> tuple[int, int]:
        # The controller's port is written into the formatted log, so it can never change.
        last = read_properties(self._properties_path)
        if last:
            client, controller = (int(url.rsplit(":", 1)[1]) for url in last["listeners"].split(","))
            return port or client, controller
        client, controller = _free_ports(2)
        return port or client, controller

    def _prepare(self, java_command: list[str]) -> None:
        """Write the files of the data directory, and format its log when it is new."""
        # Another broker on our port would answer for ours, which could not start.
        _require_free([self.port, self._controller_port])
        log_dir = self.data_dir / "kafka-log"
        try:
            self.data_dir.mkdir(parents=True, exist_ok=True)
            (self.data_dir / "log4j2.xml").write_text(LOG4J2, encoding="utf-8")
            write_properties(
                self._properties_path,
                one_node_properties(
                    log_dir=log_dir,
                    port=self.port,
                    controller_port=self._controller_port,
                    settings=self._settings,
                ),
            )
        except OSError as exc:
            raise BrokerError(
                "the data directory of Apache Kafka cannot be written",
                why=str(exc),
                what_to_do="name another directory",
            ) from exc
        # The last file that formatting writes, so an interrupted one is done again.
        if not (log_dir / "meta.properties").exists():
            self._format(java_command)

    def _format(self, java_command: list[str]) -> None:
        command = [*java_command, "kafka.tools.StorageTool", "format", "--standalone"]
        command += ["--cluster-id", _cluster_id(), "--config", str(self._properties_path)]
        try:
            done = subprocess.run(  # noqa: S603 - java was found by us, the arguments are ours
                command, capture_output=True, text=True, check=False, timeout=FORMAT_S_MAX
            )
        except subprocess.TimeoutExpired as exc:
            raise _not_formatted(f"not done after {FORMAT_S_MAX:.0f} s") from exc
        if done.returncode != 0:
            raise _not_formatted("\n".join((done.stdout + done.stderr).strip().splitlines()[-LOG_LINES_SHOWN:]))

    def _wait_until_ready(self, child: Child) -> None:
        until = time.monotonic() + START_S_MAX
        while not answers_metadata(HOST, self.port):
            code = child.poll()
            if code is not None:
                raise self._error("Apache Kafka did not start", f"exit code {code}")
            if time.monotonic() > until:
                raise self._error("Apache Kafka did not start", f"no answer in {START_S_MAX:.0f} s")
            time.sleep(0.05)

    def _error(self, what: str, why: str) -> BrokerError:
        log = self.log_path.read_text(encoding="utf-8", errors="replace")
        # Java's stack frames would push the reason out of sight.
        lines = [line for line in log.splitlines() if not line.startswith("\tat ")]
        return BrokerError(
            what,
            why="\n".join([f"{why}; the last lines of {self.log_path}:", *lines[-LOG_LINES_SHOWN:]]),
            what_to_do="Apache Kafka 4 needs Java 17 or newer; two brokers cannot share a data directory",
        )


def _cluster_id() -> str:
    """22 characters of URL-safe base64, as Kafka wants; never with a "-" first, which would be a flag."""
    return "L" + base64.urlsafe_b64encode(os.urandom(16)).decode()[1:22]


def _free_ports(count: int) -> list[int]:
    """*count* ports of `PORTS` on which nobody listens."""
    held: list[socket.socket] = []
    try:
        for port in random.sample(PORTS, len(PORTS)):
            candidate = socket.socket()
            held.append(candidate)
            try:
                candidate.bind((HOST, port))
            except OSError:
                held.remove(candidate)
                candidate.close()
            if len(held) == count:
                return [candidate.getsockname()[1] for candidate in held]
    finally:
        for candidate in held:
            candidate.close()
    raise BrokerError(f"no free port between {PORTS.start} and {PORTS.stop - 1} on {HOST}")


def _require_free(ports: list[int]) -> None:
    for port in ports:
        with socket.socket() as candidate:
            # As a server does: a port whose last connections are still winding up counts as free.
            candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                candidate.bind((HOST, port))
            except OSError as exc:
                raise BrokerError(
                    f"Apache Kafka cannot listen on {HOST}:{port}",
                    why=str(exc.strerror),
                    what_to_do="end the other program, or choose another port or data directory",
                ) from exc


def _not_formatted(why: str) -> BrokerError:
    return BrokerError(
        "Apache Kafka could not format its data directory",
        why=why,
        what_to_do="Apache Kafka 4 needs Java 17 or newer; else try an empty directory",
    )
