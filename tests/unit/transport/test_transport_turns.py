"""Turns on a partition."""

from __future__ import annotations

import asyncio

from pql_stream.stream.transport.turns import Turns


async def test_turns_come_in_order_and_one_at_a_time():
    """Whoever has it knows that others wait; on another partition nobody does."""
    turns = Turns()
    seen: list[str] = []

    async def take(name: str) -> None:
        async with turns.take(3):
            seen.append(name)
            await asyncio.sleep(0)
            seen.append(name)

    async with turns.take(3):
        assert not turns.is_wanted(3)

        waiting = [asyncio.ensure_future(take(name)) for name in ("b", "c")]
        await asyncio.sleep(0)

        assert (True, False, []) == (turns.is_wanted(3), turns.is_wanted(4), seen)

    await asyncio.gather(*waiting)

    assert ["b", "b", "c", "c"] == seen
    assert not turns.is_wanted(3)


async def test_who_gives_up_waiting_is_not_waited_for():
    """A cancelled wait leaves nothing behind."""
    turns = Turns()

    async with turns.take(3):
        waiting = asyncio.ensure_future(turns.take(3).__aenter__())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

        assert not turns.is_wanted(3)

    async with asyncio.timeout(5), turns.take(3):
        pass
