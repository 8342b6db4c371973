"""One rehearsal: workers come and go on a real broker while events flow in, as Kubernetes would have them."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType
from score_bench import ScoreBench, Worker
from score_checks import repeats
from score_expected import Run
from score_proxy import HoldingProxy

from pql_stream.stream.names import APP_ID
from tests.rehearsal.feed import MIX, PULSE, SteadyFeed, fill
from tests.rehearsal.pauses import longest_delay_s, longest_gap_s, pauses_s
from tests.rehearsal.probing import Probes
from tests.rehearsal.readiness import untruths
from tests.rehearsal.result import Phase, Plan, Result
from tests.soak.fleet import Fleet
from tests.soak.verdict import Verdict, judge

PARTITIONS = 12
WORKERS = ("a", "b", "c")
GUEST, SECOND_GUEST = "d", "e"
WAIT_S_MAX = 180.0
_JOIN_GROUP = 11
_TICK_S = 0.03
_INPUTS = 3


class NotRehearsed(Exception):
    """Something that was waited for did not happen; the message says what."""


class Stage:
    """Everything that takes part."""

    def __init__(self, plan: Plan, bootstrap: str, directory: Path, stack: ExitStack) -> None:
        prefix = f"rehearsal-{uuid.uuid4().hex[:8]}-"
        self.bench = ScoreBench(bootstrap, prefix, directory, partitions=PARTITIONS, guarantee=plan.guarantee)
        stack.callback(self.bench.delete_topics)
        stack.callback(self.bench.end)
        self.bench.create_topics()
        _stamp_by_broker(bootstrap, self.bench.topics.score_changed)
        self.proxy = stack.enter_context(HoldingProxy(bootstrap))
        own = {GUEST: {"KAFKA_BOOTSTRAP_SERVERS": self.proxy.bootstrap}}
        if plan.static:
            for name in (*WORKERS, GUEST, SECOND_GUEST):
                own.setdefault(name, {})["PQL_INSTANCE_ID"] = name
        settings = {
            "PQL_STORE": plan.store,
            "PQL_PROCESSING_GUARANTEE": plan.guarantee,
            "PQL_SESSION_TIMEOUT_S": str(plan.session_timeout_s),
        }
        self.group = f"{prefix}{APP_ID}"
        self.fleet = Fleet(self.bench, settings, own)
        self.probes = Probes(bootstrap, self.group)
        self.feed = SteadyFeed(self.bench, plan.rate, MIX, plan.seed)


def _stamp_by_broker(bootstrap: str, topic: str) -> None:
    """When an output got there is measured by one clock, which is not the worker's."""
    entry = ConfigEntry("message.timestamp.type", "LogAppendTime", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.incremental_alter_configs([resource])[resource].result()


def rehearse(plan: Plan, bootstrap: str, directory: Path, say: Callable[[str], None] = lambda _: None) -> Result:
    """
    Play *plan* on the broker at *bootstrap*; workers keep state and logs under *directory*. *say* takes progress.

    Raises:
        NotRehearsed: the play did not get to its end.
    """
    result = Result(plan)
    directory.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        stage = Stage(plan, bootstrap, directory, stack)
        play = _Play(stage, plan, result, say)
        play.to_the_end()
        say("reading what was written, and recomputing it")
        run = Run.of(stage.bench)
    _measure(result, run)
    verdict = Verdict(plan.seed, (), "", plan.store, plan.guarantee)
    judge(verdict, run)
    result.records, result.outputs, result.repeats = verdict.records, verdict.outputs, repeats(run)
    result.faults += [*verdict.faults, *stage.fleet.misconduct, *stage.fleet.ends()]
    probes = stage.probes
    result.probes = len(probes.answers)
    result.faults += untruths(
        probes.answers,
        probes.numbers,
        play.rebalances,
        partitions=PARTITIONS * _INPUTS,
    )
    return result


def _measure(result: Result, run: Run) -> None:
    pulses = {record.key or b"": record.timestamp_ms for record in run.activity if _is_pulse(record.key)}
    sent = {
        at: [r.timestamp_ms for r in run.activity if r.partition == at and _is_pulse(r.key)] for at in range(PARTITIONS)
    }
    got = {at: [r.timestamp_ms for r in run.changes if r.partition == at] for at in range(PARTITIONS)}
    answered = [(record.key or b"", record.timestamp_ms) for record in run.changes]
    for number, phase in enumerate(result.phases):
        window = phase.from_ms, phase.to_ms
        result.phases[number] = replace(
            phase,
            pauses_s=pauses_s(got, *window),
            input_gap_s=max(longest_gap_s(times, *window) for times in sent.values()),
            delay_s=longest_delay_s(pulses, answered, *window),
        )


def _is_pulse(key: bytes | None) -> bool:
    return key is not None and key.startswith(PULSE.encode())


class _Play:
    """The scenes, one after the other."""

    def __init__(self, stage: Stage, plan: Plan, result: Result, say: Callable[[str], None]) -> None:
        self._stage = stage
        self._plan = plan
        self._result = result
        self._say = say
        self.rebalances: list[tuple[float, float]] = []

    def to_the_end(self) -> None:
        """From the first start to the moment when all is scored and everybody has left."""
        stage = self._stage
        self._say(f"starting {len(WORKERS)} workers")
        for name in WORKERS:
            stage.fleet.start(name)
        self._all_ready("the first start")
        if self._plan.leads:
            self._say(f"{self._plan.leads:,} leads that were there before")
            fill(stage.bench, self._plan.leads)
            self._until(lambda: not stage.bench.not_committed(), "the leads that were there before are scored")
        stage.feed.start()
        self._wait(1.0)
        with self._phase("nothing happens"):
            self._wait(self._plan.settle_s)
        for name in reversed(WORKERS):
            with self._phase(f"rolling restart: {name}") as phase:
                self._restart(name, phase)
        self._scale()
        self._end_in_rebalance()
        stage.feed.end()
        self._until(lambda: not stage.bench.not_committed(), "all is scored")
        stage.fleet.stop()

    # --- scenes

    def _restart(self, name: str, phase: Phase) -> None:
        """Its keeper starts the next when the last has gone, and goes on when that one is ready."""
        self._leave(name, phase)
        self._join(name, phase)
        self._settle(f"the restart of {name}")

    def _scale(self) -> None:
        with self._phase("scale out: 3 to 4") as phase:
            self._join(SECOND_GUEST, phase)
            self._settle("the scaling out")
        with self._phase("scale in: 4 to 3") as phase:
            self._leave(SECOND_GUEST, phase)
            self._settle("the scaling in")

    def _end_in_rebalance(self) -> None:
        """
        A member whose join does not arrive keeps the group in a rebalance, until its session is over: two are told to
        end meanwhile, one that had partitions and one that never had.
        """
        stage, session_s = self._stage, self._plan.session_timeout_s
        heard_s = session_s / 10 + 1.5
        stage.fleet.start(GUEST)
        self._all_ready("the guest")
        with self._phase("SIGTERM in a rebalance", hangs=True) as phase:
            with stage.proxy.held(stage.group, _JOIN_GROUP):
                stage.fleet.start(SECOND_GUEST)
                self._until(lambda: stage.proxy.stands(stage.group), "a join is held")
                held_at_s = time.monotonic()
                # So that those who wait have heard of it, and are seen to wait.
                self._wait(heard_s + 0.5)
                self._leave("b", phase)
                self._leave(SECOND_GUEST, phase)
                over_s = min(time.monotonic(), held_at_s + session_s * 0.8)
                self.rebalances.append((held_at_s + heard_s, over_s))
            stage.fleet.start("b")
            self._all_ready("the end of the rebalance")
            self._leave(GUEST, phase)
            self._settle("the leave of the guest")

    def _leave(self, name: str, phase: Phase) -> None:
        """SIGTERM, and wait for its end."""
        fleet = self._stage.fleet
        worker = fleet.place(name).worker
        assert worker is not None
        asked_s = time.monotonic()
        fleet.terminate(name)
        self._until(lambda: not worker.running, f"{name} ends")
        phase.exits.append((name, worker.process.returncode, round(time.monotonic() - asked_s, 2)))

    def _join(self, name: str, phase: Phase) -> None:
        started_s = time.monotonic()
        self._stage.fleet.start(name)
        self._until(lambda: self._is_ready(name), f"{name} is ready")
        phase.ready_s = round(time.monotonic() - started_s, 2)

    # --- waiting

    @contextmanager
    def _phase(self, name: str, *, hangs: bool = False) -> Iterator[Phase]:
        self._say(name)
        phase = Phase(name, from_ms=_now_ms(), hangs=hangs)
        yield phase
        self._result.phases.append(replace(phase, to_ms=_now_ms()))

    def _tick(self) -> None:
        stage = self._stage
        stage.feed.check()
        stage.fleet.look_after()
        stage.probes.round(stage.fleet.running())
        time.sleep(_TICK_S)

    def _wait(self, seconds: float) -> None:
        until_s = time.monotonic() + seconds
        while time.monotonic() < until_s:
            self._tick()

    def _until(self, happened: Callable[[], bool], what: str) -> None:
        until_s = time.monotonic() + WAIT_S_MAX
        while not happened():
            if time.monotonic() > until_s:
                ended = "; ".join(self._stage.fleet.ends()[-3:])
                raise NotRehearsed(f"not within {WAIT_S_MAX:.0f} s: {what}{ended and f' ({ended})'}")
            self._tick()

    def _settle(self, what: str) -> None:
        self._all_ready(what)
        self._wait(self._plan.settle_s)

    def _all_ready(self, after: str) -> None:
        self._until(self._is_settled, f"all are ready after {after}")

    def _is_settled(self) -> bool:
        """The group is made of those that run, and each has said that it is ready."""
        stage = self._stage
        running = stage.fleet.running()
        ready = all(stage.probes.is_ready(worker) for worker in running)
        return stage.fleet.complete and ready and stage.probes.members == len(running)

    def _is_ready(self, name: str) -> bool:
        worker: Worker | None = self._stage.fleet.place(name).worker
        return worker is not None and self._stage.probes.is_ready(worker)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
