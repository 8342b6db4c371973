"""
Kafka's default partitioner, from the published algorithm (Austin Appleby's MurmurHash2, 32 bit).

As the Java client has it: `org.apache.kafka.common.utils.Utils.murmur2` and `toPositive`.
"""

SEED = 0x9747B28C
M = 0x5BD1E995
R = 24
UINT32 = 0xFFFFFFFF


def murmur2(key: bytes) -> int:
    """The hash as Java's signed 32 bit integer."""
    hashed = (SEED ^ len(key)) & UINT32
    whole = len(key) // 4 * 4
    for start in range(0, whole, 4):
        k = int.from_bytes(key[start : start + 4], "little")
        k = k * M & UINT32
        k ^= k >> R
        k = k * M & UINT32
        hashed = (hashed * M & UINT32) ^ k
    if len(key) > whole:
        hashed ^= int.from_bytes(key[whole:], "little")
        hashed = hashed * M & UINT32
    hashed ^= hashed >> 13
    hashed = hashed * M & UINT32
    hashed ^= hashed >> 15
    return hashed - 2**32 if hashed >= 2**31 else hashed


def partition_of(key: bytes, partitions: int) -> int:
    """The partition of *key* among *partitions*; the sign bit is dropped, as `toPositive` does."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions


def partition_of_lead(lead_id: str, partitions: int) -> int:
    return partition_of(lead_id.encode("utf-8"), partitions)
