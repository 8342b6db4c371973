"""A producer that writes in transactions: nothing of one is seen before all of it is."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from aiokafka.errors import (
    IncompatibleBrokerVersion,
    InvalidTransactionTimeout,
    KafkaError,
    ProducerFenced,
    TransactionalIdAuthorizationFailed,
)
from faust.types import TP

from pql_stream.errors import BrokerError, PqlError, StreamLost
from pql_stream.stream.connection import Connection
from pql_stream.stream.transport import internals
from pql_stream.stream.transport.producing import (
    BatchRefused,
    Span,
    new_producer,
    pack,
    send_batch,
    send_in_order,
)
from pql_stream.wire.records import OutRecord

TIMEOUT_MS = 60_000
"""
How long a transaction may last, Kafka's default; brokers allow up to transaction.max.timeout.ms, 15 minutes.

The price of more: a worker that died in the middle of one, and that nobody replaces, holds back the readers of
committed records for so long. The price of less: a broker that is away for longer ends the worker.
"""

_AGAIN_S = 0.2
_ABORT_S = 2.0


class TransactionalProducer:
    """The producer of one transactional id. One transaction at a time."""

    def __init__(self, connection: Connection, transactional_id: str, group: str) -> None:
        self._id = transactional_id
        self._group = group
        self._unanswered = False
        self._let_go = False
        self._producer = new_producer(connection, transactional_id=transactional_id, transaction_timeout_ms=TIMEOUT_MS)
        internals.watch_transactions(self._producer, self._note_unanswered)

    def _note_unanswered(self) -> None:
        self._unanswered = True

    @property
    def is_in_doubt(self) -> bool:
        """A request of a transaction got no answer: it may still arrive, and another transaction must not be begun."""
        return self._unanswered

    async def start(self) -> None:
        """
        Connect, end what is under way by this id, and shut out everybody else who uses it. Tries again for ever
        while the broker is away.

        Raises:
            PqlError: the broker does not let us.
        """
        while True:
            try:
                await self._producer.start()
            except KafkaError as exc:
                if not _cause_of(exc).retriable:
                    raise explained(exc, self._id, self._group) from exc
                await asyncio.sleep(_AGAIN_S)
            else:
                return

    async def stop(self) -> None:
        """
        Disconnect; a transaction that is open is aborted if that is soon done, so that nobody waits for it.

        Whoever is still at work on it learns at the next step that the partition is lost.
        """
        self._let_go = True
        if internals.may_abort(self._producer):
            with suppress(KafkaError, TimeoutError):
                async with asyncio.timeout(_ABORT_S):
                    await self._producer.abort_transaction()
        try:
            await self._producer.stop()
        except KafkaError:
            # What ended a commit that was under way: who waits for that commit hears it. aiokafka is not through then.
            await self._producer.client.close()

    def _check_held(self) -> None:
        if self._let_go:
            raise StreamLost(f"{self._id} was let go", why="the worker hands its partitions over, or ends")

    async def begin(self) -> None:
        """
        Begin a transaction.

        Raises:
            StreamLost: the producer was stopped.
        """
        self._check_held()
        await self._producer.begin_transaction()
        internals.own_end_of_transaction(self._producer)

    async def send(
        self, topic: str, partition: int, records: Sequence[OutRecord], *, compressed: bool = False
    ) -> list[Span]:
        """
        Write *records* in order, as part of the transaction; the offsets they got, one span a batch.

        Raises:
            RecordTooLarge: names the record; those before it are written, and others may follow.
            PqlError: the transaction cannot be committed any more.
        """

        async def send_some(some: Sequence[OutRecord]) -> Span:
            self._check_held()
            try:
                batch = pack(some, compressed=compressed, transactional=True)
                return await send_batch(self._producer, batch, topic, partition)
            except BatchRefused as exc:
                # aiokafka has counted the refused records, the broker has not: it would refuse all that follows.
                internals.uncount(self._producer, topic, partition, exc.count)
                raise
            except KafkaError as exc:
                raise explained(exc, self._id, self._group) from exc

        return await send_in_order(topic, records, send_some)

    async def add_offset(self, tp: TP, offset: int) -> None:
        """
        Let the group's offset of *tp* be *offset* when the transaction is committed.

        Raises:
            PqlError: the transaction cannot be committed any more.
        """
        self._check_held()
        try:
            await self._producer.send_offsets_to_transaction({internals.topic_partition(tp): offset}, self._group)
        except KafkaError as exc:
            raise explained(exc, self._id, self._group) from exc

    async def commit(self) -> None:
        """
        Commit; on return everything is durable.

        It asks until the broker answers: after an outage, too, the answer is what became of this transaction.

        Raises:
            PqlError: it is not committed, or that is not known.
        """
        self._check_held()
        try:
            await self._producer.commit_transaction()
        except KafkaError as exc:
            raise explained(exc, self._id, self._group) from exc


def explained(exc: KafkaError, transactional_id: str, group: str) -> PqlError:
    """What the broker said to a producer, in words that say who must act."""
    cause = _cause_of(exc)
    if isinstance(cause, ProducerFenced):
        return StreamLost(
            f"the broker takes no more from {transactional_id}",
            why=f"another worker has the partition now, or a transaction took over {TIMEOUT_MS // 1000} s",
        )
    if isinstance(cause, TransactionalIdAuthorizationFailed):
        return BrokerError(
            f"the broker does not let us use the transactional id {transactional_id}",
            why="exactly_once needs one for every partition",
            what_to_do="allow this user to Write and Describe transactional ids that begin with "
            f"{group}-, or set PQL_PROCESSING_GUARANTEE=at_least_once",
        )
    if isinstance(cause, IncompatibleBrokerVersion | InvalidTransactionTimeout):
        return BrokerError(
            f"the broker has no transactions of {TIMEOUT_MS // 1000} s",
            why=f"exactly_once needs them, and it answers {cause!r}",
            what_to_do="look at the broker's version and its transaction.max.timeout.ms, "
            "or set PQL_PROCESSING_GUARANTEE=at_least_once",
        )
    return BrokerError(f"a transaction of {transactional_id} failed", why=repr(cause))


def _cause_of(exc: KafkaError) -> KafkaError:
    """The client wraps what it did not expect."""
    return exc.__cause__ if isinstance(exc.__cause__, KafkaError) else exc
