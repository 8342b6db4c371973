"""
Several packs on one row: which there are, which of them is live, and where the features lie that they share.

Features with equal definitions have one value, whatever a pack calls them. Their order in a row does not depend on
which pack is live, so that a change of roles moves none of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import msgspec

from pql_stream.core.features import Feature, FeatureValue, Fold
from pql_stream.core.packs import CompiledPack, FeatureRow, ModelPack, PackId, PlacedRule
from pql_stream.core.words import word

_PLANS_MAX = 10_000
"""As in `core.packs`."""
FEATURE_ID_BYTES = 8

SharedStep = tuple[int, tuple[Fold, ...], tuple[tuple[PlacedRule, ...], ...]]
"""(slot of a feature, its folds, the rules that read it: of the live pack, and of each shadow)"""
SharedPlan = tuple[SharedStep, ...]
"""What an event of one name does."""


def feature_id(feature: Feature) -> bytes:
    """What *feature* keeps, as 8 bytes: equal for equal definitions, whatever they are called."""
    sources = [
        (
            sorted(source.events),
            # None among the words stands for "absent"; no word is like it.
            [(part.property, sorted("" if one is None else f"={one}" for one in part.words)) for part in source.where],
            [(reader.property, reader.read_as) for reader in source.properties],
            source.or_event_id,
        )
        for source in feature.sources
    ]
    definition = (feature.kind, feature.at_most, sorted(feature.words), sources)
    return blake2b(msgspec.msgpack.encode(definition), digest_size=FEATURE_ID_BYTES).digest()


class Lineup:
    """
    The packs that score a row, and their roles: `live` writes the changes, the `shadows` only compare.

    `feature_ids` has what lies in each slot of a row, `layout` the same in one piece. `needs` has, for each pack in
    the order of `packs`, the slots that it reads as bits.
    """

    __slots__ = ("feature_ids", "layout", "live", "needs", "packs", "plans", "roster", "shadows", "unset", "words")

    def __init__(self, live: CompiledPack, shadows: Sequence[CompiledPack], roster: Roster) -> None:
        self.live = live
        self.shadows = tuple(shadows)
        self.packs = (live, *self.shadows)
        self.roster = roster
        self.feature_ids = roster.feature_ids
        self.layout = b"".join(self.feature_ids)
        self.unset: tuple[FeatureValue, ...] = live.features_unset
        self.needs = tuple(roster.needs(pack.id) for pack in self.packs)
        self.words = _shared_plans(self.packs)
        self.plans: dict[str, SharedPlan] = {}

    def plan(self, event_name: str) -> SharedPlan:
        """What an event of this name, as received, does."""
        plan = self.plans.get(event_name)
        if plan is None:
            if len(self.plans) >= _PLANS_MAX:
                self.plans.clear()
            plan = self.plans[event_name] = self.words.get(word(event_name), ())
        return plan


class Roster:
    """The packs that a worker has; the first is live where nothing else is said. No two have the same id."""

    def __init__(self, packs: Sequence[ModelPack]) -> None:
        by_id = {PackId(pack.name, pack.version): pack for pack in packs}
        # By name, and not as given: settings that name the same packs in another order make the same rows.
        self._rows, self.feature_ids = _rows([by_id[at] for at in sorted(by_id)])
        self._packs = {at: CompiledPack(pack, self._rows[at]) for at, pack in by_id.items()}
        self.first: Lineup = self._led_by(next(iter(by_id)))
        self._lineups: dict[PackId, Lineup] = {self.first.live.id: self.first}

    @property
    def ids(self) -> tuple[PackId, ...]:
        """All of them, as given."""
        return tuple(self._packs)

    def pack(self, at: PackId) -> CompiledPack | None:
        """The pack of this id, if it is among them."""
        return self._packs.get(at)

    def needs(self, at: PackId) -> int:
        """The slots that a pack reads, as bits."""
        bits = 0
        for place in self._rows[at].places:
            bits |= 1 << place
        return bits

    def led_by(self, live: PackId) -> Lineup | None:
        """All packs, with *live* as the live one; None if it is not among them."""
        if live not in self._packs:
            return None
        if live not in self._lineups:
            self._lineups[live] = self._led_by(live)
        return self._lineups[live]

    def _led_by(self, live: PackId) -> Lineup:
        shadows = [self._packs[at] for at in sorted(self._packs) if at != live]
        return Lineup(self._packs[live], shadows, self)


def _rows(packs: Sequence[ModelPack]) -> tuple[dict[PackId, FeatureRow], tuple[bytes, ...]]:
    """Where the features of each pack lie; and what lies in each slot."""
    # A pack that is alone has its own order, also where it names one feature twice.
    share = len(packs) > 1
    ids: list[bytes] = []
    unset: list[FeatureValue] = []
    slots: dict[bytes, int] = {}
    places: dict[PackId, tuple[int, ...]] = {}
    for pack in packs:
        own = []
        for feature in pack.features:
            at = feature_id(feature)
            if not share or at not in slots:
                slots[at] = len(ids)
                ids.append(at)
                unset.append(feature.unset)
            own.append(slots[at])
        places[PackId(pack.name, pack.version)] = tuple(own)
    return {at: FeatureRow(own, tuple(unset)) for at, own in places.items()}, tuple(ids)


def _shared_plans(packs: Sequence[CompiledPack]) -> dict[str, SharedPlan]:
    """The plans of all packs as one: what several read is folded once."""
    found: dict[str, dict[int, tuple[list[Fold], list[tuple[PlacedRule, ...]]]]] = {}
    for number, pack in enumerate(packs):
        for event, plan in pack.event_words.items():
            steps = found.setdefault(event, {})
            known = set(steps)
            for slot, fold, readers in plan:
                folds, rules = steps.setdefault(slot, ([], [()] * len(packs)))
                if slot not in known:
                    folds.append(fold)
                rules[number] = tuple(dict.fromkeys((*rules[number], *readers)))
    return {
        event: tuple((slot, tuple(folds), tuple(rules)) for slot, (folds, rules) in steps.items())
        for event, steps in found.items()
    }
