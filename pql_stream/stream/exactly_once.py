"""
Exactly once: outputs, rows and the offset of a batch are one transaction, seen together or not at all.

No Faust and no client library here: the transactions and the table come in as ports.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Generic, Protocol, TypeVar

from pql_stream.core.states import LeadState
from pql_stream.stream.effects import Effects
from pql_stream.stream.leads import Unstored
from pql_stream.stream.metrics import BatchStage
from pql_stream.stream.names import Topics
from pql_stream.stream.outbox import Outbox, Writer, outgoing
from pql_stream.stream.profiles import profile_rows
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

    async def run(
        self, topic: str, partition: int, end: int, writes: Callable[[T_co], Sequence[Awaitable[object]]]
    ) -> None:
        """Commit all that *writes* returns, and that *topic* was read up to, not including, *end*."""

    async def run_alone(self, partition: int, writes: Callable[[T_co], Sequence[Awaitable[object]]]) -> None:
        """Commit all that *writes* returns, for what was not read from a source."""


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

    async def write(self, batch: SourceBatch, effects: Effects) -> Mapping[BatchStage, float]:
        """
        Write *effects* and commit them with the offset of *batch*; on return the rows are stored.

        Raises:
            StreamLost: the partition belongs to somebody else.
            PqlError: it failed, or nobody knows whether it did. Nothing of this batch may be used.
        """
        started_at_s = self._clock()
        await self._confirm_lease()
        end = batch.records[-1].offset + 1
        await self._transactions.run(
            batch.topic, batch.partition, end, lambda transaction: self._writes(transaction, batch.partition, effects)
        )
        return {"send": self._clock() - started_at_s}

    async def write_alone(self, partition: int, effects: Effects) -> None:
        """
        Write *effects*, which no batch has made, and commit them; on return the rows are stored.

        Raises:
            PqlError: as `write`.
        """
        await self._confirm_lease()
        await self._transactions.run_alone(partition, lambda transaction: self._writes(transaction, partition, effects))

    def _writes(self, transaction: T, partition: int, effects: Effects) -> list[Awaitable[object]]:
        outbox = Outbox(
            self._topics,
            writer=transaction.writer,
            compressing=transaction.compressing,
            dead_letter_partitions=self._dead_letter_partitions,
        )
        writes: list[Awaitable[object]] = [
            outbox.send(topic, at, records) for topic, at, records in outgoing(self._topics, partition, effects)
        ]
        if effects.states:
            unstored = self._leads.unstored(partition, effects.states)
            writes.append(self._rows.write_in(transaction, partition, unstored.rows))
            transaction.when_committed(unstored.stored)
        if effects.profiles:
            writes.append(self._contacts.write_in(transaction, partition, profile_rows(effects.profiles)))
        return writes
