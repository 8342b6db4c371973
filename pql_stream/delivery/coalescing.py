"""Several upserts of one lead become one with the last values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from pql_stream.delivery.lanes import Work

_Stream = tuple[str, str, str]
"""Upserts that may stand for each other: those of one route, pack and version, within which sequences are counted."""


def coalesced(works: Iterable[Work]) -> list[Work]:
    """
    *works*, in order, with one for each run of upserts of a lead and stream: it has the last values, stands where
    the last of them stood, and carries the others.

    A run ends where the lead has another action in between: a task is made when the contact is as it was when the
    task was decided upon. Last is the highest sequence, and among equals who came last.
    """
    kept: dict[int, Work] = {}
    runs: dict[str, dict[_Stream, int]] = {}
    for at, work in enumerate(works):
        lead_id = work.delivery.lead_id
        last = work
        if work.delivery.action == "upsert":
            run = runs.setdefault(lead_id, {})
            stream = _stream(work)
            if stream in run:
                last = _last(kept.pop(run[stream]), work)
            run[stream] = at
        else:
            runs.pop(lead_id, None)
        kept[at] = last
    return list(kept.values())


def _stream(work: Work) -> _Stream:
    record = work.delivery.record
    return work.delivery.route, str(record.get("pack")), str(record.get("pack_version"))


def _last(earlier: Work, later: Work) -> Work:
    winner, loser = (earlier, later) if _sequence(earlier) > _sequence(later) else (later, earlier)
    carries = (*earlier.carries, replace(loser, carries=()))
    return replace(winner, place=later.place, carries=carries)


def _sequence(work: Work) -> float:
    sequence = work.delivery.record.get("sequence")
    return sequence if isinstance(sequence, int) else 0
