"""May this worker still write? The time since the last heartbeat that the broker answered."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from pql_stream.errors import StreamLost

# Linux's CLOCK_MONOTONIC stands still while the machine is suspended, and the broker's session does not.
# Darwin's runs on.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
_STEP_S = 0.05


def boottime_s() -> float:
    """Seconds on a clock that also counts the time the machine was suspended."""
    return time.clock_gettime(_CLOCK)


class Lease:
    """
    Our entitlement to the partitions that the group gave us.

    It is counted from the moment a heartbeat was *sent*: the broker counted from a later one. Counted from
    the answer, a process that was frozen with an answer in its socket would wake up, read it, and believe
    in a session that is over.
    """

    def __init__(self, valid_s: float, clock: Callable[[], float] = boottime_s) -> None:
        self.valid_s = valid_s
        self.clock = clock
        self._asked_at_s: float | None = None
        self._losses = 0
        self._ended = False
        self.confirmations = 0
        """How often the broker has said that we are a member."""

    def renew(self, asked_at_s: float) -> None:
        """The broker answered what we sent at *asked_at_s*: we are a member."""
        if not self._ended:
            self._asked_at_s = asked_at_s
            self.confirmations += 1

    def lose(self) -> None:
        """The broker says that we are no member, or of an old generation."""
        self._asked_at_s = None
        self._losses += 1

    def end(self) -> None:
        """We leave the group, and no answer that is still on its way changes that."""
        self._ended = True
        self.lose()

    def left_s(self) -> float:
        """Seconds that the lease is still good for; 0 when it is over."""
        if self._asked_at_s is None:
            return 0.0
        return max(0.0, self._asked_at_s + self.valid_s - self.clock())

    @property
    def is_good(self) -> bool:
        """The lease is not over."""
        return self.left_s() > 0.0

    @property
    def is_lost(self) -> bool:
        """The broker has said that we are out, and of no new membership yet."""
        return self._asked_at_s is None

    def check(self) -> None:
        """
        Call this, or `confirm`, right before every effect that another owner must not see from us.

        Raises:
            StreamLost: the partitions may belong to somebody else by now. End the process.
        """
        if self.left_s() <= 0.0:
            raise self.over()

    async def confirm(self) -> None:
        """
        `check`, and when the lease has run out wait, up to its own length, for the broker to renew it.

        A broker that was away for long is no reason to end the process: when it answers a heartbeat of our
        generation, the group has not given our partitions to anybody.

        Raises:
            StreamLost: they are lost, or there was no answer.
        """
        losses = self._losses
        for _ in range(int(self.valid_s / _STEP_S)):
            if self._losses == losses and self.left_s() > 0.0:
                return
            if self._losses != losses:
                break
            await asyncio.sleep(_STEP_S)
        raise self.over()

    def over(self) -> StreamLost:
        """What `check` raises."""
        return StreamLost(
            "the group no longer counts on this worker",
            why=f"no heartbeat was answered in the last {self.valid_s:.1f} s",
        )
