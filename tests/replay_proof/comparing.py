"""What the stream made of some events, held against what replays of the same events made of them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

import orjson

Json = dict[str, Any]

OF_THE_PLACE = ("cause", "mode", "moved_by")
"""What may differ where an event lies elsewhere: it names the event's place, or by which way it came."""
SHOWN = 5


@dataclass(slots=True)
class Made:
    """
    What was made of the events: scores, and digests of every lead's changes and qualifications in their order.

    Millions of changes do not fit into memory as they are; where two digests differ, the two records are to be looked
    at in the files.
    """

    scores: dict[str, Json] = field(default_factory=dict)
    sequences: dict[str, list[bytes]] = field(default_factory=lambda: defaultdict(list))
    placed: dict[str, list[bytes]] = field(default_factory=lambda: defaultdict(list))
    """As `sequences`, of the records as they are."""
    rejected: Counter[str] = field(default_factory=Counter)

    def take(self, records: Iterable[bytes]) -> None:
        """Add changes, or qualifications, of which those of a lead are in order."""
        for value in records:
            record: Json = orjson.loads(value)
            self.placed[record["lead_id"]].append(_digest(record))
            self.sequences[record["lead_id"]].append(_digest(_without_place(record)))


def made_by_replay(directory: Path) -> Made:
    """What lies in the --out *directory* of a replay."""
    made = Made()
    for name in ("score-changed.jsonl", "pql-qualified.jsonl"):
        made.take(_lines(directory / name))
    for value in _lines(directory / "scores.jsonl"):
        score: Json = orjson.loads(value)
        made.scores[score["lead_id"]] = score
    made.rejected.update(orjson.loads(value)["reason"] for value in _lines(directory / "rejected.jsonl"))
    return made


def differences(stream: Made, replayed: Made, several_routes: Collection[str], *, same_places: bool) -> Iterator[str]:
    """
    What is not as it must be: the scores of all leads, and the sequences of those not in *several_routes*.

    With *same_places*, what was replayed are the very records of the stream, and nothing may differ.
    """
    yield from _differing("rejected", dict(stream.rejected), dict(replayed.rejected), ())
    if same_places:
        yield from _differing("score", stream.scores, replayed.scores, several_routes)
        yield from _differing("sequence", stream.placed, replayed.placed, several_routes)
    yield from _differing("final state", _placeless(stream.scores), _placeless(replayed.scores), ())
    yield from _differing("changes", stream.sequences, replayed.sequences, several_routes)


def _placeless(scores: dict[str, Json]) -> dict[str, Json]:
    return {lead_id: _without_place(score) for lead_id, score in scores.items()}


def _differing(what: str, ours: dict[str, Any], theirs: dict[str, Any], but: Collection[str]) -> Iterator[str]:
    leads = (ours.keys() | theirs.keys()) - set(but)
    wrong = sorted(lead_id for lead_id in leads if ours.get(lead_id) != theirs.get(lead_id))
    if wrong:
        yield f"{what}: {len(wrong):,} of {len(leads):,} differ: {', '.join(wrong[:SHOWN])}"


def _without_place(record: Json) -> Json:
    kept = {name: value for name, value in record.items() if name not in OF_THE_PLACE}
    if "contributions" in kept:
        kept["contributions"] = [_without_place(part) for part in kept["contributions"]]
    return kept


def _digest(record: Json) -> bytes:
    return blake2b(orjson.dumps(record, option=orjson.OPT_SORT_KEYS), digest_size=12).digest()


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from file
