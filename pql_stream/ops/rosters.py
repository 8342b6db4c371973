"""The packs that the settings name, ready to score."""

from __future__ import annotations

from collections.abc import Iterable

from pql_stream.core.lineups import Roster
from pql_stream.core.packs import ModelPack, PackId
from pql_stream.errors import InvalidSettings
from pql_stream.ops.settings import Settings
from pql_stream.wire.packs import load_pack


def load_roster(settings: Settings, more: Iterable[str] = ()) -> Roster:
    """
    The packs of PQL_PACK, which comes first, and of PQL_SHADOW_PACKS; and those that are called *more*.

    Raises:
        InvalidPack: one of them cannot be used.
        InvalidSettings: two of them have the same name and version, and are not the same.
    """
    found: dict[PackId, ModelPack] = {}
    for name in (*settings.packs, *more):
        pack = load_pack(name)
        at = PackId(pack.name, pack.version)
        if found.setdefault(at, pack) != pack:
            raise InvalidSettings(
                f"there are two packs {at} that say different things",
                why=f"{name} is one of them; state, changes and announced tiers are told apart by name and version",
                what_to_do="raise the version of the newer one",
            )
    return Roster(tuple(found.values()))
