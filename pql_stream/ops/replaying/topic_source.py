"""Topics of the cluster as a source of a replay."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from itertools import compress, starmap

import click

from pql_stream.errors import BrokerError
from pql_stream.ops.replaying.fetching import PATIENCE_S, Fetcher
from pql_stream.ops.replaying.merging import Placed
from pql_stream.ops.replaying.ranges import PartitionRange, Place, Wanted, fix_ranges, see_topics
from pql_stream.ops.replaying.reading import BUFFER_BYTES, RangeReader
from pql_stream.ops.settings import Settings, load_settings
from pql_stream.ops.topics.cluster import TopicCluster
from pql_stream.replay.source import Chunk, Fields, Position, Recorded
from pql_stream.stream.names import PRODUCT_ACTIVITY_REKEYED, prefixed
from pql_stream.wire.headers import Headers

CHUNK_RECORDS = 2_000
CHUNK_BYTES = 4 * 1024 * 1024
"""A chunk ends with the record that reaches one of the two."""


@dataclass(frozen=True, slots=True)
class TopicSource:
    """
    The records of *ranges*, which never change: what is written after they were fixed is not read.

    How to reach the cluster is not in here: each process that reads asks its environment, as a worker does. A position
    is the next offset of each range.
    """

    cluster_id: str
    ranges: tuple[PartitionRange, ...]
    patience_s: float = PATIENCE_S
    buffer_bytes: int = BUFFER_BYTES

    @classmethod
    def fixed(cls, settings: Settings, wanted: Wanted) -> TopicSource:
        """
        What *wanted* means on the cluster of *settings* now.

        Raises:
            InvalidSettings: a partition that is named does not exist.
            BrokerError: the cluster is away, or lacks a topic or the beginning.
        """
        cluster = cluster_of(settings)
        return cls(cluster.cluster_id(), fix_ranges(cluster, wanted))

    def fingerprint(self) -> str:
        """Of the cluster and the ranges."""
        return sha256(json.dumps([self.cluster_id, self.ranges]).encode()).hexdigest()

    @property
    def is_read_once(self) -> bool:
        """A topic is there for everybody, again and again."""
        return False

    @property
    def bytes_total(self) -> int:
        """How many offsets there are to read: about as many as records."""
        return sum(at.end - at.start for at in self.ranges)

    def check(self) -> None:
        """
        See that the cluster is the one, and has the topics.

        Raises:
            BrokerError: it is away, is another, or a topic is gone.
        """
        cluster = cluster_of(load_settings())
        if cluster.cluster_id() != self.cluster_id:
            raise BrokerError(
                "the cluster is not the one that the replay began with",
                why="its id is another",
                what_to_do="look at KAFKA_BOOTSTRAP_SERVERS, or begin the replay anew",
            )
        see_topics(cluster, [at.topic for at in self.ranges])

    def read(self, since: Position | None = None) -> Iterator[Chunk]:
        """
        The records in the order of `merging`, from *since* on.

        Raises:
            BrokerError: the cluster does not answer any more, or does not have the records any more.
        """
        settings = load_settings()
        nexts: list[int] = [at.start for at in self.ranges] if since is None else list(since)
        left = {(at.topic, at.partition): first for at, first in zip(self.ranges, nexts, strict=True) if first < at.end}
        if not left:
            return
        fetcher = Fetcher(settings.kafka_client_config(), left, tell=_tell, patience_s=self.patience_s)
        reader = RangeReader(
            fetcher,
            self.ranges,
            nexts,
            rekeyed_topic=prefixed(PRODUCT_ACTIVITY_REKEYED, settings.topic_prefix),
            buffer_bytes=self.buffer_bytes,
        )
        try:
            yield from self._chunks(reader, nexts)
        finally:
            fetcher.close()

    def _chunks(self, reader: RangeReader, nexts: list[int]) -> Iterator[Chunk]:
        places = [(at.topic, at.partition) for at in self.ranges]
        before = sum(at.start for at in self.ranges)
        placed: list[Placed] = []
        size = 0
        for some in reader.read():
            for one in some:
                _, number, offset, _, value, _, _, _ = one
                placed.append(one)
                nexts[number] = offset + 1
                size += len(value)
                if len(placed) >= CHUNK_RECORDS or size >= CHUNK_BYTES:
                    yield Chunk(_PlacedRecords(placed, places), list(nexts), sum(nexts) - before)
                    placed, size = [], 0
        # The last offsets may be without a record.
        yield Chunk(_PlacedRecords(placed, places), [at.end for at in self.ranges], self.bytes_total)


@dataclass(frozen=True, slots=True)
class _PlacedRecords:
    """*placed* as a `pql_stream.replay.source.Records`; *places* has topic and partition of each number of one."""

    placed: list[Placed]
    places: list[Place]

    def __len__(self) -> int:
        return len(self.placed)

    def __iter__(self) -> Iterator[Recorded]:
        return starmap(Recorded, self.fields())

    @property
    def values(self) -> list[bytes]:
        return [value for _, _, _, _, value, _, _, _ in self.placed]

    @property
    def headers(self) -> list[Headers] | None:
        headers = [headers for _, _, _, _, _, _, headers, _ in self.placed]
        return headers if any(headers) else None

    def fields(self, mask: bytes | None = None) -> Iterator[Fields]:
        places = self.places
        for _, number, offset, _, value, timestamp_ms, headers, origin in (
            self.placed if mask is None else compress(self.placed, mask)
        ):
            if origin is None:
                topic, partition = places[number]
                yield topic, partition, offset, value, timestamp_ms, headers
            else:
                yield origin.topic, origin.partition, origin.offset, value, origin.timestamp_ms, headers


def cluster_of(settings: Settings) -> TopicCluster:
    """
    The cluster of *settings*.

    Raises:
        InvalidSettings: no brokers are given.
        BrokerError: the client cannot use what is given.
    """
    return TopicCluster(settings.kafka_client_config())


def _tell(line: str) -> None:
    click.echo(line, err=True)
