"""The numbers of the settings file as a running worker has it."""

from __future__ import annotations

import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Gauge


class ReloadMeter:
    """Whether the last reload was taken, and when one was. *clock* gives seconds since 1970; a start counts as one."""

    def __init__(self, registry: CollectorRegistry, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._success = Gauge(
            "pql_config_reload_success",
            "1 if routes and templates are as the last reload found them, 0 if it was refused",
            registry=registry,
        )
        self._taken_at = Gauge(
            "pql_config_reload_success_timestamp_seconds",
            "When the routes and templates in use were read",
            registry=registry,
        )
        self.taken()

    def taken(self) -> None:
        """What was read is in use."""
        self._success.set(1)
        self._taken_at.set(self._clock())

    def refused(self) -> None:
        """What was read is of no use; the old stays."""
        self._success.set(0)
