"""The record of `lead-profiles`: written and read again, readable by people, and refused where it is of no use."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pql_stream.core.profiles import PROFILE_FIELDS, ProfileState
from pql_stream.errors import InvalidState
from pql_stream.testing.builders import JAN_5_MS
from pql_stream.wire.lead_profiles import dump_profile, load_profile
from pql_stream.wire.times import EARLIEST_MS, LATEST_MS

times = st.integers(EARLIEST_MS, LATEST_MS)
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


def stamped(values):
    return st.none() | st.tuples(times, texts, values)


states = st.builds(
    ProfileState, **{name: stamped(st.booleans() if name == "consent" else texts) for name in PROFILE_FIELDS}
)


@given(lead_id=texts, state=states)
def test_what_was_written_is_read_again(lead_id, state):
    """Every value and every stamp: the next event is folded onto the very state."""

    assert (lead_id, state) == load_profile(dump_profile(lead_id, state))


def test_people_can_read_it():
    """The fields stand at the top, null where nothing is known; beside them who said each."""
    state = ProfileState(email=(JAN_5_MS, "e1", "ada@acme.example"), consent=(JAN_5_MS + 1, "e2", False))

    assert {
        "schema": "lead-profiles/1",
        "lead_id": "u1",
        "email": "ada@acme.example",
        "first_name": None,
        "last_name": None,
        "title": None,
        "company": None,
        "phone": None,
        "timezone": None,
        "locale": None,
        "consent": False,
        "said_by": {
            "email": {"event_id": "e1", "occurred_at": "2026-01-05T10:00:00.000Z"},
            "consent": {"event_id": "e2", "occurred_at": "2026-01-05T10:00:00.001Z"},
        },
    } == orjson.loads(dump_profile("u1", state))


def test_what_a_record_has_beside_is_passed_over():
    """A field that somebody added, or a field that is left out, is no reason to stop."""
    fields = {"schema": "lead-profiles/1", "lead_id": "u1", "nickname": "ada", "said_by": {"nickname": 5, "email": {}}}

    assert ("u1", ProfileState()) == load_profile(orjson.dumps(fields | {"said_by": {}}))


GOOD = orjson.loads(dump_profile("u1", ProfileState(email=(JAN_5_MS, "e1", "ada@acme.example"))))
BAD = {
    "nothing": b"",
    "no JSON": b"ada@acme.example",
    "no object": b"[1]",
    "not UTF-8": b'{"schema": "\xff"}',
    "nested without end": b"[" * 100_000,
    "no schema": orjson.dumps({"lead_id": "u1"}),
    "another record": orjson.dumps(GOOD | {"schema": "score-changed/1"}),
    "a version of nothing": orjson.dumps(GOOD | {"schema": "lead-profiles/0"}),
    "a field of another type": orjson.dumps(GOOD | {"email": 5}),
    "said by nobody": orjson.dumps(GOOD | {"said_by": {}}),
    "said at no time": orjson.dumps(GOOD | {"said_by": {"email": {"event_id": "e1", "occurred_at": "soon"}}}),
}


@pytest.mark.parametrize("value", BAD.values(), ids=BAD)
def test_what_is_no_record_stops_the_reader(value):
    """And the words for it do not quote the record."""
    with pytest.raises(InvalidState) as caught:
        load_profile(value)

    assert "ada@" not in f"{caught.value.what}{caught.value.why}{caught.value.__cause__!r}"


def test_a_record_of_a_later_version_stops_the_reader():
    """Whatever it looks like: to go on would lose what the newer program knows."""
    with pytest.raises(InvalidState, match="version 2") as caught:
        load_profile(orjson.dumps(GOOD | {"schema": "lead-profiles/2", "email": {"value": "x"}}))

    assert "newer" in caught.value.why
