"""
advance_all(): what one event does to one lead under several packs; and how a row goes over to other packs or roles.

What the live pack says is what `advance` says of it alone. The shadows only keep points, and say where they come to
differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Final

import msgspec

from pql_stream.core.changes import Qualification, ScoreChange, ShadowDifference, Standing
from pql_stream.core.events import ProductEvent
from pql_stream.core.features import FeatureValue
from pql_stream.core.lineups import Lineup, SharedPlan
from pql_stream.core.packs import CompiledPack, PackId, PlacedRule
from pql_stream.core.refs import EncodedRef, EventRef, encode_ref
from pql_stream.core.rules import Features
from pql_stream.core.states import LeadState, PackState, Stamped, Step
from pql_stream.core.transition import change_id_of, moved_rules, nothing_scored, qualification_of, scored


class OldState(msgspec.Struct, frozen=True):
    """
    A row that was made by other packs, or in other roles, than are wanted now; `adopt` takes it over.

    *features* and *incomplete* are by `feature_id`. The first of *packs* was live.
    """

    first_seen_at_ms: int
    last_seen_at_ms: int
    account: Stamped | None
    features: Mapping[bytes, FeatureValue]
    incomplete: frozenset[bytes]
    packs: Mapping[PackId, PackState]


class Adopted(LeadState, frozen=True, gc=False):
    """
    A state whose row is still an old one. Any event makes a new row, also one that changes nothing.

    Else the old row would go on to say that it knows features whose events it no longer hears of.
    """


def plain(state: LeadState) -> LeadState:
    """*state* with a row that is to be written."""
    return LeadState(
        state.first_seen_at_ms,
        state.last_seen_at_ms,
        state.account,
        state.features,
        state.pack,
        state.incomplete,
        state.shadows,
    )


def advance_all(state: LeadState | None, event: ProductEvent, lineup: Lineup) -> Step:
    """Fold *event* into *state* (None: a lead never seen), score all packs, and tell what the live one says."""
    occurred_at_ms = event.occurred_at_ms
    if state is None:
        nothing = [nothing_scored(pack) for pack in lineup.packs]
        state = LeadState(occurred_at_ms, occurred_at_ms, None, lineup.unset, nothing[0], 0, tuple(nothing[1:]))
    first = min(state.first_seen_at_ms, occurred_at_ms)
    last = max(state.last_seen_at_ms, occurred_at_ms)
    account = state.account
    if event.account_id is not None:
        stamped = (occurred_at_ms, event.event_id, event.account_id)
        account = stamped if account is None or stamped > account else account
    features, touched = folded_features(state.features, event, lineup.plan(event.name))
    cause = EventRef(event.event_id, event.topic, event.partition, event.offset)
    shadows = state.shadows
    if touched is not None:
        ref = encode_ref(cause)
        shadows = tuple(
            rescored(before, features, rules, ref) for before, rules in zip(shadows, touched[1:], strict=True)
        )
    elif (first, last, account) == (state.first_seen_at_ms, state.last_seen_at_ms, state.account) and (
        state.__class__ is LeadState
    ):
        return Step(state, None, None)
    features = tuple(features)
    live, change, qualification = state.pack, None, None
    if touched is not None and (moved := moved_rules(live.points, features, touched[0])):
        live, change, qualification = scored(live, moved, event, lineup.live, (features, account))
    after = LeadState(first, last, account, features, live, state.incomplete, shadows)
    return Step(after, change, qualification, _differences(state, after, event, cause, lineup))


def folded_features(
    features: Features, event: ProductEvent, plan: SharedPlan
) -> tuple[Features, list[list[PlacedRule]] | None]:
    """The *features* after *event*, and of each pack the rules to look at; None where nothing changed."""
    touched: list[list[PlacedRule]] | None = None
    for slot, folds, readers in plan:
        before = after = features[slot]
        for fold in folds:
            after = fold(after, event)
        if after is before:
            continue
        if touched is None:
            touched = [[] for _ in readers]
            features = list(features)
        assert isinstance(features, list)  # noqa: S101 - made one with `touched`
        features[slot] = after
        for rules, more in zip(touched, readers, strict=True):
            rules.extend(more)
    return features, touched


def rescored(before: PackState, features: Features, rules: list[PlacedRule], ref: EncodedRef) -> PackState:
    """What a shadow remembers when the event of *ref* has moved what *rules* read."""
    moved = moved_rules(before.points, features, rules)
    if not moved:
        return before
    points, moved_by = list(before.points), list(before.moved_by)
    for i, points_after in moved.items():
        points[i] = points_after
        moved_by[i] = ref
    # A shadow's changes are told nobody, so they have no number; nor does it announce a tier.
    return PackState(tuple(points), tuple(moved_by), before.sequence, before.announced)


# --- where the packs differ


def _differences(
    before: LeadState, after: LeadState, event: ProductEvent, cause: EventRef, lineup: Lineup
) -> tuple[ShadowDifference, ...]:
    """What is to be told of each shadow whose difference from the live pack is not what it was."""
    if (before.shadows is after.shadows and before.pack is after.pack) and before.__class__ is LeadState:
        return ()
    told = []
    live = Standing(lineup.live, after.pack.points)
    for number, pack in enumerate(lineup.shadows):
        shadow = Standing(pack, after.shadows[number].points)
        # Of roles that are new nothing was told yet.
        was = (
            None
            if before.__class__ is Adopted
            else gap_between(Standing(lineup.live, before.pack.points), Standing(pack, before.shadows[number].points))
        )
        if gap_between(live, shadow) == was:
            continue
        complete = not after.incomplete & lineup.needs[number + 1]
        told.append(
            ShadowDifference(
                difference_id(event.lead_id, event.event_id, live.pack.id, pack.id),
                event.lead_id,
                after.account_id,
                live,
                shadow,
                complete,
                was is not None and was[1] != was[2],
                event.occurred_at_ms,
                cause,
                event.name,
            )
        )
    return tuple(told)


def gap_between(live: Standing, shadow: Standing) -> tuple[int, str, str] | None:
    """By how much two packs differ; None where they agree. Where both move alike the gap stays as it is."""
    score, tiers = shadow.score - live.score, (live.tier, shadow.tier)
    return (score, *tiers) if score or tiers[0] != tiers[1] else None


def difference_id(lead_id: str, event_id: str, live: PackId, shadow: PackId) -> str:
    """128 bits over lead, both packs and the causing event, as hex. Parts are led by their length."""
    packs = "".join(f"{len(at.name)}:{at.name}{at.version}:" for at in (live, shadow))
    return blake2b(f"{packs}{len(lead_id)}:{lead_id}{event_id}".encode(), digest_size=16).hexdigest()


# --- other packs, other roles


def adopt(old: OldState, lineup: Lineup) -> Adopted:
    """
    *old* under the packs and roles of *lineup*, which has the pack that was live.

    A feature that the row lacks begins here, and is incomplete. A pack that the row lacks is scored by what is known.
    Where another pack is live now, it inherits the tier that was announced; and the tier that it gives the lead by
    itself counts as announced too: nobody did anything, so there is nothing to tell. `unannounced` says what that is.
    """
    features = tuple(old.features.get(at, unset) for at, unset in zip(lineup.feature_ids, lineup.unset, strict=True))
    incomplete = 0
    for slot, at in enumerate(lineup.feature_ids):
        if at not in old.features or at in old.incomplete:
            incomplete |= 1 << slot
    live, *shadows = (_taken_over(old, pack, features) for pack in lineup.packs)
    if _was_live(old) != lineup.live.id:
        announced = max(_inherited(old, lineup), lineup.live.tier_place(sum(live.points)))
        live = msgspec.structs.replace(live, announced=announced)
    return Adopted(old.first_seen_at_ms, old.last_seen_at_ms, old.account, features, live, incomplete, tuple(shadows))


def _was_live(old: OldState) -> PackId:
    return next(iter(old.packs))


def _taken_over(old: OldState, pack: CompiledPack, features: tuple[FeatureValue, ...]) -> PackState:
    known = old.packs.get(pack.id)
    if known is not None:
        return known
    return msgspec.structs.replace(nothing_scored(pack), points=pack.points_of(features))


def _inherited(old: OldState, lineup: Lineup) -> int:
    """
    The highest place, in the pack that is live now, of the tiers that any pack has announced.

    Not the last pack's alone: one with fewer tiers says less of what those before it have announced. A pack that was
    never live has announced nothing; of one that the roster lacks nobody knows what its tiers are.
    """
    known = [(lineup.roster.pack(at), state.announced) for at, state in old.packs.items()]
    return max(inherited_place(announced, pack, lineup.live) for pack, announced in known if pack is not None)


def inherited_place(announced: int, before: CompiledPack, now: CompiledPack) -> int:
    """
    Where the tier *announced* of the pack *before* stands in the pack *now*.

    It is the tier of that name; where there is none, that of the score from which on the tier was given.
    """
    tier = before.tiers[announced]
    names = [one.name for one in now.tiers]
    # Nobody was told of the lowest.
    if announced == 0:
        return 0
    return names.index(tier.name) if tier.name in names else now.tier_place(tier.score_from)


def unannounced(old: OldState, lineup: Lineup) -> bool:
    """Does the live pack of *lineup*, by itself, put the lead of *old* above all that was announced of it?"""
    if _was_live(old) == lineup.live.id:
        return False
    own = adopt(old, lineup).pack
    return lineup.live.tier_place(sum(own.points)) > _inherited(old, lineup)


CUTOVER_EVENT: Final = "cutover"
"""What a change names as its causing event where it is told because its pack went live."""


class SwitchCause(msgspec.Struct, frozen=True):
    """What made another pack live: the request for it, what a change calls it, and when it was asked for."""

    ref: EventRef
    event: str
    asked_at_ms: int


def announce(
    lead_id: str, old: OldState, lineup: Lineup, cause: SwitchCause
) -> tuple[LeadState, ScoreChange, Qualification]:
    """
    Tell what the live pack of *lineup* makes of a lead of which this is `unannounced`; *cause* made it live.

    The change says the points that the pack gives; there were none of it before in what is published.
    """
    state = plain(adopt(old, lineup))
    pack, own = lineup.live, state.pack
    change = ScoreChange(
        change_id_of(lead_id, own.sequence + 1, cause.ref.event_id, pack),
        lead_id,
        state.account_id,
        pack,
        own.sequence + 1,
        cause.asked_at_ms,
        own.points,
        own.points,
        state.features,
        own.moved_by,
        cause.ref,
        cause.event,
    )
    told = msgspec.structs.replace(state, pack=msgspec.structs.replace(own, sequence=own.sequence + 1))
    return told, change, qualification_of(change, state.features, own.announced, _inherited(old, lineup))
