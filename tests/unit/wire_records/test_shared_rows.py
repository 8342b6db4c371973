"""Rows that several packs share: there and back, from version 3, under other packs and roles, and what is no row."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from pql_stream.core.lineups import Roster
from pql_stream.core.packs import PackId, compile_pack
from pql_stream.core.shadows import Adopted, adopt, advance_all
from pql_stream.core.transition import advance
from pql_stream.errors import InvalidState
from pql_stream.testing.builders import JAN_5_MS, product_event
from pql_stream.wire.rows import dump_state, row_identity
from pql_stream.wire.shared_rows import dump_lead, load_lead, old_state
from tests.unit.core.every_kind import EVERY_KIND, event_lists
from tests.unit.core.shadow_packs import OTHER, OTHER_2

ROSTER = Roster((EVERY_KIND, OTHER))
LINEUP = ROSTER.first
SWITCHED = ROSTER.led_by(PackId("other", 1))
ALONE = Roster((EVERY_KIND,)).first
PACK = compile_pack(EVERY_KIND)


def state_after(stream, lineup=LINEUP):
    state = None
    for event in stream:
        state = advance_all(state, event, lineup).state
    return state


STATE = state_after([product_event("used", thing="a", account_id="acme"), product_event("paid", event_id="e2")])
ROW = dump_lead(STATE, LINEUP)


def row_with(place: int, value) -> bytes:
    """A good row with one field replaced."""
    fields = msgspec.msgpack.decode(ROW)
    fields[place] = value
    return msgspec.msgpack.encode(fields)


@settings(max_examples=40)
@given(event_lists.filter(bool), st.integers(0, 2**11 - 1))
def test_a_state_survives_its_row(stream, incomplete):
    """Whatever state events can lead to, it comes back equal, and its row byte for byte."""
    state = replace(state_after(stream), incomplete=incomplete)
    row = dump_lead(state, LINEUP)

    assert state == load_lead(row, LINEUP)
    assert row == dump_lead(load_lead(row, LINEUP), LINEUP)


@settings(max_examples=40)
@given(event_lists.filter(bool))
def test_a_pack_that_is_alone_goes_on_with_version_3(stream):
    """The bytes are those of `dump_state`, and are read as such: who has one pack pays nothing for many."""
    state = None
    for event in stream:
        state = advance(state, event, PACK).state
    row = dump_lead(state, ALONE)

    assert dump_state(state, PACK) == row
    assert state == load_lead(row, ALONE)


def test_alone_with_a_feature_that_came_late():
    """Version 3 has no place for it."""
    state = replace(STATE, shadows=(), incomplete=4, features=STATE.features[:9])
    row = dump_lead(state, ALONE)

    assert 4 == msgspec.msgpack.decode(row)[0]
    assert state == load_lead(row, ALONE)


@settings(max_examples=40)
@given(event_lists.filter(bool))
def test_a_row_of_version_3_is_taken_over(stream):
    """Its pack goes on with points, sequence and tier; the other one is scored by the features that they share."""
    state = None
    for event in stream:
        state = advance(state, event, PACK).state
    adopted = load_lead(dump_state(state, PACK), LINEUP)

    assert Adopted is adopted.__class__
    assert state.pack == adopted.pack
    assert adopted.incomplete == adopted.incomplete & LINEUP.needs[1] != 0


@settings(max_examples=40)
@given(event_lists.filter(bool))
def test_a_row_is_read_under_other_roles_and_packs(stream):
    """As it is adopted from what it says; and back again it is what it was, but for the tier announced."""
    row = dump_lead(state_after(stream), LINEUP)
    switched = load_lead(row, SWITCHED)
    back = load_lead(dump_lead(switched, SWITCHED), LINEUP)
    alone = load_lead(row, ALONE)

    assert adopt(old_state(row, ROSTER), SWITCHED) == switched
    assert replace(load_lead(row, LINEUP).pack, announced=0) == replace(back.pack, announced=0)
    assert (load_lead(row, LINEUP).pack, ()) == (alone.pack, alone.shadows)
    assert load_lead(row, LINEUP).features[:9] == alone.features


def test_the_layout_of_version_4():
    """The bytes of a row are a contract with the changelog topic: this layout, or another version."""
    state = replace(state_after([product_event("used", thing="a", partition=2, offset=5)]), incomplete=1 << 8)
    cause, none = b'{"event_id":"e1","topic":"product-activity","partition":2,"offset":5}', b"null"
    fields = msgspec.msgpack.decode(dump_lead(state, LINEUP))

    assert [4, "every-kind", 3, JAN_5_MS, JAN_5_MS, None, LINEUP.layout, b"\x01\x00"] == fields[:8]
    assert (11, 88) == (len(fields[8]), len(LINEUP.layout))
    assert [
        ["every-kind", 3, [250, 500, 0, 0, 0, 0, 0], [cause, cause, none, none, none, none, none], 1, 0],
        ["other", 1, [0, 0, 500, 0], [none, none, cause, none], 0, 0],
    ] == fields[9]


def test_a_row_tells_which_pack_was_live():
    """Name and version stand where they do in version 3."""
    assert ("every-kind", 3) == row_identity(ROW)
    assert ("other", 1) == row_identity(dump_lead(load_lead(ROW, SWITCHED), SWITCHED))


def test_a_pack_that_was_live_must_be_there():
    """Nobody else knows what its announced tier means; and it is said how to name it."""
    with pytest.raises(InvalidState) as caught:
        load_lead(ROW, Roster((OTHER_2, OTHER)).first)

    assert "every-kind version 3 was live" in caught.value.what
    assert "PQL_SHADOW_PACKS" in caught.value.what_to_do


WRONG = {
    "not an array": b"\x01",
    "an account that is none": row_with(5, [1, 2]),
    "ids that do not fill": row_with(6, b"123"),
    "too few features": row_with(8, []),
    "a feature of another kind": row_with(8, ["text", *msgspec.msgpack.decode(ROW)[8][1:]]),
    "no packs": row_with(9, 1),
    "points of another version": row_with(9, [["every-kind", 3, [1], [b"null"], 1, 0]]),
    "a tier that is not there": row_with(9, [["every-kind", 3, [0] * 7, [b"null"] * 7, 1, 9]]),
    "another pack first": row_with(9, []),
    "version 3": row_with(0, 3),
    "version 5": row_with(0, 5),
}


@pytest.mark.parametrize("row", WRONG.values(), ids=WRONG.keys())
@pytest.mark.parametrize("lineup", [LINEUP, SWITCHED, ALONE], ids=["same", "switched", "alone"])
def test_what_is_no_row_is_refused(row, lineup):
    """Going on would score the lead wrongly, so the worker stops; nothing else is ever raised."""
    with pytest.raises(InvalidState):
        load_lead(row, lineup)
