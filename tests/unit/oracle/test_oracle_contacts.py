"""Contact data by the oracle and by the fold: two programs that share nothing must agree on it."""

from __future__ import annotations

import json

import pytest

from pql_stream.core.profiles import PROFILE_FIELDS, ProfileState, fold_profile, known_fields
from pql_stream.errors import InvalidEvent
from pql_stream.wire.events import decode_event
from tests.oracle.contacts import contacts_of
from tests.oracle.decode import Event, read_record
from tests.oracle.generate import records


@pytest.mark.parametrize("seed", range(4))
def test_both_know_the_same(seed):
    """Over records of every form, with dirt, repeats, disorder and values that are unknown."""
    made = records(seed, 40, 2500, dirt=0.1)
    read = [read_record(r.value, headers=r.headers, timestamp_ms=r.timestamp_ms) for r in made]
    states: dict[str, ProfileState | None] = {}
    for record in made:
        try:
            event = decode_event(
                record.value or b"", "t", 0, 0, timestamp_ms=record.timestamp_ms, headers=record.headers
            )
        except InvalidEvent:
            continue
        states[event.lead_id] = fold_profile(states.get(event.lead_id), event)
    found = {
        lead_id: {name: getattr(state, name)[2] for name in known_fields(state)}
        for lead_id, state in sorted(states.items())
        if state is not None
    }

    assert json.dumps(contacts_of(event for event in read if isinstance(event, Event)), sort_keys=True) == json.dumps(
        found, sort_keys=True
    )
    assert set(PROFILE_FIELDS) == {name for fields in found.values() for name in fields}
