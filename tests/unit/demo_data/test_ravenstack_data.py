"""The shipped RavenStack events."""

from collections import Counter
from importlib.resources import files

import pytest

from pql_stream.ops.demo.ravenstack import EVENTS_COUNT, LEADS_COUNT, DemoEvent, ravenstack_events
from tests.oracle.decode import Event, read_record
from tests.oracle.score import score


@pytest.fixture(scope="module")
def packaged() -> list[DemoEvent]:
    """All of the shipped events."""
    return list(ravenstack_events())


@pytest.fixture(scope="module")
def events(packaged) -> list[Event]:
    """What the oracle reads in them."""
    return [read_record(event.value) for event in packaged]


def test_the_shipped_file_is_what_it_says(packaged, events):
    """
    Every line is an event of one of the two forms, the counts are those of the source, keys are lead
    ids, ids are unique, and the order is that of time.
    """
    assert all(isinstance(event, Event) for event in events)
    assert (128_426, 500) == (len(events), len({event.lead_id for event in events}))
    assert (EVENTS_COUNT, LEADS_COUNT) == (128_426, 500)
    assert [event.key for event in packaged] == [event.lead_id.encode() for event in events]
    assert len({event.event_id for event in events}) == len(events)
    assert sorted(event.occurred_at_ms for event in events) == [event.occurred_at_ms for event in events]
    assert {"segment": 25_000 + 2_000 + 2 * 500, "native": 128_426 - 28_000} == Counter(event.form for event in events)
    assert {
        "trial_created": 403,
        "trial_converted": 378,
        "feature_used": 25_000,
        "community_post": 2_000,
    } == {
        name: count
        for name, count in Counter(event.name for event in events).items()
        if name not in {"workflow_completed", "workflow_failed", "identify", "group"}
    }


def test_the_data_alone_makes_bronze_at_most(events):
    """No revenue is known and success comes before the trial: 88 leads are bronze, none is more."""
    scores = score(events)

    assert {"unqualified": 412, "bronze": 88} == Counter(fields["tier"] for fields in scores)
    assert {"A-"} == {fields["account_id"][:2] for fields in scores}


def test_the_licence_and_the_credit_lie_beside_the_data():
    """Whoever gets the package gets the licence and the names of those who made the data."""
    data = files("pql_stream.ops.demo") / "data"

    assert "MIT License" in (data / "LICENSE.ravenstack.txt").read_text()
    assert "River @ Rivalytics" in (data / "README.md").read_text()
