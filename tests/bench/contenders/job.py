"""
The job that every Python contender does with our own core, so that only the engine around it differs.

A contender is told on its command line where to read and where to write; it decodes with `decode_event`, scores
with `advance`, and writes the records of CONTRACT.md 5 and 6.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from pql_stream.core.packs import CompiledPack, compile_pack
from pql_stream.core.states import LeadState
from pql_stream.core.transition import advance
from pql_stream.wire.events import decode_event
from pql_stream.wire.packs import load_pack
from pql_stream.wire.pql_qualified import encode_pql_qualified
from pql_stream.wire.score_changed import encode_score_changed

COMMIT_EVERY_S = 1.0
"""Of every contender but ours, which commits each half second: what a crash would repeat."""
FETCH_WAIT_MS = 50
LINGER_MS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Where a contender reads and writes; *directory* is for what it keeps on disk."""

    bootstrap: str
    group: str
    activity: str
    changes: str
    qualified: str
    changelog: str
    partitions: int
    directory: Path


def job_of_command_line() -> Job:
    """The job that the benchmark asks for."""
    parser = argparse.ArgumentParser()
    for name in ("bootstrap", "group", "activity", "changes", "qualified", "changelog"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--partitions", type=int, required=True)
    parser.add_argument("--directory", type=Path, required=True)
    return Job(**vars(parser.parse_args()))


@dataclass(frozen=True, slots=True)
class Scored:
    """What one event did: the lead's state after it, and the records to write, if any."""

    state: LeadState
    change: bytes | None
    qualification: bytes | None


class EventScorer:
    """Scores one record after the other by `pql-100`."""

    def __init__(self, topic: str) -> None:
        self.pack: CompiledPack = compile_pack(load_pack("pql-100"))
        self._topic = topic

    def score(self, state: LeadState | None, value: bytes, partition: int, offset: int, timestamp_ms: int) -> Scored:
        """
        Fold the event in *value* into *state*.

        Raises:
            InvalidEvent: it is none; the benchmark feeds no such record.
        """
        event = decode_event(value, self._topic, partition, offset, timestamp_ms=timestamp_ms)
        step = advance(state, event, self.pack)
        return Scored(
            step.state,
            None if step.change is None else encode_score_changed(step.change),
            None if step.qualification is None else encode_pql_qualified(step.qualification),
        )
