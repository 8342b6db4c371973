"""
The limiter on Redis: all workers of all machines together stay within a destination's rate, by Redis' own clock.

A Redis that was emptied has forgotten the calls of the last period, so as many again may follow them, once.
"""

from __future__ import annotations

from pql_stream.delivery.limits import Rate
from pql_stream.delivery.redis_connection import RedisConnection, load_script
from pql_stream.delivery.redis_rows import hash_of


class RedisLimiter:
    """A `Limiter` of *sink* on Redis. It keeps the time of each call of the last period, in about 10 bytes."""

    def __init__(self, redis: RedisConnection, rate: Rate, *, prefix: str, sink: str) -> None:
        self._redis = redis
        self._rate = rate
        self._space = f"pql:{prefix}:{sink}:c".encode()
        self._acquire = load_script("acquire")

    async def acquire(self, bucket: str, tokens: int) -> float:
        """As `Limiter` says."""
        # A channel may be somebody's name, and a credential is nobody's business: only a hash of it is there.
        key = self._space + hash_of(bucket, 16)
        words = [self._rate.calls, int(self._rate.period_s * 1_000_000), min(tokens, self._rate.calls)]
        wait_us: int = await self._redis.run(self._acquire, [key], words)
        return wait_us / 1_000_000
