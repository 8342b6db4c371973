"""What happens in the run of a seed: which faults, when, to whom, with which store and which input. Pure."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

SESSION_TIMEOUT_S = 10

Kind = Literal[
    "kill", "term", "freeze", "storm", "file limit", "no space", "held produce", "broker kill", "broker pause"
]
Action = Literal[
    "start", "kill", "term", "freeze", "thaw", "fill", "free", "hold", "release",
    "broker kill", "broker start", "broker pause", "broker resume",
]  # fmt: skip
Store = Literal["memory", "rocksdb"]
Guarantee = Literal["at_least_once", "exactly_once"]

BASE = ("a", "b")
"""The two workers that are there from the beginning; when one ends by itself it is started again."""

GUESTS = ("c", "d")
"""Those that come and go in a rebalance storm."""

_AT_S_MAX = 16.0
"""No fault begins later: a run takes half a minute to three quarters."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing done to one worker (a name) or to the broker; *fresh*: it starts with an empty state directory."""

    at_s: float
    action: Action
    worker: str = ""
    fresh: bool = False

    def __str__(self) -> str:
        words = [f"{self.at_s:.1f}", self.action, self.worker, "fresh" if self.fresh else ""]
        return " ".join(word for word in words if word)


@dataclass(frozen=True, slots=True)
class Mix:
    """
    What is fed: events of all forms of *leads* and of one *hot* lead, with a share of *dirt*.

    Leads are drawn to producers by shares: *crc32* partition as librdkafka does by default, *both* reach us
    through a producer of each kind, the rest partition by murmur2. *burst_bytes* come at once when writes are held.
    """

    leads: int
    events: int
    hot: int
    dirt: float
    crc32: float
    both: float
    burst_bytes: int


@dataclass(frozen=True, slots=True)
class Schedule:
    """Everything about a run; the same seed gives the same one."""

    seed: int
    kinds: tuple[Kind, ...]
    store: Store
    guarantee: Guarantee
    mix: Mix
    steps: tuple[Step, ...]

    @property
    def own_broker(self) -> bool:
        return any(step.action.startswith("broker") for step in self.steps)

    @property
    def holds(self) -> bool:
        return "held produce" in self.kinds

    @property
    def feed_s(self) -> float:
        """Records come until a moment after the last step."""
        return self.steps[-1].at_s + 1.5

    def __str__(self) -> str:
        return ", ".join(str(step) for step in self.steps)


def schedule_of(seed: int) -> Schedule:
    """The schedule of *seed* (from 1): the kinds of faults take turns, everything else is drawn."""
    rng = random.Random(f"soak {seed}")
    kinds: list[Kind] = [_MAIN[(seed - 1) % len(_MAIN)]]
    kinds += rng.choices(("kill", "term", "freeze", "storm"), (4, 3, 2, 1), k=rng.choice((0, 1, 1, 2)))
    guarantee: Guarantee = rng.choice(("at_least_once", "exactly_once"))
    return composed(rng, seed, tuple(kinds), guarantee)


def composed(rng: random.Random, seed: int, kinds: tuple[Kind, ...], guarantee: Guarantee) -> Schedule:
    """A schedule with faults of *kinds*."""
    # Without RocksDB no file is written.
    needs_disk = {"file limit", "no space"} & set(kinds)
    return Schedule(
        seed=seed,
        kinds=kinds,
        store="rocksdb" if needs_disk else rng.choice(("memory", "rocksdb")),
        guarantee=guarantee,
        mix=_mix(rng, holds="held produce" in kinds),
        steps=_steps(rng, kinds),
    )


def _mix(rng: random.Random, *, holds: bool) -> Mix:
    return Mix(
        leads=rng.randint(30, 80),
        events=rng.randint(2500, 4500),
        hot=rng.choice((0, 300, 600)),
        dirt=rng.choice((0.02, 0.05, 0.15)),
        crc32=rng.choice((0.0, 0.25, 0.5)),
        both=rng.choice((0.0, 0.1, 0.25)),
        burst_bytes=96 * 1024 * 1024 if holds else 0,
    )


def _steps(rng: random.Random, kinds: tuple[Kind, ...]) -> tuple[Step, ...]:
    """The faults side by side, those of one target one after the other."""
    free_at_s: dict[str, float] = {}
    steps: list[Step] = []
    for kind in kinds:
        target = _target(rng, kind)
        at_s = max(rng.uniform(0.5, 6.0), free_at_s.get(target, 0.0) + rng.uniform(0.5, 4.0))
        if at_s > _AT_S_MAX:
            continue
        made = [
            Step(round(step.at_s, 1), step.action, step.worker, step.fresh) for step in _MAKERS[kind](rng, at_s, target)
        ]
        free_at_s[target] = made[-1].at_s
        steps += made
    return tuple(sorted(steps, key=lambda step: step.at_s))


def _target(rng: random.Random, kind: Kind) -> str:
    if kind == "storm":
        return "guests"
    return "broker" if kind in {"held produce", "broker kill", "broker pause"} else rng.choice(BASE)


def _killed(rng: random.Random, at_s: float, worker: str) -> Iterator[Step]:
    yield Step(at_s, "kill", worker)
    # At once, as a supervisor does, or when the group has noticed.
    yield Step(at_s + rng.choice((0.1, 2.0, SESSION_TIMEOUT_S + 1.0)), "start", worker, fresh=rng.random() < 0.4)


def _terminated(rng: random.Random, at_s: float, worker: str) -> Iterator[Step]:
    yield Step(at_s, "term", worker)
    yield Step(at_s + rng.uniform(0.2, 4.0), "start", worker, fresh=rng.random() < 0.3)


def _frozen(rng: random.Random, at_s: float, worker: str) -> Iterator[Step]:
    yield Step(at_s, "freeze", worker)
    yield Step(at_s + SESSION_TIMEOUT_S + rng.uniform(1.0, 4.0), "thaw", worker)


def _storm(rng: random.Random, at_s: float, _target: str) -> Iterator[Step]:
    """Guests join and leave in turn, every one to three seconds."""
    there: list[str] = []
    for _ in range(rng.randint(5, 8)):
        absent = [guest for guest in GUESTS if guest not in there]
        if absent and (not there or rng.random() < 0.5):
            there.append(rng.choice(absent))
            yield Step(at_s, "start", there[-1], fresh=True)
        else:
            yield Step(at_s, rng.choice(("term", "term", "kill")), there.pop(0))
        at_s += rng.uniform(1.0, 3.0)
    for guest in there:
        yield Step(at_s, "term", guest)


def _disk_full(rng: random.Random, at_s: float, worker: str) -> Iterator[Step]:
    yield Step(at_s, "fill", worker)
    yield Step(at_s + rng.uniform(4.0, 8.0), "free", worker, fresh=rng.random() < 0.3)


def _held(rng: random.Random, at_s: float, _target: str) -> Iterator[Step]:
    yield Step(at_s, "hold")
    yield Step(at_s + rng.uniform(5.0, 12.0), "release")


def _broker_killed(rng: random.Random, at_s: float, _target: str) -> Iterator[Step]:
    yield Step(at_s, "broker kill")
    yield Step(at_s + rng.choice((0.1, 3.0, 8.0)), "broker start")


def _broker_paused(rng: random.Random, at_s: float, _target: str) -> Iterator[Step]:
    yield Step(at_s, "broker pause")
    yield Step(at_s + rng.uniform(3.0, SESSION_TIMEOUT_S + 4.0), "broker resume")


_MAKERS: dict[Kind, Callable[[random.Random, float, str], Iterator[Step]]] = {
    "kill": _killed,
    "freeze": _frozen,
    "storm": _storm,
    "held produce": _held,
    "term": _terminated,
    "file limit": _disk_full,
    "broker kill": _broker_killed,
    "no space": _disk_full,
    "broker pause": _broker_paused,
}
_MAIN = tuple(_MAKERS)
