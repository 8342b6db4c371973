"""
The delivery promise (CONTRACT.md 7) under every kind of fault, in a few runs of fixed seeds.

`make soak` has the hundreds of others; `make soak SEED=17` plays one of them again.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import get_args

import pytest
from score_bench import Stored
from score_expected import Run

from tests.proof import proof
from tests.soak.progress import Progress
from tests.soak.run import accepted, run_schedule
from tests.soak.schedule import GUESTS, Kind, Schedule, Step, composed, schedule_of
from tests.soak.verdict import faults_of_exactly_once

RUNS: dict[str, tuple[int, tuple[Kind, ...]]] = {
    "workers": (83, ("storm", "freeze", "kill", "term")),
    "late writes": (10, ("caught freeze", "caught kill")),
    "full disks": (79, ("file limit", "no space")),
    "held writes": (115, ("held produce",)),
    "broker": (146, ("broker kill", "broker pause")),
}
"""Seed, and kinds of faults; the seeds are among those whose last fault comes early."""

MENDED_BY = {"freeze": {"thaw"}, "limit": {"unlimit"}, "fill": {"free"}, "hold": {"release", "cut"}}
MENDED_BY |= {"kill": {"start"}, "term": {"start"}}
MENDED_BY |= {"broker kill": {"broker start"}, "broker pause": {"broker resume"}}


@pytest.mark.system
@pytest.mark.parametrize("name", [name if name in ("workers", "full disks") else proof(name) for name in RUNS])
def test_the_promise_holds_under_faults(kafka, apache_kafka, tmp_path: Path, name):
    """
    Two workers and twelve partitions under faults: nothing is missing, nothing is extra, every score is
    right, repeats are the same and in order, nothing stands still for long, and no worker misbehaves.
    """
    schedule = short(name)

    verdict = run_schedule(schedule, kafka.bootstrap, tmp_path / "run")

    assert [] == verdict.faults


def short(name: str) -> Schedule:
    seed, kinds = RUNS[name]
    rng = random.Random(seed)
    return composed(rng, seed, kinds, accepted(rng.choice(("at_least_once", "exactly_once"))))


def test_every_kind_of_fault_is_in_the_short_set():
    """
    A kind that is added to the schedules is added here.
    """
    assert set(get_args(Kind)) == {kind for name in RUNS for kind in short(name).kinds}


def test_a_schedule_is_a_function_of_its_seed():
    """
    The same seed gives the same schedule, another one another; the kinds take turns as the main fault.
    """
    assert schedule_of(17) == schedule_of(17)
    assert schedule_of(17) != schedule_of(18)
    assert set(get_args(Kind)) == {schedule_of(seed).kinds[0] for seed in range(1, 12)}


def test_what_a_schedule_breaks_it_mends():
    """
    In every schedule all that is frozen, full, held or away comes back, a and b run at the end, and guests do not.
    """
    for seed in range(1, 201):
        steps = schedule_of(seed).steps
        for number, step in enumerate(steps):
            later = {other.action for other in steps[number + 1 :] if other.worker == step.worker}
            mends = mended_by(step)

            assert not mends or mends & later, (seed, str(step))


def mended_by(step: Step) -> set[str]:
    if step.worker in GUESTS:
        return {"kill", "term"} if step.action == "start" else set()
    return MENDED_BY.get(step.action, set())


def test_what_stands_still_is_found():
    """
    A partition whose commit does not move while it has records is named; an idle one, and one that moves, is not.
    """
    progress = Progress()
    for at_s in range(0, 30, 5):
        committed = {("in", 0): 3, ("in", 1): 7, ("in", 2): at_s}
        progress.sample(at_s, committed, {("in", 0): 9, ("in", 1): 7, ("in", 2): 100})

    assert ["in-0 stands still for 25 s, 6 left"] == progress.stalled(25.0, since_s=0.0, limit_s=20.0)
    assert [] == progress.stalled(25.0, since_s=10.0, limit_s=20.0)
    assert 25.0 == progress.gap_s_max


def test_a_reader_of_exactly_once_sees_every_repeat_and_gap():
    """
    A change that is there twice, a sequence that leaves one out, and a dead letter that is there twice.
    """
    letter = _stored({}, (("pql-dlq-original-partition", b"1"), ("pql-dlq-original-offset", b"5")))
    changes = [_stored({"lead_id": "u1", "change_id": f"c{n}", "sequence": n}) for n in (1, 2, 2, 4)]
    run = Run(12, [], [], [letter, letter], changes, [], [], [])

    assert [
        "exactly once: the sequence of u1 is [1, 2, 2, 4]",
        "exactly once: change c2 is there 2 times",
        "exactly once: dead letter 1@5 is there 2 times",
    ] == list(faults_of_exactly_once(run))


def _stored(fields: dict[str, object], headers: tuple[tuple[str, bytes], ...] = ()) -> Stored:
    return Stored("out", 0, 0, 0, None, json.dumps(fields).encode(), headers)
