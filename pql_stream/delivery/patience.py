"""Waiting that gives way: no wait of the delivery loop outlasts a rebalance or SIGTERM."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Any, TypeVar

from pql_stream.delivery.backoff import Backoff
from pql_stream.delivery.ports import Ports, Stop
from pql_stream.errors import LedgerAway

T = TypeVar("T")

CONFIRMED_EVERY_S = 0.25
"""How often it is looked whether the group counts on us again."""


class GivenWay(Exception):
    """The batch is left as it is: what is not recorded is read again by the next owner."""


class Patience:
    """
    Waits for the work on one batch.

    `waits` while nothing is under way, on purpose: a watchdog must not take that for a stall.
    """

    def __init__(self, ports: Ports, stop: Stop, backoff: Backoff) -> None:
        self._ports = ports
        self._stop = stop
        self._backoff = backoff
        self._stopped: asyncio.Future[object] | None = None
        self.waits = False

    @property
    def is_over(self) -> bool:
        """Must the batch give way?"""
        return self._stop.is_set()

    def check(self) -> None:
        """
        Go on.

        Raises:
            GivenWay: the batch must give way.
        """
        if self.is_over:
            raise GivenWay

    async def pause(self, for_s: float | None, tasks: Collection[asyncio.Future[Any]] = ()) -> None:
        """Wait until *for_s* seconds have passed (None: for ever), one of *tasks* is done, or the batch gives way."""
        if self._stopped is None:
            self._stopped = asyncio.ensure_future(self._stop.wait())
        first: set[asyncio.Future[Any]] = {self._stopped, *tasks}
        timer = None if for_s is None else asyncio.ensure_future(self._ports.sleep(for_s))
        if timer is not None:
            first.add(timer)
        self.waits = not tasks
        try:
            await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.waits = False
            if timer is not None:
                timer.cancel()

    async def insist(self, call: Callable[[], Awaitable[T]]) -> T:
        """
        What *call* gives, as soon as the ledger answers; it is made once, even if the batch must give way.

        Raises:
            GivenWay: the batch must, and the ledger does not answer.
        """
        failures = 0
        while True:
            try:
                return await call()
            except LedgerAway as exc:
                if self.is_over:
                    raise GivenWay from exc
                failures += 1
            await self.pause(self._backoff.wait_s(failures, self._ports.chance()))

    async def entitled(self, confirmations: int) -> None:
        """
        Return when the group counts on this worker, and has said so *confirmations* times.

        Raises:
            GivenWay: the batch must.
        """
        entitlement = self._ports.entitlement
        while not entitlement.is_good or entitlement.confirmations < confirmations:
            self.check()
            await self.pause(CONFIRMED_EVERY_S)

    def close(self) -> None:
        """No more waiting."""
        if self._stopped is not None:
            self._stopped.cancel()
