"""
What a scoring worker tells about itself, as a port: `ops` fills it with Prometheus, tests with nothing.

A worker reports many records at once. One call an event would cost more than scoring the event.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

from pql_stream.core.changes import ModeName
from pql_stream.core.packs import PackId
from pql_stream.errors import RejectReason

RejectStage = Literal["decode", "score"]
"""Where a record was refused: its bytes were no event, or our own code failed on it."""

BatchStage = Literal["score", "send", "store"]
"""
What one batch takes its time for: the pure part; contact data and outputs, until they are acknowledged; then rows.
Exactly once, all that is written is one step, "send": the transaction until it is committed. Some is sent while more is
scored: "send" is what that takes beside the scoring.
"""


class Rejection(NamedTuple):
    """Why records went to the dead-letter topic."""

    stage: RejectStage
    reason: RejectReason


class PackTier(NamedTuple):
    """A tier of one version of one model pack."""

    tier: str
    pack: str
    version: int


ShadowWhat = Literal["changed", "parted", "met"]
"""
The difference of a shadow pack for a lead changed; or, of those, it came to see the lead in another tier than the
live pack ("parted"), or in the same one again ("met").
"""


class ShadowNote(NamedTuple):
    """What was told of a shadow pack."""

    pack: str
    version: int
    what: ShadowWhat


class PartitionId(NamedTuple):
    """One partition of one topic."""

    topic: str
    partition: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeReport:
    """
    Some records of one mode: accepted, rejected, re-keyed and skipped. What is left out did not happen.

    `accepted` counts events by their name as received. `changed` counts score changes by the tier after them.
    `event_to_score_s` counts accepted events by the seconds from the record's Kafka timestamp (the origin's, if
    re-keyed) to now.
    """

    accepted: Mapping[str, int] = field(default_factory=dict)
    rejected: Mapping[Rejection, int] = field(default_factory=dict)
    rekeyed: int = 0
    skipped: int = 0
    leads_evaluated: int = 0
    changed: Mapping[PackTier, int] = field(default_factory=dict)
    qualified: Mapping[PackTier, int] = field(default_factory=dict)
    event_to_score_s: Mapping[float, int] = field(default_factory=dict)
    shadows: Mapping[ShadowNote, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordsReport:
    """
    Some records of one partition, after what they do was acknowledged.

    `skew_s` is how much later than its event's own time the last one's Kafka timestamp is.
    """

    topic: str
    modes: Mapping[ModeName, ModeReport] = field(default_factory=dict)
    skew_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchReport:
    """One batch of one partition, when it is done; `records` counts everything read."""

    records: int
    seconds: Mapping[BatchStage, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionProgress:
    """
    How far a partition is.

    `lag_records` is the broker's end offset less our position. `record_at_s` and `committed_at_s` are seconds
    since 1970: the Kafka timestamp of the last record done, and the time of the last commit that moved the
    offset; at first both are when the partition came to us. `waiting`: its work waits for somebody else, on purpose.
    """

    lag_records: int
    record_at_s: float
    committed_at_s: float
    waiting: bool = False


class PartitionMeter(Protocol):
    """Takes where the partitions of one app are. Never raises, never waits."""

    def assigned(self, partitions: Collection[PartitionId], at_s: float) -> None:
        """These are all the partitions that we own from *at_s* (seconds since 1970) on."""

    def progressed(self, progress: Mapping[PartitionId, PartitionProgress]) -> None:
        """Where these partitions are; called after commits, and once in a while when there are none."""

    def rebalanced(self, seconds: float) -> None:
        """A rebalance ended; for so long nothing was handed out."""

    def recovery_started(self) -> None:
        """Table rows are being read back from the changelog; nothing is handed out meanwhile."""

    def recovery_ended(self, seconds: float) -> None:
        """All rows are back."""

    def recovery_left(self, rows: int) -> None:
        """So many are not read back yet; told once in a while."""


class Meter(PartitionMeter, Protocol):
    """Takes the numbers of one worker. Never raises, never waits."""

    def pack_loaded(self, pack: str, version: int, sha256: str, tiers: Sequence[str]) -> None:
        """Scoring runs by this pack from now on; *sha256* is of its file, in hexadecimal."""

    def packs_cast(self, partition: int, live: PackId, shadows: Collection[PackId]) -> None:
        """On *partition* these are the roles from now on."""

    def fill_left(self, partition: int, pack: PackId, records: int) -> None:
        """So many records of *partition* are to be read again until *pack* is filled from them; 0: none any more."""

    def records_done(self, report: RecordsReport) -> None:
        """What some records do is acknowledged."""

    def batch_done(self, report: BatchReport) -> None:
        """Nothing of a batch can be lost any more."""


class NoMeter:
    """A `Meter` that drops everything, for runs that nobody watches."""

    def pack_loaded(self, pack: str, version: int, sha256: str, tiers: Sequence[str]) -> None:
        """Drop it."""

    def packs_cast(self, partition: int, live: PackId, shadows: Collection[PackId]) -> None:
        """Drop it."""

    def fill_left(self, partition: int, pack: PackId, records: int) -> None:
        """Drop it."""

    def assigned(self, partitions: Collection[PartitionId], at_s: float) -> None:
        """Drop it."""

    def recovery_started(self) -> None:
        """Drop it."""

    def rebalanced(self, seconds: float) -> None:
        """Drop it."""

    def recovery_ended(self, seconds: float) -> None:
        """Drop it."""

    def recovery_left(self, rows: int) -> None:
        """Drop it."""

    def records_done(self, report: RecordsReport) -> None:
        """Drop it."""

    def batch_done(self, report: BatchReport) -> None:
        """Drop it."""

    def progressed(self, progress: Mapping[PartitionId, PartitionProgress]) -> None:
        """Drop it."""
