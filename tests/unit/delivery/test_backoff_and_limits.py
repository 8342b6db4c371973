"""How long to wait: after failures, and because of rate limits."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from virtual_time import run

from pql_stream.delivery.backoff import ASKED_S_MAX, Backoff
from pql_stream.delivery.limits import MemoryLimiter, Rate


@pytest.mark.parametrize(
    ("failures", "chance", "asked_s", "expected_s"),
    [
        (1, 0.5, None, 0.5),
        (2, 0.5, None, 1.0),
        (5, 0.5, None, 8.0),
        (7, 0.5, None, 30.0),
        (10_000, 0.5, None, 30.0),
        (3, 0.0, None, 0.0),
        (1, 0.5, 20.0, 20.5),
        (1, 0.0, 1e9, ASKED_S_MAX),
        (1, 0.5, -3.0, 0.5),
    ],
)
def test_waits_double_up_to_a_cap_and_never_undercut_what_was_asked_for(failures, chance, asked_s, expected_s):
    """Full jitter over 1, 2, 4 … 60 seconds, on top of what the destination asked for."""
    assert expected_s == Backoff(1.0, 60.0).wait_s(failures, chance, asked_s)


@given(st.integers(1, 5), st.lists(st.tuples(st.floats(0, 3), st.integers(1, 5)), max_size=40))
def test_no_period_has_more_calls_than_the_rate(calls_max, arrivals):
    """Whoever asks, and waits as told, never has more than the rate's calls in any period."""

    async def play() -> list[float]:
        loop = asyncio.get_running_loop()
        limiter = MemoryLimiter(Rate(calls_max, 2.0), loop.time)
        granted: list[float] = []
        for pause_s, tokens in arrivals:
            await asyncio.sleep(pause_s)
            while wait_s := await limiter.acquire("b", min(tokens, calls_max)):  # noqa: ASYNC110 - virtual time
                await asyncio.sleep(wait_s)
            granted += [loop.time()] * min(tokens, calls_max)
        return granted

    granted = run(play())

    for at, first_s in enumerate(granted[:-calls_max] if len(granted) > calls_max else []):
        assert granted[at + calls_max] - first_s >= 2.0 - 1e-6


async def test_a_bucket_does_not_wait_for_another():
    """Each bucket has the rate for itself, and who is told to wait is not counted."""
    limiter = MemoryLimiter(Rate(1, 10.0), lambda: 100.0)

    answers = [await limiter.acquire(bucket, 1) for bucket in ("a", "b", "a", "a")]

    assert [0.0, 0.0, 10.0, 10.0] == answers
