"""Which partition a key belongs to: Kafka's default, murmur2 of the key (CONTRACT.md 1)."""

from __future__ import annotations

from aiokafka.partitioner import murmur2


def partition_of(key: bytes, partitions: int) -> int:
    """The partition of *key* in a topic of so many *partitions*, as the Java client's default gives it."""
    return int((murmur2(key) & 0x7FFFFFFF) % partitions)
