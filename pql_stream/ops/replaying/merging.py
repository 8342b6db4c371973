"""
Records of several partitions in one order, which depends on the records alone and not on how they came in.

The next one is always the oldest of the partitions' next records: by Kafka timestamp, and of equal ones that of the
partition that is named first. Within a partition the order is that of the offsets, whatever the timestamps say. So
the order of the rest does not depend on what was before it, and a replay can go on in the middle.

A heap would ask at every record which partition is next. Here a partition's records get a rank, the greatest
timestamp so far, which makes each partition ascending and gives the same order; then the sort of the standard
library, which merges ascending runs, does it for thousands of records at once.
"""

from __future__ import annotations

from bisect import bisect_right
from operator import itemgetter

from pql_stream.wire.headers import Headers
from pql_stream.wire.rekeyed import Origin

Placed = tuple[int, int, int, int, bytes, int, Headers, Origin | None]
"""
Rank, number of the partition, offset in it, size of the partition's records up to this one in bytes; value, timestamp,
headers; and where the record is from, if not from there.

The first two put it into the order. It is a bare tuple of bare values, which the garbage collector need not follow:
tens of thousands wait for one another, and with an object for each it would take a third of the time of reading.
"""

_ORDER = itemgetter(0, 1)
_NO_RANK = -(2**63)
_ALL = (2**63, 0)
"""Below, and above, any timestamp of Kafka's, which are integers of 64 bits."""


class Merge:
    """Takes in the records of so many *partitions*, each in the order of its offsets, until the partition is ended."""

    def __init__(self, partitions: int) -> None:
        self._waiting: list[list[Placed]] = [[] for _ in range(partitions)]
        self._ranks = [_NO_RANK] * partitions
        self._sizes = [0] * partitions
        self._open = set(range(partitions))

    # By position: keywords would be a tenth of what a record costs.
    def add(  # noqa: PLR0917 - the reason is above
        self, partition: int, offset: int, timestamp_ms: int, value: bytes, headers: Headers, origin: Origin | None
    ) -> None:
        """One more record of *partition*."""
        rank = self._ranks[partition]
        if timestamp_ms > rank:
            rank = self._ranks[partition] = timestamp_ms
        size = self._sizes[partition] = self._sizes[partition] + len(value)
        self._waiting[partition].append((rank, partition, offset, size, value, timestamp_ms, headers, origin))

    def end(self, partition: int) -> None:
        """Nothing more comes of *partition*."""
        self._open.discard(partition)

    def take(self) -> list[Placed]:
        """
        What comes next, as far as it is known.

        Nothing that is still to come of an open partition can lie before its last one that did.
        """
        bound = min(((self._ranks[partition], partition) for partition in self._open), default=_ALL)
        taken: list[Placed] = []
        for waiting in self._waiting:
            known = bisect_right(waiting, bound, key=_ORDER)
            taken += waiting[:known]
            del waiting[:known]
        taken.sort()
        return taken

    def waiting_bytes(self, partition: int) -> int:
        """How much of *partition* waits for records of others."""
        waiting = self._waiting[partition]
        if not waiting:
            return 0
        _, _, _, size, value, *_ = waiting[0]
        return self._sizes[partition] - size + len(value)
