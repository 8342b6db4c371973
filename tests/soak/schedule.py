"""What happens in the run of a seed: which faults, when, to whom, with which store and which input. Pure."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal, get_args

SESSION_TIMEOUT_S = 10

Kind = Literal[
    "kill", "caught kill", "term", "freeze", "caught freeze", "storm", "file limit", "no space", "held produce",
    "broker kill", "broker pause",
]  # fmt: skip
Action = Literal[
    "start", "kill", "term", "freeze", "thaw", "limit", "unlimit", "fill", "free", "hold", "release", "cut",
    "broker kill", "broker start", "broker pause", "broker resume",
]  # fmt: skip
Topic = Literal["", "score_changed", "qualified", "leads_changelog", "activity_rekeyed", "activity_dlq"]
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
    """
    One thing done to one worker (a name) or to the broker.

    *fresh*: it starts with an empty state directory. *topic*: the one to which its writes are held; "" is any.
    """

    at_s: float
    action: Action
    worker: str = ""
    fresh: bool = False
    topic: Topic = ""

    def __str__(self) -> str:
        words = [f"{self.at_s:.1f}", self.action, self.worker, self.topic, "fresh" if self.fresh else ""]
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
    def held(self) -> set[str]:
        """The workers whose writes are held at some time."""
        return {step.worker for step in self.steps if step.action == "hold"}

    @property
    def feed_s(self) -> float:
        """Records come until a moment after the last step."""
        return self.steps[-1].at_s + 1.5

    def __str__(self) -> str:
        return ", ".join(str(step) for step in self.steps)


def schedule_of(seed: int) -> Schedule:
    """The schedule of *seed* (from 1): the kinds of faults take turns, everything else is drawn."""
    rng = random.Random(f"soak {seed}")
    main = _MAIN[(seed - 1) % len(_MAIN)]
    # The proxy that holds writes does not outlive its broker.
    more: tuple[Kind, ...] = ("kill", "term", "freeze", "storm")
    more += () if main.startswith("broker") else ("caught kill",)
    kinds = (main, *rng.choices(more, (3, 3, 2, 1, 3)[: len(more)], k=rng.choice((0, 1, 1, 2))))
    return composed(rng, seed, kinds, rng.choice(("at_least_once", "exactly_once")))


def composed(rng: random.Random, seed: int, kinds: tuple[Kind, ...], guarantee: Guarantee) -> Schedule:
    """A schedule with faults of *kinds*, without those whose turn would come too late."""
    faults = _faults(rng, kinds)
    played = tuple(kind for kind, _ in faults)
    # Without RocksDB no file is written.
    needs_disk = {"file limit", "no space"} & set(played)
    return Schedule(
        seed=seed,
        kinds=played,
        store="rocksdb" if needs_disk else rng.choice(("memory", "rocksdb")),
        guarantee=guarantee,
        mix=_mix(rng, holds="held produce" in played),
        steps=tuple(sorted((step for _, steps in faults for step in steps), key=lambda step: step.at_s)),
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


def _faults(rng: random.Random, kinds: tuple[Kind, ...]) -> list[tuple[Kind, list[Step]]]:
    """The faults side by side, those of one target one after the other."""
    free_at_s: dict[str, float] = {}
    faults: list[tuple[Kind, list[Step]]] = []
    for kind in kinds:
        targets = _targets(rng, kind)
        after_s = max(free_at_s.get(target, 0.0) for target in targets) + rng.uniform(0.5, 4.0)
        at_s = max(rng.uniform(0.5, 6.0), after_s)
        if at_s <= _AT_S_MAX:
            steps = [replace(step, at_s=round(step.at_s, 1)) for step in _MAKERS[kind](rng, at_s, targets[0])]
            free_at_s |= dict.fromkeys(targets, steps[-1].at_s)
            faults.append((kind, steps))
    return faults


def _targets(rng: random.Random, kind: Kind) -> tuple[str, ...]:
    match kind:
        case "storm":
            return GUESTS
        case "held produce":
            return BASE
        case "broker kill" | "broker pause":
            return ("broker",)
        case _:
            return (rng.choice(BASE),)


def _killed(rng: random.Random, at_s: float, worker: str) -> Iterator[Step]:
    yield Step(at_s, "kill", worker)
    # At once, as a supervisor does, or when the group has noticed.
    yield Step(at_s + rng.choice((0.1, 2.0, SESSION_TIMEOUT_S + 1.0)), "start", worker, fresh=rng.random() < 0.4)


def _caught_and_killed(rng: random.Random, at_s: float, worker: str) -> Iterator[Step]:
    """
    Killed between two of its steps: what it writes to a topic is on the road, and whatever it thinks is done has
    been committed. What is on the road is lost, or arrives.
    """
    yield Step(at_s, "hold", worker, topic=_caught_topic(rng))
    at_s += rng.uniform(1.0, 2.0)
    yield Step(at_s, "kill", worker)
    yield Step(at_s + 0.1, rng.choice(("cut", "release")), worker)
    yield Step(at_s + rng.choice((0.2, SESSION_TIMEOUT_S + 1.0)), "start", worker, fresh=rng.random() < 0.4)


def _caught_topic(rng: random.Random) -> Topic:
    topics: tuple[Topic, ...] = get_args(Topic)[1:]
    return rng.choices(topics, (3, 1, 3, 1, 1))[0]


def _terminated(rng: random.Random, at_s: float, worker: str) -> Iterator[Step]:
    yield Step(at_s, "term", worker)
    yield Step(at_s + rng.uniform(0.2, 4.0), "start", worker, fresh=rng.random() < 0.3)


def _frozen(rng: random.Random, at_s: float, worker: str) -> Iterator[Step]:
    yield Step(at_s, "freeze", worker)
    yield Step(at_s + SESSION_TIMEOUT_S + rng.uniform(1.0, 4.0), "thaw", worker)


def _caught_and_frozen(rng: random.Random, at_s: float, worker: str) -> Iterator[Step]:
    """What it writes to a topic is on the road when it freezes, and arrives before or after it wakes up."""
    yield Step(at_s, "hold", worker, topic=_caught_topic(rng))
    at_s += rng.uniform(0.7, 1.5)
    yield Step(at_s, "freeze", worker)
    thawed_at_s = at_s + SESSION_TIMEOUT_S + rng.uniform(1.0, 4.0)
    released_at_s = thawed_at_s + rng.choice((-10.0, -0.5, 0.5))
    yield from sorted(
        (Step(thawed_at_s, "thaw", worker), Step(released_at_s, "release", worker)), key=lambda step: step.at_s
    )


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


def _limited(rng: random.Random, at_s: float, worker: str) -> Iterator[Step]:
    yield Step(at_s, "limit", worker)
    yield Step(at_s + rng.uniform(4.0, 8.0), "unlimit", worker, fresh=rng.random() < 0.3)


def _disk_full(rng: random.Random, at_s: float, worker: str) -> Iterator[Step]:
    yield Step(at_s, "fill", worker)
    yield Step(at_s + rng.uniform(4.0, 8.0), "free", worker, fresh=rng.random() < 0.3)


def _held(rng: random.Random, at_s: float, _target: str) -> Iterator[Step]:
    """More than two batches can hold comes in meanwhile: `Mix.burst_bytes`."""
    for worker in BASE:
        yield Step(at_s, "hold", worker)
    at_s += rng.uniform(5.0, 12.0)
    for worker in BASE:
        yield Step(at_s, "release", worker)


def _broker_killed(rng: random.Random, at_s: float, _target: str) -> Iterator[Step]:
    yield Step(at_s, "broker kill")
    yield Step(at_s + rng.choice((0.1, 3.0, 8.0)), "broker start")


def _broker_paused(rng: random.Random, at_s: float, _target: str) -> Iterator[Step]:
    yield Step(at_s, "broker pause")
    yield Step(at_s + rng.uniform(3.0, SESSION_TIMEOUT_S + 4.0), "broker resume")


_MAKERS: dict[Kind, Callable[[random.Random, float, str], Iterator[Step]]] = {
    "kill": _killed,
    "caught kill": _caught_and_killed,
    "freeze": _frozen,
    "caught freeze": _caught_and_frozen,
    "storm": _storm,
    "held produce": _held,
    "term": _terminated,
    "file limit": _limited,
    "broker kill": _broker_killed,
    "no space": _disk_full,
    "broker pause": _broker_paused,
}
_MAIN = tuple(_MAKERS)
