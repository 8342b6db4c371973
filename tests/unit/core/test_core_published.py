"""follow() and correct(): how a lead goes on when more is published of it than its row knows."""

from __future__ import annotations

import pytest

from pql_stream.core.changes import PublishedChange
from pql_stream.core.packs import CompiledPack
from pql_stream.core.refs import EventRef
from pql_stream.core.states import Step
from pql_stream.core.transition import advance, correct, follow
from pql_stream.testing.builders import JAN_5_MS, product_event
from tests.unit.core.every_kind import every_kind


@pytest.fixture(scope="module")
def pack() -> CompiledPack:
    return every_kind()


def published(pack: CompiledPack, sequence: int, points: tuple[int, ...] | None = None) -> PublishedChange:
    """The change of an event "e9" that made all rules earn 1."""
    cause = EventRef("e9", "product-activity", 0, 9)
    return PublishedChange(
        "c9", "u1", sequence, JAN_5_MS + 9, points or (100,) * len(pack.rules), cause, "told as received"
    )


def first(pack: CompiledPack, **given) -> Step:
    return advance(None, product_event("measured", load=11, account_id="acme", **given), pack)


def test_a_step_follows_what_is_published(pack):
    """
    Its number comes next, its points before are the published ones, and its id is of that number.
    """
    step = first(pack)
    made = follow(step, published(pack, 4), pack)

    assert (5, (100,) * len(pack.rules), step.change.points) == (
        made.change.sequence,
        made.change.points_before,
        made.change.points,
    )
    assert made.change.change_id not in {step.change.change_id, "c9"}
    assert (5, step.state.pack.points) == (made.state.pack.sequence, made.state.pack.points)


def test_a_qualification_names_the_change_that_follows(pack):
    """
    Subscribers find the change of a qualification by its id.
    """
    step = advance(first(pack).state, product_event("paid", event_id="e2"), pack)
    made = follow(step, published(pack, 7), pack)

    assert step.qualification.qualification_id == made.qualification.qualification_id
    assert made.change.change_id == made.qualification.change_id
    assert step.state.pack.announced == made.state.pack.announced


def test_a_step_without_a_change_follows_nothing(pack):
    """
    There is nothing to number.
    """
    step = advance(first(pack).state, product_event("else"), pack)

    assert step is follow(step, published(pack, 4), pack)


def test_a_correction_leads_from_what_is_published_to_what_is(pack):
    """
    It names the event of the change that it takes back, and everything else is the state's.
    """
    state = first(pack).state
    made = correct(state, published(pack, 4), pack)

    assert (5, "acme", (100,) * len(pack.rules), state.pack.points) == (
        made.change.sequence,
        made.change.account_id,
        made.change.points_before,
        made.change.points,
    )
    assert (state.pack.moved_by, state.features) == (made.change.moved_by, made.change.features)
    assert (EventRef("e9", "product-activity", 0, 9), "told as received", JAN_5_MS + 9) == (
        made.change.cause,
        made.change.cause_event,
        made.change.occurred_at_ms,
    )
    assert (5, state.pack.points, None) == (
        made.state.pack.sequence,
        made.state.pack.points,
        made.qualification,
    )


def test_the_same_correction_has_the_same_id(pack):
    """
    A crash behind a correction repeats it; one of another number is another one.
    """
    state = first(pack).state
    ids = [correct(state, published(pack, sequence), pack).change.change_id for sequence in (4, 4, 5)]

    assert ids[0] == ids[1] != ids[2]


def test_the_right_points_are_not_corrected(pack):
    """
    Only the sequence goes on from what is published.
    """
    state = first(pack).state
    made = correct(state, published(pack, 4, state.pack.points), pack)

    assert (None, 4) == (made.change, made.state.pack.sequence)


def test_a_change_that_is_not_newer_is_corrected_whatever_its_points(pack):
    """
    An old change lies behind the newest one, which is gone: a new one must come to lie there.
    """
    state = first(pack).state
    made = correct(state, published(pack, state.pack.sequence, state.pack.points), pack)

    assert state.pack.sequence + 1 == made.change.sequence
