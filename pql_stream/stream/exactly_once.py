"""
Exactly once: outputs, rows and the offset of a batch are one transaction, seen together or not at all.

No Faust and no client library here: the transactions and the table come in as ports.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Generic, Protocol, TypeVar

from pql_stream.core.profiles import ProfileState
from pql_stream.core.states import LeadState
from pql_stream.stream.effects import Effects
from pql_stream.stream.leads import Unstored
from pql_stream.stream.metrics import BatchStage
from pql_stream.stream.names import Topics
from pql_stream.stream.outbox import Outbox, Writer, send_all
from pql_stream.stream.profiles import profile_rows
from pql_stream.stream.slices import Slices, send_in_turn
from pql_stream.wire.records import SourceBatch


class Transaction(Protocol):
    """Takes writes; they are seen when it is committed."""

    @property
    def writer(self) -> Writer: ...
    @property
    def compressing(self) -> Writer: ...

    def when_committed(self, then: Callable[[], None]) -> None:
        """Call *then* as soon as it is committed, and never if it is not."""


T = TypeVar("T", bound=Transaction)
T_co = TypeVar("T_co", bound=Transaction, covariant=True)
T_contra = TypeVar("T_contra", bound=Transaction, contravariant=True)


class Transactions(Protocol[T_co]):
    """One transaction a batch."""

    async def run(self, topic: str, partition: int, end: int, write: Callable[[T_co], Awaitable[object]]) -> None:
        """Commit all that *write* writes, and that *topic* was read up to, not including, *end*."""

    async def run_alone(self, partition: int, write: Callable[[T_co], Awaitable[object]]) -> None:
        """Commit all that *write* writes, for what was not read from a source."""


class RowWriter(Protocol[T_contra]):
    """A table: that of leads, or that of their contact data."""

    async def write_in(
        self, transaction: T_contra, partition: int, items: Sequence[tuple[bytes, bytes | None]]
    ) -> None:
        """Write *items* as part of *transaction*; they are stored when it is committed."""


class StateStore(Protocol):
    """The states of leads."""

    def unstored(self, partition: int, states: Mapping[str, LeadState]) -> Unstored:
        """*states* as rows, and what to call when those are durable."""


class ExactlyOnce(Generic[T]):
    """
    Writes effects so that whoever reads committed records sees each once.

    *confirm_lease* raises `StreamLost` when the partitions may have another owner by now. The broker would refuse
    us as well; to ask first spares the new owner the wait for a transaction of ours.
    """

    def __init__(
        self,
        topics: Topics,
        transactions: Transactions[T],
        rows: RowWriter[T],
        leads: StateStore,
        contacts: RowWriter[T],
        *,
        dead_letter_partitions: int,
        confirm_lease: Callable[[], Awaitable[None]],
        clock: Callable[[], float],
    ) -> None:
        self._topics = topics
        self._transactions = transactions
        self._rows = rows
        self._leads = leads
        self._contacts = contacts
        self._dead_letter_partitions = dead_letter_partitions
        self._confirm_lease = confirm_lease
        self._clock = clock

    async def write(self, batch: SourceBatch, slices: Slices) -> Mapping[BatchStage, float]:
        """
        Score *slices*, which are *batch*, write what they do and commit that with its offset; on return the rows are
        stored.

        Raises:
            StreamLost: the partition belongs to somebody else.
            PqlError: it failed, or nobody knows whether it did. Nothing of this batch may be used.
        """
        started_at_s = self._clock()
        await self._confirm_lease()
        end = batch.records[-1].offset + 1
        sent: list[Effects] = []

        async def write(transaction: T) -> None:
            outbox = self._outbox(transaction)

            async def send(effects: Effects) -> None:
                await send_all(outbox, self._topics, batch.partition, effects)
                sent.append(effects)

            await send_in_turn(slices, send)
            await self._store(transaction, batch.partition, slices.states, slices.profiles)

        await self._transactions.run(batch.topic, batch.partition, end, write)
        for effects in sent:
            slices.acknowledged(effects)
        return {"send": self._clock() - started_at_s - slices.seconds}

    async def write_alone(self, partition: int, effects: Effects) -> None:
        """
        Write *effects*, which no batch has made, and commit them; on return the rows are stored.

        Raises:
            PqlError: as `write`.
        """

        async def write(transaction: T) -> None:
            await send_all(self._outbox(transaction), self._topics, partition, effects)
            await self._store(transaction, partition, effects.states, effects.profiles)

        await self._confirm_lease()
        await self._transactions.run_alone(partition, write)

    def _outbox(self, transaction: T) -> Outbox:
        return Outbox(
            self._topics,
            writer=transaction.writer,
            compressing=transaction.compressing,
            dead_letter_partitions=self._dead_letter_partitions,
        )

    async def _store(
        self,
        transaction: T,
        partition: int,
        states: Mapping[str, LeadState],
        profiles: Mapping[str, ProfileState],
    ) -> None:
        writes: list[Awaitable[object]] = []
        if states:
            unstored = self._leads.unstored(partition, states)
            writes.append(self._rows.write_in(transaction, partition, unstored.rows))
            transaction.when_committed(unstored.stored)
        if profiles:
            writes.append(self._contacts.write_in(transaction, partition, profile_rows(profiles)))
        await asyncio.gather(*writes)
