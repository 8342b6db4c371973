"""How far a consumer group is, as the cluster sees it: a client of its own, which shares nothing with the worker's."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import Future
from typing import Any, NamedTuple

from confluent_kafka import ConsumerGroupTopicPartitions, IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined] # public names, but re-exported without `as`
    AdminClient,
    OffsetSpec,
)

from pql_stream.errors import BrokerAway
from pql_stream.ops.interruptible import unless_stopped
from pql_stream.ops.topics.reading import reading, records_of
from pql_stream.stream.metrics import PartitionId

ANSWER_S_MAX = 10.0


class GroupOffsets(NamedTuple):
    """The offset that the group has committed (0: none yet), and the end of what a committed reader can read."""

    committed: int
    end: int


def ask_committed(
    admin: AdminClient, group: str, partitions: Iterable[PartitionId]
) -> Future[ConsumerGroupTopicPartitions]:
    """Ask, as no member of *group*, what it has committed of *partitions*; `committed_in` reads the answer."""
    asked = ConsumerGroupTopicPartitions(group, [TopicPartition(*at) for at in partitions])
    return admin.list_consumer_group_offsets([asked], request_timeout=ANSWER_S_MAX)[group]


def committed_in(answer: ConsumerGroupTopicPartitions) -> dict[PartitionId, int]:
    """The offset of each partition, 0 where there is none yet."""
    return {PartitionId(at.topic, at.partition): max(at.offset, 0) for at in answer.topic_partitions or ()}


class GroupReader:
    """
    Asks the cluster that *client_config* (librdkafka's names) leads to about *group*, of which it is no member.

    No answer is waited for when *stop* is set.
    """

    def __init__(self, client_config: Mapping[str, Any], group: str, stop: asyncio.Event) -> None:
        self._client_config = client_config
        self._group = group
        self._stop = stop
        self._admin = AdminClient({"log_level": 0, **client_config})

    async def read(self, partitions: Collection[PartitionId]) -> dict[PartitionId, GroupOffsets]:
        """
        Where the group is in *partitions*; with none, whether the cluster answers at all.

        Raises:
            BrokerAway: it does not answer, or not all that was asked.
        """
        try:
            if not partitions:
                await unless_stopped(lambda: self._admin.list_topics(timeout=ANSWER_S_MAX), self._stop)
                return {}
            answer = ask_committed(self._admin, self._group, partitions)
            committed = committed_in(await asyncio.wrap_future(answer))
            ends = await self._ends(partitions)
        except KafkaException as exc:
            raise BrokerAway("the cluster does not tell how far the group is", why=exc.args[0].str()) from exc
        return {at: GroupOffsets(committed[at], ends[at]) for at in ends}

    async def has_record(self, at: PartitionId, offset: int) -> bool:
        """
        Is there a record at *offset* or behind it? Offsets there may as well be markers of transactions.

        Raises:
            BrokerError: the partition cannot be read.
        """
        return bool(await unless_stopped(lambda: self._has_record(at, offset), self._stop))

    def _has_record(self, at: PartitionId, offset: int) -> bool:
        with reading(self._client_config, at.topic) as consumer:
            return next(records_of(consumer, TopicPartition(at.topic, at.partition), first=offset), None) is not None

    async def _ends(self, partitions: Iterable[PartitionId]) -> dict[PartitionId, int]:
        latest = {TopicPartition(*at): OffsetSpec.latest() for at in partitions}  # type: ignore[no-untyped-call] # the client's own
        answers = self._admin.list_offsets(
            latest, isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=ANSWER_S_MAX
        )
        return {
            PartitionId(at.topic, at.partition): (await asyncio.wrap_future(answer)).offset
            for at, answer in answers.items()
        }
