"""
advance(): what one event does to one lead. The stream, the replay and `explain` all call it.

A score is a function of the set of a lead's events (core.features); the sequence of changes follows
their order. Nothing here has a clock or a random number, so a repeat gives the same ids.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

from msgspec.structs import replace

from pql_stream.core.changes import Contribution, PublishedChange, Qualification, ScoreChange
from pql_stream.core.events import ProductEvent
from pql_stream.core.features import FeatureValue
from pql_stream.core.packs import CompiledPack, PlacedRule, Plan
from pql_stream.core.refs import NO_REF, EventRef, decode_ref, encode_ref
from pql_stream.core.rules import HUNDREDTHS, Features, cut
from pql_stream.core.states import LeadState, PackState, Stamped, Step


def advance(state: LeadState | None, event: ProductEvent, pack: CompiledPack) -> Step:
    """
    Fold *event* into *state* (None: a lead never seen) and score what moved.

    The same event again, or in another order, leads to the same features and points. An event that
    changes no feature re-scores nothing.
    """
    occurred_at_ms = event.occurred_at_ms
    if state is None:
        state = _unseen(occurred_at_ms, pack)
    first, last, account = state.first_seen_at_ms, state.last_seen_at_ms, state.account
    if occurred_at_ms < first:
        first = occurred_at_ms
    elif occurred_at_ms > last:
        last = occurred_at_ms
    if event.account_id is not None:
        stamped = (occurred_at_ms, event.event_id, event.account_id)
        if account is None or stamped > account:
            account = stamped
    plan = pack.plans.get(event.name)
    if plan is None:
        plan = pack.plan(event.name)
    features, moved = _folded(state, event, plan) if plan else (state.features, None)
    if moved:
        own, change, qualification = scored(state.pack, moved, event, pack, (features, account))
        return Step(LeadState(first, last, account, features, own, state.incomplete), change, qualification)
    if (
        features is state.features
        and account is state.account
        and first == state.first_seen_at_ms
        and last == state.last_seen_at_ms
        and state.__class__ is LeadState  # else its row is of other packs (`core.shadows.Adopted`)
    ):
        return Step(state, None, None)
    return Step(LeadState(first, last, account, features, state.pack, state.incomplete), None, None)


def _unseen(occurred_at_ms: int, pack: CompiledPack) -> LeadState:
    return LeadState(occurred_at_ms, occurred_at_ms, None, pack.features_unset, nothing_scored(pack))


def nothing_scored(pack: CompiledPack) -> PackState:
    """What *pack* remembers of a lead before its first event."""
    return PackState(pack.points_unset, (NO_REF,) * len(pack.rules), 0, 0)


def _folded(
    state: LeadState, event: ProductEvent, plan: Plan
) -> tuple[tuple[FeatureValue, ...], dict[int, int] | None]:
    """The features after *event*, and rule -> its new points, for the rules whose points it moved."""
    features = state.features
    changed: list[FeatureValue] | None = None
    touched: list[PlacedRule] = []
    for slot, fold, readers in plan:
        before = features[slot] if changed is None else changed[slot]
        after = fold(before, event)
        if after is not before:
            if changed is None:
                changed = list(features)
            changed[slot] = after
            touched += readers
    if changed is None:
        return features, None
    return tuple(changed), moved_rules(state.pack.points, changed, touched) if touched else None


def moved_rules(points: tuple[int, ...], features: Features, touched: list[PlacedRule]) -> dict[int, int]:
    """Rule -> its new points, for the *touched* rules whose points changed."""
    moved: dict[int, int] = {}
    for i, points_of in touched:
        after = points_of(features)
        if after != points[i]:
            moved[i] = after
    return moved


def scored(
    before: PackState,
    moved: dict[int, int],
    event: ProductEvent,
    pack: CompiledPack,
    known: tuple[tuple[FeatureValue, ...], Stamped | None],
) -> tuple[PackState, ScoreChange, Qualification | None]:
    """What *pack* remembers and says when *event* has *moved* points; *known* are the features and the account now."""
    features, account = known
    cause = EventRef(event.event_id, event.topic, event.partition, event.offset)
    points_, moved_by_ = list(before.points), list(before.moved_by)
    ref = encode_ref(cause)
    for i, points_after in moved.items():
        points_[i] = points_after
        moved_by_[i] = ref
    points, moved_by = tuple(points_), tuple(moved_by_)
    sequence = before.sequence + 1
    change = ScoreChange(
        change_id_of(event.lead_id, sequence, event.event_id, pack),
        event.lead_id,
        None if account is None else account[2],
        pack,
        sequence,
        event.occurred_at_ms,
        before.points,
        points,
        features,
        moved_by,
        cause,
        event.name,
    )
    tier = pack.tier_place(sum(points))
    qualification = None
    announced = before.announced
    if tier > announced:
        qualification = qualification_of(change, features, tier, announced)
        announced = tier
    return PackState(points, moved_by, sequence, announced), change, qualification


def follow(step: Step, published: PublishedChange, pack: CompiledPack) -> Step:
    """
    *step*, if it made a change, told as what follows *published*, which a crash left in the log.

    Under its own number it might have the id of a published change, and say something else.
    """
    change, qualification = step.change, step.qualification
    if change is None:
        return step
    sequence = published.sequence + 1
    change_id = change_id_of(change.lead_id, sequence, change.cause.event_id, pack)
    return Step(
        _numbered(step.state, sequence),
        replace(change, change_id=change_id, sequence=sequence, points_before=published.points),
        None if qualification is None else replace(qualification, change_id=change_id),
        step.differences,
    )


def correct(state: LeadState, published: PublishedChange, pack: CompiledPack) -> Step:
    """
    Take *published* back: a change that a crash left in the log, and whose event did not lead to it on *state*.

    Where the points are the same there is nothing to say, and only the sequence to go on from. A correction
    never qualifies: *state* has announced its tier.
    """
    if published.points == state.pack.points and published.sequence > state.pack.sequence:
        return Step(_numbered(state, published.sequence), None, None)
    sequence = published.sequence + 1
    change = ScoreChange(
        change_id_of(published.lead_id, sequence, published.cause.event_id, pack),
        published.lead_id,
        state.account_id,
        pack,
        sequence,
        published.occurred_at_ms,
        published.points,
        state.pack.points,
        state.features,
        state.pack.moved_by,
        published.cause,
        published.cause_event,
    )
    return Step(_numbered(state, sequence), change, None)


def _numbered(state: LeadState, sequence: int) -> LeadState:
    return replace(state, pack=replace(state.pack, sequence=sequence))


def contributions(state: LeadState, pack: CompiledPack) -> tuple[Contribution, ...]:
    """Every rule's part of the score of *state*, in the order of the pack; together they are the score."""
    own = state.pack
    parts = zip(pack.rules, own.points, pack.inputs(state.features), own.moved_by, strict=True)
    return tuple(
        Contribution(rule.name, rule.group, points, rule.points_max, shown, decode_ref(moved_by))
        for rule, points, shown, moved_by in parts
    )


def qualification_of(change: ScoreChange, features: Features, tier: int, announced: int) -> Qualification:
    """What is announced with *change*: the *tier* at this place, above the one *announced* before."""
    pack = change.pack
    reached = pack.tiers[tier]
    return Qualification(
        qualification_id=_qualification_id(change.lead_id, pack.name, reached.name),
        lead_id=change.lead_id,
        account_id=change.account_id,
        pack=pack.name,
        pack_version=pack.version,
        tier=reached.name,
        tier_before=pack.tiers[announced].name,
        score=change.score_after,
        sales_ready=reached.sales_ready,
        handoff=reached.handoff,
        occurred_at_ms=change.occurred_at_ms,
        change_id=change.change_id,
        reasons=reasons(features, change.points, pack),
        profile={name: _profile_value(features[slot]) for name, slot in pack.profile_slots},
    )


def reasons(features: Features, points: tuple[int, ...], pack: CompiledPack) -> tuple[str, ...]:
    """A sentence for every rule that earned points, the largest first; equal ones in the pack's order."""
    earned = sorted((i for i, given in enumerate(points) if given), key=lambda i: -points[i])
    return tuple(f"{pack.rules[i].reason(features)} (+{_decimal(points[i])})" for i in earned)


def _profile_value(value: FeatureValue) -> Any:  # noqa: ANN401 - a JSON value
    return None if value is None else cut(value[2])


def _decimal(hundredths: int) -> str:
    whole, rest = divmod(hundredths, HUNDREDTHS)
    return f"{whole}.{rest:02}".rstrip("0") if rest else str(whole)


def change_id_of(lead_id: str, sequence: int, event_id: str, pack: CompiledPack) -> str:
    """128 bits over lead, pack, version, sequence and causing event, as hex."""
    hash_ = pack.id_seed.copy()
    hash_.update(f"{len(lead_id)}:{lead_id}{sequence}:{event_id}".encode())
    return hash_.hexdigest()


def _qualification_id(lead_id: str, pack: str, tier: str) -> str:
    """128 bits over lead, pack and tier, as hex."""
    return blake2b(f"{len(lead_id)}:{lead_id}{len(pack)}:{pack}{tier}".encode(), digest_size=16).hexdigest()
