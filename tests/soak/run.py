"""One run: workers, input and faults of a schedule on a real broker, and the verdict."""

from __future__ import annotations

import shutil
import time
import traceback
import uuid
from contextlib import ExitStack
from pathlib import Path

from score_bench import ScoreBench
from score_expected import Run
from score_proxy import HoldingProxy

from pql_stream.errors import InvalidSettings
from pql_stream.ops.brokers.local import LocalKafka
from pql_stream.ops.settings import load_settings
from tests.soak.disk import may_mount
from tests.soak.faults import Injector, small_disks
from tests.soak.feed import Feeder, burst_of, input_of
from tests.soak.fleet import Fleet
from tests.soak.progress import Progress, Watch
from tests.soak.schedule import BASE, SESSION_TIMEOUT_S, Guarantee, Schedule
from tests.soak.verdict import Verdict, judge

PARTITIONS = 12
STALL_S = SESSION_TIMEOUT_S + 10
"""No partition that has something to do may stand still for longer after the last fault."""

READY_S = 60.0
RUN_S = 120.0
_AT_ONCE = 150
_SAMPLE_S = 0.5
_TICK_S = 0.05


class Stage:
    """Everything that takes part in a run."""

    def __init__(self, schedule: Schedule, bootstrap: str | None, directory: Path, stack: ExitStack) -> None:
        self.schedule = schedule
        self.broker = stack.enter_context(LocalKafka(directory / "kafka")) if bootstrap is None else None
        servers = bootstrap or (self.broker.bootstrap if self.broker is not None else "")
        prefix = f"soak{schedule.seed}-{uuid.uuid4().hex[:8]}-"
        self.bench = ScoreBench(servers, prefix, directory, partitions=PARTITIONS)
        stack.callback(self.bench.delete_topics)
        stack.callback(self.bench.end)
        self.bench.create_topics()
        proxies = {name: stack.enter_context(HoldingProxy(servers)) for name in sorted(schedule.held)}
        settings = {
            "PQL_STORE": schedule.store,
            "PQL_PROCESSING_GUARANTEE": schedule.guarantee,
            "PQL_SESSION_TIMEOUT_S": str(SESSION_TIMEOUT_S),
        }
        roads = {name: {"KAFKA_BOOTSTRAP_SERVERS": proxy.bootstrap} for name, proxy in proxies.items()}
        self.fleet = Fleet(self.bench, settings, roads)
        disks = {}
        if "no space" in schedule.kinds and may_mount(directory):
            disks = small_disks(schedule.steps, directory)
            for name, disk in disks.items():
                self.fleet.place(name).data_dir = disk.path / "state"
        self.injector = Injector(self.fleet, self.bench, broker=self.broker, proxies=proxies, disks=disks)
        stack.callback(self.injector.close)
        self.progress = Progress()
        self.watch = Watch(self.bench)
        stack.callback(self.watch.close)
        self.feeder = Feeder(input_of(schedule.seed, schedule.mix, PARTITIONS), schedule.feed_s, schedule.seed)

    def unsettled(self) -> str:
        """Why the group is not yet made of those that are to run, each with its partitions; "" when it is."""
        running = self.fleet.running()
        if not self.fleet.complete or not all(worker.logged("worker_starting") for worker in running):
            return "not all have started"
        members = self.bench.members()
        if members != len(running):
            return f"the group has {members} members of {len(running)}, and 0 while they come and go"
        return "" if all(worker.get("/readyz")[0] == 200 for worker in running) else "not all are ready"


def accepted(guarantee: Guarantee) -> Guarantee:
    """*guarantee* if a worker takes it, else at_least_once."""
    try:
        load_settings({"PQL_PROCESSING_GUARANTEE": guarantee})
    except InvalidSettings:
        return "at_least_once"
    return guarantee


def run_schedule(schedule: Schedule, bootstrap: str | None, directory: Path) -> Verdict:
    """
    Play *schedule* on the broker at *bootstrap*, or on one of its own, and judge it.

    What is left in *directory* when the verdict is bad: the log of every worker, and `faults.txt`.
    """
    verdict = Verdict(
        schedule.seed, schedule.kinds, str(schedule), schedule.store, schedule.guarantee, logs=str(directory)
    )
    began_s = time.monotonic()
    directory.mkdir(parents=True)
    try:
        _run(schedule, None if schedule.own_broker else bootstrap, directory, verdict)
    except Exception:  # noqa: BLE001  # one run that breaks must not take the others with it
        verdict.faults.append(f"the run broke: {traceback.format_exc()}")
    verdict.seconds = round(time.monotonic() - began_s, 1)
    _keep(verdict, directory)
    return verdict


def _run(schedule: Schedule, bootstrap: str | None, directory: Path, verdict: Verdict) -> None:
    with ExitStack() as stack:
        stage = Stage(schedule, bootstrap, directory, stack)
        verdict.faults += _play(stage)
        verdict.gap_s = round(stage.progress.gap_s_max, 1)
        stage.fleet.stop()
        verdict.faults += [*stage.fleet.misconduct, *stage.injector.faults_of_memory()]
        verdict.ended = stage.fleet.ends()
        judge(verdict, Run.of(stage.bench))


class _Play:
    """The timeline of a run; seconds are `time.monotonic`'s."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._steps = list(stage.schedule.steps)
        self._zero_s = self._touched_s = time.monotonic()
        self._sample_at_s = 0.0
        self._burst = list(burst_of(stage.schedule.mix))

    def to_the_end(self) -> list[str]:
        """Until all is done, or stands still: what went wrong."""
        while True:
            self._do_what_is_due()
            now_s = time.monotonic()
            self._stage.bench.send(self._stage.feeder.due(now_s - self._zero_s))
            if self._stage.fleet.look_after():
                self._touched_s = time.monotonic()
            self._stage.injector.weigh()
            if now_s >= self._sample_at_s and not self._stage.injector.broker_away:
                found = self._look(now_s)
                if found is not None:
                    return found
                self._sample_at_s = time.monotonic() + _SAMPLE_S
            time.sleep(_TICK_S)

    def _do_what_is_due(self) -> None:
        while self._steps and self._steps[0].at_s <= time.monotonic() - self._zero_s:
            step = self._steps.pop(0)
            # Something is to be in work when it happens.
            self._stage.bench.send(self._stage.feeder.advance(_AT_ONCE))
            self._stage.injector.do(step)
            if step.action == "hold":
                self._stage.bench.send(self._burst)
                self._burst = []
            self._touched_s = time.monotonic()

    def _look(self, now_s: float) -> list[str] | None:
        """Where the group is; None: go on."""
        all_fed = not self._steps and self._stage.feeder.done and self._stage.bench.is_flushed()
        sampled = self._stage.watch.sample(self._stage.progress, now_s)
        if not all_fed:
            return None
        if not sampled:
            # Nobody knows: the workers may be far ahead of what was seen last.
            return None if now_s - self._zero_s <= RUN_S else [f"no answer from the broker after {RUN_S:.0f} s"]
        if self._stage.progress.done:
            return []
        stalled = self._stage.progress.stalled(now_s, since_s=self._touched_s, limit_s=STALL_S)
        if not stalled and now_s - self._zero_s > RUN_S:
            return [f"not done after {RUN_S:.0f} s"]
        return stalled or None


def _play(stage: Stage) -> list[str]:
    """From the first start to the moment when all is done; what went wrong on the way."""
    for name in BASE:
        stage.fleet.start(name)
    unsettled = _unsettled(stage, READY_S)
    if unsettled:
        return unsettled
    return _Play(stage).to_the_end() or _unsettled(stage, STALL_S)


def _unsettled(stage: Stage, seconds: float) -> list[str]:
    until_s = time.monotonic() + seconds
    while why := stage.unsettled():
        if time.monotonic() > until_s:
            return [f"not settled after {seconds:.0f} s: {why}"]
        stage.fleet.look_after()
        time.sleep(_TICK_S)
    return []


def _keep(verdict: Verdict, directory: Path) -> None:
    """Keep the logs of a bad run; nothing of a good one."""
    if verdict.good:
        shutil.rmtree(directory, ignore_errors=True)
        verdict.logs = ""
        return
    for path in directory.iterdir():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
    (directory / "faults.txt").write_text("\n".join([verdict.steps, *verdict.faults, *verdict.ended]) + "\n")
