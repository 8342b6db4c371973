"""Processes under measurement: started on their core, asked for CPU and memory, ended by their id."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.bench.cores import held_to

STOP_S_MAX = 20.0
_LOG_CHARS = 3_000


class MeasuredProcess:
    """One process from its start to the end of the `with` block; what it prints lies in *log_path*."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], log_path: Path, cores: frozenset[int]
    ) -> None:
        self.log_path = log_path
        with log_path.open("wb") as log, held_to(cores):
            self._process = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **environment},
                start_new_session=True,  # a Ctrl-C is ours to turn into a clean end
            )
        self.pid = self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    def cpu_s(self) -> float:
        """User and system time of all its threads so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory_peak_mb(self) -> float:
        """The most that was resident at any time."""
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024

    def log_tail(self) -> str:
        """The end of what it printed."""
        return self.log_path.read_text(encoding="utf-8", errors="replace")[-_LOG_CHARS:]

    def stop(self) -> None:
        """SIGTERM, and kill -9 for one that does not end by it."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(STOP_S_MAX)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
