import json

import pytest

from tests.oracle.decode import Event, Rejected, Skipped, read_lines, read_record
from tests.oracle.strict_json import depth_of

NATIVE = {
    "event_id": "e1",
    "user_id": "u1",
    "account_id": "acme",
    "event": "feature_used",
    "occurred_at": "2026-01-05T10:00:00.5Z",
    "properties": {"feature": "sso"},
}
SEGMENT = {
    "type": "identify",
    "messageId": "m1",
    "anonymousId": "a1",
    "context": {"groupId": "g1"},
    "groupId": "g2",
    "originalTimestamp": "2026-01-05T12:00:00+02:00",
    "traits": {"team_size": 5},
    "properties": {"team_size": 9},
}
STRUCTURED = {
    "specversion": "1.0",
    "source": " /s ",
    "id": 7,
    "type": "com.v2.feature_used.v3",
    "time": 1767607200000,
    "data": {"user_id": "u1", "account_id": 5},
}
POSTHOG = {
    "uuid": "p1",
    "distinct_id": 12,
    "event": " login ",
    "timestamp": "2026-01-05 10:00:00z",
    "properties": '{"$groups": {"company": "inner"}}',
    "$groups": {"company": "outer"},
}
TEN_MS = 1767607200000


def read(fields, **kwargs):
    return read_record(json.dumps(fields).encode(), **kwargs)


def fault(fields, **kwargs):
    outcome = read(fields, **kwargs)
    assert isinstance(outcome, Rejected)
    return outcome.reason, outcome.field


def test_each_form_gives_the_fields_of_its_row():
    """The four rows of the contract's table, and both modes of CloudEvents."""
    headers = [
        ("ce_specversion", b"1.0"),
        ("ce_source", b"/s"),
        ("ce_id", b"1"),
        ("ce_subject", b"u9"),
        ("ce_type", b"login"),
        ("ce_time", b"2026-01-05T10:00:00Z"),
    ]

    assert read(NATIVE) == Event("e1", "u1", "acme", "feature_used", TEN_MS + 500, {"feature": "sso"})
    assert read(SEGMENT) == Event("m1", "anon:a1", "g1", "identify", TEN_MS, {"team_size": 5})
    assert read(STRUCTURED) == Event("/s|7", "u1", "5", "feature_used", TEN_MS, STRUCTURED["data"])
    assert read(POSTHOG) == Event("p1", "12", "inner", "login", TEN_MS, {"$groups": {"company": "inner"}})
    assert read({"x": 1}, headers=headers) == Event("/s|1", "u9", None, "login", TEN_MS, {"x": 1})


def test_cloudevents_come_before_segment_and_segment_before_posthog():
    """R11: the first form that fits; R5: a key that is absent recognises nothing."""
    assert read({**NATIVE, **POSTHOG, **SEGMENT, **STRUCTURED}).form == "cloudevents"
    assert read({**NATIVE, **POSTHOG, **SEGMENT}).form == "segment"
    assert read({**NATIVE, **POSTHOG}).form == "posthog"
    assert read({**NATIVE, **POSTHOG, "uuid": "  ", "properties": {}}).form == "native"


@pytest.mark.parametrize(
    ("changes", "reason", "field"),
    [
        ({"event_id": " "}, "missing_field", "event_id"),
        ({"user_id": 1.0, "anonymous_id": "a"}, "bad_type", "user_id"),
        ({"user_id": "anon:a"}, "bad_type", "user_id"),
        ({"user_id": None}, "missing_field", "user_id"),
        ({"event": 5}, "bad_type", "event"),
        ({"occurred_at": "2026-01-05T10:00:00"}, "bad_time", "occurred_at"),
        ({"occurred_at": 1.5}, "bad_type", "occurred_at"),
        ({"properties": "{}"}, "bad_type", "properties"),
        ({"properties": 5, "occurred_at": "never", "event": None}, "missing_field", "event"),
    ],
    ids=str,
)
def test_faults_of_a_field(changes, reason, field):
    """One fault is named; of several the first in the table's order (R10)."""
    assert fault(NATIVE | changes) == (reason, field)


def test_faults_of_the_bytes():
    """R1 to R3 and R10: what is looked at before the fields, in this order."""
    assert read_record(b"\xff" * (1024 * 1024 + 1)) == Rejected("too_large")
    assert read_record(b"[" * 65 + b"\xff") == Rejected("not_utf8")
    assert read_record(b"[" * 65) == Rejected("too_deep")
    assert read_record(b"[" * 64) == Rejected("not_json")
    assert read_record(b'{"a":NaN}') == Rejected("not_json")
    assert read_record(b'{"a":1e999,"a":1}') == Rejected("not_json")
    assert read_record(b'{"a":"\\ud800","a":1}') == Rejected("not_json")
    assert read_record(b"\xef\xbb\xbf{}") == Rejected("not_json")
    assert read_record(b"[{}]") == Rejected("not_object")


def test_depth_is_counted_outside_strings():
    """Brackets in strings open nothing, also after an escaped quote."""
    assert depth_of(r'{"a": "\"[[[[", "b": [[]]}') == 3
    assert depth_of("]]][[") == 2


def test_tombstones_are_skipped():
    """R25: null and zero bytes, with headers too."""
    assert read_record(None) == Skipped()
    assert read_record(b"", headers=[("ce_specversion", b"1.0")]) == Skipped()


def test_the_future_is_measured_against_the_record():
    """24 h after the Kafka timestamp is fine, a millisecond more is not; without one there is no limit."""
    ahead = NATIVE | {"occurred_at": TEN_MS + 86_400_000}

    assert isinstance(read(ahead, timestamp_ms=TEN_MS), Event)
    assert fault(ahead, timestamp_ms=TEN_MS - 1) == ("bad_time", "occurred_at")
    assert isinstance(read(ahead), Event)
    assert isinstance(read(ahead, timestamp_ms=-1), Event)


def test_lines_of_a_file():
    """R21: `\\n` ends a line, a `\\r` before it is dropped, blank lines count in the numbering."""
    line = json.dumps(NATIVE).encode()

    outcomes = list(read_lines(b"\xef\xbb\xbf" + line + b"\r\n \n{\n" + line, file="f"))

    assert [number for number, _ in outcomes] == [1, 2, 3, 4]
    assert [outcome for _, outcome in outcomes[1:3]] == [Skipped(), Rejected("not_json")]
    assert outcomes[3][1].place == ("f", 0, 4)
