"""Which pack is live on which partition, as far as a worker knows. `casting` finds it out, and changes it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from pql_stream.core.lineups import Lineup, Roster
from pql_stream.core.packs import CompiledPack

_BEGINNING: Mapping[str, int] = {}


class Roles:
    """The lineup of each partition."""

    def __init__(self, roster: Roster, always: Lineup | None = None) -> None:
        self.roster = roster
        self._always = always
        self._cast: dict[int, Lineup] = {}
        self._offsets: dict[int, Mapping[str, int]] = {}

    @classmethod
    def alone(cls, pack: CompiledPack) -> Roles:
        """Of one pack, which is live everywhere."""
        roster = Roster([pack.pack])
        return cls(roster, Lineup(pack, (), roster))

    def of(self, partition: int) -> Lineup:
        """The lineup of *partition*, which is known."""
        return self._always or self._cast[partition]

    def knows(self, partition: int) -> bool:
        """Is it known who is live there? Before that nothing of it can be scored, or looked after."""
        return self._always is not None or partition in self._cast

    def live_from(self, partition: int, topic: str) -> int:
        """The offset of *topic* from which on the live pack of *partition* writes."""
        return self._offsets.get(partition, {}).get(topic, 0)

    @contextmanager
    def rehearsed(self, partition: int, lineup: Lineup) -> Iterator[None]:
        """The time in which what is written of *partition* is *lineup*'s already; no batch may be handled in it."""
        before, self._cast[partition] = self._cast[partition], lineup
        try:
            yield
        finally:
            self._cast[partition] = before

    def cast(self, partition: int, lineup: Lineup, offsets: Mapping[str, int] = _BEGINNING) -> None:
        """From the next batch of *partition* on this lineup scores it; its first *offsets* are by topic."""
        self._cast[partition] = lineup
        self._offsets[partition] = offsets

    def release(self) -> None:
        """Know nothing any more: somebody else may cast now."""
        self._cast.clear()
