"""How long to wait after a failure: exponential with full jitter, and never less than the destination asked for."""

from __future__ import annotations

from dataclasses import dataclass

ASKED_S_MAX = 86_400.0
"""A quota is back within a day; who asks for more is not believed."""

_DOUBLINGS_MAX = 32
"""Beyond it every cap is reached, and a float would overflow one day."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """
    Waits up to *first_s* after the first failure, twice as long after each further one, and up to *most_s*.

    Full jitter: anything between nothing and that is as likely ("Exponential Backoff And Jitter", AWS Architecture
    Blog, 2015), so that those who failed together do not come back together.
    """

    first_s: float
    most_s: float

    def wait_s(self, failures: int, chance: float, asked_s: float | None = None) -> float:
        """
        Seconds to wait after *failures* (at least 1) in a row; *chance* is a random number in [0, 1).

        *asked_s* is what the destination asked for (`Retry-After`): the jitter comes on top.
        """
        doublings = min(failures - 1, _DOUBLINGS_MAX)
        jitter_s = chance * min(self.most_s, self.first_s * 2.0**doublings)
        return min(max(asked_s or 0.0, 0.0), ASKED_S_MAX) + jitter_s
