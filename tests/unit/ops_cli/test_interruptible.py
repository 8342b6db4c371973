"""A blocking call that a stop need not wait for."""

import asyncio
import threading

import pytest

from pql_stream.ops.interruptible import unless_stopped


async def test_the_answer_comes_through():
    """Without a stop it is an ordinary call."""
    answer = await unless_stopped(lambda: 42, asyncio.Event())

    assert 42 == answer


async def test_an_error_comes_through():
    """What the call raises is raised here."""

    def fail():
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await unless_stopped(fail, asyncio.Event())


async def test_a_stop_does_not_wait_for_the_call():
    """The call blocks for ever: the stop, which comes while it runs, ends the wait."""
    stop, running, never = asyncio.Event(), threading.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def block():
        running.set()
        loop.call_soon_threadsafe(stop.set)
        never.wait()

    answer = await unless_stopped(block, stop)
    never.set()

    assert running.is_set()
    assert answer is None


def test_an_answer_after_the_end_is_nobody_s():
    """The call ends when its event loop is closed: its thread ends without a complaint."""
    go_on = threading.Event()

    def late():
        go_on.wait()
        return 1

    async def run():
        stop = asyncio.Event()
        stop.set()
        return await unless_stopped(late, stop)

    before = set(threading.enumerate())
    answer = asyncio.run(run())
    [left] = set(threading.enumerate()) - before
    go_on.set()
    left.join()

    assert answer is None
