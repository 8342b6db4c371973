"""What a benchmark found, as plain values that go to JSON and into the tables; and their medians."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.bench.check import Checked
from tests.bench.load import Stream
from tests.bench.measure import Throughput


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What one contender was given to do."""

    contender: str
    stream: Stream
    leads: int
    events: int
    event_bytes: float
    """As asked for; the events of a run are of about that size."""
    partitions: int = 4
    workers: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of a case. *failed* says why there is no throughput; *checked* is the verdict on the outputs."""

    case: Case
    throughput: Throughput | None = None
    checked: Checked | None = None
    failed: str = ""

    @property
    def is_right(self) -> bool:
        """It finished, and every output is as expected."""
        return self.checked is not None and not self.checked.faults


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """From an event's sending to the reading of its change, at a fixed rate, in milliseconds."""

    contender: str
    rate: int
    rate_fed: float
    """What the feeder reached."""
    sent: int
    answered: int
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    max_ms: float = 0.0
    failed: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """As `Latency`, of our worker: *alone*, and then beside a backfill of which *filled_per_s* events were scored."""

    rate: int
    p50_alone_ms: float = 0.0
    p99_alone_ms: float = 0.0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    answered: int = 0
    sent: int = 0
    filled_per_s: float = 0.0
    failed: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Restore:
    """From the start of our worker to its being ready, with so many leads in the changelog."""

    store: str
    kept: bool
    """The local store was still there from the run before."""
    leads: int
    seconds: float = 0.0
    cpu_s: float = 0.0
    memory_peak_mb: float = 0.0
    faults: tuple[str, ...] = ()
    failed: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """
    One run of the delivery section: a crowd of records as fast as they go, then a steady rate; from the writing of a
    record to the request at the destination, in milliseconds.
    """

    records: int = 0
    repeats: int = 0
    """Requests beyond one a record."""
    deliveries_per_s: float = 0.0
    cpu_ms_each: float = 0.0
    memory_peak_mb: float = 0.0
    rate_fed: float = 0.0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    failed: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replaying:
    """One replay of a file, from the start of the command to its end; memory is of its largest process."""

    processes: int
    leads: int
    events: int
    events_per_s: float
    cpu_s_per_million: float
    memory_peak_mb: float
    failed: str = ""


@dataclass(slots=True, kw_only=True)
class Results:
    """Everything of one benchmark; *growth* has the runs that vary one thing of our worker."""

    about: dict[str, Any] = field(default_factory=dict)
    unavailable: dict[str, str] = field(default_factory=dict)
    throughput: list[Run] = field(default_factory=list)
    growth: list[Run] = field(default_factory=list)
    latency: list[Latency] = field(default_factory=list)
    backfill: list[Beside] = field(default_factory=list)
    restore: list[Restore] = field(default_factory=list)
    delivery: list[Delivery] = field(default_factory=list)
    replay: list[Replaying] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """For `json.dump`."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of some runs, and the least and greatest of them."""

    median: float
    least: float
    greatest: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        """Of at least one value."""
        found = list(values)
        return cls(statistics.median(found), min(found), max(found))


def spread_of(runs: Sequence[Run], value: Callable[[Throughput], float]) -> Spread | None:
    """Of the runs that finished; None where none did."""
    values = [value(run.throughput) for run in runs if run.throughput is not None]
    return Spread.of(values) if values else None


def by_case(runs: Iterable[Run]) -> dict[Case, list[Run]]:
    """The repetitions of each case, in the order of their first run."""
    grouped: dict[Case, list[Run]] = {}
    for run in runs:
        grouped.setdefault(run.case, []).append(run)
    return grouped
