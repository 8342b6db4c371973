"""
The ledger on Redis, shared by all workers.

Its rows end by themselves when the topics have forgotten the deliveries as well. Every method is one Lua script. A
delivery takes 127 bytes of Valkey 9 (measured by tests/contract/test_redis_ledger.py).

A Redis that was emptied, or started again without its rows, costs repeats: of what was delivered and not yet
committed. Give it persistence (`appendonly yes`) and `maxmemory-policy noeviction`: an evicted row is a repeat, too.
Redis Cluster is not supported: one step touches many keys.
"""

from __future__ import annotations

from collections.abc import Sequence

from pql_stream.delivery.ledger import REPEATS_LISTED_MAX, Grant, Known, Ref, Repeats, Row, Settlement
from pql_stream.delivery.redis_connection import RedisConnection, Word, load_script
from pql_stream.delivery.redis_rows import STATES, cut_detail, hash_of, pack_id, unpack_id, unpack_row
from pql_stream.errors import ClaimLost

KEPT_S = 30 * 24 * 3600.0
"""The retention of the delivery topics."""

_GRANTS: dict[int, Grant] = {ord("f"): "first", ord("a"): "again", ord("n"): "none"}


class RedisLedger:
    """A `Ledger` of *sink* on Redis. *prefix* keeps pipelines that share a Redis apart: the topic prefix."""

    def __init__(self, redis: RedisConnection, *, prefix: str, sink: str, kept_s: float = KEPT_S) -> None:
        self._redis = redis
        self._space = f"pql:{prefix}:{sink}:".encode()
        self._kept_ms = int(kept_s * 1000)
        self._take_over = load_script("take_over")
        self._look_up = load_script("rows", "look_up")
        self._claim = load_script("rows", "claim")
        self._settle = load_script("rows", "settle")
        self._park = load_script("rows", "park")
        self._list_repeats = load_script("repeats")
        self._disable = load_script("disable")
        self._disabled_at = load_script("disabled_at")
        self._enable = load_script("enable")

    async def take_over(self, partition: str, owner: str) -> None:
        """As `Ledger` says."""
        keys = [self._partition(partition), self._owner(owner)]
        await self._redis.run(self._take_over, keys, [hash_of(owner, 8), owner, self._kept_ms])

    async def look_up(self, refs: Sequence[Ref]) -> list[Known]:
        """As `Ledger` says."""
        if not refs:
            return []
        keys = [key for ref in refs for key in (self._row(ref), self._parked(ref))]
        found = await self._redis.run(self._look_up, keys, [self._space + b"d", self._space + b"o"])
        return [_known(*found[at : at + 3]) for at in range(0, len(found), 3)]

    async def claim(
        self, partition: str, owner: str, refs: Sequence[Ref], *, at_ms: int, note_repeats: Sequence[bool]
    ) -> list[Grant]:
        """As `Ledger` says."""
        keys = [self._partition(partition), *self._repeats(), self._owner(owner), *map(self._row, refs)]
        words: list[Word] = [hash_of(owner, 8), owner, at_ms, REPEATS_LISTED_MAX, self._kept_ms]
        for ref, notes in zip(refs, note_repeats, strict=True):
            words += [pack_id(ref.delivery_id), ref.copy, int(notes)]
        granted = await self._redis.run(self._claim, keys, words)
        if granted is None:
            raise ClaimLost(partition)
        return [_GRANTS[letter] for letter in granted]

    async def settle(self, partition: str, owner: str, settlements: Sequence[Settlement]) -> None:
        """As `Ledger` says."""
        if not settlements:
            return
        keys = [self._partition(partition), *self._repeats()]
        words: list[Word] = [hash_of(owner, 8), self._kept_ms]
        for settled in settlements:
            ref = settled.ref
            keys += [self._row(ref), self._parked(ref)]
            words += [pack_id(ref.delivery_id), ref.copy, STATES.index(settled.state)]
            words += [int(settled.was_there), cut_detail(settled.detail)]
        await self._redis.run(self._settle, keys, words)

    async def park(self, partition: str, owner: str, refs: Sequence[Ref]) -> None:
        """As `Ledger` says."""
        keys = [self._partition(partition)]
        words: list[Word] = [hash_of(owner, 8), self._kept_ms]
        for ref in refs:
            keys += [self._row(ref), self._parked(ref)]
            words += [pack_id(ref.delivery_id), ref.copy, ref.place]
        if await self._redis.run(self._park, keys, words) is None:
            raise ClaimLost(partition)

    async def repeats(self) -> Repeats:
        """As `Ledger` says."""
        count, listed = await self._redis.run(self._list_repeats, self._repeats(), [])
        return Repeats(int(count or 0), tuple(map(unpack_id, listed)))

    async def disable(self, endpoint: str, at_ms: int) -> None:
        """As `Ledger` says."""
        await self._redis.run(self._disable, [self._endpoint(endpoint)], [at_ms])

    async def disabled_at_ms(self, endpoint: str) -> int | None:
        """As `Ledger` says."""
        at_ms = await self._redis.run(self._disabled_at, [self._endpoint(endpoint)], [])
        return None if at_ms is None else int(at_ms)

    async def enable(self, endpoint: str) -> bool:
        """As `Ledger` says."""
        return bool(await self._redis.run(self._enable, [self._endpoint(endpoint)], []))

    def _row(self, ref: Ref) -> bytes:
        return self._space + b"d" + pack_id(ref.delivery_id)

    def _parked(self, ref: Ref) -> bytes:
        return self._space + b"l" + hash_of(ref.lead_id, 16)

    def _partition(self, partition: str) -> bytes:
        return self._space + b"p" + partition.encode()

    def _owner(self, owner: str) -> bytes:
        return self._space + b"o" + hash_of(owner, 8)

    def _endpoint(self, endpoint: str) -> bytes:
        return self._space + b"e" + hash_of(endpoint, 16)

    def _repeats(self) -> tuple[bytes, bytes]:
        return self._space + b"r", self._space + b"n"


def _known(row: bytes | None, head: bytes | None, owner: bytes | None) -> Known:
    return Known(
        Row() if row is None else unpack_row(row, (owner or b"").decode()),
        None if head is None else unpack_id(head),
    )
