"""What is fed to the workers of the system tests: the oracle's records, each on a partition."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import islice
from typing import Literal

from tests.oracle.decode import Event, read_record
from tests.oracle.generate import records
from tests.oracle.murmur2 import partition_of_lead
from tests.oracle.render import Record

Route = Literal["home", "away", "both"]

Placed = list[tuple[int, Record]]


def population(seed: int, *, leads: int = 24, events: int = 1200, dirt: float = 0.15) -> list[Record]:
    """Seeded records of all forms; with this much dirt every reason for a refusal comes up."""
    return records(seed, leads, events, dirt=dirt)


def place(made: Sequence[Record], partitions: int, *, seed: int, routes: Sequence[Route] = ("home",)) -> Placed:
    """
    Every record with its partition.

    A lead has one of *routes*, drawn by its id: the partition it belongs to, one that it does not belong to,
    or now this and now the other. What is no event may lie anywhere.
    """
    rng = random.Random(seed)
    placed: Placed = []
    for record in made:
        read = read_record(record.value, headers=record.headers, timestamp_ms=record.timestamp_ms)
        if isinstance(read, Event):
            placed.append((_partition(read.lead_id, partitions, routes, rng), record))
        else:
            placed.append((rng.randrange(partitions), record))
    return placed


def _partition(lead_id: str, partitions: int, routes: Sequence[Route], rng: random.Random) -> int:
    route = random.Random(lead_id).choice(routes)
    home = partition_of_lead(lead_id, partitions)
    away = (home + 1) % partitions
    if route == "both":
        return rng.choice((home, away))
    return home if route == "home" else away


def slices(placed: Placed, count: int) -> list[Placed]:
    """*placed* in *count* parts of about the same size, in order."""
    iterator = iter(placed)
    size = -(-len(placed) // count)
    return [list(islice(iterator, size)) for _ in range(count)]
