"""What the scorer counts, beside what it writes."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from pql_stream.core.packs import compile_pack
from pql_stream.core.routes import CANARY_LEAD_ID
from pql_stream.stream.names import Topics
from pql_stream.stream.roles import Roles
from pql_stream.stream.scorer import Scorer
from pql_stream.testing.builders import JAN_5_MS, Record, native_json
from pql_stream.wire.packs import load_pack

TOPICS = Topics.under("")


class Batch(NamedTuple):
    topic: str
    partition: int
    records: list[Record]


def score(*records):
    """The effects of records on the only partition; each is a lead, a time of its event and one of its record."""
    made = [
        Record(TOPICS.activity, 0, at, record_ms, lead.encode(), value, ())
        for at, (lead, value, record_ms) in enumerate(records)
    ]
    scorer = Scorer(Roles.alone(compile_pack(load_pack("pql-100"))), TOPICS, 1)
    return scorer.score(Batch(TOPICS.activity, 0, made), {}.get)


def tutorial(lead, at_ms=JAN_5_MS, number=0):
    return native_json("tutorial_completed", lead, event_id=f"{lead}-{number}", occurred_at_ms=at_ms)


def test_the_canary_is_no_lead():
    """Its change is written as any other, and neither it nor the change is in a number of leads."""
    effects = score(*((lead, tutorial(lead), JAN_5_MS) for lead in ("u1", CANARY_LEAD_ID)))

    assert [b"u1", CANARY_LEAD_ID.encode()] == [change.key for change in effects.changes]
    assert (1, 1) == (effects.counts["live"].leads_evaluated, effects.counts["live"].changed.total())


@pytest.mark.parametrize(
    ("times", "skew_ms"),
    [
        ([(JAN_5_MS, JAN_5_MS + 1_000), (JAN_5_MS, JAN_5_MS + 7_000)], 7_000),
        ([(JAN_5_MS, JAN_5_MS - 3_000)], -3_000),
        ([(JAN_5_MS, -1)], None),
        ([], None),
    ],
    ids=["the last of them", "a clock that is ahead", "a record without a time", "no event"],
)
def test_skew_is_of_the_last_event(times, skew_ms):
    """A sample: the record's time less the event's own."""
    records = [("u1", tutorial("u1", at_ms, number), record_ms) for number, (at_ms, record_ms) in enumerate(times)]
    nothing = ("u1", b"not JSON", JAN_5_MS)

    assert skew_ms == score(*records, nothing).skew_ms
