"""
Finds partitions that stand still, from what the cluster says: the ends of their topics, and what is committed.

The transport has a watchdog of its own, which believes the transport. This one believes nobody: it also sees records
that were dropped on the way, and a client that has stopped asking for them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from typing import Protocol

import structlog

from pql_stream.errors import PqlError
from pql_stream.ops.group_offsets import GroupOffsets
from pql_stream.ops.standstill import Standstill
from pql_stream.stream.metrics import PartitionId

LOOK_EVERY_S = 15.0
_LATE = 3
"""A look that comes later than so many times its turn says nothing about the time before it: we were frozen."""

log = structlog.stdlib.get_logger(__name__)


class Cluster(Protocol):
    """What the cluster knows of the group."""

    async def read(self, partitions: Collection[PartitionId]) -> Mapping[PartitionId, GroupOffsets]:
        """Where the group is. Raises `BrokerAway` when it does not say."""

    async def has_record(self, at: PartitionId, offset: int) -> bool:
        """Is there a record at *offset* or behind it? Raises `BrokerError` when it does not say."""


class Watched(Protocol):
    """What the app says of itself. Nothing of it is believed but what is ours, and what waits on purpose."""

    def owned(self) -> Mapping[PartitionId, int]:
        """The partitions that it reads, each with a number that grows while a batch of it goes on."""

    def waiting(self) -> Collection[PartitionId]:
        """Those that wait for somebody else, on purpose."""

    def start(self) -> tuple[str, object] | None:
        """What it is doing before it reads, with a mark that changes as it gets on; None when it reads, or idles."""

    def heard(self, ends: Mapping[PartitionId, int]) -> None:
        """Where the partitions end."""


class StallWatch:
    """
    One app and its group. *clock*: seconds that never go back.

    A stall is *after_s* in which the cluster answered, records waited, and no commit moved.
    """

    def __init__(self, app: Watched, cluster: Cluster, *, after_s: float, clock: Callable[[], float]) -> None:
        self._app = app
        self._cluster = cluster
        self._after_s = after_s
        self._every_s = min(LOOK_EVERY_S, after_s / 4)
        self._clock = clock
        self._looked_at_s: float | None = None
        self._standstill: Standstill[PartitionId | str] = Standstill()
        self._told: set[PartitionId | str] = set()

    async def run(self) -> None:
        """Look once in a while, for ever."""
        while True:
            await asyncio.sleep(self._every_s)
            await self.look()

    async def look(self) -> None:
        """Ask the cluster once."""
        owned = self._app.owned()
        try:
            offsets = await self._cluster.read(owned.keys())
        except PqlError:
            self._looked_at_s = None  # nothing is known until the next two answers
            return
        self._app.heard({at: known.end for at, known in offsets.items()})
        self._standstill.observe(self._marks(owned, offsets), self._passed_s())
        for at in self._partitions_stood():
            if not await self._has_record(at, offsets[at].committed):
                self._standstill.moved(at)
        self._tell()

    def stalled(self) -> list[str]:
        """A sentence for each stall, the longest first; none is well."""
        return [_sentence(at, for_s) for at, for_s in self._standstill.longer_than(self._after_s).items()]

    def _passed_s(self) -> float:
        """Since the last look, if it and this one can be compared."""
        before_s, self._looked_at_s = self._looked_at_s, self._clock()
        passed_s = 0.0 if before_s is None else self._looked_at_s - before_s
        return passed_s if passed_s <= _LATE * self._every_s else 0.0

    def _marks(
        self, owned: Mapping[PartitionId, int], offsets: Mapping[PartitionId, GroupOffsets]
    ) -> dict[PartitionId | str, object]:
        waiting = self._app.waiting()
        marks: dict[PartitionId | str, object] = {
            at: (known.committed, owned[at])
            for at, known in offsets.items()
            if known.end > known.committed and at not in waiting
        }
        start = self._app.start()
        if start is not None:
            marks[start[0]] = start[1]
        return marks

    def _partitions_stood(self) -> list[PartitionId]:
        stood = self._standstill.longer_than(self._after_s)
        return [at for at in stood if isinstance(at, PartitionId)]

    async def _has_record(self, at: PartitionId, offset: int) -> bool:
        """Behind the last record there may be markers of transactions, which nobody commits."""
        try:
            return await self._cluster.has_record(at, offset)
        except PqlError:
            return False

    def _tell(self) -> None:
        stood = self._standstill.longer_than(self._after_s)
        for at, for_s in stood.items():
            if at not in self._told:
                log.error("stalled", what=_sentence(at, for_s))
        self._told = set(stood)


def _sentence(at: PartitionId | str, for_s: float) -> str:
    if isinstance(at, PartitionId):
        return f"{at.topic}, partition {at.partition}: records wait, and no commit has moved for {for_s:.0f} s"
    return f"{at}: nothing has moved for {for_s:.0f} s"
