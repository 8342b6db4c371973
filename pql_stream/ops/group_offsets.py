"""How far a consumer group is, as the cluster sees it: a client of its own, which shares nothing with the worker's."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

from confluent_kafka import Consumer, KafkaException, TopicPartition

from pql_stream.errors import BrokerAway
from pql_stream.ops.interruptible import unless_stopped
from pql_stream.ops.topics.reading import committed_consumer, reading, records_of, watermarks
from pql_stream.stream.metrics import PartitionId

ANSWER_S_MAX = 10.0


class GroupOffsets(NamedTuple):
    """The offset that the group has committed (0: none yet), and the end of what a committed reader can read."""

    committed: int
    end: int


def committed_offsets(client: Consumer, partitions: Iterable[PartitionId]) -> dict[PartitionId, int]:
    """
    What the group of *client* has committed of each partition, 0 where there is nothing yet.

    Asked by a consumer that never joins, and not by an AdminClient: that of librdkafka 2.16.1 now and then ends its
    process, by SIGABRT or SIGSEGV, when a broker dies while it asks for offsets.

    Raises:
        KafkaException: the cluster does not say.
    """
    answer = client.committed([TopicPartition(*at) for at in partitions], timeout=ANSWER_S_MAX)
    for at in answer:
        if at.error is not None:
            raise KafkaException(at.error)
    return {PartitionId(at.topic, at.partition): max(at.offset, 0) for at in answer}


class GroupReader:
    """
    Asks the cluster that *client_config* (librdkafka's names) leads to about *group*, of which it is no member.

    No answer is waited for when *stop* is set.
    """

    def __init__(self, client_config: Mapping[str, Any], group: str, stop: asyncio.Event) -> None:
        self._client_config = client_config
        self._stop = stop
        self._client = committed_consumer(client_config, group)

    async def read(self, partitions: Collection[PartitionId]) -> dict[PartitionId, GroupOffsets]:
        """
        Where the group is in *partitions*; with none, whether the cluster answers at all.

        Raises:
            BrokerAway: it does not answer, or not all that was asked.
        """
        try:
            return await unless_stopped(lambda: self._read(partitions), self._stop) or {}
        except KafkaException as exc:
            raise BrokerAway("the cluster does not tell how far the group is", why=exc.args[0].str()) from exc

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

    def _read(self, partitions: Collection[PartitionId]) -> dict[PartitionId, GroupOffsets]:
        if not partitions:
            self._client.list_topics(timeout=ANSWER_S_MAX)
            return {}
        # Before the ends: whoever commits in between is not behind.
        committed = committed_offsets(self._client, partitions)
        return {at: GroupOffsets(committed[at], watermarks(self._client, TopicPartition(*at))[1]) for at in partitions}
