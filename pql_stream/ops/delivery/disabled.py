"""Which sinks their destinations have disabled (410), as the ledger has it; and enabling them again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from pql_stream.delivery.redis_connection import RedisConnection
from pql_stream.delivery.redis_ledger import RedisLedger
from pql_stream.errors import LedgerAway
from pql_stream.ops.delivery.sinks import OpenSink
from pql_stream.ops.settings import Settings

Disabled = int | LedgerAway | None
"""Since when a sink is disabled, in ms since 1970; None: it is not; or why that is not known."""


@dataclass(frozen=True, slots=True)
class DisabledSinks:
    """Asks the ledger of *settings*. Without one nothing was ever delivered, so nothing was disabled."""

    settings: Settings

    async def of(self, one: OpenSink) -> Disabled:
        """How *one* stands."""
        endpoint = one.sink.traits.endpoint
        if not endpoint or self.settings.redis_url is None:
            return None
        async with _ledger(self.settings, one) as ledger:
            try:
                return await ledger.disabled_at_ms(endpoint)
            except LedgerAway as exc:
                return exc


def enable_sinks(settings: Settings, sinks: Sequence[OpenSink]) -> dict[str, bool]:
    """
    Enable all *sinks*; by name, whether each was disabled.

    Raises:
        LedgerAway: Redis does not answer; nothing, or not everything, was enabled.
    """

    async def enable(one: OpenSink) -> bool:
        endpoint = one.sink.traits.endpoint
        async with _ledger(settings, one) as ledger:
            return bool(endpoint) and await ledger.enable(endpoint)

    async def run() -> dict[str, bool]:
        return {one.name: await enable(one) for one in sinks}

    return asyncio.run(run())


@asynccontextmanager
async def _ledger(settings: Settings, one: OpenSink) -> AsyncIterator[RedisLedger]:
    redis = RedisConnection(settings.require_redis_url())
    try:
        yield RedisLedger(redis, prefix=settings.topic_prefix, sink=one.name)
    finally:
        await redis.close()
