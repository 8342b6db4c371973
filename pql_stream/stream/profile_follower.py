"""
Contact data for the delivery app: it follows the partitions of `lead-profiles` that go with its own, read-only.

The rows lie in the same stores as those of a table, with the offset that they go up to. So a restart reads what came
meanwhile, and a partition that is new here is read from its beginning.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

from pql_stream.core.profiles import LeadProfile
from pql_stream.errors import BrokerError, InvalidState
from pql_stream.stream.profiles import CONTACTS_STORE
from pql_stream.stream.transport.following import FollowedTable, FollowerService, Stretch, Tail
from pql_stream.wire.headers import REPAIR
from pql_stream.wire.lead_profiles import load_profile

if TYPE_CHECKING:
    from aiokafka import ConsumerRecord

    from pql_stream.stream.transport import BatchApp

TABLE = "followed-profiles"
"""Not the name of the scorer's table: both apps may keep their state in one directory."""

_ERASED = b""
"""In place of the row of a lead that was erased: no record is empty."""
_AGAIN_S = 1.0

log = logging.getLogger(__name__)


class Log(Protocol):
    """The topic."""

    async def ends(self, partitions: Collection[int]) -> Mapping[int, int]:
        """The offset behind the last record of each of *partitions*."""

    def follow(self, positions: Mapping[int, int]) -> None:
        """Go on with these partitions, and no others, each at its offset."""

    async def read(self) -> Sequence[Stretch]:
        """What has come; waits a moment for something to come."""


class Store(Protocol):
    """What was read."""

    async def open(self, partitions: Collection[int]) -> None:
        """Open the stores of *partitions*, and close all others."""

    def offset(self, partition: int) -> int:
        """The last offset that is applied, -1 for none."""

    def get_many(self, partition: int, keys: Iterable[bytes]) -> Mapping[bytes, bytes]:
        """The rows that are there."""

    def put_many(self, partition: int, rows: Sequence[tuple[bytes, bytes | None]], offset: int) -> None:
        """Store *rows*, and that the topic is applied up to *offset*, in one step."""


class ProfileFollower:
    """
    The contact data of leads, as far as it was read.

    `own` says which partitions; whoever runs it calls `step` for ever. *sleep* waits for so many seconds.
    """

    def __init__(self, log_: Log, store: Store, *, sleep: Callable[[float], Awaitable[object]] = asyncio.sleep) -> None:
        self._log = log_
        self._store = store
        self._sleep = sleep
        self._wanted: frozenset[int] = frozenset()
        self._dealt = self._begun = 0
        """How often partitions were dealt, and the one of these times that is followed."""
        self._left: dict[int, int] = {}
        """Partition -> the end that it had when it became ours, while that is not reached."""
        self._moved = asyncio.Event()

    def own(self, partitions: Collection[int]) -> None:
        """*partitions* are ours from here, and no others."""
        self._wanted = frozenset(partitions)
        self._dealt += 1

    def of(self, partition: int, lead_id: str) -> LeadProfile | Literal["erased"] | None:
        """
        What is known of a lead of *partition*, which is ours; "erased" when its contact data was taken away.

        Raises:
            InvalidState: the record is of a version that this program does not know.
        """
        key = lead_id.encode()
        row = self._store.get_many(partition, (key,)).get(key)
        if row is None:
            return None
        return "erased" if row == _ERASED else load_profile(row)[1].of(lead_id)

    def is_caught_up(self, partition: int) -> bool:
        """Everything was read that *partition* had when it became ours."""
        return partition in self._wanted and not self._is_new and partition not in self._left

    async def read_to_end(self, partition: int) -> None:
        """
        Return when everything is read that *partition* has now: what was known of a lead before a change was published.

        Never, if the partition is not ours any more.
        """
        end = await self._end(partition)
        while not self.is_caught_up(partition) or self._store.offset(partition) + 1 < end:
            self._moved.clear()
            await self._moved.wait()

    async def _end(self, partition: int) -> int:
        while True:
            try:
                return (await self._log.ends((partition,)))[partition]
            except BrokerError as exc:
                log.warning("the end of contact data is not known at the moment: %s (%s)", exc.what, exc.why)
            await self._sleep(_AGAIN_S)

    @property
    def _is_new(self) -> bool:
        return self._begun != self._dealt

    @property
    def caught_up(self) -> bool:
        """That is true of every partition that is ours."""
        return all(self.is_caught_up(partition) for partition in self._wanted)

    async def step(self) -> None:
        """
        Read something; when the broker does not answer, wait a moment.

        Raises:
            InvalidState: what is stored is of another topic.
            StoreError: the disk fails.
        """
        try:
            while self._is_new:
                await self._begin()
            for stretch in await self._log.read():
                # What is not ours any more may have come with it.
                if not self._is_new:
                    self._apply(stretch)
            self._moved.set()
        except BrokerError as exc:
            log.warning("contact data is not followed at the moment: %s (%s)", exc.what, exc.why)
            # Something may have been passed over: from what is stored.
            self._dealt += 1
            await self._sleep(_AGAIN_S)

    async def _begin(self) -> None:
        wanted, dealt = self._wanted, self._dealt
        await self._store.open(wanted)
        positions = {partition: self._store.offset(partition) + 1 for partition in wanted}
        ends = await self._log.ends(wanted) if wanted else {}
        for partition, position in positions.items():
            if position > ends[partition]:
                raise InvalidState(
                    f"what is stored of lead-profiles partition {partition} goes further than the topic",
                    why=f"it goes up to {position}, the topic to {ends[partition]}: it was made anew",
                    what_to_do="remove the state directory: all of it is on the cluster",
                )
        if self._dealt != dealt:
            return  # anew meanwhile
        self._log.follow(positions)
        self._left = {partition: end for partition, end in ends.items() if positions[partition] < end}
        self._begun = dealt

    def _apply(self, stretch: Stretch) -> None:
        partition = stretch.partition
        rows: dict[bytes, bytes | None] = {}
        for record in stretch.records:
            if record.key is not None:
                rows[record.key] = record.value or self._without_row(partition, rows, record)
        self._store.put_many(partition, list(rows.items()), stretch.next - 1)
        if stretch.next >= self._left.get(partition, 0):
            self._left.pop(partition, None)

    def _without_row(
        self, partition: int, rows: Mapping[bytes, bytes | None], tombstone: ConsumerRecord
    ) -> bytes | None:
        """What is stored in place of the row; a worker's own tombstone erases nothing, and confirms what was erased."""
        key = tombstone.key
        if REPAIR not in tombstone.headers:
            return _ERASED
        before = rows[key] if key in rows else self._store.get_many(partition, (key,)).get(key)
        return _ERASED if before == _ERASED else None


class Following(NamedTuple):
    """The follower, and what runs it: a dependency of its app, started before whatever asks it."""

    follower: ProfileFollower
    service: FollowerService


def follow_profiles(app: BatchApp, topic: str, partitions: int) -> Following:
    """
    A follower of *topic*, which has so many *partitions*, for *app*, in the kind of store that its tables have.

    Tell it of `BatchApp.take_partitions` and `release_partitions`.
    """
    tail = Tail(app.connection, topic)
    table = FollowedTable(app, name=TABLE, topic=topic, partitions=partitions, options=dict(CONTACTS_STORE))
    follower = ProfileFollower(tail, table)
    return Following(follower, FollowerService(app, tail, table, follower.step, loop=app.loop, beacon=app.beacon))
