"""The records of score-changed and pql-qualified, and a lead's score, field by field."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pql_stream.core.changes import PublishedChange
from pql_stream.core.transition import Step, advance
from pql_stream.testing.builders import JAN_5_MS, product_event
from pql_stream.wire.lead_scores import lead_score_fields
from pql_stream.wire.pql_qualified import encode_pql_qualified
from pql_stream.wire.score_changed import decode_score_changed, encode_score_changed
from tests.unit.core.every_kind import every_kind

PACK = every_kind()
EVENTS = (
    product_event("measured", load=11, event_id="e1", offset=1),
    product_event("paid", event_id="e2", offset=2),
    product_event(
        "Told", level="high", size=10, account_id="acme", event_id="é3", offset=3, occurred_at_ms=JAN_5_MS + 7
    ),
)
CAUSE = {"event_id": "é3", "topic": "product-activity", "partition": 0, "offset": 3}


def steps_of(*events) -> list[Step]:
    steps, state = [], None
    for event in events:
        steps.append(advance(state, event, PACK))
        state = steps[-1].state
    return steps


@pytest.fixture(scope="module")
def last() -> Step:
    return steps_of(*EVENTS)[-1]


def contribution(**fields) -> dict:
    return {"points": 0, "points_before": 0, "moved_by": None} | fields


CONTRIBUTIONS = [
    contribution(rule="things", group="use", points_max=10, input=0),
    contribution(rule="days", group="use", points_max=15, input=0),
    contribution(rule="speed", group="use", points_max=15, input=None),
    contribution(rule="level", group="told", points=10, points_max=10, input="high", moved_by=CAUSE),
    contribution(
        rule="paid", group="told", points=10, points_before=10, points_max=10, input=True,
        moved_by=CAUSE | {"event_id": "e2", "offset": 2},
    ),
    contribution(
        rule="extremes", group="told", points=20, points_before=20, points_max=20,
        input={"peak": 11, "trough": 11}, moved_by=CAUSE | {"event_id": "e1", "offset": 1},
    ),
    contribution(rule="size", group="told", points=10.1, points_max=20, input=10, moved_by=CAUSE),
]  # fmt: skip


def test_score_changed(last):
    """The record of CONTRACT.md 5, whole; every rule of the pack is in it, also those at 0."""

    assert {
        "change_id": last.change.change_id,
        "schema": "score-changed/1",
        "mode": "live",
        "lead_id": "u1",
        "account_id": "acme",
        "pack": "every-kind",
        "pack_version": 3,
        "sequence": 3,
        "occurred_at": "2026-01-05T10:00:00.007Z",
        "score_before": 30,
        "score_after": 50.1,
        "tier_before": "warm",
        "tier_after": "hot",
        "groups": {"use": 0, "told": 50.1},
        "contributions": CONTRIBUTIONS,
        "cause": CAUSE | {"event": "Told"},
    } == orjson.loads(encode_score_changed(last.change))


def test_pql_qualified(last):
    """The record of CONTRACT.md 6, whole."""

    assert {
        "qualification_id": last.qualification.qualification_id,
        "schema": "pql-qualified/1",
        "mode": "live",
        "lead_id": "u1",
        "account_id": "acme",
        "pack": "every-kind",
        "pack_version": 3,
        "tier": "hot",
        "tier_before": "warm",
        "score": 50.1,
        "sales_ready": True,
        "handoff": "now",
        "occurred_at": "2026-01-05T10:00:00.007Z",
        "change_id": last.change.change_id,
        "reasons": ["Peak of 11 (+20)", "Team of 10 (+10.1)", "Level high (+10)", "Has paid (+10)"],
        "profile": {"level": "high", "size": 10},
    } == orjson.loads(encode_pql_qualified(last.qualification))


def test_a_lead_score(last):
    """The object of CONTRACT.md 8: score, tier, groups and rules as in the last change, and when the lead was seen."""
    contributions = [{name: value for name, value in part.items() if name != "points_before"} for part in CONTRIBUTIONS]

    assert {
        "lead_id": "u1",
        "account_id": "acme",
        "pack": "every-kind",
        "pack_version": 3,
        "score": 50.1,
        "tier": "hot",
        "groups": {"use": 0, "told": 50.1},
        "contributions": contributions,
        "first_seen_at": "2026-01-05T10:00:00.000Z",
        "last_seen_at": "2026-01-05T10:00:00.007Z",
    } == lead_score_fields("u1", last.state, PACK)


def test_an_unknown_account_is_null():
    """Nothing is left out of a record for being unknown."""
    step = steps_of(*EVENTS[:2])[-1]

    assert orjson.loads(encode_score_changed(step.change))["account_id"] is None
    assert orjson.loads(encode_pql_qualified(step.qualification))["account_id"] is None
    assert lead_score_fields("u1", step.state, PACK)["account_id"] is None


def test_a_repeat_has_the_same_body(last):
    """CONTRACT.md 7: a repeat carries the same id and the same body, byte for byte."""
    again = steps_of(*EVENTS)[-1]

    assert encode_score_changed(last.change) == encode_score_changed(again.change)
    assert encode_pql_qualified(last.qualification) == encode_pql_qualified(again.qualification)


def test_a_change_is_read_back(last):
    """What the worker needs after a crash: id, number, points in the pack's order, cause."""
    change = last.change
    read = decode_score_changed(encode_score_changed(change), PACK)

    assert (
        PublishedChange(
            change.change_id,
            change.lead_id,
            change.sequence,
            change.occurred_at_ms,
            change.points,
            change.cause,
            change.cause_event,
        )
        == read
    )


@pytest.mark.parametrize(
    "spoilt",
    [
        {"schema": "score-changed/2"},
        {"pack": "another"},
        {"pack_version": 2},
        {"sequence": "many"},
        {"occurred_at": "yesterday"},
        {"contributions": []},
        {"cause": None},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_a_change_that_is_not_ours_is_none(last, spoilt):
    """Of another pack, version or schema, or damaged: it says nothing about our rows."""
    record = orjson.loads(encode_score_changed(last.change)) | spoilt

    assert decode_score_changed(orjson.dumps(record), PACK) is None


@given(st.binary())
def test_any_bytes_are_a_change_or_none(value):
    """Nothing that lies in the topic can stop a worker."""

    assert decode_score_changed(value, PACK) is None
