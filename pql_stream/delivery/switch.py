"""
Whether a destination has disabled its endpoint: it answered 410, "gone", and wants nothing more, from nobody.

The ledger keeps that, so it holds for every worker and over a restart, until an operator enables the endpoint or names
another one. Meanwhile its deliveries go to the dead letters, from where they can be redriven.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from pql_stream.delivery.ledger import Ledger
from pql_stream.delivery.patience import Patience


class SwitchAlert(Protocol):
    """Tells somebody who must know. Never raises, never waits."""

    def disabled(self, sink: str) -> None:
        """Nothing goes to *sink* until somebody acts; each worker tells it once."""

    def enabled(self, sink: str) -> None:
        """A sink of which `disabled` was told takes deliveries again."""


class Switch:
    """
    That of one sink, whose *endpoint* is as in `Traits`. *time_ms* is milliseconds since 1970.

    `is_disabled` is what was last known: what another worker found out is seen with the next batch.
    """

    def __init__(
        self, sink: str, endpoint: str, ledger: Ledger, alert: SwitchAlert, time_ms: Callable[[], int]
    ) -> None:
        self.is_disabled = False
        self._sink = sink
        self._endpoint = endpoint
        self._ledger = ledger
        self._alert = alert
        self._time_ms = time_ms
        self._unwritten_at_ms: int | None = None

    @property
    def exists(self) -> bool:
        """Can the destination disable anything?"""
        return bool(self._endpoint)

    async def look(self) -> None:
        """
        Ask the ledger.

        Raises:
            LedgerAway: it does not answer.
        """
        if self.exists and self._unwritten_at_ms is None:
            self._know(is_disabled=await self._ledger.disabled_at_ms(self._endpoint) is not None)

    def disable(self) -> None:
        """The destination has just said so."""
        if self.exists and not self.is_disabled:
            self._unwritten_at_ms = self._time_ms()
            self._know(is_disabled=True)

    async def write(self, patience: Patience) -> None:
        """
        Tell the ledger what it does not know yet.

        Raises:
            GivenWay: the ledger does not answer, and the batch must.
        """
        at_ms = self._unwritten_at_ms
        if at_ms is not None:
            await patience.insist(lambda: self._ledger.disable(self._endpoint, at_ms))
            self._unwritten_at_ms = None

    def _know(self, *, is_disabled: bool) -> None:
        if is_disabled and not self.is_disabled:
            self._alert.disabled(self._sink)
        elif self.is_disabled and not is_disabled:
            self._alert.enabled(self._sink)
        self.is_disabled = is_disabled
