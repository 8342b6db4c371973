"""Whose turn it is on a partition, and whether somebody waits for the next one."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Turns:
    """One turn at a time on each partition, in the order in which they were asked for."""

    def __init__(self) -> None:
        self._locks: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._waiting: Counter[int] = Counter()

    @asynccontextmanager
    async def take(self, partition: int) -> AsyncIterator[None]:
        """Wait for the turn on *partition*; it lasts as long as the block."""
        lock = self._locks[partition]
        self._waiting[partition] += 1
        try:
            await lock.acquire()
        finally:
            self._waiting[partition] -= 1
        try:
            yield
        finally:
            lock.release()

    def is_wanted(self, partition: int) -> bool:
        """Somebody waits for the turn on *partition*: who has it and could go on for long comes to an end."""
        return self._waiting[partition] > 0
