"""Channels of a sink that take nothing for a while: a Slack channel, a mail domain."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from pql_stream.delivery.settings import DeliverySettings


class Channels:
    """
    The channels of one batch. Times are seconds that never go back.

    A channel that failed is held: what goes through it waits in place, everything else goes on. After
    *attempts_max* failures in a row, or when the wait is long, it is shut: what goes through it is parked.
    """

    def __init__(self, settings: DeliverySettings, attempts_max: int, chance: Callable[[], float]) -> None:
        self._settings = settings
        self._attempts_max = attempts_max
        self._chance = chance
        self._failures: Counter[str] = Counter()
        self._until_s: dict[str, float] = {}
        self._shut: set[str] = set()

    def failed(self, channel: str, asked_s: float | None, now_s: float) -> None:
        """A call through *channel* failed, and not for its items alone."""
        self._failures[channel] += 1
        failures = self._failures[channel]
        wait_s = self._settings.quick.wait_s(failures, self._chance(), asked_s)
        self.hold(channel, now_s + wait_s)
        if failures >= self._attempts_max or wait_s > self._settings.hold_s_max:
            self._shut.add(channel)

    def hold(self, channel: str, until_s: float) -> None:
        """Nothing goes through *channel* before *until_s*."""
        self._until_s[channel] = max(until_s, self._until_s.get(channel, until_s))

    def passed(self, channel: str) -> None:
        """Something went through *channel*."""
        self._failures.pop(channel, None)

    def is_shut(self, channel: str) -> bool:
        """Is it to be waited for elsewhere?"""
        return channel in self._shut

    def wait_s(self, channel: str, now_s: float) -> float:
        """Seconds until *channel* may be tried; 0 for now."""
        return max(self._until_s.get(channel, now_s) - now_s, 0.0)
