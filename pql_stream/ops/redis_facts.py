"""What a Redis says of itself: its version, whether it forgets rows, whether it keeps them, and what time it has."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha1

from pql_stream.delivery.redis_connection import RedisConnection, Script

SKEW_S_MAX = 2.0
"""The clocks of machines that are kept right differ by milliseconds, and a busy Redis answers within a second."""

# CONFIG is not to be had in a script, and managed services do not let it be called; INFO has the same facts.
_TEXT = """
return {redis.call('INFO', 'server'), redis.call('INFO', 'memory'), redis.call('INFO', 'persistence'),
        redis.call('TIME')}
"""
_SCRIPT = Script(_TEXT, sha1(_TEXT.encode(), usedforsecurity=False).hexdigest())


@dataclass(frozen=True, slots=True)
class RedisFacts:
    """
    What is known of a Redis; "" for what it does not tell.

    *skew_s*: how far its clock is ahead of ours.
    """

    product: str
    eviction: str
    appends: str
    skew_s: float

    def doubts(self) -> Iterator[tuple[str, str]]:
        """What is not as a ledger needs it, and what to do about it."""
        if not self.eviction:
            yield "it does not tell its maxmemory-policy", "see that maxmemory-policy is noeviction"
        elif self.eviction != "noeviction":
            yield (
                f"maxmemory-policy is {self.eviction}: short of memory it forgets deliveries, and they are repeated",
                "set maxmemory-policy to noeviction: delivery then waits until there is room",
            )
        if not self.appends:
            yield "it does not tell whether it keeps its rows", "see that appendonly is yes"
        elif self.appends != "1":
            yield (
                "appendonly is no: after a crash of Redis what was delivered last may be delivered again",
                "set appendonly to yes",
            )
        if abs(self.skew_s) > SKEW_S_MAX:
            where = "ahead of" if self.skew_s > 0 else "behind"
            yield (
                f"its clock is {abs(self.skew_s):.1f} s {where} that of this machine",
                "let both machines keep their time by NTP",
            )


async def read_redis_facts(redis: RedisConnection, clock: Callable[[], float] = time.time) -> RedisFacts:
    """
    Ask *redis*; nothing is changed. *clock* gives seconds since 1970.

    Raises:
        LedgerAway: it does not answer, or does not let us ask.
    """
    asked_at_s = clock()
    server, memory, persistence, (seconds, micros) = await redis.run(_SCRIPT, [], [])
    middle_s = (asked_at_s + clock()) / 2
    told = _fields(server) | _fields(memory) | _fields(persistence)
    name = "Valkey" if "valkey_version" in told else "Redis"
    return RedisFacts(
        product=f"{name} {told.get('valkey_version') or told.get('redis_version', 'of an unknown version')}",
        eviction=told.get("maxmemory_policy", ""),
        appends=told.get("aof_enabled", ""),
        skew_s=int(seconds) + int(micros) / 1e6 - middle_s,
    )


def _fields(info: bytes) -> dict[str, str]:
    """The lines `name:value` of an INFO."""
    lines = info.decode(errors="replace").splitlines()
    return {name: value for name, _, value in (line.partition(":") for line in lines) if value}
