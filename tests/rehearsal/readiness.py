"""
What workers say of themselves, held against one another, against their numbers, and against what is known. Pure.

Seconds are `time.monotonic`'s.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

_CLAIM = re.compile(r"ready, with (\d+) partitions")


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One answer of `/readyz`, and when it was asked for and came."""

    worker: str
    asked_s: float
    answered_s: float
    ready: bool
    sentence: str

    @property
    def claims(self) -> int:
        """The partitions that the worker says it has, if it is ready."""
        found = _CLAIM.search(self.sentence)
        return int(found[1]) if self.ready and found else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """What `/metrics` says of one worker's membership."""

    worker: str
    asked_s: float
    answered_s: float
    rebalances: int
    recovering: bool


def untruths(
    probes: Sequence[Probe], numbers: Sequence[Numbers], rebalances: Sequence[tuple[float, float]], *, partitions: int
) -> list[str]:
    """
    A sentence for everything in *probes* that cannot be true.

    *rebalances*: from when to when the group was in one for certain, and its members had heard of it. *partitions* are
    all that there are to own.
    """
    return [
        *_too_many(probes, partitions),
        *_ready_while_recovering(probes, numbers),
        *_ready_in_a_rebalance(probes, rebalances),
    ]


def _too_many(probes: Sequence[Probe], partitions: int) -> Iterator[str]:
    """Between two answers of the same words a worker has had what it says, so all of these add up."""
    by_worker: dict[str, list[Probe]] = defaultdict(list)
    for probe in sorted(probes, key=lambda probe: probe.answered_s):
        by_worker[probe.worker].append(probe)
    for probe in probes:
        if not probe.claims:
            continue
        others = {name: _had(answers, probe) for name, answers in by_worker.items() if name != probe.worker}
        if probe.claims + sum(others.values()) > partitions:
            beside = ", ".join(f"{name} with {claims}" for name, claims in others.items() if claims)
            yield f"{probe.worker} is ready with {probe.claims} of {partitions} partitions beside {beside}"


def _had(answers: Sequence[Probe], at: Probe) -> int:
    """What the worker of *answers* had when *at* was asked and answered; 0 when it cannot be told."""
    behind = bisect_left(answers, at.asked_s, key=lambda answer: answer.answered_s)
    ahead = bisect_right(answers, at.answered_s, key=lambda answer: answer.asked_s)
    if behind == 0 or ahead == len(answers):
        return 0
    before, after = answers[behind - 1], answers[ahead]
    return before.claims if before.sentence == after.sentence else 0


def _ready_while_recovering(probes: Sequence[Probe], numbers: Sequence[Numbers]) -> Iterator[str]:
    """Between two pages that tell of the same recovery it went on all the time."""
    by_worker: dict[str, list[Numbers]] = defaultdict(list)
    for page in sorted(numbers, key=lambda page: page.answered_s):
        by_worker[page.worker].append(page)
    for worker, pages in by_worker.items():
        for first, second in pairwise(pages):
            if not (first.recovering and second.recovering and first.rebalances == second.rebalances):
                continue
            for probe in probes:
                between = first.answered_s <= probe.asked_s and probe.answered_s <= second.asked_s
                if probe.worker == worker and probe.ready and between:
                    yield f"{worker} is ready in the recovery after rebalance {first.rebalances}"


def _ready_in_a_rebalance(probes: Sequence[Probe], rebalances: Sequence[tuple[float, float]]) -> Iterator[str]:
    for from_s, to_s in rebalances:
        for probe in probes:
            if probe.ready and from_s < probe.asked_s and probe.answered_s < to_s:
                yield f"{probe.worker} is ready in a rebalance"
