"""Does the steps of a schedule to workers, broker, network and disks."""

from __future__ import annotations

import os
import signal
from contextlib import ExitStack
from pathlib import Path

from score_bench import ScoreBench
from score_proxy import HoldingProxy

from pql_stream.ops.brokers.local import LocalKafka
from tests.soak.disk import SmallDisk, allow_writing, forbid_writing
from tests.soak.fleet import Fleet, rss_bytes
from tests.soak.schedule import Step

_MIB = 1024 * 1024
HELD_BYTES_MAX = 64 * _MIB
"""By how much a worker may grow while its writes are held: two batches of 8 MiB, a fetch, and what they become."""


class Injector:
    """
    What a step needs: *broker* for those against a broker of our own, a proxy for every worker whose writes are
    held, a small disk for every one that runs out of space; where we may not make one, a limit does it.
    """

    def __init__(
        self,
        fleet: Fleet,
        bench: ScoreBench,
        *,
        broker: LocalKafka | None,
        proxies: dict[str, HoldingProxy],
        disks: dict[str, SmallDisk],
    ) -> None:
        self._fleet = fleet
        self._bench = bench
        self._broker = broker
        self._proxies = proxies
        self._disks = disks
        self._holds: dict[str, ExitStack] = {}
        self._weights: dict[int, tuple[int, int]] = {}
        self.broker_away = False

    def close(self) -> None:
        """Take back what is still on: frozen workers could not be ended in good order."""
        for worker in list(self._holds):
            self._release(worker)
        if self.broker_away and self._broker is not None and self._broker.pid is not None:
            os.kill(self._broker.pid, signal.SIGCONT)
        for disk in self._disks.values():
            disk.close()

    def do(self, step: Step) -> None:
        """Do *step*."""
        match step.action:
            case "start":
                self._fleet.start(step.worker, fresh=step.fresh)
            case "kill":
                self._fleet.kill(step.worker)
            case "term":
                self._fleet.terminate(step.worker)
            case "freeze":
                self._fleet.signal(step.worker, signal.SIGSTOP)
            case "thaw":
                self._fleet.signal(step.worker, signal.SIGCONT)
            case "limit" | "fill":
                self._fill(step)
            case "unlimit" | "free":
                self._free(step)
            case "hold" | "release" | "cut":
                self._do_to_network(step)
            case _:
                self._do_to_broker(step)

    def _do_to_network(self, step: Step) -> None:
        if step.action == "hold":
            name = getattr(self._bench.topics, step.topic) if step.topic else self._bench.prefix
            self._holds[step.worker] = ExitStack()
            self._holds[step.worker].enter_context(self._proxies[step.worker].held(name))
            return
        if step.action == "cut":
            self._proxies[step.worker].cut()
        self._release(step.worker)

    def _release(self, worker: str) -> None:
        self._holds.pop(worker).close()

    def weigh(self) -> None:
        """Note the memory of the workers while writes are held."""
        for worker in self._fleet.running() if self._holds else ():
            pid = worker.process.pid
            if pid not in self._weights and not worker.logged("worker_starting"):
                continue  # it grows because it loads its modules
            size = rss_bytes(pid)
            first, most = self._weights.get(pid, (size, size))
            self._weights[pid] = first, max(most, size)

    def faults_of_memory(self) -> list[str]:
        """Workers that grew too much while writes were held."""
        return [
            f"a worker grew from {first / _MIB:.0f} to {most / _MIB:.0f} MiB while writes were held"
            for first, most in self._weights.values()
            if most - first > HELD_BYTES_MAX
        ]

    def _fill(self, step: Step) -> None:
        pid = self._fleet.pid(step.worker)
        if step.action == "fill" and step.worker in self._disks:
            self._disks[step.worker].fill()
        elif pid is not None:
            forbid_writing(pid)

    def _free(self, step: Step) -> None:
        pid = self._fleet.pid(step.worker)
        if step.fresh:
            self._fleet.empty(step.worker)
        if step.action == "free" and step.worker in self._disks:
            self._disks[step.worker].free()
        elif pid is not None:
            allow_writing(pid)

    def _do_to_broker(self, step: Step) -> None:
        assert self._broker is not None
        pid = self._broker.pid
        match step.action:
            case "broker kill":
                self.broker_away = True
                self._broker.kill()
            case "broker start":
                self._broker.start()
                self.broker_away = False
            case "broker pause":
                assert pid is not None
                self.broker_away = True
                os.kill(pid, signal.SIGSTOP)
            case "broker resume":
                assert pid is not None
                os.kill(pid, signal.SIGCONT)
                self.broker_away = False


def small_disks(steps: tuple[Step, ...], directory: Path) -> dict[str, SmallDisk]:
    """A small disk for every worker that is to run out of space."""
    names = {step.worker for step in steps if step.action == "fill"}
    return {name: SmallDisk(directory / f"{name}-disk") for name in sorted(names)}
