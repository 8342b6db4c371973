from collections import Counter

import pytest

from tests.oracle.decode import REASONS, Event, Skipped, read_lines, read_record
from tests.oracle.dirt import CATALOGUE
from tests.oracle.generate import records, write_lines
from tests.oracle.score import TIERS, replay


def outcome_of(record):
    return read_record(record.value, headers=record.headers, timestamp_ms=record.timestamp_ms)


def name_of(outcome):
    if isinstance(outcome, Event):
        return "event"
    return "skipped" if isinstance(outcome, Skipped) else outcome.reason


@pytest.fixture(scope="module")
def made():
    return records(7, 60, 3000, dirt=0.1)


def test_equal_arguments_give_equal_bytes(made):
    """The seed decides everything, the number of records is exact, and arrival is in order."""
    assert made == records(7, 60, 3000, dirt=0.1)
    assert made != records(8, 60, 3000, dirt=0.1)
    assert len(made) == 3000
    assert made == sorted(made, key=lambda record: record.timestamp_ms)


def test_every_record_is_read_as_it_was_meant(made):
    """The maker says what it wrote, and the reader, which knows nothing of it, finds just that."""
    outcomes = [outcome_of(record) for record in made]

    assert [record.expect for record in made] == [name_of(outcome) for outcome in outcomes]
    assert [record.meant for record in made if record.meant] == [
        (o.event_id, o.lead_id, o.account_id, o.name, o.occurred_at_ms)
        for o, record in zip(outcomes, made, strict=True)
        if record.meant
    ]


def test_every_kind_of_dirt_appears(made):
    """All reasons that a record can provoke, the skipped ones, and all that the catalogue holds."""
    assert set(REASONS) | {"event", "skipped"} == {record.expect for record in made}
    assert {dirt.note for dirt in CATALOGUE} == {
        record.note.removeprefix("dirt: ") for record in made if record.note.startswith("dirt")
    }


def test_every_form_tier_and_band_appears(made):
    """A population in which some rule never moved would prove nothing about it."""
    replayed = replay(o for o in map(outcome_of, made) if isinstance(o, Event))
    points = {(c["rule"], c["points"]) for change in replayed.changes for c in change["contributions"]}
    bands = {"feature_adoption": 4, "workflow_success": 4, "compliance": 3, "time_to_first_value": 4}
    forms = Counter(record.note for record in made)

    assert {score["tier"] for score in replayed.scores} == {tier for tier, _ in TIERS}
    assert bands.items() <= Counter(rule for rule, _ in points).items()
    assert min(forms[form] for form in ("native", "segment", "posthog", "cloudevents-binary")) > 100


def test_lines_of_a_file_are_the_records_that_can_be_lines(made, tmp_path):
    """Line n is the n-th record returned, and reads the same but for the time limit a file does not have."""
    lines = write_lines(made, tmp_path / "events.jsonl")

    outcomes = dict(read_lines((tmp_path / "events.jsonl").read_bytes()))

    assert len(outcomes) == len(lines) > 2000
    assert all(
        name_of(outcomes[number]) == record.expect
        for number, record in enumerate(lines, start=1)
        if record.expect != "bad_time"
    )
