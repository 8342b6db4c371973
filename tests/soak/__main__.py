"""
`python -m tests.soak`: seeded fault runs on a real broker.

A line a run on stdout, JSON lines in the directory of the logs, exit code 1 when a run failed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, replace
from multiprocessing import get_context
from pathlib import Path

from pql_stream.ops.brokers.local import LocalKafka
from tests.soak.run import accepted, run_schedule
from tests.soak.schedule import Guarantee, Schedule, schedule_of
from tests.soak.verdict import Verdict


def main() -> int:
    """Run what the command line asks for."""
    options = _options()
    seeds = options.seed or range(options.first, options.first + options.runs)
    directory = Path(options.directory or tempfile.mkdtemp(prefix="pql-soak-")).resolve()
    directory.mkdir(parents=True, exist_ok=True)
    began_s = time.monotonic()
    verdicts = []
    with (directory / "runs.jsonl").open("a", encoding="utf-8") as lines:
        for verdict in _verdicts([_schedule(seed, options.guarantee) for seed in seeds], options.jobs, directory):
            _say(verdict.line())
            lines.write(json.dumps(asdict(verdict)) + "\n")
            lines.flush()
            verdicts.append(verdict)
    _say(*_summary(verdicts, time.monotonic() - began_s, directory))
    return 0 if all(verdict.good for verdict in verdicts) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests.soak", description="Seeded fault runs on a real broker.")
    parser.add_argument("--seed", type=int, nargs="+", help="only these")
    parser.add_argument("--runs", type=int, default=200, help="how many seeds, from --first")
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="runs side by side")
    parser.add_argument("--guarantee", choices=("at_least_once", "exactly_once"), help="instead of the seed's own")
    parser.add_argument("--directory", help="for runs.jsonl and the logs of failed runs; a new one by default")
    return parser.parse_args()


def _schedule(seed: int, guarantee: Guarantee | None) -> Schedule:
    schedule = schedule_of(seed)
    return replace(schedule, guarantee=guarantee or accepted(schedule.guarantee))


def _verdicts(schedules: list[Schedule], jobs: int, directory: Path) -> Iterator[Verdict]:
    """Runs side by side, each in a process of its own; they share a broker unless they do something to it."""
    with LocalKafka(directory / "kafka") as broker:
        context = get_context("spawn")
        with ProcessPoolExecutor(jobs, mp_context=context, max_tasks_per_child=1) as pool:
            runs = [
                pool.submit(run_schedule, schedule, broker.bootstrap, directory / f"seed-{schedule.seed}")
                for schedule in schedules
            ]
            for run in as_completed(runs):
                yield run.result()


def _summary(verdicts: list[Verdict], seconds: float, directory: Path) -> list[str]:
    failed = sorted(verdict.seed for verdict in verdicts if not verdict.good)
    runs = f"{len(verdicts)} runs in {seconds / 60:.1f} min, {len(failed)} failed"
    records = f"{sum(v.records for v in verdicts):,} records, {sum(v.outputs for v in verdicts):,} outputs"
    repeats = f"{sum(v.repeats for v in verdicts):,} of them repeats"
    gap = f"longest gap {max((v.gap_s for v in verdicts), default=0.0):.1f} s"
    return [
        f"{runs}; {records}, {repeats}; {gap}",
        f"results: {directory / 'runs.jsonl'}",
        *(f"failed: make soak SEED={seed}   logs: {directory / f'seed-{seed}'}" for seed in failed),
    ]


def _say(*lines: str) -> None:
    for line in lines:
        print(line, flush=True)  # noqa: T201  # a command's output


if __name__ == "__main__":
    sys.exit(main())
