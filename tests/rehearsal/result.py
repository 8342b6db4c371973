"""What is rehearsed, and what came of it; as a table and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from tests.soak.schedule import Guarantee

PAUSE_S_MAX = 5.0
"""No partition may stand still for longer when a worker comes or goes."""

PAUSE_S_GOAL = 2.0

_HEAD = (
    "scene",
    "longest pause of a partition, s",
    "of most partitions, s",
    "latest output, s",
    "gap of the input, s",
    "ended after, s",
    "ready after, s",
)
_SCORE_YAML = Path(__file__).parents[2] / "deploy" / "kubernetes" / "base" / "score.yaml"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """
    How it is played: *rate* events a second; *leads* that are there before; *static* membership
    (`PQL_INSTANCE_ID`) or not; *settle_s* seconds of quiet behind every scene.
    """

    rate: int = 600
    leads: int = 20_000
    store: Literal["memory", "rocksdb"] = "rocksdb"
    guarantee: Guarantee = "at_least_once"
    static: bool = False
    session_timeout_s: int = 10
    settle_s: float = 5.0
    seed: int = 1


@dataclass
class Phase:
    """
    One scene. *pauses_s*: of each partition, the longest time between two outputs. *input_gap_s*: between two events
    of the steady stream; a pause says nothing where this is long. *delay_s*: the longest from an event to its output.
    *exits*: who was told to end, the exit code, and after how many seconds. *hangs*: the group is held up on purpose.
    """

    name: str
    from_ms: int = 0
    to_ms: int = 0
    hangs: bool = False
    exits: list[tuple[str, int, float]] = field(default_factory=list)
    ready_s: float | None = None
    pauses_s: dict[int, float] = field(default_factory=dict)
    input_gap_s: float = 0.0
    delay_s: float = 0.0

    @property
    def pause_s(self) -> float:
        """The longest of all partitions."""
        return max(self.pauses_s.values(), default=0.0)


@dataclass
class Result:
    """All scenes; *faults* is everything that may not be, whatever the speed of the machine."""

    plan: Plan
    phases: list[Phase] = field(default_factory=list)
    records: int = 0
    outputs: int = 0
    repeats: int = 0
    probes: int = 0
    faults: list[str] = field(default_factory=list)

    def missed(self) -> list[str]:
        """What took longer than it may."""
        grace_s = grace_period_s()
        late = [
            f"{phase.name}: a partition stood still for {phase.pause_s:.1f} s, over {PAUSE_S_MAX:.0f} s"
            for phase in self.phases
            if phase.pause_s > PAUSE_S_MAX and not phase.hangs
        ]
        slow = [
            f"{phase.name}: {name} ended after {seconds:.1f} s, over the {grace_s} s that it is given"
            for phase in self.phases
            for name, _, seconds in phase.exits
            if seconds > grace_s
        ]
        return late + slow

    def all_faults(self) -> list[str]:
        """`faults`, and exit codes that are not 0."""
        ended = [
            f"{phase.name}: {name} ended with {code}" for phase in self.phases for name, code, _ in phase.exits if code
        ]
        return [*self.faults, *ended]

    def as_json(self) -> dict[str, Any]:
        """Everything, for programs."""
        return {
            **asdict(self),
            "faults": self.all_faults(),
            "missed": self.missed(),
            "pause_s_max": PAUSE_S_MAX,
            "pause_s_goal": PAUSE_S_GOAL,
            "grace_period_s": grace_period_s(),
        }

    def table(self) -> str:
        """For people."""
        lines = [_HEAD, tuple("---" for _ in _HEAD), *map(_row, self.phases)]
        return "\n".join(["| " + " | ".join(line) + " |" for line in lines] + ["", *self._sums()])

    def _sums(self) -> Iterator[str]:
        plan = self.plan
        members = "static members" if plan.static else "members that leave"
        yield (
            f"{plan.guarantee}, {plan.store}, {members}, session {plan.session_timeout_s} s, {plan.rate} events/s, "
            f"{plan.leads:,} leads before: {self.records:,} records, {self.outputs:,} outputs, {self.repeats} of them "
            f"repeats; {self.probes:,} answers of readyz"
        )
        longest_s = max((phase.pause_s for phase in self.phases if not phase.hangs), default=0.0)
        goal = "met" if longest_s <= PAUSE_S_GOAL else "missed"
        yield f"longest pause {longest_s:.2f} s: goal of {PAUSE_S_GOAL:.0f} s {goal}"
        yield from (f"MISSED {sentence}" for sentence in self.missed())
        yield from (f"WRONG {sentence}" for sentence in self.all_faults())


def _row(phase: Phase) -> tuple[str, ...]:
    pauses = sorted(phase.pauses_s.values())
    ended = ", ".join(f"{name} {seconds:.1f}" for name, _, seconds in phase.exits)
    return (
        phase.name,
        f"{phase.pause_s:.2f}",
        f"{pauses[len(pauses) // 2]:.2f}" if pauses else "-",
        f"{phase.delay_s:.2f}",
        f"{phase.input_gap_s:.2f}",
        ended or "-",
        "-" if phase.ready_s is None else f"{phase.ready_s:.1f}",
    )


def grace_period_s() -> int:
    """What Kubernetes gives a worker to end: terminationGracePeriodSeconds of the manifest."""
    manifest = yaml.safe_load(_SCORE_YAML.read_text())
    seconds: int = manifest["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    return seconds
