"""A part of a real Redis that one test has for itself."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from redis.asyncio import Redis

from pql_stream.delivery.redis_connection import RedisConnection


@dataclass(frozen=True)
class RedisSpace:
    """
    *connection* is what ledgers and limiters take, with *prefix*; *raw* is for looking, and for doing harm.
    """

    url: str
    prefix: str
    connection: RedisConnection
    raw: Redis

    async def keys(self) -> list[bytes]:
        """Every key under the prefix."""
        return sorted([key async for key in self.raw.scan_iter(match=f"pql:{self.prefix}:*", count=1000)])

    async def close(self) -> None:
        """Remove every key, and let go."""
        if keys := await self.keys():
            await self.raw.unlink(*keys)
        await self.raw.aclose()
        await self.connection.close()


def open_space(url: str) -> RedisSpace:
    """A part of the Redis at *url* that nobody else has, today or ever."""
    return RedisSpace(url, f"t{uuid.uuid4().hex[:12]}-", RedisConnection(url), Redis.from_url(url))


@asynccontextmanager
async def connected(url: str, answer_s_max: float = 10.0) -> AsyncIterator[RedisConnection]:
    """A connection that is closed at the end; patient, so that a busy machine is no Redis that is away."""
    connection = RedisConnection(url, answer_s_max=answer_s_max)
    try:
        yield connection
    finally:
        await connection.close()
