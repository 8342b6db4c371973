"""A blocking call that a stop need not wait for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")


async def unless_stopped(call: Callable[[], T], stop: asyncio.Event) -> T | None:
    """
    What *call* returns, or raises; None as soon as *stop* is set before that.

    The call runs on in a daemon thread, which ends with the process. `asyncio.to_thread` would be waited
    for at the end of the loop: a client that looks for its broker would hold a SIGTERM back for 10 s.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()

    def settle(take: Callable[[], None]) -> None:
        # Nobody listens any more: the loop is closed, or the answer given up.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(lambda: None if answer.done() else take())

    def run() -> None:
        try:
            result = call()
        except BaseException as exc:  # noqa: BLE001 - handed on to whoever awaits it
            failure = exc
            settle(lambda: answer.set_exception(failure))
        else:
            settle(lambda: answer.set_result(result))

    threading.Thread(target=run, daemon=True).start()
    stopped = asyncio.ensure_future(stop.wait())
    first: tuple[asyncio.Future[Any], ...] = (answer, stopped)
    try:
        await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        return answer.result() if answer.done() else None
    finally:
        answer.cancel()
        stopped.cancel()
