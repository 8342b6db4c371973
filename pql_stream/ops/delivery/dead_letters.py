"""The dead-letter topics of sinks, read to the ends that they have now; and where leads stand."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

from confluent_kafka import Consumer, Message, TopicPartition

from pql_stream.delivery.redrive import DeadLetter, Standing, Wanted, read_dead_letter, read_standing
from pql_stream.errors import BrokerError
from pql_stream.ops.topics.cluster import TopicCluster
from pql_stream.ops.topics.reading import reading, records_of
from pql_stream.stream.names import SCORE_CHANGED, prefixed, sink_topics
from pql_stream.wire.headers import Headers


@dataclass(frozen=True, slots=True)
class Found:
    """A dead letter of *sink*; *is_redriven*: a mark says so."""

    sink: str
    letter: DeadLetter
    is_redriven: bool


@dataclass(slots=True)
class LetterPartition:
    """One partition of a sink's dead letters. *marked*: offsets of those that were redriven."""

    sink: str
    at: TopicPartition
    marked: set[int] = field(default_factory=set)
    lead_ids: set[str] = field(default_factory=set)
    """The leads of those that are wanted and not marked."""


class DeadLetterReader:
    """
    Reads under *prefix* from the cluster that *client_config* (librdkafka's names) leads to.

    Every method raises `BrokerError` when the cluster is away, lacks a topic, or does not let us read.
    """

    def __init__(self, client_config: Mapping[str, Any], prefix: str) -> None:
        self._client_config = client_config
        self._prefix = prefix

    def partitions(self, sink: str, wanted: Wanted) -> Iterator[LetterPartition]:
        """Those of *sink* that have wanted letters, looked through for marks: they come behind what they are about."""
        topic = sink_topics(sink, self._prefix).dead_letters
        count = TopicCluster(self._client_config).partitions([topic]).get(topic)
        if count is None:
            raise BrokerError(
                f"there is no topic {topic}",
                why="a sink's topics are made before anything is delivered",
                what_to_do="run `pql-stream topics apply`",
            )
        for number in range(count):
            partition = LetterPartition(sink, TopicPartition(topic, number))
            leads: dict[int, str] = {}
            for one in self._read(partition.at):
                if isinstance(one, int):
                    partition.marked.add(one)
                elif wanted.takes(one):
                    leads[one.offset] = "" if one.delivery is None else one.delivery.lead_id
            partition.lead_ids = {lead_id for offset, lead_id in leads.items() if offset not in partition.marked}
            if leads:
                yield partition

    def letters(self, partition: LetterPartition, wanted: Wanted) -> Iterator[Found]:
        """The wanted letters of *partition*, in order."""
        for one in self._read(partition.at):
            if isinstance(one, DeadLetter) and wanted.takes(one):
                yield Found(partition.sink, one, one.offset in partition.marked)

    def standings(self, number: int, lead_ids: Collection[str]) -> dict[str, Standing]:
        """Where *lead_ids* stand by the last changes in partition *number* of `score-changed`, which has all theirs."""
        at = TopicPartition(prefixed(SCORE_CHANGED, self._prefix), number)
        keys = {lead_id.encode(): lead_id for lead_id in lead_ids}
        standings: dict[str, Standing] = {}
        with reading(self._client_config, at.topic) as consumer:
            for message in records_of(consumer, at):
                lead_id = keys.get(message.key() or b"")
                standing = None if lead_id is None else read_standing(message.value() or b"")
                if lead_id is not None and standing is not None:
                    standings[lead_id] = standing
        return standings

    def _read(self, at: TopicPartition) -> Iterator[DeadLetter | int]:
        with reading(self._client_config, at.topic) as consumer:
            yield from _dead_letters(consumer, at)


def _dead_letters(consumer: Consumer, at: TopicPartition) -> Iterator[DeadLetter | int]:
    for message in records_of(consumer, at):
        read = read_dead_letter(record_of(message), at.topic, at.partition)
        if read is not None:
            yield read


class ReadRecord(NamedTuple):
    """A message of the client as a record."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers


def record_of(message: Message) -> ReadRecord:
    """*message*, which is no error, as a record."""
    return ReadRecord(
        offset=message.offset() or 0,
        timestamp=message.timestamp()[1],
        key=message.key(),
        value=message.value(),
        headers=cast("Headers", message.headers() or []),  # a list of pairs, whatever its types say
    )
