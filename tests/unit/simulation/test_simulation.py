"""The simulated trial users: the same for the same seed, in order, in every form, in every tier."""

from collections import Counter
from hashlib import sha256
from itertools import pairwise

import pytest

from pql_stream.testing.simulation import DEFAULT_START_MS, FORMS, SimulatedEvent, simulate
from pql_stream.testing.simulation.trials import DAY_MS
from pql_stream.wire.events import decode_event
from tests.oracle.decode import Event, read_record
from tests.oracle.score import score

TIERS = {"unqualified", "bronze", "silver", "gold", "platinum"}


def as_events(simulated: list[SimulatedEvent]) -> list[Event]:
    events = [read_record(event.value) for event in simulated]
    return [event for event in events if isinstance(event, Event)]


def scores_of(simulated: list[SimulatedEvent]) -> dict[str, dict]:
    return {fields["lead_id"]: fields for fields in score(as_events(simulated))}


@pytest.mark.parametrize("form", FORMS)
def test_the_same_seed_gives_the_same_bytes(form):
    """Two simulations with the same arguments are equal record for record, in every form."""
    first, second = (list(simulate(20, 7, form=form)) for _ in range(2))

    assert first == second


def test_another_seed_gives_other_users():
    """The seed decides what happens, not only the ids."""
    first, second = (Counter(event.name for event in as_events(list(simulate(20, seed)))) for seed in (1, 2))

    assert first != second


def test_the_bytes_are_those_of_yesterday():
    """The output is pinned, for every Python and machine: a change of the simulation shows up as one."""
    digest = sha256(b"\n".join(event.value for event in simulate(40, form="mixed")))

    assert "57703a7a0e93780226a2db3623e9509583d43adc690b1596be1d5ae2964fb3e2" == digest.hexdigest()


@pytest.mark.parametrize("form", FORMS)
def test_every_record_is_read_as_what_was_meant(form):
    """Each record is accepted, with the lead, the time and the key that its `SimulatedEvent` names."""
    simulated = list(simulate(40, 3, form=form))

    events = [decode_event(event.value, "t", 0, 0, timestamp_ms=event.occurred_at_ms) for event in simulated]

    assert [(event.lead_id, event.occurred_at_ms) for event in simulated] == [
        (event.lead_id, event.occurred_at_ms) for event in events
    ]
    assert [event.key for event in simulated] == [event.lead_id.encode() for event in events]


@pytest.mark.parametrize("form", FORMS[:4])
def test_a_form_is_that_form_and_mixed_has_all_of_them(form):
    """Every record of a form is recognised as that form, and some records of the mixture are too."""
    one, mixed = (as_events(list(simulate(10, form=chosen))) for chosen in (form, "mixed"))

    assert {form} == {event.form for event in one}
    assert form in {event.form for event in mixed}


@pytest.mark.parametrize("days", [1, 14, 60])
def test_the_events_of_all_leads_come_in_the_order_of_time(days):
    """No event comes before an earlier one, and all lie within the days that were asked for."""
    times = [event.occurred_at_ms for event in simulate(60, 5, days)]

    assert all(before <= after for before, after in pairwise(times))
    assert DEFAULT_START_MS <= times[0]
    assert times[-1] < DEFAULT_START_MS + days * DAY_MS


def test_event_ids_are_unique():
    """No two events of a simulation share an id, so none is taken for a repetition."""
    ids = [event.event_id for event in as_events(list(simulate(200, 2)))]

    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("days", [1, 14])
@pytest.mark.parametrize("seed", range(8))
def test_forty_leads_reach_every_tier(seed, days):
    """Whatever the seed, 40 leads are enough to see every tier of the default pack."""
    scores = scores_of(list(simulate(40, seed, days)))

    assert len(scores) == 40
    assert {fields["tier"] for fields in scores.values()} == TIERS


def test_a_lead_does_the_same_in_every_form():
    """Scores do not depend on the form; only an anonymous lead's id does, where a form cannot say so."""
    native, *others = (
        {lead.removeprefix("anon:"): fields["score"] for lead, fields in scores_of(list(made)).items()}
        for made in (simulate(40, 4, form=form) for form in FORMS)
    )

    for other in others:
        assert native == other


def test_some_leads_are_anonymous():
    """An anonymous lead has no account and tells nothing about its company."""
    anonymous = [event for event in as_events(list(simulate(40))) if event.lead_id.startswith("anon:")]

    assert anonymous
    assert {None} == {event.account_id for event in anonymous}
    assert not {event.name for event in anonymous} & {
        "profile_completed",
        "profile_updated",
        "team_size_changed",
    }


def test_every_kind_of_event_is_there():
    """The simulation touches every input of the default pack, Segment's own calls too."""
    native, segment = (
        {event.name for event in as_events(list(simulate(40, form=form)))} for form in ("native", "segment")
    )

    common = {
        "trial_created",
        "feature_used",
        "workflow_completed",
        "workflow_failed",
        "compliance_level_changed",
        "community_post",
        "feature_requested",
        "tutorial_completed",
        "team_size_changed",
        "trial_converted",
    }
    assert common | {"profile_completed", "profile_updated"} == native
    assert common | {"identify", "group"} == segment


def test_the_start_moves_everything():
    """With another start the same happens at other times."""
    moved = DEFAULT_START_MS + 365 * DAY_MS

    first, later = (
        [event.occurred_at_ms - start for event in simulate(10, start_ms=start)] for start in (DEFAULT_START_MS, moved)
    )

    assert first == later


def test_memory_holds_the_trials_under_way_only():
    """The first event of ten million leads needs no look at the others."""
    first = next(simulate(10_000_000))

    assert first.lead_id == "user-00001"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"leads": 0}, "leads"),
        ({"leads": 1, "days": 0}, "days"),
        ({"leads": 1, "days": 367}, "days"),
        ({"leads": 1, "start_ms": 0}, "start_ms"),
    ],
    ids=["no leads", "no days", "too many days", "before 2000"],
)
def test_wrong_arguments_are_refused_at_the_call(arguments, named):
    """A simulation that cannot be is refused before anything is asked of it, naming the argument."""
    with pytest.raises(ValueError, match=named):
        simulate(**arguments)
