"""What holds for every stream of events: order and repetition do not matter, and the books balance."""

from typing import get_args

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from pql_stream.core.features import FeatureKind
from pql_stream.core.pack_checks import pack_problems
from pql_stream.core.refs import decode_ref
from pql_stream.core.rules import Rule
from pql_stream.core.states import LeadState, PackState
from pql_stream.core.transition import advance
from pql_stream.wire.rows import dump_state
from tests.unit.core.every_kind import EVERY_KIND, event_lists, every_kind

PACK = every_kind()
POINTS_MAX = [rule.points_max for rule in EVERY_KIND.rules]


def steps_of(stream, state=None) -> list:
    steps = []
    for event in stream:
        steps.append(advance(state, event, PACK))
        state = steps[-1].state
    return steps


def state_after(stream) -> LeadState | None:
    steps = steps_of(stream)
    return steps[-1].state if steps else None


def of_the_set(state: LeadState | None) -> bytes | None:
    """The row without what follows the order of arrival: who moved which rule, the sequence, the tier announced."""
    if state is None:
        return None
    scored = PackState(state.pack.points, (None,) * len(POINTS_MAX), 0, 0)
    return dump_state(msgspec.structs.replace(state, pack=scored), PACK)


@given(stream=event_lists, data=st.data())
def test_order_and_repetition_do_not_matter(stream, data):
    """Any arrival order, with any events delivered twice, gives the same features, points and row bytes."""
    twice = stream + (data.draw(st.lists(st.sampled_from(stream), max_size=10)) if stream else [])
    shuffled = data.draw(st.permutations(twice))

    assert of_the_set(state_after(stream)) == of_the_set(state_after(shuffled))


@given(stream=event_lists, data=st.data())
def test_a_crash_that_reads_records_again_changes_nothing(stream, data):
    """Reading again what is in the state already leaves the very same state and says nothing."""
    state = state_after(stream)
    again = data.draw(st.lists(st.sampled_from(stream), max_size=10)) if stream else []

    for step in steps_of(again, state):
        assert step.state is state
        assert (None, None) == (step.change, step.qualification)


@given(stream=event_lists, data=st.data())
def test_a_crash_before_the_row_was_stored_says_the_same_again(stream, data):
    """From any earlier state the rest of the stream makes the same changes and qualifications, ids and all."""
    steps = steps_of(stream)
    kept = data.draw(st.integers(0, len(stream)))
    again = steps_of(stream[kept:], steps[kept - 1].state if kept else None)

    assert [(s.change, s.qualification) for s in steps[kept:]] == [(s.change, s.qualification) for s in again]
    assert [dump_state(s.state, PACK) for s in steps[kept:]] == [dump_state(s.state, PACK) for s in again]


@given(stream=event_lists)
def test_every_rule_keeps_within_its_maximum(stream):
    """0 <= points <= maximum for every rule after every event, so 0 <= score <= 100."""
    for step in steps_of(stream):
        points = step.state.pack.points
        assert all(0 <= given <= most for given, most in zip(points, POINTS_MAX, strict=True))
        assert 0 <= sum(points) <= 10_000


@given(stream=event_lists)
def test_changes_follow_each_other_without_a_gap(stream):
    """Each change begins where the one before ended, moves a rule, and takes the next number."""
    before, sequence = (0,) * len(POINTS_MAX), 0
    for step in steps_of(stream):
        change = step.change
        if change is None:
            assert before == step.state.pack.points
            continue
        sequence += 1
        assert (sequence, before) == (change.sequence, change.points_before)
        assert change.points != before
        assert change.points == step.state.pack.points
        before = change.points


@given(stream=event_lists)
def test_tiers_are_announced_upwards_and_once(stream):
    """A qualification comes with a change, for the tier of its score, above all that was announced."""
    places = [tier.name for tier in EVERY_KIND.tiers]
    announced = 0
    for step in steps_of(stream):
        reached = PACK.tier_place(sum(step.state.pack.points))
        if step.qualification is None:
            assert reached <= announced
            continue
        assert (places[reached], places[announced]) == (step.qualification.tier, step.qualification.tier_before)
        assert step.change is not None
        assert step.change.change_id == step.qualification.change_id
        assert reached > announced
        announced = reached


@given(stream=event_lists)
def test_moved_by_is_the_cause_of_the_last_change_of_the_points(stream):
    """A rule is moved by the event of the last change in which its points differ, and by none before."""
    moved_by = [None] * len(POINTS_MAX)
    for step in steps_of(stream):
        if step.change is not None:
            for place, (old, new) in enumerate(zip(step.change.points_before, step.change.points, strict=True)):
                if old != new:
                    moved_by[place] = step.change.cause
        assert moved_by == [decode_ref(ref) for ref in step.state.pack.moved_by]


def test_the_pack_of_these_tests_has_every_kind():
    """The properties are worth what the pack covers: every kind of feature and of rule, and nothing wrong."""

    assert set(get_args(FeatureKind)) == {feature.kind for feature in EVERY_KIND.features}
    assert set(get_args(Rule)) == {type(rule) for rule in EVERY_KIND.rules}
    assert [] == pack_problems(EVERY_KIND)
