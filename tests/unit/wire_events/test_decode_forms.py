"""Each input form, field by field (CONTRACT.md 2; 9, R5-R7, R9, R11-R13, R27)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pql_stream.core.events import ProductEvent
from pql_stream.errors import InvalidEvent
from pql_stream.wire.events import decode_event

TIME = "2026-01-05T10:00:00Z"
TIME_MS = 1_767_607_200_000
Header = tuple[str, bytes]

NATIVE: dict[str, Any] = {
    "event_id": "e1",
    "user_id": "u1",
    "account_id": "acme",
    "event": "feature_used",
    "occurred_at": TIME,
    "properties": {"feature": "f"},
}
TRACK: dict[str, Any] = {
    "type": "track",
    "messageId": "e1",
    "userId": "u1",
    "event": "feature_used",
    "timestamp": TIME,
    "context": {"groupId": "acme"},
    "properties": {"feature": "f"},
}
CLOUD: dict[str, Any] = {
    "specversion": "1.0",
    "source": "/app",
    "id": "e1",
    "subject": "u1",
    "type": "com.example.feature_used.v1",
    "time": TIME,
    "data": {"account_id": "acme", "feature": "f"},
}
CLOUD_HEADERS: dict[str, bytes] = {
    "ce_specversion": b"1.0",
    "ce_source": b"/app",
    "ce_id": b"e1",
    "ce_subject": b"u1",
    "ce_type": b"com.example.feature_used.v1",
    "ce_time": TIME.encode(),
}
POSTHOG: dict[str, Any] = {
    "uuid": "e1",
    "distinct_id": "u1",
    "event": "feature_used",
    "timestamp": TIME,
    "properties": {"feature": "f", "$groups": {"company": "acme"}},
}


def decode(record: object, headers: list[Header] | None = None) -> ProductEvent:
    return decode_event(json.dumps(record).encode(), "topic", 3, 7, headers=headers or [])


def refusal_of(record: object, headers: list[Header] | None = None) -> tuple[str, str]:
    with pytest.raises(InvalidEvent) as refused:
        decode(record, headers)
    return refused.value.reason, refused.value.field


def headers_with(**changed: bytes | None) -> list[Header]:
    """The headers of a whole binary event with some changed, or left out where None."""
    return [(name, value) for name, value in {**CLOUD_HEADERS, **changed}.items() if value is not None]


@pytest.mark.parametrize(
    ("record", "headers", "event_id"),
    [
        (NATIVE, [], "e1"),
        (TRACK, [], "e1"),
        (CLOUD, [], "/app|e1"),
        (CLOUD["data"], headers_with(), "/app|e1"),
        (POSTHOG, [], "e1"),
    ],
    ids=["native", "segment", "cloudevents structured", "cloudevents binary", "posthog"],
)
def test_every_form_becomes_the_same_event(record, headers, event_id):
    """One thing that happened, in each of the forms, comes out the same, apart from what a form adds."""
    properties = record.get("data") or record.get("properties") or record

    event = decode(record, headers)

    assert event == ProductEvent(event_id, "u1", "acme", "feature_used", TIME_MS, properties, "topic", 3, 7)


@pytest.mark.parametrize(
    ("record", "field", "expected"),
    [
        (NATIVE | {"event_id": " e1\t"}, "event_id", "e1"),
        (NATIVE | {"event_id": -12}, "event_id", "-12"),
        (NATIVE | {"user_id": 7}, "lead_id", "7"),
        (NATIVE | {"user_id": None, "anonymous_id": " a "}, "lead_id", "anon:a"),
        (NATIVE | {"user_id": "", "anonymous_id": 5}, "lead_id", "anon:5"),
        (NATIVE | {"user_id": " ", "anonymous_id": "anon:a"}, "lead_id", "anon:anon:a"),
        (NATIVE | {"user_id": None, "anonymous_id": "x" * 256}, "lead_id", "anon:" + "x" * 256),
        (NATIVE | {"anonymous_id": False}, "lead_id", "u1"),
        (NATIVE | {"user_id": "a:b"}, "lead_id", "a:b"),
        (NATIVE | {"user_id": "Anon:b"}, "lead_id", "Anon:b"),
        (NATIVE | {"account_id": ""}, "account_id", None),
        (NATIVE | {"account_id": 0}, "account_id", "0"),
        (NATIVE | {"event": " Feature Used "}, "name", "Feature Used"),
        (NATIVE | {"properties": None}, "properties", {}),
        (NATIVE | {"occurred_at": TIME_MS}, "occurred_at_ms", TIME_MS),
        (TRACK | {"userId": "", "anonymousId": "a"}, "lead_id", "anon:a"),
        (TRACK | {"groupId": "other"}, "account_id", "acme"),
        (TRACK | {"context": {"groupId": " "}, "groupId": 9}, "account_id", "9"),
        (TRACK | {"context": None}, "account_id", None),
        (TRACK | {"timestamp": "", "originalTimestamp": TIME_MS + 1}, "occurred_at_ms", TIME_MS + 1),
        (TRACK | {"originalTimestamp": "x"}, "occurred_at_ms", TIME_MS),
        (TRACK | {"traits": 5}, "properties", {"feature": "f"}),
        (TRACK | {"type": "identify", "traits": {"a": 1}}, "properties", {"a": 1}),
        (TRACK | {"type": "group", "traits": {"a": 1}}, "properties", {"a": 1}),
        (TRACK | {"type": "identify"}, "properties", {}),
        (TRACK | {"type": "identify", "event": 5}, "name", "identify"),
        (TRACK | {"type": "group"}, "name", "group"),
        (TRACK | {"type": "page"}, "name", "page"),
        (TRACK | {"type": "screen"}, "name", "screen"),
        (TRACK | {"type": "alias"}, "name", "alias"),
        (TRACK | {"type": "page"}, "properties", {"feature": "f"}),
        (CLOUD | {"source": " s ", "id": 5}, "event_id", "s|5"),
        (CLOUD | {"source": "s" * 128, "id": "i" * 127}, "event_id", "s" * 128 + "|" + "i" * 127),
        (CLOUD | {"specversion": 0.3}, "event_id", "/app|e1"),
        (CLOUD | {"subject": "", "data": {"user_id": 5}}, "lead_id", "5"),
        (CLOUD | {"data": None}, "properties", {}),
        (CLOUD | {"type": "login"}, "name", "login"),
        (CLOUD | {"type": " a.login .v12 "}, "name", "login"),
        (CLOUD | {"type": "login.v1"}, "name", "login"),
        (CLOUD | {"type": "a.v1.v2"}, "name", "v1"),
        (CLOUD | {"type": "v1"}, "name", "v1"),
        (CLOUD | {"type": "a.V1"}, "name", "V1"),
        (CLOUD | {"type": "a.v"}, "name", "v"),
        (CLOUD | {"type": "a.v1b"}, "name", "v1b"),
        (CLOUD | {"type": "a.v\u0663"}, "name", "v\u0663"),
        (CLOUD | {"type": "x" * 300 + ".login"}, "name", "login"),
        (POSTHOG | {"properties": {}, "$groups": {"company": 5}}, "account_id", "5"),
        (POSTHOG | {"$groups": "no object"}, "account_id", "acme"),
        (POSTHOG | {"properties": {"$groups": ""}}, "account_id", None),
        (POSTHOG | {"properties": '{"$groups": {"company": "c"}}'}, "account_id", "c"),
        (POSTHOG | {"properties": ' {"a": [1]} '}, "properties", {"a": [1]}),
        (POSTHOG | {"properties": " "}, "properties", {}),
    ],
)
def test_a_field_is_read_as_the_contract_says(record, field, expected):
    """Trimming, integers, absent values, fallbacks and derived names, form by form."""
    assert expected == getattr(decode(record), field)


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (NATIVE | {"user_id": "anon:a", "anonymous_id": "a"}, ("bad_type", "user_id")),
        (NATIVE | {"user_id": 1.0, "anonymous_id": "a"}, ("bad_type", "user_id")),
        (NATIVE | {"user_id": "", "anonymous_id": " "}, ("missing_field", "user_id")),
        (TRACK | {"messageId": []}, ("bad_type", "messageId")),
        (TRACK | {"userId": "anon:a"}, ("bad_type", "userId")),
        (TRACK | {"userId": None}, ("missing_field", "userId")),
        (TRACK | {"userId": None, "anonymousId": {}}, ("bad_type", "anonymousId")),
        (TRACK | {"context": []}, ("bad_type", "context")),
        (TRACK | {"context": {"groupId": True}}, ("bad_type", "context.groupId")),
        (TRACK | {"context": {}, "groupId": 1.5}, ("bad_type", "groupId")),
        (TRACK | {"event": " "}, ("missing_field", "event")),
        (TRACK | {"event": 5}, ("bad_type", "event")),
        (TRACK | {"timestamp": None}, ("missing_field", "timestamp")),
        (TRACK | {"timestamp": "x", "originalTimestamp": TIME}, ("bad_time", "timestamp")),
        (TRACK | {"timestamp": False, "originalTimestamp": TIME}, ("bad_type", "timestamp")),
        (TRACK | {"timestamp": "", "originalTimestamp": "x"}, ("bad_time", "originalTimestamp")),
        (TRACK | {"properties": 5}, ("bad_type", "properties")),
        (TRACK | {"type": "group", "traits": "x"}, ("bad_type", "traits")),
        (CLOUD | {"source": " "}, ("missing_field", "source")),
        (CLOUD | {"id": None}, ("missing_field", "id")),
        (CLOUD | {"id": True}, ("bad_type", "id")),
        (CLOUD | {"source": "s" * 128, "id": "i" * 128}, ("bad_type", "id")),
        (CLOUD | {"subject": "anon:a"}, ("bad_type", "subject")),
        (CLOUD | {"subject": "", "data": {"user_id": "anon:a"}}, ("bad_type", "data.user_id")),
        (CLOUD | {"subject": None}, ("missing_field", "subject")),
        (CLOUD | {"data": {"account_id": []}}, ("bad_type", "data.account_id")),
        (CLOUD | {"data": [1]}, ("bad_type", "data")),
        (CLOUD | {"type": ""}, ("missing_field", "type")),
        (CLOUD | {"type": "com.example."}, ("missing_field", "type")),
        (CLOUD | {"type": "com..v1"}, ("missing_field", "type")),
        (CLOUD | {"type": ".v1"}, ("missing_field", "type")),
        (CLOUD | {"type": None}, ("missing_field", "type")),
        (CLOUD | {"type": 5}, ("bad_type", "type")),
        (CLOUD | {"type": "a." + "x" * 257}, ("bad_type", "type")),
        (CLOUD | {"time": None}, ("missing_field", "time")),
        (CLOUD | {"time": "2026-01-05T10:00:00"}, ("bad_time", "time")),
        (POSTHOG | {"distinct_id": "anon:a"}, ("bad_type", "distinct_id")),
        (POSTHOG | {"distinct_id": {}}, ("bad_type", "distinct_id")),
        (POSTHOG | {"uuid": False}, ("bad_type", "uuid")),
        (POSTHOG | {"properties": {"$groups": []}}, ("bad_type", "properties.$groups")),
        (POSTHOG | {"properties": {"$groups": {"company": 1.5}}}, ("bad_type", "properties.$groups.company")),
        (POSTHOG | {"properties": {}, "$groups": 1}, ("bad_type", "$groups")),
        (POSTHOG | {"properties": []}, ("bad_type", "properties")),
        (POSTHOG | {"properties": "{"}, ("bad_type", "properties")),
        (POSTHOG | {"properties": "null"}, ("bad_type", "properties")),
        (POSTHOG | {"properties": "[]"}, ("bad_type", "properties")),
        (POSTHOG | {"properties": '{"a":NaN}'}, ("bad_type", "properties")),
        (POSTHOG | {"properties": '{"a":' * 65 + "1" + "}" * 65}, ("bad_type", "properties")),
        (POSTHOG | {"properties": '{"a":' * 2000}, ("bad_type", "properties")),
        (POSTHOG | {"event": ""}, ("missing_field", "event")),
        (POSTHOG | {"timestamp": 1.5}, ("bad_type", "timestamp")),
    ],
)
def test_a_fault_is_named_in_the_producers_own_words(record, expected):
    """The reason of the contract's list, and the field as the producer calls it."""
    assert expected == refusal_of(record)


@pytest.mark.parametrize(
    ("record", "event_id"),
    [
        (CLOUD | TRACK | POSTHOG | NATIVE | {"type": "a.login"}, "/app|e1"),
        (TRACK | {"uuid": "p", "distinct_id": "p", "event_id": "n"}, "e1"),
        (POSTHOG | {"event_id": "n", "type": "call", "messageId": "m"}, "e1"),
        (NATIVE | {"type": "track"}, "e1"),
        (NATIVE | {"type": "track", "messageId": " "}, "e1"),
        (NATIVE | {"type": "Track", "messageId": "m"}, "e1"),
        (NATIVE | {"type": ["track"], "messageId": "m"}, "e1"),
        (NATIVE | {"specversion": "", "source": "s", "id": "i"}, "e1"),
        (NATIVE | {"uuid": "p"}, "e1"),
        (NATIVE | {"uuid": " ", "distinct_id": "p"}, "e1"),
        (NATIVE | {"uuid": "p", "distinct_id": None}, "e1"),
    ],
)
def test_the_first_form_that_fits_counts(record, event_id):
    """CloudEvents, Segment, PostHog, native; a mark that is absent (null or blank) is no mark."""
    assert event_id == decode(record).event_id


def test_headers_come_before_the_record():
    """With a specversion header the whole JSON is the data, even if it looks like another form."""
    event = decode(TRACK, headers_with())

    assert ("/app|e1", TRACK) == (event.event_id, event.properties)


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("trace", b"1"), ("ce_id", b"9")],
        headers_with(ce_specversion=b""),
        headers_with(ce_specversion=b" "),
        [*headers_with(), ("ce_specversion", b"")],
    ],
    ids=["none", "others", "empty", "blank", "the last is empty"],
)
def test_without_a_specversion_header_the_record_speaks(headers):
    """Headers mean nothing unless `ce_specversion` is there and not absent."""
    assert "e1" == decode(NATIVE, headers).event_id


def test_of_two_headers_of_one_name_the_last_counts():
    """As of two keys in an object."""
    assert "/app|last" == decode(CLOUD["data"], [*headers_with(), ("ce_id", b"last")]).event_id


def test_a_lead_may_lie_in_the_data_of_a_binary_event():
    """Without a subject header the user id of the data is the lead."""
    event = decode({"user_id": "in data"}, headers_with(ce_subject=None, ce_specversion=b"\xff"))

    assert ("in data", None) == (event.lead_id, event.account_id)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"ce_source": None}, ("missing_field", "ce_source")),
        ({"ce_id": b" "}, ("missing_field", "ce_id")),
        ({"ce_id": b"\xff"}, ("bad_type", "ce_id")),
        ({"ce_subject": b"\xff"}, ("bad_type", "ce_subject")),
        ({"ce_subject": None}, ("missing_field", "ce_subject")),
        ({"ce_type": b"\xff"}, ("bad_type", "ce_type")),
        ({"ce_type": None}, ("missing_field", "ce_type")),
        ({"ce_time": b"\xff"}, ("bad_type", "ce_time")),
        ({"ce_time": None}, ("missing_field", "ce_time")),
        ({"ce_time": b"1767607200000"}, ("bad_time", "ce_time")),
        ({"ce_id": b"\xff", "ce_source": None}, ("missing_field", "ce_source")),
    ],
)
def test_a_fault_in_a_header_names_the_header(changed, expected):
    """An attribute that is away, no UTF-8 or wrong is refused under the header's name, in order."""
    assert expected == refusal_of(CLOUD["data"], headers_with(**changed))


def test_a_binary_event_has_an_object_for_data():
    """The record is the data, so what is no object is refused as such before its headers are read."""
    assert ("not_object", "") == refusal_of([1], headers_with(ce_id=None))


@pytest.mark.parametrize(
    ("timestamp_ms", "accepted"),
    [
        (None, True),
        (-1, True),
        (0, False),
        (TIME_MS - 86_400_000, True),
        (TIME_MS - 86_400_001, False),
        (TIME_MS, True),
        (2**63 - 1, True),
    ],
)
def test_an_event_is_at_most_a_day_ahead_of_its_record(timestamp_ms, accepted):
    """More than 24 h after the Kafka timestamp is bad_time; a negative or no timestamp binds nothing."""
    value = json.dumps(NATIVE).encode()

    if accepted:
        assert TIME_MS == decode_event(value, "t", 0, 0, timestamp_ms=timestamp_ms).occurred_at_ms
    else:
        with pytest.raises(InvalidEvent, match="bad_time: occurred_at: more than 24 hours"):
            decode_event(value, "t", 0, 0, timestamp_ms=timestamp_ms)


def test_a_refusal_repeats_nothing_of_the_record():
    """Values may be personal data, so no message has one."""
    secret = "jane.doe@example.com"
    faults = [
        NATIVE | {"user_id": f"anon:{secret}"},
        NATIVE | {"user_id": secret * 20},
        NATIVE | {"occurred_at": secret},
        NATIVE | {"properties": secret},
        NATIVE | {"event": [secret]},
        CLOUD | {"source": secret * 12, "id": secret},
        POSTHOG | {"properties": secret},
    ]
    messages = []
    for record in faults:
        with pytest.raises(InvalidEvent) as refused:
            decode(record)
        messages.append(str(refused.value))

    assert [] == [message for message in messages if secret in message]


FAULTY_CONTAINERS = {
    "CloudEvents data": {"specversion": "1.0", "source": "/s", "id": "1", "type": "a.b", "subject": "u1", "data": [1]},
    "PostHog properties": {"uuid": "1", "distinct_id": "u1", "event": "e", "properties": [1]},
    "PostHog properties in a text": {"uuid": "1", "distinct_id": "u1", "event": "e", "properties": "{broken"},
}


@pytest.mark.parametrize("name", FAULTY_CONTAINERS)
def test_properties_are_refused_at_their_own_turn(name):
    """
    A container that is no object is the last fault of a record, though fields before it may lie in it (R10).
    """
    record = FAULTY_CONTAINERS[name]
    time = "time" if "specversion" in record else "timestamp"

    for given, reason in (({}, "missing_field"), ({time: "x"}, "bad_time"), ({time: TIME}, "bad_type")):
        with pytest.raises(InvalidEvent) as refused:
            decode_event(json.dumps(record | given).encode(), "t", 0, 0)

        assert reason == refused.value.reason
