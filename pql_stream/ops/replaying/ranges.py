"""Which offsets of which partitions a replay reads, found out once: what is written later is not of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from confluent_kafka import TopicPartition
from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined] # a public name, but re-exported without `as`

from pql_stream.errors import BrokerError, InvalidSettings
from pql_stream.ops.replaying.bounds import Bound, OffsetBound, PartitionOffsets, TimeBound
from pql_stream.ops.topics.cluster import TopicCluster

Place = tuple[str, int]
"""Topic and partition."""


class PartitionRange(NamedTuple):
    """The offsets from *start* up to, not including, *end*."""

    topic: str
    partition: int
    start: int
    end: int


class Wanted(NamedTuple):
    """Topics (full names), their *partitions* (None for all), and where to begin and to end (None for all there is)."""

    topics: Sequence[str]
    partitions: Sequence[int] | None = None
    begin: Bound | None = None
    end: Bound | None = None


def fix_ranges(cluster: TopicCluster, wanted: Wanted) -> tuple[PartitionRange, ...]:
    """
    What *wanted* means now, by topic and partition.

    A range ends at the last stable offset at the latest: behind it lie transactions that are still open.

    Raises:
        InvalidSettings: a partition that is named does not exist.
        BrokerError: the cluster is away, has no such topic, or does not have the beginning any more.
    """
    places = _places(cluster, wanted)
    first, latest = OffsetSpec.earliest(), OffsetSpec.latest()  # type: ignore[no-untyped-call] # the client's own
    firsts, ends = _offsets(cluster, places, first), _offsets(cluster, places, latest)
    begins = _resolved(cluster, wanted.begin, firsts, ends)
    stops = _resolved(cluster, wanted.end, ends, ends)
    for place in places:
        if begins[place] < firsts[place]:
            raise gone(place, begins[place], firsts[place])
    return tuple(
        PartitionRange(*place, begins[place], max(begins[place], min(stops[place], ends[place]))) for place in places
    )


def gone(place: Place, begin: int, first: int | None) -> BrokerError:
    """The records at *begin* of the partition are not there any more; it begins at *first*, as far as we know."""
    topic, partition = place
    now = "further back" if first is None else f"at offset {first}"
    return BrokerError(
        f"{topic} does not have the records from offset {begin} of partition {partition} any more",
        why=f"the partition begins {now} now: retention, or somebody, has deleted what was before",
        what_to_do="begin later: --from with a time, or an offset that is there; without it, a replay begins with "
        "what there is",
    )


def see_topics(cluster: TopicCluster, topics: Sequence[str]) -> dict[str, int]:
    """
    How many partitions each of *topics* has.

    Raises:
        BrokerError: the cluster is away, or has no such topic.
    """
    counts = cluster.partitions(topics)
    for topic in topics:
        if topic not in counts:
            raise BrokerError(
                f"there is no topic {topic}",
                why="the cluster does not list it, or not to us",
                what_to_do="look at --topic, KAFKA_BOOTSTRAP_SERVERS, and PQL_TOPIC_PREFIX, which is put before it",
            )
    return counts


def _places(cluster: TopicCluster, wanted: Wanted) -> list[Place]:
    counts = see_topics(cluster, wanted.topics)
    places = [
        (topic, partition)
        for topic in sorted(counts)
        for partition in (range(counts[topic]) if wanted.partitions is None else sorted(wanted.partitions))
    ]
    for topic, partition in [*places, *_bounded(wanted, counts)]:
        if partition >= counts[topic]:
            raise InvalidSettings(
                f"{topic} has no partition {partition}",
                why=f"it has {counts[topic]}, which are 0 to {counts[topic] - 1}",
                what_to_do="look at --partitions, and at the partitions in --from and --to",
            )
    return places


def _bounded(wanted: Wanted, topics: Iterable[str]) -> list[Place]:
    """The partitions that the bounds name."""
    named = {
        partition
        for bound in (wanted.begin, wanted.end)
        if isinstance(bound, PartitionOffsets)
        for partition in bound.offsets
    }
    return [(topic, partition) for topic in topics for partition in sorted(named)]


def _resolved(
    cluster: TopicCluster, bound: Bound | None, unbounded: dict[Place, int], ends: dict[Place, int]
) -> dict[Place, int]:
    """The offset that *bound* is in each partition; what it leaves open is as in *unbounded*."""
    match bound:
        case None:
            return unbounded
        case OffsetBound():
            return dict.fromkeys(unbounded, bound.offset)
        case PartitionOffsets():
            return {place: bound.offsets.get(place[1], offset) for place, offset in unbounded.items()}
        case TimeBound():
            found = _offsets(cluster, list(unbounded), OffsetSpec.for_timestamp(bound.time_ms))
            # Nothing is that late yet.
            return {place: ends[place] if offset < 0 else offset for place, offset in found.items()}


def _offsets(cluster: TopicCluster, places: Sequence[Place], spec: OffsetSpec) -> dict[Place, int]:
    return cluster.offsets({TopicPartition(*place): spec for place in places})
