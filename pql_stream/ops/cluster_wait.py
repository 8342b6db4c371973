"""Waits for a cluster that is away: a worker may start before its brokers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

import structlog

from pql_stream.errors import BrokerAway
from pql_stream.ops.interruptible import unless_stopped

BROKER_RETRY_S = 2.0

log = structlog.stdlib.get_logger(__name__)

T = TypeVar("T")


async def when_there(ask: Callable[[], T], stop: asyncio.Event) -> T | None:
    """What *ask*, which blocks, says as soon as the cluster answers it; None when *stop* comes first."""
    while not stop.is_set():
        try:
            return await unless_stopped(ask, stop)
        except BrokerAway as exc:
            log.warning("broker_away", what=exc.what, why=exc.why, again_in_s=BROKER_RETRY_S)
        try:
            await asyncio.wait_for(stop.wait(), BROKER_RETRY_S)
        except TimeoutError:
            continue
    return None
