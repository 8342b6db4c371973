"""The records of a schedule, each on the partition that its producer puts it on, and when they are fed."""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from tests.oracle.decode import Event, read_record
from tests.oracle.generate import START_MS, records
from tests.oracle.murmur2 import partition_of_lead
from tests.oracle.render import Record
from tests.soak.schedule import Mix

_FILLER_BYTES = 192 * 1024
_PULSES = 60


class Placed(NamedTuple):
    """A record, and the partition that its producer has chosen."""

    partition: int
    record: Record


def input_of(seed: int, mix: Mix, partitions: int) -> list[Placed]:
    """All records of *mix*, in the order of their timestamps."""
    made = records(seed, mix.leads, mix.events, dirt=mix.dirt)
    if mix.hot:
        made += records(seed + 1, 1, mix.hot, dirt=0.0)
    made.sort(key=lambda record: record.timestamp_ms)
    rng = random.Random(f"producers {seed}")
    return [Placed(_partition(record, mix, partitions, rng), record) for record in made]


def _partition(record: Record, mix: Mix, partitions: int, rng: random.Random) -> int:
    read = read_record(record.value, headers=record.headers, timestamp_ms=record.timestamp_ms)
    if not isinstance(read, Event):
        return rng.randrange(partitions)
    home = partition_of_lead(read.lead_id, partitions)
    elsewhere = zlib.crc32(read.lead_id.encode()) % partitions
    share = random.Random(f"producer of {read.lead_id}").random()
    if share < mix.both:
        return rng.choice((home, elsewhere))
    return elsewhere if share < mix.both + mix.crc32 else home


def burst_of(mix: Mix) -> Iterator[Placed]:
    """
    Large records on partition 0, all of them refused: more than a worker may hold of one partition.

    They are no UTF-8, so that neither we nor the oracle spend time on them.
    """
    filler = Record(b"\xff" * _FILLER_BYTES, (), b"filler", START_MS)
    for number in range(mix.burst_bytes // _FILLER_BYTES):
        yield Placed(0, replace(filler, key=f"filler-{number}".encode()))


class Feeder:
    """Hands out the input over *seconds*, now more at once and now less."""

    def __init__(self, placed: list[Placed], seconds: float, seed: int) -> None:
        rng = random.Random(f"pulses {seed}")
        weights = [rng.expovariate(1.0) for _ in range(_PULSES)]
        self._placed = placed
        self._given = 0
        self._until: list[tuple[float, int]] = []
        passed = 0.0
        for number, weight in enumerate(weights):
            passed += weight
            count = round(len(placed) * passed / sum(weights))
            self._until.append((seconds * number / _PULSES, count))

    @property
    def done(self) -> bool:
        return self._given == len(self._placed)

    def advance(self, count: int) -> list[Placed]:
        """The next *count*, before they are due."""
        at = self._given
        self._given = min(len(self._placed), at + count)
        return self._placed[at : self._given]

    def due(self, at_s: float) -> list[Placed]:
        """What is to be fed by *at_s* and was not handed out before."""
        count = max((count for from_s, count in self._until if from_s <= at_s), default=0)
        due = self._placed[self._given : count]
        self._given = max(self._given, count)
        return due
