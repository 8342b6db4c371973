"""Published records to deliveries, by routes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pql_stream.core.routes import CANARY_LEAD_ID, Condition, Route
from pql_stream.delivery import dispatching
from pql_stream.delivery.dispatching import dispatch
from pql_stream.testing.builders import JAN_5_MS, Record
from pql_stream.wire.deliveries import decode_delivery

CHANGED: dict[str, Any] = {
    "change_id": "c1",
    "schema": "score-changed/1",
    "mode": "live",
    "lead_id": "u1",
    "tier_after": "gold",
    "sequence": 7,
    "contributions": [{"rule": "team", "input": {"size": 12}, "points": 5.5}],
}
QUALIFIED = {**CHANGED, "schema": "pql-qualified/1", "qualification_id": "q1", "tier": "gold", "sales_ready": True}

CRM = Route("crm", "score-changed", "hubspot", "upsert")
GOLD = Route(
    "gold", "score-changed", "slack", "message", (Condition("tier_after", one_of=("gold",)),), {"channel": "C1"}
)
SALES = Route("sales", "pql-qualified", "hubspot", "task", (Condition("sales_ready", one_of=(True,)),))
ROUTES = [CRM, GOLD, SALES]


def published(*records: Any) -> list[Record]:
    """Records as Kafka has them."""
    values = [one if isinstance(one, bytes) else json.dumps(one).encode() for one in records]
    return [Record("score-changed", 0, at, JAN_5_MS + at, b"k", value) for at, value in enumerate(values)]


def test_every_route_that_takes_a_record_makes_a_delivery():
    """A change goes to two sinks, keyed by its lead, whole, with the route's options."""
    dispatched = dispatch("score-changed", published(CHANGED), ROUTES)

    crm, slack = (decode_delivery(records[0].value) for records in dispatched.deliveries.values())
    assert ["hubspot", "slack"] == list(dispatched.deliveries)
    assert (b"u1", CHANGED, JAN_5_MS) == (dispatched.deliveries["hubspot"][0].key, crm.record, crm.decided_at_ms)
    assert ("message", {"channel": "C1"}, "gold") == (slack.action, slack.options, slack.route)
    assert crm.delivery_id != slack.delivery_id


def test_a_qualification_goes_its_own_ways():
    """Routes of the other topic do not take it."""
    dispatched = dispatch("pql-qualified", published(QUALIFIED), ROUTES)

    assert {"hubspot": ["task"]} == {
        sink: [decode_delivery(one.value).action for one in records] for sink, records in dispatched.deliveries.items()
    }


@pytest.mark.parametrize(
    ("record", "counts"),
    [
        (CHANGED | {"lead_id": CANARY_LEAD_ID}, (0, 1)),
        (CHANGED | {"mode": "backfill"}, (0, 1)),
        (CHANGED | {"mode": "backfill", "announce": False}, (0, 1)),
        (CHANGED | {"mode": "backfill", "announce": "true"}, (0, 1)),
        (CHANGED | {"mode": "replay", "announce": True}, (0, 1)),
        (CHANGED | {"schema": "score-changed/2"}, (1, 0)),
        (QUALIFIED, (1, 0)),
        (CHANGED | {"lead_id": 7}, (1, 0)),
        (CHANGED | {"contributions": [{"rule": 1}]}, (1, 0)),
        ({}, (1, 0)),
        ([1], (1, 0)),
        (b"", (1, 0)),
        (b"\xff", (1, 0)),
        (b"[" * 100_000, (1, 0)),
    ],
)
def test_what_goes_nowhere_is_counted(record, counts):
    """The canary, a backfill, and bytes that are no such record."""
    dispatched = dispatch("score-changed", published(record), ROUTES)

    assert ({}, counts) == (dispatched.deliveries, (dispatched.skipped, dispatched.unrouted))


JSON_VALUES = st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=4) | st.just({"announce": True})


@given(
    fields=st.dictionaries(st.sampled_from(["announce", "tier_after", "sales_ready", "extra"]), JSON_VALUES),
    mode=st.sampled_from(["backfill", "Backfill", "", "live ", "replay"]),
    of=st.sampled_from(["score-changed", "pql-qualified"]),
)
def test_a_backfill_is_delivered_when_it_is_announced_and_never_else(fields, mode, of):
    """Whatever else a record says, and whatever the routes ask for."""
    open_routes = [Route("all", of, "crm", "post"), Route("some", of, "crm", "post", (Condition("extra", (None, 1)),))]
    base = CHANGED if of == "score-changed" else QUALIFIED
    dispatched = dispatch(of, published(base | fields | {"mode": mode}), [*ROUTES, *open_routes])
    is_announced = mode == "backfill" and fields.get("announce") is True

    assert is_announced == bool(dispatched.deliveries)


def test_an_announced_backfill_goes_its_ways_whole():
    """As a live record does; it says what it is wherever it goes."""
    record = QUALIFIED | {"mode": "backfill", "announce": True}

    (out,) = dispatch("pql-qualified", published(record), ROUTES).deliveries["hubspot"]

    assert record == decode_delivery(out.value).record


def test_what_became_of_each_record_adds_up():
    """For the metrics: routed, unrouted, skipped, failed."""
    records = published(CHANGED, CHANGED | {"mode": "backfill"}, b"", CHANGED)

    assert {"routed": 2, "unrouted": 1, "skipped": 1, "failed": 0} == dispatch("score-changed", records, ROUTES).counts(
        len(records)
    )


def test_a_qualification_needs_its_id():
    """Without it repeats could not be told apart."""
    dispatched = dispatch("pql-qualified", published(QUALIFIED | {"qualification_id": None}), ROUTES)

    assert (1, {}) == (dispatched.skipped, dispatched.deliveries)


@given(st.one_of(st.binary(), st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists)))
def test_no_bytes_make_it_fail(value):
    """Any bytes are a record or are skipped."""
    dispatched = dispatch("score-changed", published(value), ROUTES)

    assert [] == dispatched.bugs
    assert 1 == dispatched.skipped + dispatched.unrouted + bool(dispatched.deliveries)


def test_conditions_see_what_a_rule_looked_at():
    """`input.<rule>.<thing>` where a rule looks at several things."""
    big = Route("big", "score-changed", "crm", "post", (Condition("input.team.size", at_least=10),))
    given_ = CHANGED | {"contributions": [{"rule": "team", "input": {"size": 9}, "points": 1}]}

    assert [1, 0] == [
        len(dispatch("score-changed", published(record), [big]).deliveries) for record in (CHANGED, given_)
    ]


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        (Condition("score", at_least=60, below=70), [False, True, False]),
        (Condition("score", at_least=60), [False, True, True]),
        (Condition("ready", at_least=0), [False, False, False]),
        (Condition("tier", one_of=(None,)), [True, True, True]),
        (Condition("ready", one_of=(1,)), [False, False, False]),
        (Condition("score", one_of=(65,), below=70), [False, True, False]),
    ],
)
def test_a_condition_is_about_one_field(condition, holds):
    """A half-open range, one of some values of the same type; what is absent meets only None."""
    assert holds == [condition.holds({"score": score, "ready": True}) for score in (59.9, 65, 70)]


def test_a_bug_costs_one_record(monkeypatch):
    """Our code fails on one record: it is told without its text, the next goes on."""
    real = dispatching.fields_of

    def failing(record):
        if record["change_id"] == "bad":
            raise ZeroDivisionError(record["lead_id"])
        return real(record)

    monkeypatch.setattr(dispatching, "fields_of", failing)
    dispatched = dispatch("score-changed", published(CHANGED | {"change_id": "bad"}, CHANGED), [CRM])

    assert 1 == len(dispatched.deliveries["hubspot"])
    assert ["ZeroDivisionError"] == [bug.splitlines()[-1] for bug in dispatched.bugs]


def test_a_repeat_is_the_same_byte_for_byte():
    """Dispatched again after a crash, a record makes the same deliveries."""
    once, again = (dispatch("score-changed", published(CHANGED), ROUTES) for _ in range(2))

    assert once == again
