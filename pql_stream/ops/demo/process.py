"""The demo's worker: the real command, as a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.request import urlopen

import orjson
from prometheus_client.parser import text_string_to_metric_families

from pql_stream.errors import PqlError

START_S_MAX = 60.0
STOP_S_MAX = 20.0
_POLL_S = 0.05


class WorkerProcess:
    """`pql-stream worker` on the broker at *bootstrap*, with its log and state in *directory*."""

    def __init__(self, bootstrap: str, directory: Path) -> None:
        self._log = directory / "worker.log"
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("KAFKA_", "PQL_"))}
        environ = {
            **kept,
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
            )
        self.address = ""

    def __enter__(self) -> Self:
        """
        Wait until it serves its pages.

        Raises:
            PqlError: it ended before, or takes too long.
        """
        deadline_s = time.monotonic() + START_S_MAX
        while not self.address:
            self.check()
            if time.monotonic() > deadline_s:
                raise PqlError("the worker did not start", why=self._last_lines(), what_to_do="run the demo again")
            time.sleep(_POLL_S)
            self.address = self._find_address()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
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
                what_to_do="`pql-stream doctor` is not there yet; please report it with these lines",
            )

    def counters(self) -> dict[str, float]:
        """Each counter of its metrics page, all labels together."""
        with urlopen(f"{self.address}/metrics", timeout=STOP_S_MAX) as page:  # noqa: S310 - our own, on loopback
            text = page.read().decode()
        totals: dict[str, float] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name.endswith("_total"):
                    totals[sample.name] = totals.get(sample.name, 0.0) + sample.value
        return totals

    def stop(self) -> int:
        """End it as an orchestrator would, with SIGTERM; its exit code."""
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(STOP_S_MAX)

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
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-10:])
