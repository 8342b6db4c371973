"""
The circuit breaker of one sink and credential.

Closed: calls go out. Open, or paused when it will take long or somebody must act: none does before a time. Half-open:
that time is over and one call, the probe, shows how it is now.

Every call has a `Permit`; what came of calls that began before it opened, and are not the probe, closes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol

from pql_stream.delivery.backoff import Backoff
from pql_stream.delivery.outcomes import Later, LaterReason

BreakerState = Literal["closed", "half_open", "open", "paused"]

PROBE_OUT_S = 0.5
"""While the probe is out, ask again so often."""

_ABOUT_ALL: frozenset[LaterReason] = frozenset({"rate_limited", "quota_used_up", "unauthorised"})


def is_about_all(why: Later) -> bool:
    """Does one such answer show that no call will pass now? Of other failures it takes a few in a row."""
    return why.scope == "sink" and (why.reason in _ABOUT_ALL or why.after_s is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerSettings:
    """
    *failures_max* in a row open it; then it waits as *backoff* says, longer after each probe that fails.

    *paused_from_s*: a wait that the destination asks for is a pause from here on. *quota_s*: how long a used-up
    quota is waited for when the destination does not say. *unauthorised_s*: how often bad credentials are tried.
    """

    failures_max: int = 5
    backoff: Backoff = field(default_factory=lambda: Backoff(1.0, 60.0))
    paused_from_s: float = 60.0
    quota_s: float = 900.0
    unauthorised_s: float = 900.0


class Alert(Protocol):
    """Tells somebody who must know. Never raises, never waits."""

    def paused(self, sink: str, reason: LaterReason, for_s: float, detail: str) -> None:
        """Nothing goes to *sink* for *for_s* seconds; told once until it is closed, or paused for another reason."""

    def resumed(self, sink: str) -> None:
        """A sink of which `paused` was told takes deliveries again."""


@dataclass(frozen=True, slots=True)
class Permit:
    """One call may go out; to be given back with what came of it. *is_probe*: the only one in a half-open state."""

    is_probe: bool


@dataclass(slots=True)
class Breaker:
    """
    Asked before each call of *sink*. *clock* is seconds that never go back, *chance* gives random numbers in [0, 1).

    `passes` counts the calls with which all was well with the sink: who fails while it grows, fails alone.
    """

    sink: str
    settings: BreakerSettings
    alert: Alert
    clock: Callable[[], float]
    chance: Callable[[], float]
    passes: int = 0
    _failures: int = 0
    _openings: int = 0
    _until_s: float | None = None
    _paused: bool = False
    _probe: Permit | None = None
    _told: LaterReason | None = None

    @property
    def state(self) -> BreakerState:
        """What it is now."""
        if self._until_s is None:
            return "closed"
        if self.clock() >= self._until_s:
            return "half_open"
        return "paused" if self._paused else "open"

    def enter(self) -> Permit | float:
        """A permit for one call, or the seconds after which to ask again."""
        if self._until_s is None:
            return Permit(is_probe=False)
        left_s = self._until_s - self.clock()
        if left_s > 0:
            return left_s
        if self._probe is not None:
            return PROBE_OUT_S
        self._probe = Permit(is_probe=True)
        return self._probe

    def leave(self, permit: Permit) -> None:
        """The call was not made; after `passed` or `failed` this does nothing."""
        if permit is self._probe:
            self._probe = None

    def passed(self, permit: Permit) -> None:
        """The call showed that all is well with the sink, whatever became of its items."""
        self.passes += 1
        self._failures = 0
        if permit.is_probe:
            self._close()

    def failed(self, permit: Permit, why: Later) -> None:
        """The call showed that the sink takes nothing."""
        self.leave(permit)
        if is_about_all(why):
            self._hold(permit, why)
            return
        self._failures += 1
        if permit.is_probe or (self._until_s is None and self._failures >= self.settings.failures_max):
            self._open()

    def _open(self) -> None:
        self._openings += 1
        self._paused = False
        self._until_s = self.clock() + self.settings.backoff.wait_s(self._openings, self.chance())

    def _hold(self, permit: Permit, why: Later) -> None:
        """Wait as long as *why* says; a late answer to an older call never shortens it."""
        if permit.is_probe or self._until_s is None:
            self._openings += 1
        least_s = self._least_s(why)
        wait_s = self.settings.backoff.wait_s(self._openings, self.chance(), least_s)
        until_s = self.clock() + wait_s
        if self._until_s is None or until_s > self._until_s:
            self._until_s = until_s
            self._paused = least_s >= self.settings.paused_from_s
        if self._paused and self._told != why.reason:
            self._told = why.reason
            self.alert.paused(self.sink, why.reason, wait_s, why.detail)

    def _least_s(self, why: Later) -> float:
        asked_s = why.after_s or 0.0
        if why.reason == "unauthorised":
            return max(self.settings.unauthorised_s, asked_s)
        return self.settings.quota_s if why.reason == "quota_used_up" and why.after_s is None else asked_s

    def _close(self) -> None:
        self._probe = None
        self._openings = 0
        self._until_s = None
        self._paused = False
        if self._told is not None:
            self._told = None
            self.alert.resumed(self.sink)
