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
from math import inf
from typing import NamedTuple

from pql_stream.replay.source import Recorded


class Placed(NamedTuple):
    """
    *recorded*, and where it lies: the *partition* by its number in the order, from 0, and the *offset*.

    *rank* puts it into the order; *size* is that of the partition's records up to it, in bytes.
    """

    rank: int
    partition: int
    offset: int
    size: int
    recorded: Recorded


class Merge:
    """Takes in the records of so many *partitions*, each in the order of its offsets, until the partition is ended."""

    def __init__(self, partitions: int) -> None:
        self._waiting: list[list[Placed]] = [[] for _ in range(partitions)]
        self._ranks: list[float] = [-inf] * partitions
        self._sizes = [0] * partitions
        self._open = set(range(partitions))

    def add(self, partition: int, offset: int, timestamp_ms: int, recorded: Recorded) -> None:
        """One more record of *partition*."""
        rank = self._ranks[partition]
        if timestamp_ms > rank:
            rank = self._ranks[partition] = timestamp_ms
        size = self._sizes[partition] = self._sizes[partition] + len(recorded.value)
        # What a NamedTuple's own constructor does, at half its price.
        placed = tuple.__new__(Placed, (rank, partition, offset, size, recorded))
        self._waiting[partition].append(placed)

    def end(self, partition: int) -> None:
        """Nothing more comes of *partition*."""
        self._open.discard(partition)

    def take(self) -> list[Placed]:
        """
        What comes next, as far as it is known.

        Nothing that is still to come of an open partition can lie before its last one that did.
        """
        bound = min(((self._ranks[partition], partition) for partition in self._open), default=(inf, 0))
        taken: list[Placed] = []
        for waiting in self._waiting:
            known = bisect_right(waiting, (*bound, inf))  # type: ignore[type-var] # a tuple is less than another
            taken += waiting[:known]
            del waiting[:known]
        taken.sort()
        return taken

    def waiting_bytes(self, partition: int) -> int:
        """How much of *partition* waits for records of others."""
        waiting = self._waiting[partition]
        return self._sizes[partition] - waiting[0].size + len(waiting[0].recorded.value) if waiting else 0
