"""What is told of shadow packs: the records of their differences from the live pack, and the numbers of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pql_stream.core.changes import ModeName, ShadowDifference
from pql_stream.stream.metrics import ShadowNote
from pql_stream.wire.records import OutRecord
from pql_stream.wire.shadow_diff import encode_shadow_diff


def encode_differences(differences: Iterable[ShadowDifference], mode: ModeName) -> list[OutRecord]:
    """*differences* as records; *mode* is that of the event that made them."""
    return [OutRecord(one.lead_id.encode(), encode_shadow_diff(one, mode)) for one in differences]


def notes_of(differences: Iterable[ShadowDifference]) -> Iterator[ShadowNote]:
    """What is to be counted of *differences*."""
    for one in differences:
        shadow = one.shadow.pack
        yield ShadowNote(shadow.name, shadow.version, "changed")
        if one.tiers_differ != one.tiers_differed:
            yield ShadowNote(shadow.name, shadow.version, "parted" if one.tiers_differ else "met")
