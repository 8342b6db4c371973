"""How many calls a destination takes: the port to a limiter that all workers share, and one of a single process."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Rate:
    """
    At most *calls* in any *period_s*, wherever it begins.

    Not a bucket that holds *calls* and is refilled at the same rate: after a rest it would let twice as many pass in
    one period, and "100 in 10 seconds" is counted by the destination over a rolling window.
    """

    calls: int
    period_s: float


class Limiter(Protocol):
    """
    Counts the calls of one sink. A *bucket* is what a limit is about: a credential, or one of its channels.

    Every bucket of a limiter has the limiter's `Rate`.
    """

    async def acquire(self, bucket: str, tokens: int) -> float:
        """
        May *tokens* more calls be made? 0: now, and they are counted. Else the seconds after which to ask again:
        nothing was counted, so who gives up meanwhile leaves no debt. More than the rate's calls count as these.

        Raises:
            LedgerAway: the limiter does not answer.
        """


class MemoryLimiter:
    """A `Limiter` of one process. *clock* is seconds, from any start, and never goes back."""

    def __init__(self, rate: Rate, clock: Callable[[], float]) -> None:
        self._rate = rate
        self._clock = clock
        self._calls: dict[str, deque[float]] = {}

    async def acquire(self, bucket: str, tokens: int) -> float:
        """As `Limiter` says."""
        now_s = self._clock()
        tokens = min(tokens, self._rate.calls)
        calls = self._calls.setdefault(bucket, deque(maxlen=self._rate.calls))
        # The call that must have left the window before the last of ours fits in.
        at = len(calls) + tokens - self._rate.calls - 1
        wait_s = calls[at] + self._rate.period_s - now_s if at >= 0 else 0.0
        if wait_s > 0:
            return wait_s
        calls.extend([now_s] * tokens)
        return 0.0
