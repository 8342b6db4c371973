"""What holds for every record, whatever is in it (CONTRACT.md 2, 9)."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pql_stream.core.events import ProductEvent
from pql_stream.errors import InvalidEvent
from pql_stream.wire import events
from pql_stream.wire.events import decode_event
from pql_stream.wire.forms.plain import plain_event
from pql_stream.wire.times import EARLIEST_MS, LATEST_MS

KEYS = [
    *("event_id", "user_id", "anonymous_id", "account_id", "event", "occurred_at", "properties"),
    *("type", "messageId", "userId", "anonymousId", "context", "groupId", "traits", "timestamp"),
    *("originalTimestamp", "specversion", "source", "id", "subject", "time", "data"),
    *("uuid", "distinct_id", "$groups", "company"),
]
HEADERS = ["ce_specversion", "ce_id", "ce_source", "ce_subject", "ce_type", "ce_time", "other"]

ODD_VALUES: list[Any] = [
    *(
        None,
        "",
        " ",
        " x ",
        "anon:x",
        "a:b",
        "track",
        "group",
        "{}",
        '{"a":1}',
        "a.b.v1",
        "x" * 256,
        "x" * 257,
    ),
    *("2026-01-05T10:00:00Z", "2026-01-05T10:00:00.1234567+01:00", "1999-12-31T23:59:59Z", 1767607200000),
    *(True, 0, 1, 2**63, 2**64, 1.5, 1e300, [], {}),
]
odd = st.sampled_from(ODD_VALUES)
odd_values = odd | st.dictionaries(st.sampled_from(KEYS), odd, max_size=4)
odd_records = st.dictionaries(st.sampled_from(KEYS), odd_values, max_size=16).map(lambda r: json.dumps(r).encode())
broken_records = odd_records.flatmap(
    lambda record: st.builds(
        lambda at, bits: record[:at] + bytes([record[at] ^ bits]) + record[at + 1 :],
        st.integers(0, len(record) - 1),
        st.integers(1, 255),
    )
)
header_values = st.binary(max_size=6) | st.sampled_from([b"1.0", b"u1", b"a.login.v1", b"2026-01-05T10:00:00Z"])
header_lists = st.lists(st.tuples(st.sampled_from(HEADERS), header_values), max_size=8)


def check(event: ProductEvent) -> None:
    for text in (event.event_id, event.lead_id.removeprefix("anon:"), event.name, event.account_id or "none"):
        assert type(text) is str
        assert text == text.strip()
        assert 1 <= len(text) <= 256
    assert event.account_id is None or type(event.account_id) is str
    assert type(event.occurred_at_ms) is int
    assert EARLIEST_MS <= event.occurred_at_ms <= LATEST_MS
    assert type(event.properties) is dict
    assert ("t", 3, 7) == (event.topic, event.partition, event.offset)


@given(
    value=st.binary() | odd_records | broken_records,
    headers=header_lists,
    timestamp_ms=st.none() | st.integers(-1, 2**63 - 1),
)
def test_any_bytes_are_an_event_or_are_refused(value, headers, timestamp_ms):
    """Whatever bytes, headers and timestamp: a sound event or InvalidEvent, and nothing else."""
    try:
        event = decode_event(value, "t", 3, 7, timestamp_ms=timestamp_ms, headers=headers)
    except InvalidEvent:
        return
    check(event)


def outcome_of(read: Any, record: dict[str, Any], latest_ms: int) -> object:
    try:
        return read(record, latest_ms, "t", 3, 7)
    except InvalidEvent as refusal:
        return refusal.reason, refusal.field, refusal.detail


NATIVE: dict[str, Any] = {
    "event_id": "e1",
    "user_id": "u1",
    "account_id": "acme",
    "event": "login",
    "occurred_at": "2026-01-05T10:00:00.5Z",
    "properties": {"a": 1},
}


SEGMENT: dict[str, Any] = {
    "type": "track",
    "messageId": "e1",
    "userId": "u1",
    "groupId": "globex",
    "context": {"groupId": "acme"},
    "event": "login",
    "timestamp": "2026-01-05T10:00:00.5Z",
    "properties": {"a": 1},
    "traits": {"b": 2},
}
PLAIN = {"native": NATIVE, "segment": SEGMENT, "identify": SEGMENT | {"type": "identify"}}


def plain_or_careful(record: dict[str, Any], latest_ms: int) -> tuple[object, object]:
    """What the shortcut makes of *record*, where it takes it, and what the readers of the forms do."""
    careful = outcome_of(events._read_carefully, record, latest_ms)
    return plain_event(record, latest_ms, "t", 3, 7) or careful, careful


@pytest.mark.parametrize("form", PLAIN)
@pytest.mark.parametrize("latest_ms", [LATEST_MS, 1767607200499], ids=["believed", "ahead"])
def test_the_shortcut_is_no_other_way(form, latest_ms):
    """With any value in any field, or none, or in another form's, the shortcut and the readers come to the same end."""
    plain = PLAIN[form]
    records = [plain] + [{key: value for key, value in plain.items() if key != field} for field in plain]
    records += [plain | {key: value} for key in KEYS for value in (*ODD_VALUES, {"groupId": " g "}, {"groupId": 5})]
    records += [record | {"anonymous_id": "a", "anonymousId": "b"} for record in records]
    records += [NATIVE | record for record in records]
    records += [record | {"uuid": "p1", "distinct_id": "d1"} for record in records]

    taken, careful = zip(*(plain_or_careful(record, latest_ms) for record in records), strict=True)
    assert careful == taken


@pytest.mark.parametrize("form", PLAIN)
def test_the_shortcut_takes_what_is_plain(form):
    """It is there to be taken: a record with nothing odd in it does not go the long way."""

    assert plain_event(PLAIN[form], LATEST_MS, "t", 3, 7) is not None


@given(odd_records)
def test_the_shortcut_is_no_other_way_for_any_record(value):
    """Whatever fields of whatever forms come together, the shortcut and the readers come to the same end."""
    taken, careful = plain_or_careful(json.loads(value), LATEST_MS)

    assert careful == taken


texts = st.text(st.characters(codec="utf-8"))
ids = st.text(st.characters(codec="utf-8"), min_size=1, max_size=256).filter(lambda text: text == text.strip())
numbers = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


@given(
    event=st.builds(
        ProductEvent,
        event_id=ids,
        lead_id=ids.filter(lambda text: not text.startswith("anon:")),
        account_id=st.none() | ids,
        name=ids,
        occurred_at_ms=st.integers(EARLIEST_MS, LATEST_MS),
        properties=st.dictionaries(texts, json_values, max_size=4),
        topic=st.just("t"),
        partition=st.just(3),
        offset=st.just(7),
    ),
    anonymous=st.booleans(),
    escaped=st.booleans(),
)
def test_a_native_event_comes_back_as_it_was_written(event, anonymous, escaped):
    """Everything an event holds survives its own form, in either spelling of the characters."""
    record = {
        "event_id": event.event_id,
        "anonymous_id" if anonymous else "user_id": event.lead_id,
        "account_id": event.account_id,
        "event": event.name,
        "occurred_at": event.occurred_at_ms,
        "properties": event.properties,
    }
    expected = msgspec.structs.replace(event, lead_id=f"anon:{event.lead_id}") if anonymous else event

    decoded = decode_event(json.dumps(record, ensure_ascii=escaped).encode(), "t", 3, 7)

    assert expected == decoded
