"""
At least once: contact data and outputs, slice by slice; then the rows of leads, then (by the transport) the offset,
each acknowledged before the next.

No Faust and no client library here: where records go and rows lie comes in as ports.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from pql_stream.core.profiles import ProfileState
from pql_stream.core.states import LeadState
from pql_stream.stream.effects import Effects
from pql_stream.stream.metrics import BatchStage
from pql_stream.stream.names import Topics
from pql_stream.stream.outbox import Sender, send_all
from pql_stream.stream.slices import Slices, send_in_turn
from pql_stream.wire.records import SourceBatch


class StateStore(Protocol):
    """The states of leads."""

    async def store(self, partition: int, states: Mapping[str, LeadState]) -> None:
        """Make *states* durable; returns when their changelog is acknowledged."""


class ProfileStore(Protocol):
    """The contact data of leads."""

    async def store(self, partition: int, profiles: Mapping[str, ProfileState]) -> None:
        """Make *profiles* durable; returns when their changelog is acknowledged."""


class AtLeastOnce:
    """
    Writes effects so that a crash may repeat them and cannot lose any.

    *confirm_lease* raises `StreamLost` when the partitions may have another owner by now; after an outage of the
    broker it waits until the group has spoken. *clock* is seconds since 1970.
    """

    def __init__(
        self,
        topics: Topics,
        sender: Sender,
        leads: StateStore,
        profiles: ProfileStore,
        *,
        confirm_lease: Callable[[], Awaitable[None]],
        clock: Callable[[], float],
    ) -> None:
        self._topics = topics
        self._sender = sender
        self._leads = leads
        self._profiles = profiles
        self._confirm_lease = confirm_lease
        self._clock = clock

    async def write(self, batch: SourceBatch, slices: Slices) -> Mapping[BatchStage, float]:
        """
        Score *slices*, which are *batch*, send what they do, then store states; afterwards its offset may be committed.

        Sends before it stores states: a crash in between repeats the events, and the repeat folds to the same state
        and writes the same ids. The other order would lose changes, because the stored row would already be the new
        one. No output depends on contact data, so that comes first: whoever reads a change finds what was known then.

        Raises:
            StreamLost: the partition may belong to somebody else; nothing more was written.
        """

        async def store_contacts(effects: Effects) -> None:
            await self._store_contacts(batch.partition, effects)
            # The next slice goes on from the table: there a row is gone that somebody has erased meanwhile.
            slices.profiles.clear()

        async def send(effects: Effects) -> None:
            await self._send(batch.partition, effects)
            slices.acknowledged(effects)

        started_at_s = self._clock()
        await send_in_turn(slices, send, store_contacts)
        sent_at_s = self._clock()
        await self._store(batch.partition, slices.states)
        return {"send": sent_at_s - started_at_s - slices.seconds, "store": self._clock() - sent_at_s}

    async def write_alone(self, partition: int, effects: Effects) -> None:
        """As `write`, for effects that no batch has made."""
        await self._store_contacts(partition, effects)
        await self._send(partition, effects)
        await self._store(partition, effects.states)

    async def _store_contacts(self, partition: int, effects: Effects) -> None:
        if effects.profiles:
            await self._confirm_lease()
            await self._profiles.store(partition, effects.profiles)

    async def _send(self, partition: int, effects: Effects) -> None:
        await self._confirm_lease()
        await send_all(self._sender, self._topics, partition, effects)

    async def _store(self, partition: int, states: Mapping[str, LeadState]) -> None:
        if states:
            await self._confirm_lease()
            await self._leads.store(partition, states)
