"""The demo's worker: the real command, as a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.request import ProxyHandler, build_opener

import orjson
from prometheus_client.parser import text_string_to_metric_families

from pql_stream.errors import PqlError
from pql_stream.ops.brokers.child import WATCHDOG

START_S_MAX = 60.0
STOP_S_MAX = 20.0
_POLL_S = 0.05
_LOG_LINES_SHOWN = 10
_OTHERS = ("KAFKA_", "PQL_", "REDIS_")
"""How the names of settings begin: ours are about another cluster, and a Redis that is not the demo's."""
_AGAIN = "run the demo again; if it stays so, please report it with these lines"


class WorkerProcess:
    """
    `pql-stream worker` on the broker at *bootstrap*, with its log and state in *directory*.

    *given* is what else its environment says. It ends with this process, however that ends. The settings in our own
    environment are not for it.
    """

    def __init__(self, bootstrap: str, directory: Path, given: Mapping[str, str]) -> None:
        self._log = directory / "worker.log"
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_OTHERS)}
        environ = {
            **kept,
            **given,
            "KAFKA_BOOTSTRAP_SERVERS": bootstrap,
            "PQL_DATA_DIR": str(directory / "state"),
            "PQL_STORE": "memory",
            "PQL_HTTP_PORT": "0",
            "PQL_LOG_FORMAT": "json",
        }
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "pql_stream", "worker"],
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # a Ctrl-C on the terminal is ours to turn into a clean stop
            )
        self._watchdog = subprocess.Popen(  # noqa: S603 - a fixed script and a number
            ["/bin/sh", "-c", WATCHDOG, "watchdog", str(self._process.pid)],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        self.address = ""

    @property
    def pid(self) -> int:
        """The worker's process id."""
        return self._process.pid

    def __enter__(self) -> Self:
        """
        Wait until it serves its pages.

        Raises:
            PqlError: it ended before, or takes too long.
        """
        deadline_s = time.monotonic() + START_S_MAX
        with ExitStack() as unfinished:
            unfinished.callback(self._end)
            while not self.address:
                self.check()
                if time.monotonic() > deadline_s:
                    raise PqlError("the worker did not start", why=self._last_lines(), what_to_do=_AGAIN)
                time.sleep(_POLL_S)
                self.address = self._find_address()
            unfinished.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> None:
        # Together: a watchdog left over would kill the next owner of the pid.
        self._watchdog.kill()
        self._watchdog.communicate()
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def check(self) -> None:
        """
        Raises:
            PqlError: the worker has ended.
        """
        if self._process.poll() is not None:
            raise PqlError(
                f"the worker ended with code {self._process.returncode}",
                why=self._last_lines(),
                what_to_do=_AGAIN,
            )

    def counters(self) -> dict[str, float]:
        """Each counter of its metrics page, all labels together."""
        # No proxy of the environment: it is on loopback.
        with build_opener(ProxyHandler({})).open(f"{self.address}/metrics", timeout=STOP_S_MAX) as page:
            text = page.read().decode()
        totals: dict[str, float] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name.endswith("_total"):
                    totals[sample.name] = totals.get(sample.name, 0.0) + sample.value
        return totals

    def stop(self) -> None:
        """
        End it as an orchestrator would, with SIGTERM.

        Raises:
            PqlError: it does not end, or not well.
        """
        self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired as exc:
            why = f"it runs on {STOP_S_MAX:.0f} s after SIGTERM\n{self._last_lines()}"
            raise PqlError("the worker does not stop", why=why, what_to_do=_AGAIN) from exc
        if code != 0:
            self.check()

    def _find_address(self) -> str:
        for line in self._log.read_bytes().splitlines():
            try:
                fields = orjson.loads(line)
            except orjson.JSONDecodeError:
                continue
            if fields.get("event") == "worker_starting":
                return str(fields["http"])
        return ""

    def _last_lines(self) -> str:
        """What it says it ended of, without the log before it; or the end of its log."""
        lines = self._log.read_text(errors="replace").splitlines()
        errors = [number for number, line in enumerate(lines) if line.startswith("Error: ")]
        return "\n".join(lines[errors[-1] :] if errors else lines[-_LOG_LINES_SHOWN:])
