"""The workers of a run, and a supervisor that starts again what ends by itself, as Kubernetes would."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from score_bench import ScoreBench, Worker

from tests.nothing_personal import found_in
from tests.soak.schedule import BASE

TERM_S_MAX = 20.0
"""A worker waits for its batch in work for as long as the session lasts, and then leaves."""

_BACK_OFF_S = 1.0
_HARD = 70


@dataclass
class Place:
    """Where one worker runs: the processes it had, the last one first in line, and its state directory."""

    name: str
    data_dir: Path
    wanted: bool = False
    starts: int = 0
    worker: Worker | None = None
    start_at_s: float = 0.0
    terminated_at_s: float | None = None
    ended_by_itself: list[str] = field(default_factory=list)


class Fleet:
    """
    Workers by name; *settings* are those of all of them, *own* those of some by name: a proxy in the broker's place.
    Seconds are `time.monotonic`'s.
    """

    def __init__(self, bench: ScoreBench, settings: dict[str, str], own: dict[str, dict[str, str]]) -> None:
        self._bench = bench
        self._settings = settings
        self._own = own
        self._places: dict[str, Place] = {}
        self._pumps: list[threading.Thread] = []
        self.misconduct: list[str] = []

    def place(self, name: str) -> Place:
        """The place of *name*, made when it is new."""
        if name not in self._places:
            self._places[name] = Place(name, self._bench.directory / f"{name}-data")
        return self._places[name]

    def running(self) -> list[Worker]:
        """Every process that runs, frozen ones too."""
        workers = [place.worker for place in self._places.values()]
        return [worker for worker in workers if worker is not None and worker.running]

    @property
    def complete(self) -> bool:
        """All that are wanted run, and nobody else."""
        places = self._places.values()
        return all(place.wanted == (place.worker is not None and place.worker.running) for place in places)

    # --- what is done to them

    def start(self, name: str, *, fresh: bool = False) -> None:
        """Start *name*, as soon as its last process has ended."""
        place = self.place(name)
        if fresh:
            self.empty(name)
        place.wanted, place.start_at_s = True, 0.0

    def empty(self, name: str) -> None:
        """The next process of *name* finds an empty state directory: another one."""
        place = self.place(name)
        place.data_dir = self._bench.directory / f"{name}-data-{place.starts + 1}"

    def kill(self, name: str) -> None:
        """kill -9."""
        place = self.place(name)
        place.wanted = False
        if place.worker is not None:
            place.worker.kill()

    def terminate(self, name: str) -> None:
        """SIGTERM; its end is looked after."""
        place = self.place(name)
        place.wanted = False
        if place.worker is not None and place.worker.running:
            place.worker.terminate()
            place.terminated_at_s = time.monotonic()

    def signal(self, name: str, number: signal.Signals) -> None:
        """SIGSTOP or SIGCONT."""
        worker = self.place(name).worker
        if worker is not None and worker.running:
            worker.process.send_signal(number)

    def pid(self, name: str) -> int | None:
        """The process of *name*, if it runs."""
        worker = self.place(name).worker
        return worker.process.pid if worker is not None and worker.running else None

    # --- the supervisor

    def look_after(self) -> bool:
        """Bury, start, and start again; True when something was started or has ended."""
        moved = False
        for place in list(self._places.values()):
            moved |= self._bury(place)
            if place.worker is None and place.wanted and time.monotonic() >= place.start_at_s:
                self._launch(place)
                moved = True
        return moved

    def _bury(self, place: Place) -> bool:
        worker = place.worker
        if worker is None:
            return False
        if worker.running:
            self._hurry(place)
            return False
        place.worker = None
        self._judge(place, worker)
        if place.wanted:
            place.start_at_s = time.monotonic() + _BACK_OFF_S
        place.terminated_at_s = None
        return True

    def _hurry(self, place: Place) -> None:
        if place.terminated_at_s is None or place.worker is None:
            return
        if time.monotonic() - place.terminated_at_s > TERM_S_MAX:
            self.misconduct.append(f"{place.name}-{place.starts} runs {TERM_S_MAX:.0f} s after SIGTERM")
            place.worker.kill()

    def _judge(self, place: Place, worker: Worker) -> None:
        """What may not be: a traceback, a hard end, an end without a reason."""
        for pump in [pump for pump in self._pumps if pump.name == worker.log_path.name]:
            pump.join(5.0)
        code, log, who = worker.process.returncode, worker.log(), f"{place.name}-{place.starts}"
        if any("Traceback" in line for line in log.splitlines() if not _is_of_a_lost_commit(line)):
            self.misconduct.append(f"{who} logged a traceback")
        if personal := found_in(log.encode()):
            self.misconduct.append(f"{who} logged {personal}")
        if code == _HARD:
            self.misconduct.append(f"{who} had to leave the hard way (code {_HARD})")
        elif code == -signal.SIGTERM and (worker.logged("worker_stopped") or not worker.logged("worker_starting")):
            pass  # SIGTERM came while the interpreter was loading or unloading it: there was nothing to end
        elif code not in (0, 1, -signal.SIGKILL):
            self.misconduct.append(f"{who} ended with {code}")
        elif code == 0 and not worker.may_end:
            self.misconduct.append(f"{who} ended with 0, and nobody told it to")
        elif code == 1:
            self._judge_error(place, who, log)

    def _judge_error(self, place: Place, who: str, log: str) -> None:
        error = re.search(r"^Error: (.*)\n(.+)\n", log, re.MULTILINE)
        if error is None:
            self.misconduct.append(f"{who} ended with 1 and did not say what, and what to do")
        place.ended_by_itself.append(error[1] if error is not None else "?")

    def ends(self) -> list[str]:
        """The errors that workers ended with by themselves."""
        return [f"{place.name}: {error}" for place in self._places.values() for error in place.ended_by_itself]

    def _launch(self, place: Place) -> None:
        place.starts += 1
        place.data_dir.mkdir(parents=True, exist_ok=True)
        log_path = self._bench.directory / f"{place.name}-{place.starts}.log"
        settings = {**self._settings, **self._own.get(place.name, {}), "PQL_DATA_DIR": str(place.data_dir)}
        log_path.touch()
        process = subprocess.Popen(
            [sys.executable, "-m", "pql_stream", "worker"],
            stdin=subprocess.DEVNULL,
            # A pipe: a full disk must not reach the log.
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=self._bench.environment(place.name, **settings),
        )
        assert process.stdout is not None
        pump = threading.Thread(target=_pump, args=(process.stdout, log_path), name=log_path.name, daemon=True)
        pump.start()
        self._pumps.append(pump)
        place.worker = Worker(process, log_path, 0)
        self._bench.workers.append(place.worker)

    def stop(self) -> None:
        """SIGTERM to all, and wait: an owner that leaves in good order has looked after its partitions."""
        for name in (*BASE, *self._places):
            self.terminate(name)
        while self.running():
            self.look_after()
            time.sleep(0.05)
        self.look_after()


def _is_of_a_lost_commit(line: str) -> bool:
    """aiokafka's own, when a worker ends while a commit is on its way: asyncio tells that nobody waits for it."""
    return '"asyncio"' in line and "_do_commit_offsets" in line


def _pump(source: IO[bytes], log_path: Path) -> None:
    with source, log_path.open("wb", buffering=0) as log:
        while chunk := source.read1(65536):  # type: ignore[attr-defined]  # a pipe is buffered
            log.write(chunk)


def rss_bytes(pid: int) -> int:
    """Resident memory of a process; 0 where there is no /proc, or no such process."""
    try:
        fields = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    match = re.search(r"VmRSS:\s+(\d+) kB", fields)
    return int(match[1]) * 1024 if match else 0
