"""Several packs on one row: each scores as if it were alone, and it is told where it differs from the live one."""

from __future__ import annotations

from itertools import permutations

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from pql_stream.core.filling import filled, slots_to_fill
from pql_stream.core.lineups import Roster, feature_id
from pql_stream.core.packs import PackId, compile_pack
from pql_stream.core.refs import EventRef
from pql_stream.core.shadows import (
    Adopted,
    OldState,
    SwitchCause,
    adopt,
    advance_all,
    inherited_place,
    plain,
    unannounced,
)
from pql_stream.core.states import LeadState, PackState
from pql_stream.core.transition import advance
from pql_stream.testing.builders import product_event
from tests.unit.core.every_kind import EVERY_KIND, FEATURES, event_lists
from tests.unit.core.shadow_packs import OTHER, OTHER_2

PACKS = (EVERY_KIND, OTHER, OTHER_2)
ROSTER = Roster(PACKS)
LINEUP = ROSTER.first
ALONE = {pack: compile_pack(pack) for pack in PACKS}


def steps_of(stream, lineup=LINEUP, state=None) -> list:
    steps = []
    for event in stream:
        steps.append(advance_all(state, event, lineup))
        state = steps[-1].state
    return steps


def alone_steps(stream, pack) -> list:
    steps, state = [], None
    for event in stream:
        steps.append(advance(state, event, ALONE[pack]))
        state = steps[-1].state
    return steps


def values_by_id(state: LeadState, lineup=LINEUP) -> dict:
    return dict(zip(lineup.feature_ids, state.features, strict=True))


def told(change) -> tuple | None:
    """A change without the compiled pack, which another roster has made."""
    return None if change is None else (change.change_id, change.sequence, change.points_before, change.points)


def row_of(state: LeadState, lineup) -> OldState:
    """The row of *state*, read by whoever has other packs, or roles."""
    missing = {at for slot, at in enumerate(lineup.feature_ids) if state.incomplete >> slot & 1}
    packs = dict(zip([pack.id for pack in lineup.packs], (state.pack, *state.shadows), strict=True))
    features = values_by_id(state, lineup)
    return OldState(state.first_seen_at_ms, state.last_seen_at_ms, state.account, features, frozenset(missing), packs)


def test_equal_definitions_share_one_value():
    """A feature of another name lies in the same slot; one with a higher bound does not."""
    ids = [feature_id(feature) for pack in PACKS for feature in pack.features]

    assert set(ids) == set(LINEUP.feature_ids)
    assert len(FEATURES) + 2 == len(LINEUP.feature_ids)


def test_roles_move_no_feature():
    """Whoever is live, and however the settings name the packs, a slot holds the same feature."""
    swapped = Roster((OTHER_2, EVERY_KIND, OTHER))

    assert LINEUP.layout == swapped.first.layout == ROSTER.led_by(PackId("other", 1)).layout
    assert None is ROSTER.led_by(PackId("other", 3))


@settings(max_examples=40)
@given(stream=event_lists)
def test_each_pack_scores_as_if_it_were_alone(stream):
    """On one row every pack has the points, features and movers that it has by itself; the live one says the same."""
    steps = steps_of(stream)
    for place, pack in enumerate(LINEUP.packs):
        for shared, own in zip(steps, alone_steps(stream, pack.pack), strict=True):
            seen = (shared.state.pack, *shared.state.shadows)[place]
            assert (own.state.pack.points, own.state.pack.moved_by) == (seen.points, seen.moved_by)
            ids = [feature_id(feature) for feature in pack.pack.features]
            assert own.state.features == tuple(values_by_id(shared.state)[at] for at in ids)
            if place == 0:
                assert told(own.change) == told(shared.change)
                assert own.qualification == shared.qualification
                assert own.state.pack == shared.state.pack


@settings(max_examples=40)
@given(stream=event_lists)
def test_shadows_number_and_announce_nothing(stream):
    """What nobody is told has no number, and no tier of it is announced."""
    for step in steps_of(stream):
        assert {(0, 0)} == {(own.sequence, own.announced) for own in step.state.shadows}


@settings(max_examples=40)
@given(stream=event_lists)
def test_differences_are_told_when_they_change(stream):
    """Whoever remembers the last record of each shadow knows score and tier of both packs' difference at any time."""
    last = {pack.id: None for pack in LINEUP.shadows}
    for step in steps_of(stream):
        before = dict(last)
        for one in step.differences:
            last[one.shadow.pack.id] = one
        for pack, own in zip(LINEUP.shadows, step.state.shadows, strict=True):
            live, shadow = sum(step.state.pack.points), sum(own.points)
            tiers = LINEUP.live.tier_of(live).name, pack.tier_of(shadow).name
            one = last[pack.id]
            if one is None:
                assert (live, tiers[0]) == (shadow, tiers[1])
                continue
            assert (shadow - live, *tiers) == (one.shadow.score - one.live.score, one.live.tier, one.shadow.tier)
            was = before[pack.id]
            if one is not was:
                assert one.tiers_differed == (was is not None and was.tiers_differ)


@settings(max_examples=40)
@given(stream=event_lists, data=st.data())
def test_reading_again_changes_nothing(stream, data):
    """The very same state, no change, no difference."""
    steps = steps_of(stream)
    again = data.draw(st.lists(st.sampled_from(stream), max_size=10)) if stream else []
    state = steps[-1].state if steps else None

    for step in steps_of(again, LINEUP, state):
        assert step.state is state
        assert (None, None, ()) == (step.change, step.qualification, step.differences)


@settings(max_examples=40)
@given(stream=event_lists, data=st.data())
def test_a_crash_before_the_row_was_stored_says_the_same_again(stream, data):
    """From any earlier state the rest makes the same changes and the same differences, ids and all."""
    steps = steps_of(stream)
    kept = data.draw(st.integers(0, len(stream)))
    again = steps_of(stream[kept:], LINEUP, steps[kept - 1].state if kept else None)

    assert steps[kept:] == again


LINEUPS = [Roster(packs).first for r in (1, 2, 3) for packs in permutations(PACKS, r) if EVERY_KIND in packs]


@settings(max_examples=40)
@given(stream=event_lists.filter(bool), data=st.data(), lineup=st.sampled_from(LINEUPS))
def test_a_row_goes_on_under_any_packs_and_roles(stream, data, lineup):
    """
    The changes of whoever is live now are numbered from where it was, begin at its own points, and end at those of a
    recomputation, wherever the change of roles falls, and whoever was dropped.
    """
    split = data.draw(st.integers(1, len(stream)))
    old = steps_of(stream[:split])[-1].state
    adopted = adopt(row_of(old, LINEUP), lineup)
    points = [adopted.pack.points]
    changed = [step.change for step in steps_of(stream[split:], lineup, adopted) if step.change is not None]
    for number, change in enumerate(changed, adopted.pack.sequence + 1):
        assert (number, points[-1]) == (change.sequence, change.points_before)
        points.append(change.points)

    assert alone_steps(stream, lineup.live.pack)[-1].state.pack.points == points[-1]
    assert 0 == adopted.incomplete


@settings(max_examples=40)
@given(stream=event_lists.filter(bool))
def test_what_was_announced_stays_announced(stream):
    """The new pack inherits the tier, counts what it gives by itself as announced, and so does the way back."""
    old = steps_of(stream)[-1].state
    lineup = ROSTER.led_by(PackId("other", 1))
    adopted = adopt(row_of(old, LINEUP), lineup)
    inherited = inherited_place(old.pack.announced, LINEUP.live, lineup.live)
    back = adopt(row_of(plain(adopted), lineup), LINEUP)

    assert max(inherited, lineup.live.tier_place(sum(adopted.pack.points))) == adopted.pack.announced
    assert old.pack.announced <= back.pack.announced
    assert unannounced(row_of(old, LINEUP), lineup) == (lineup.live.tier_place(sum(adopted.pack.points)) > inherited)
    assert not unannounced(row_of(plain(adopted), lineup), lineup)


@settings(max_examples=40)
@given(stream=event_lists.filter(bool), data=st.data())
def test_a_pack_that_came_later_is_incomplete(stream, data):
    """Features that the row lacks begin to be kept, and say so; those that were shared are complete."""
    split = data.draw(st.integers(1, len(stream)))
    before = Roster((EVERY_KIND,)).first
    old = steps_of(stream[:split], before)[-1].state
    adopted = adopt(row_of(old, before), LINEUP)
    after = [adopted, *(step.state for step in steps_of(stream[split:], LINEUP, adopted))][-1]
    lacking = {at for slot, at in enumerate(LINEUP.feature_ids) if after.incomplete >> slot & 1}

    assert {feature_id(feature) for feature in (OTHER.features[1], OTHER.features[3])} == lacking
    assert not after.incomplete & LINEUP.needs[0]
    assert after.incomplete & LINEUP.needs[1]


@settings(max_examples=40)
@given(stream=event_lists.filter(bool), data=st.data())
def test_an_adopted_row_is_written_at_the_next_event(stream, data):
    """Also by an event that changes nothing: the old row would go on to say that it hears of features."""
    old = steps_of(stream)[-1].state
    lineup = ROSTER.led_by(PackId("other", 1))
    step = advance_all(adopt(row_of(old, LINEUP), lineup), data.draw(st.sampled_from(stream)), lineup)

    assert Adopted is not step.state.__class__
    assert step.change is None


def test_what_was_announced_stays_announced_over_a_pack_with_fewer_tiers():
    """The pack between says less of it than was told; whoever knows the tier inherits it from whoever announced it."""
    first, between, last = (
        replace(EVERY_KIND, name=name, tiers=tiers)
        for name, tiers in (
            ("first", EVERY_KIND.tiers),
            ("between", (EVERY_KIND.tiers[0],)),
            ("last", EVERY_KIND.tiers),
        )
    )
    roster = Roster((first, between, last))
    lineups = [roster.led_by(PackId(pack.name, pack.version)) for pack in (first, between, last)]
    state = replace(steps_of([product_event("a", event_id="e1")], lineups[0])[-1].state)
    top = len(first.tiers) - 1
    state = replace(state, pack=replace(state.pack, announced=top))
    over = plain(adopt(row_of(state, lineups[0]), lineups[1]))

    assert 0 == over.pack.announced
    assert top == adopt(row_of(over, lineups[1]), lineups[2]).pack.announced


def test_a_tier_is_inherited_by_name_else_by_score():
    """Tiers of one name are one; another is what its lowest score gives; the lowest was told nobody."""
    every, other = compile_pack(EVERY_KIND), compile_pack(OTHER)
    names = [[every.tiers[place].name, other.tiers[inherited_place(place, every, other)].name] for place in range(4)]

    assert [["cold", "cold"], ["warm", "warm"], ["hot", "ready"], ["blazing", "ready"]] == names


def test_features_are_forgotten_with_their_packs():
    """Who comes back after it was dropped begins anew: it did not hear of what happened meanwhile."""
    nothing = PackState((0,) * len(EVERY_KIND.rules), (None,) * len(EVERY_KIND.rules), 0, 0)
    old = OldState(1, 1, None, {}, frozenset(), {PackId("every-kind", 3): nothing})
    adopted = adopt(old, ROSTER.first)

    assert (1 << len(LINEUP.feature_ids)) - 1 == adopted.incomplete
    assert replace(adopted.pack, sequence=0) == nothing


def test_names_of_events_do_not_fill_the_memory():
    """Producers choose them: so many are remembered, then the memory starts afresh."""
    lineup = Roster(PACKS).first
    for number in range(10_001):
        lineup.plan(f"name {number}")

    assert 1 == len(lineup.plans)


def test_a_lead_without_any_points_is_complete_without_a_word():
    """Where both packs give nothing there never was anything to tell."""
    before = Roster((EVERY_KIND,)).first
    state = adopt(row_of(steps_of([product_event("else")], before)[-1].state, before), LINEUP)
    slots = slots_to_fill(LINEUP, PackId("other", 1))
    cause = SwitchCause(EventRef("r", "pql-control", 0, 0), "fill", 0)
    after, told = filled("u1", state, LINEUP, slots, cause)

    assert (0, ()) == (after.incomplete, told)
    assert (after, ()) == filled("u1", after, LINEUP, slots, cause)
