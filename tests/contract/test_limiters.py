"""What every limiter keeps to, in memory and on a real Redis."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pql_stream.delivery.limits import Limiter, MemoryLimiter, Rate
from pql_stream.delivery.redis_limits import RedisLimiter
from tests.redis_space import RedisSpace, open_space

HOUR_S = 3600.0
CLOSE_S = 60.0
"""Redis has its own clock, which runs on while a test does; next to an hour that is nothing."""


@dataclass
class MemoryBench:
    """A limiter whose clock is ours."""

    now_s: float = 0.0
    shared: dict[Rate, MemoryLimiter] = field(default_factory=dict)

    def limiter(self, rate: Rate) -> Limiter:
        return self.shared.setdefault(rate, MemoryLimiter(rate, lambda: self.now_s))

    async def let_pass(self, passed_s: float) -> None:
        self.now_s += passed_s


@dataclass
class RedisBench:
    """A limiter each time, as in many workers. Instead of the clock, what was counted is moved."""

    space: RedisSpace

    def limiter(self, rate: Rate) -> Limiter:
        return RedisLimiter(self.space.connection, rate, prefix=self.space.prefix, sink="crm")

    async def let_pass(self, passed_s: float) -> None:
        for key in await self.space.keys():
            times_us = [int(time_us) - int(passed_s * 1e6) for time_us in await self.space.raw.lrange(key, 0, -1)]
            await self.space.raw.delete(key)
            await self.space.raw.rpush(key, *times_us)


Bench = MemoryBench | RedisBench


@pytest.fixture(params=["memory", "redis"])
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    if request.param == "memory":
        yield MemoryBench()
        return
    space = open_space(request.getfixturevalue("redis_url"))  # not a parameter: memory needs no Redis
    yield RedisBench(space)
    await space.close()


def close_to(seconds: float) -> object:
    return pytest.approx(seconds, abs=CLOSE_S)


async def test_as_many_calls_as_the_rate_allows_pass_at_once(bench):
    """
    The calls of one period may come together; the next waits until the first of them is a period old.
    """
    limiter = bench.limiter(Rate(3, HOUR_S))

    assert [0, 0, 0, close_to(HOUR_S)] == [await limiter.acquire("key", 1) for _ in range(4)]


async def test_a_rest_saves_nothing_up(bench):
    """
    The period is a window that rolls: after a rest no more calls pass in it than ever.
    """
    limiter = bench.limiter(Rate(2, HOUR_S))
    await limiter.acquire("key", 2)
    await bench.let_pass(5 * HOUR_S)

    assert [0, 0, close_to(HOUR_S)] == [await limiter.acquire("key", 1) for _ in range(3)]


async def test_the_window_rolls(bench):
    """
    Each call makes room for one when it is a period old, not earlier.
    """
    limiter = bench.limiter(Rate(2, HOUR_S))
    await limiter.acquire("key", 1)
    await bench.let_pass(HOUR_S / 2)
    await limiter.acquire("key", 1)
    await bench.let_pass(HOUR_S / 2)

    assert [0, close_to(HOUR_S / 2)] == [await limiter.acquire("key", 1) for _ in range(2)]


async def test_several_calls_wait_for_the_last_that_they_need(bench):
    """
    Who wants several calls gets all of them or none.
    """
    limiter = bench.limiter(Rate(3, HOUR_S))
    for _ in range(3):
        await limiter.acquire("key", 1)
        await bench.let_pass(HOUR_S / 4)

    waits = [await limiter.acquire("key", tokens) for tokens in (3, 2, 1)]
    assert [close_to(HOUR_S * 3 / 4), close_to(HOUR_S / 2), close_to(HOUR_S / 4)] == waits


async def test_more_calls_than_the_rate_count_as_the_rate(bench):
    """
    Who needs more in one go than there may ever be is let pass when nobody else has called.
    """
    limiter = bench.limiter(Rate(2, HOUR_S))

    assert [0, close_to(HOUR_S)] == [await limiter.acquire("key", tokens) for tokens in (5, 1)]


async def test_who_must_wait_leaves_no_debt(bench):
    """
    A refused call is not counted: asking often makes nobody wait longer.
    """
    limiter = bench.limiter(Rate(1, HOUR_S))
    await limiter.acquire("key", 1)
    for _ in range(5):
        await limiter.acquire("key", 1)
    await bench.let_pass(HOUR_S)

    assert 0 == await limiter.acquire("key", 1)


async def test_buckets_do_not_share(bench):
    """
    One channel that is full holds no other back.
    """
    limiter = bench.limiter(Rate(1, HOUR_S))
    await limiter.acquire("channel-1", 1)

    assert [0, close_to(HOUR_S)] == [await limiter.acquire(bucket, 1) for bucket in ("channel-2", "channel-1")]


async def test_many_workers_together_stay_within_the_rate(bench):
    """
    However many ask at once, as many pass as the destination takes.
    """
    rate = Rate(20, HOUR_S)
    waits = await asyncio.gather(*(bench.limiter(rate).acquire("key", 1) for _ in range(60)))

    assert 20 == waits.count(0)


async def test_a_clock_that_was_set_back_holds_nobody_longer_than_a_period(redis_space):
    """
    The calls that Redis remembers lie in its future now; they count as just made, and keep their distances.
    """
    bench = RedisBench(redis_space)
    limiter = bench.limiter(Rate(2, HOUR_S))
    await limiter.acquire("key", 1)
    await bench.let_pass(HOUR_S / 4)
    await limiter.acquire("key", 1)
    await bench.let_pass(-100 * HOUR_S)

    assert [close_to(HOUR_S), close_to(HOUR_S * 3 / 4)] == [await limiter.acquire("key", tokens) for tokens in (2, 1)]


async def test_what_left_the_window_leaves_redis(redis_space):
    """
    No more than a period's calls are kept, and none for longer than a period.
    """
    limiter = RedisBench(redis_space).limiter(Rate(3, HOUR_S))
    for _ in range(3):
        await limiter.acquire("key", 1)
        await RedisBench(redis_space).let_pass(2 * HOUR_S)
        await limiter.acquire("key", 2)
        await RedisBench(redis_space).let_pass(2 * HOUR_S)
    await limiter.acquire("key", 1)

    [key] = await redis_space.keys()
    assert 3 == await redis_space.raw.llen(key)
    assert close_to(HOUR_S) == await redis_space.raw.pttl(key) / 1000


@given(steps=st.lists(st.tuples(st.integers(0, 8), st.integers(1, 4)), max_size=15))
@settings(max_examples=60)
def test_both_limiters_give_the_same_answers(steps, redis_url):
    """
    Whenever how many are asked for, Redis says what memory says.
    """
    rate = Rate(4, HOUR_S)

    async def answers(bench: Bench) -> list[float]:
        waits = []
        for eighths, tokens in steps:
            await bench.let_pass(eighths * HOUR_S / 8)
            waits.append(await bench.limiter(rate).acquire("key", tokens))
        return waits

    async def on_redis() -> list[float]:
        space = open_space(redis_url)
        try:
            return await answers(RedisBench(space))
        finally:
            await space.close()

    assert [close_to(wait_s) if wait_s else 0 for wait_s in asyncio.run(answers(MemoryBench()))] == asyncio.run(
        on_redis()
    )
