"""What was promised and not kept, after a run: the topics against the oracle, and how the workers behaved."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

import orjson
from score_bench import Stored
from score_checks import faults, repeats
from score_expected import Run

from tests.soak.schedule import Guarantee


@dataclass
class Verdict:
    """The end of a run; it is good when `faults` is empty."""

    seed: int
    kinds: tuple[str, ...]
    steps: str
    store: str
    guarantee: Guarantee
    faults: list[str] = field(default_factory=list)
    records: int = 0
    outputs: int = 0
    repeats: int = 0
    gap_s: float = 0.0
    seconds: float = 0.0
    ended: list[str] = field(default_factory=list)
    logs: str = ""

    @property
    def good(self) -> bool:
        return not self.faults

    def line(self) -> str:
        """One line for people."""
        what = f"seed {self.seed:>4}  {' + '.join(self.kinds):<32} {self.store:<7} {self.guarantee:<13}"
        how = f"{self.repeats:>5} repeats  {self.gap_s:>4.1f} s gap  {len(self.ended)} ended  {self.seconds:>3.0f} s"
        first = self.faults[0].strip().splitlines()[-1] if self.faults else ""
        return f"{what} {how}  " + ("ok" if self.good else f"FAILED ({len(self.faults)}): {first:.160}")


def judge(verdict: Verdict, run: Run) -> None:
    """Hold the topics against the oracle."""
    verdict.records = len(run.activity)
    verdict.outputs = len(run.changes) + len(run.qualifications) + len(run.dead_letters) + len(run.rekeyed)
    verdict.repeats = repeats(run)
    verdict.faults += faults(run)
    if verdict.guarantee == "exactly_once":
        verdict.faults += faults_of_exactly_once(run)


def faults_of_exactly_once(run: Run) -> Iterator[str]:
    """What a `read_committed` reader may not see: anything twice, and a sequence with a gap."""
    sequences: dict[str, list[int]] = defaultdict(list)
    for record in run.changes:
        change = orjson.loads(record.value or b"")
        sequences[change["lead_id"]].append(change["sequence"])
    for lead_id, sequence in sorted(sequences.items()):
        if sequence != list(range(1, len(sequence) + 1)):
            yield f"exactly once: the sequence of {lead_id} is {sequence!r:.200}"
    yield from _twice("change", [_field(record, "change_id") for record in run.changes])
    yield from _twice("qualification", [_field(record, "qualification_id") for record in run.qualifications])
    yield from _twice("dead letter", [_origin(record, "pql-dlq-original-") for record in run.dead_letters])
    yield from _twice("re-keyed record", [_origin(record, "pql-origin-") for record in run.rekeyed])


def _twice(what: str, ids: list[str]) -> Iterator[str]:
    for id_, count in Counter(ids).items():
        if count > 1:
            yield f"exactly once: {what} {id_} is there {count} times"


def _field(record: Stored, name: str) -> str:
    found: str = orjson.loads(record.value or b"")[name]
    return found


def _origin(record: Stored, prefix: str) -> str:
    headers = dict(record.headers)
    return f"{headers[prefix + 'partition'].decode()}@{headers[prefix + 'offset'].decode()}"
