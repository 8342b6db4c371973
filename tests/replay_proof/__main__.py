"""
`python -m tests.replay_proof`: stream, replay of the topic and replay of the file, on a Kafka of its own.

What it does goes to stderr, the verdict to stdout; exit code 1 when something differs.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from pql_stream.ops.brokers.local import LocalKafka
from pql_stream.ops.brokers.redis import EmbeddedRedis
from tests.replay_proof.proving import Input, Proof

_WAIT_S_A_MILLION = 900.0
_WAIT_S_LEAST = 90.0


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="tests.replay_proof", description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    given = Input(events=options.events, seed=options.seed)
    wait_s = max(_WAIT_S_LEAST, _WAIT_S_A_MILLION * given.events / 1_000_000)
    with tempfile.TemporaryDirectory(prefix="pql-replay-proof-") as name:
        directory = Path(name)
        with LocalKafka(directory / "kafka") as kafka, EmbeddedRedis(directory / "redis") as redis:
            proof = Proof(kafka.bootstrap, redis.url, prefix="proof-", directory=directory, given=given, wait_s=wait_s)
            found = proof.run(_say)
    _print(f"{given.events:,} records, seed {given.seed}: {found.leads:,} leads, {found.changes:,} changes and")
    _print(f"qualifications; {found.several_routes:,} leads by several routes; requests: {dict(found.requests)}")
    _print(*(found.wrong or ["stream, replay of the topic and replay of the file are the same; no sink was called"]))
    return 1 if found.wrong else 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - a program's own output


def _print(*lines: str) -> None:
    print("\n".join(lines), flush=True)  # noqa: T201 - as above


if __name__ == "__main__":
    sys.exit(main())
