"""
`make rehearsal`: the life cycle of workers under Kubernetes, process by process, on a real Apache Kafka.

Three workers under a steady load are restarted one after the other, scaled out and in, and told to end in the middle of
a rebalance. A table goes to stdout, or JSON with --json; progress to stderr. Exit code 1: something was lost, came
twice or misbehaved, or a partition stood still for longer than it may.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from pql_stream.errors import BrokerError
from pql_stream.ops.brokers.local import LocalKafka
from tests.rehearsal.play import NotRehearsed, rehearse
from tests.rehearsal.result import Plan, Result


def main(arguments: Sequence[str] | None = None) -> int:
    """Play what the command line asks for."""
    options = _parser().parse_args(arguments)
    plan = Plan(
        rate=options.rate,
        leads=options.leads,
        store=options.store,
        guarantee=options.guarantee,
        static=options.static,
        session_timeout_s=options.session,
        settle_s=options.settle,
        seed=options.seed,
    )
    directory = Path(options.directory or tempfile.mkdtemp(prefix="pql-rehearsal-")).resolve()
    try:
        with LocalKafka(directory / "kafka") as broker:
            result = rehearse(plan, broker.bootstrap, directory / "workers", _say)
    except (BrokerError, NotRehearsed) as exc:
        _say(f"no rehearsal: {exc}; the logs of the workers are in {directory}")
        return 1
    _show(result, as_json=options.json)
    if result.all_faults() or options.directory:
        _say(f"the logs of the workers are in {directory}")
    else:
        shutil.rmtree(directory, ignore_errors=True)
    return 1 if result.all_faults() or result.missed() else 0


def _parser() -> argparse.ArgumentParser:
    plan = Plan()
    parser = argparse.ArgumentParser(
        prog="make rehearsal", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rate", type=int, default=plan.rate, help="events a second (%(default)s)")
    parser.add_argument("--leads", type=int, default=plan.leads, help="leads that are there before (%(default)s)")
    parser.add_argument("--store", choices=("memory", "rocksdb"), default=plan.store)
    parser.add_argument("--guarantee", choices=("at_least_once", "exactly_once"), default=plan.guarantee)
    parser.add_argument("--static", action="store_true", help="static membership: PQL_INSTANCE_ID of each worker")
    parser.add_argument("--session", type=int, default=plan.session_timeout_s, help="session timeout, s (%(default)s)")
    parser.add_argument("--settle", type=float, default=plan.settle_s, help="seconds after each scene (%(default)s)")
    parser.add_argument("--seed", type=int, default=plan.seed, help="of the records beside the stream (%(default)s)")
    parser.add_argument("--directory", help="keep state and logs there")
    parser.add_argument("--json", action="store_true", help="JSON instead of the table")
    return parser


def _show(result: Result, *, as_json: bool) -> None:
    print(json.dumps(result.as_json(), indent=1) if as_json else result.table())  # noqa: T201  # a program's output


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201  # progress


if __name__ == "__main__":
    sys.exit(main())
