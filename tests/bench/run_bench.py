"""
The benchmark: the same scoring job by several engines on a real Apache Kafka, measured from outside.

`make bench` takes about twenty minutes on two quiet cores; `make bench ARGS="--full"` runs everything, in a few
hours. Tables go to stdout, progress to stderr.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pql_stream.errors import BrokerError
from pql_stream.ops.brokers.jars import KAFKA_VERSION, fetch_jars, find_java
from tests.bench.backfilling import waits_beside_backfill
from tests.bench.bars import bars_of
from tests.bench.building import NotAvailable, bench_python
from tests.bench.delivering import deliveries
from tests.bench.growth import grow
from tests.bench.latency import wait_times
from tests.bench.lineup import KAFKA_STREAMS, LINEUP, OURS, OURS_ALL, Contender
from tests.bench.load import STREAMS, Stream
from tests.bench.replaying import replays
from tests.bench.report import report
from tests.bench.restore import restores
from tests.bench.results import Results, spread_of
from tests.bench.session import Session, say
from tests.bench.throughput import Field, compare

SECTIONS = ("core", "throughput", "latency", "backfill", "restore", "delivery", "replay", "growth")
QUICK_SECTIONS = SECTIONS[:-1]
ROOT = Path(__file__).parents[2]
RATE = 2_000
RATE_SLOW = 100
"""Events a second of the latency section; our worker has both, and half of what it can do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is run; *reps* for throughput, and elsewhere as the names say."""

    sections: tuple[str, ...]
    contenders: tuple[Contender, ...]
    streams: tuple[Stream, ...]
    leads: tuple[int, ...]
    events: int
    reps: int
    latency_of: tuple[Contender, ...]
    latency_s: float
    latency_reps: int
    restore_leads: int
    restore_reps: int
    delivery_reps: int


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run what *arguments* ask for.

    1 when our own outputs are wrong, when the core costs more than it may, or with --strict a bar is not met.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    plan = _plan(options, parser)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # it ends through every `finally`, like Ctrl-C
    core_is_fine = "core" not in plan.sections or _core_is_fine()
    if plan.sections == ("core",):
        return 0 if core_is_fine else 1
    results = Results(about=_about())
    if "replay" in plan.sections:
        say("replay")
        with tempfile.TemporaryDirectory(prefix="pql-bench-") as directory:
            results.replay += replays(Path(directory), plan.events, plan.reps, many=options.full)
    if set(plan.sections) <= {"core", "replay"}:
        return _concluded(results, options, core_is_fine=core_is_fine)
    try:
        find_java()
        fetch_jars()
    except BrokerError as exc:
        say(f"no benchmark without Apache Kafka: {exc.what}; {exc.why}; {exc.what_to_do}")
        return 1
    available = _available(plan.contenders, results)
    with tempfile.TemporaryDirectory(prefix="pql-bench-") as directory, Session.opened(Path(directory)) as session:
        results.about["cores"] = session.cores.sentence()
        try:
            _run(session, plan, available, results)
        except KeyboardInterrupt:
            say("interrupted; what was measured until then:")
            _concluded(results, options, core_is_fine=core_is_fine)
            raise
    return _concluded(results, options, core_is_fine=core_is_fine)


def _concluded(results: Results, options: argparse.Namespace, *, core_is_fine: bool) -> int:
    bars = bars_of(results)
    print(report(results, bars))  # noqa: T201 - a program's own output
    _write(results, options.json, options.chart)
    missed = [bar for bar in bars if bar.met is False and not bar.is_goal]
    return 1 if ours_is_wrong(results) or not core_is_fine or (options.strict and missed) else 0


def _core_is_fine() -> bool:
    """What decoding and scoring cost beside a bare JSON parser, without a broker; its lines go to stderr."""
    say("the core beside a bare JSON parser")
    command = [sys.executable, "-m", "pytest", "tests/bench", "-s", "-q", "-o", "python_files=bench_*.py"]
    return subprocess.run(command, cwd=ROOT, stdout=sys.stderr, check=False).returncode == 0


def ours_is_wrong(results: Results) -> bool:
    """A worker of ours failed, or wrote something else than it must."""
    ours = {contender.name for contender in OURS_ALL}
    runs = [run for run in (*results.throughput, *results.growth) if run.case.contender in ours]
    return (
        any(not run.is_right for run in runs)
        or any(one.faults or one.failed for one in results.restore)
        or any(one.repeats or one.failed for one in results.delivery)
        or any(one.failed for one in (*results.replay, *results.backfill))
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    names = ", ".join([*SECTIONS, *(contender.name for contender in LINEUP)])
    parser.add_argument("--full", action="store_true", help="everything, growth too: a few hours")
    parser.add_argument("--only", default="", help=f"sections and contenders, with commas between: {names}")
    parser.add_argument("--streams", default="", help=f"of {', '.join(STREAMS)}")
    parser.add_argument("--leads", default="", help="numbers of leads, with commas between")
    parser.add_argument("--events", type=int, help="of one throughput run; the slow get less, the JVM and ours more")
    parser.add_argument("--reps", type=int, help="repetitions; tables show medians and spreads")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every single run there")
    parser.add_argument("--chart", type=Path, metavar="FILE", help="draw the growth section there, as SVG")
    parser.add_argument("--strict", action="store_true", help="exit 1 when a bar is not met")
    return parser


def _plan(options: argparse.Namespace, parser: argparse.ArgumentParser) -> Plan:
    full: bool = options.full
    only = _listed(options.only)
    known = {*SECTIONS, *(contender.name for contender in LINEUP)}
    if unknown := [name for name in only if name not in known]:
        parser.error(f"--only: unknown: {', '.join(unknown)}")
    streams = _listed(options.streams) or (STREAMS if full else ("steady", "cold"))
    if unknown := [name for name in streams if name not in STREAMS]:
        parser.error(f"--streams: unknown: {', '.join(unknown)}")
    chosen = tuple(contender for contender in LINEUP if contender.name in only) or LINEUP
    quick = (OURS, KAFKA_STREAMS)
    return Plan(
        sections=tuple(name for name in SECTIONS if name in only) or (SECTIONS if full else QUICK_SECTIONS),
        contenders=chosen,
        streams=tuple(stream for stream in STREAMS if stream in streams),
        leads=tuple(int(count) for count in _listed(options.leads)) or ((2_000, 200_000) if full else (2_000,)),
        events=options.events or (2_000_000 if full else 800_000),
        reps=options.reps or 3,
        latency_of=tuple(one for one in chosen if full or chosen is not LINEUP or one in quick),
        latency_s=15.0 if full else 6.0,
        latency_reps=options.reps or (3 if full else 1),
        restore_leads=1_000_000 if full else 100_000,
        restore_reps=(options.reps or 3) if full else 1,
        delivery_reps=options.reps or (3 if full else 1),
    )


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _about() -> dict[str, str]:
    return {
        "when": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": f"{os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}",
        "load before": ", ".join(f"{load:.1f}" for load in os.getloadavg()),
        "broker": f"Apache Kafka {KAFKA_VERSION}, one node, 4 partitions where nothing else is said",
        "figures": "median (least-greatest); rates and CPU of the second half of the events; outputs checked",
    }


def _available(contenders: Sequence[Contender], results: Results) -> tuple[Contender, ...]:
    available = []
    for contender in contenders:
        try:
            contender.prepare()
        except NotAvailable as exc:
            results.unavailable[contender.name] = str(exc)
            say(f"{contender.title} is not available: {exc}")
        else:
            available.append(contender)
    return tuple(available)


def _run(session: Session, plan: Plan, available: Sequence[Contender], results: Results) -> None:
    if "throughput" in plan.sections:
        for stream, leads in itertools.product(plan.streams, plan.leads):
            field = Field(stream=stream, leads=leads, events=plan.events)
            results.throughput += compare(session, field, available, plan.reps)
    _run_waits(session, plan, available, results)
    if "restore" in plan.sections:
        results.restore += restores(session, plan.restore_leads, plan.restore_reps)
    if "delivery" in plan.sections:
        say("delivery")
        results.delivery += deliveries(session, plan.delivery_reps)
    if "growth" in plan.sections:
        results.growth += grow(session, plan.events, plan.reps)


def _run_waits(session: Session, plan: Plan, available: Sequence[Contender], results: Results) -> None:
    if "latency" in plan.sections:
        say("latency")
        for contender in (one for one in available if one in plan.latency_of):
            rates = (RATE_SLOW, RATE, *_half_of_most(results)) if contender is OURS else (RATE,)
            for _ in range(plan.latency_reps):
                results.latency += wait_times(session, contender, rates, plan.latency_s)
    if "backfill" in plan.sections:
        say("live latency beside a backfill")
        for _ in range(plan.latency_reps):
            results.backfill += waits_beside_backfill(session, (RATE_SLOW, RATE), plan.latency_s)


def _half_of_most(results: Results) -> tuple[int, ...]:
    """Half the rate of our worker where every event is a change, as in the latency section; none if not measured."""
    runs = [run for run in results.throughput if (run.case.contender, run.case.stream) == (OURS.name, "cold")]
    most = spread_of(runs, lambda throughput: throughput.events_per_s)
    return () if most is None else (int(most.median / 2),)


def _write(results: Results, json_path: Path | None, chart_path: Path | None) -> None:
    text = json.dumps(results.as_json(), indent=1) + "\n"
    if json_path is not None:
        json_path.write_text(text, encoding="utf-8")
    if chart_path is not None and results.growth:
        try:
            program = [str(bench_python()), str(Path(__file__).with_name("chart.py")), str(chart_path)]
        except NotAvailable as exc:
            say(f"no chart: {exc}")
            return
        subprocess.run(program, input=text, text=True, check=True, timeout=120)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
