"""How far each partition is, for the metrics: lag, and when a commit last moved."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple, Protocol

from pql_stream.stream.metrics import PartitionId, PartitionMeter, PartitionProgress

REPORT_EVERY_S = 2.0


class TopicPartition(Protocol):
    """A partition, by the name of any client library."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...


class _Seen(NamedTuple):
    committed: int | None
    at_s: float


class Position(NamedTuple):
    """
    What the transport knows of a partition: the offset up to which all is committed (None: nothing yet), the
    broker's end, and whether its work waits for somebody else, on purpose.
    """

    committed: int | None
    end: int
    waiting: bool = False


class ProgressReporter:
    """Takes what batches say and what the transport knows, and tells the meter. *clock*: seconds since 1970."""

    def __init__(self, meter: PartitionMeter, clock: Callable[[], float]) -> None:
        self._meter = meter
        self._clock = clock
        self._record_at_s: dict[PartitionId, float] = {}
        self._since_s: dict[PartitionId, float] = {}
        self._seen: dict[PartitionId, _Seen] = {}

    def batch_done(self, tp: TopicPartition, timestamp_ms: int) -> None:
        """The batch that ended with a record of *timestamp_ms* is done."""
        self._record_at_s[PartitionId(tp.topic, tp.partition)] = timestamp_ms / 1000

    def report(self, positions: Mapping[PartitionId, Position]) -> None:
        """Tell the meter where *positions*, all the partitions we own, are."""
        now_s = self._clock()
        seen = {
            partition: before
            if (before := self._seen.get(partition)) is not None and before.committed == position.committed
            else _Seen(position.committed, now_s)
            for partition, position in positions.items()
        }
        if seen.keys() != self._seen.keys():
            self._deal(seen.keys(), now_s)
        self._seen = seen
        self._meter.progressed(
            {
                partition: PartitionProgress(
                    lag_records=max(0, position.end - (position.committed or 0)),
                    record_at_s=self._record_at_s.get(partition, self._since_s[partition]),
                    committed_at_s=seen[partition].at_s,
                    waiting=position.waiting,
                )
                for partition, position in positions.items()
            }
        )

    def _deal(self, owned: Collection[PartitionId], now_s: float) -> None:
        """These are ours now. What others had meanwhile has an age of its own again."""
        self._since_s = {partition: self._since_s.get(partition, now_s) for partition in owned}
        lost = self._seen.keys() - set(owned)
        self._record_at_s = {at: at_s for at, at_s in self._record_at_s.items() if at not in lost}
        self._meter.assigned(owned, now_s)
