"""How long a partition stood still while events came in, by the broker's own timestamps. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise


def longest_gap_s(times_ms: Sequence[int], from_ms: int, to_ms: int) -> float:
    """
    The longest time between two neighbours of *times_ms* that reaches into the window.

    Where there is no neighbour on one side, the window's own end stands for it.
    """
    inside = [at for at in times_ms if from_ms <= at <= to_ms]
    before = max((at for at in times_ms if at < from_ms), default=from_ms)
    after = min((at for at in times_ms if at > to_ms), default=to_ms)
    return max(later - earlier for earlier, later in pairwise([before, *sorted(inside), after])) / 1000


def pauses_s(outputs: Mapping[int, Sequence[int]], from_ms: int, to_ms: int) -> dict[int, float]:
    """The longest gap of every partition in the window; *outputs* has the times of each one's."""
    return {partition: longest_gap_s(times, from_ms, to_ms) for partition, times in sorted(outputs.items())}


def longest_delay_s(
    sent: Mapping[bytes, int], answered: Iterable[tuple[bytes, int]], from_ms: int, to_ms: int
) -> float:
    """The longest time from an event that was sent in the window to its first output, both by key; 0 without one."""
    first: dict[bytes, int] = {}
    for key, at in answered:
        first.setdefault(key, at)
    delays = [first[key] - at for key, at in sent.items() if from_ms <= at <= to_ms and key in first]
    return max(delays, default=0) / 1000
