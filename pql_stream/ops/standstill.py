"""What ought to move and does not: pure bookkeeping, of partitions and of whatever else has a mark that changes."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Generic, NamedTuple, TypeVar

K = TypeVar("K", bound=Hashable)


class _Stood(NamedTuple):
    mark: object
    for_s: float


class Standstill(Generic[K]):
    """
    For how long each thing has stood, of those that ought to move.

    Only time in which we could look counts: whoever asks a broker that is away learns nothing of the worker.
    """

    def __init__(self) -> None:
        self._stood: dict[K, _Stood] = {}

    def observe(self, marks: Mapping[K, object], passed_s: float) -> None:
        """
        *marks* are of all that ought to move now, as they are *passed_s* after the last look.

        What is new, was not expected to move the last time, or has another mark, begins anew.
        """
        self._stood = {
            key: _Stood(mark, before.for_s + passed_s)
            if (before := self._stood.get(key)) is not None and before.mark == mark
            else _Stood(mark, 0.0)
            for key, mark in marks.items()
        }

    def moved(self, key: K) -> None:
        """It had no reason to move after all."""
        if key in self._stood:
            self._stood[key] = _Stood(self._stood[key].mark, 0.0)

    def longer_than(self, for_s: float) -> dict[K, float]:
        """What has stood for so long, and for how long, the longest first."""
        found = {key: stood.for_s for key, stood in self._stood.items() if stood.for_s >= for_s}
        return dict(sorted(found.items(), key=lambda item: -item[1]))
