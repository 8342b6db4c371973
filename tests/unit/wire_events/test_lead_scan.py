"""The lead of a record without decoding it: never another than the decoder's (CONTRACT.md 2, 9)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pql_stream.errors import InvalidEvent
from pql_stream.wire.events import decode_event
from pql_stream.wire.lead_scan import lead_id_of, lead_ids_of
from tests.oracle import generate

NASTY = Path(__file__).parents[2] / "data" / "nasty_events" / "records.jsonl"
TIME = "2026-01-05T10:00:00Z"
NATIVE = {"event_id": "e1", "user_id": "u1", "event": "login", "occurred_at": TIME, "properties": {"user_id": "x"}}
TRACK = {"type": "track", "messageId": "e1", "userId": "u1", "event": "login", "timestamp": TIME}
CLOUD = {"specversion": "1.0", "source": "/a", "id": "e1", "subject": "u1", "type": "login", "time": TIME}
POSTHOG = {"uuid": "e1", "distinct_id": "u1", "event": "login", "timestamp": TIME}
FORMS: list[dict[str, Any]] = [NATIVE, TRACK, CLOUD, POSTHOG]

BINARY = [
    ("ce_specversion", b"1.0"),
    ("ce_source", b"/a"),
    ("ce_id", b"e1"),
    ("ce_type", b"login"),
    ("ce_time", TIME.encode()),
]


def decoded(value: bytes, headers: list[tuple[str, bytes | None]] | tuple[()] = ()) -> str | None:
    """The lead by the decoder; None for a record that is refused."""
    try:
        return decode_event(value, "t", 0, 0, headers=headers).lead_id
    except InvalidEvent:
        return None


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (NATIVE, "u1"),
        (NATIVE | {"user_id": "  u 1\u00a0"}, "u 1"),
        (NATIVE | {"user_id": 17}, "17"),
        (NATIVE | {"user_id": -(2**63)}, str(-(2**63))),
        (NATIVE | {"user_id": None, "anonymous_id": "a1"}, "anon:a1"),
        (NATIVE | {"user_id": " ", "anonymous_id": 5}, "anon:5"),
        (NATIVE | {"user_id": "\u00fc\U0001f600"}, "\u00fc\U0001f600"),
        (NATIVE | {"specversion": "", "messageId": " ", "distinct_id": None}, "u1"),
        (NATIVE | {"messageId": "m", "userId": "other", "type": "click"}, "u1"),
        (NATIVE | {"distinct_id": "other"}, "u1"),
        (NATIVE | {"data": {"user_id": "other"}, "subject": "other"}, "u1"),
        (TRACK, "u1"),
        (TRACK | {"userId": "", "anonymousId": "a1"}, "anon:a1"),
        (TRACK | {"userId": 8, "user_id": "other", "distinct_id": "other", "uuid": "x"}, "8"),
        (TRACK | {"type": "identify", "traits": {"userId": "x"}}, "u1"),
        (TRACK | {"user_id": "other"}, "u1"),
        (CLOUD | {"user_id": "other"}, "u1"),
        (CLOUD, "u1"),
        (CLOUD | {"subject": " ", "data": {"user_id": 9, "more": [1]}}, "9"),
        (CLOUD | {"specversion": 1.5, "messageId": "m", "user_id": "other"}, "u1"),
        (POSTHOG, "u1"),
        (POSTHOG | {"distinct_id": 7, "user_id": "other", "properties": '{"distinct_id": 1}'}, "7"),
    ],
)
def test_an_ordinary_record_gives_its_lead(record, expected):
    """
    Every form, with texts, integers and fallbacks: the scan settles it, as the decoder does.
    """
    value = json.dumps(record).encode()

    assert (expected, expected) == (lead_id_of(value), decoded(value))


@pytest.mark.parametrize(
    ("headers", "record", "expected"),
    [
        ([*BINARY, ("ce_subject", b"h1")], {"user_id": "u1"}, "h1"),
        (BINARY, {"user_id": "u1", "data": {"user_id": "other"}}, "u1"),
        ([*BINARY, ("ce_subject", None)], {"user_id": 4}, "4"),
        ([*BINARY, ("ce_subject", b"h1"), ("ce_subject", b"h2")], {}, "h2"),
        ([("ce_specversion", b" ")], NATIVE, "u1"),
        ([("ce_specversion", None), ("ce_subject", b"other")], TRACK, "u1"),
        ([("traceparent", b"\xff"), ("ce_subject", b"other")], NATIVE, "u1"),
    ],
)
def test_headers_count_where_they_make_the_form(headers, record, expected):
    """
    The binary mode of CloudEvents: the subject lies in a header, and the value is the data.
    """
    value = json.dumps(record).encode()

    assert (expected, expected) == (lead_id_of(value, headers), decoded(value, headers))


@pytest.mark.parametrize(
    "value",
    [
        json.dumps(NATIVE | {"user_id": True, "anonymous_id": "a"}).encode(),
        json.dumps(NATIVE | {"user_id": {}}).encode(),
        json.dumps(NATIVE | {"user_id": ""}).encode(),
        json.dumps(TRACK | {"messageId": ["m"]}).encode(),
        json.dumps([NATIVE]).encode(),
        json.dumps(CLOUD | {"subject": "anon:x"}).encode(),
        json.dumps(NATIVE).encode()[:-1],
        b"\xff",
        b'{"user_id":"\xff"}',
        b"",
        b'{"user_id":"u1","properties":' + b"[" * 100_000,
    ],
    ids=[
        "flag", "object", "nobody", "odd mark", "array", "reserved", "cut", "no text", "bad text", "empty", "deep",
    ],
)  # fmt: skip
def test_what_it_cannot_tell_it_leaves_to_the_decoder(value):
    """
    Odd types and broken bytes are None, whatever the codec makes of them.
    """
    assert lead_id_of(value) is None


@pytest.mark.parametrize("case", [json.loads(line) for line in NASTY.read_text("utf-8").splitlines()])
def test_a_nasty_record_has_no_other_lead(case):
    """
    Each record of the shipped file: the decoder's lead or None; where the decoder refuses it, anything goes.
    """
    value = bytes.fromhex(case["value_hex"]) if "value_hex" in case else case["value"].encode()
    expected = decoded(value)

    assert expected is None or lead_id_of(value) in {None, expected}


def test_nearly_every_record_of_a_population_with_dirt_is_settled():
    """
    Whoever decodes only its own leads must not meet the others' all the same: None stands for decoys and the like.
    """
    records = [record for record in generate.records(5, 40, 2_000, dirt=0.1) if record.value]
    expected = [decoded(record.value, record.headers) for record in records]
    scanned = [lead_id_of(record.value, record.headers) for record in records]
    accepted = [(mine, theirs) for mine, theirs in zip(scanned, expected, strict=True) if theirs is not None]
    unsettled = [theirs for mine, theirs in accepted if mine is None]

    assert len(accepted) > 1_500
    assert [] == [pair for pair in accepted if pair[0] not in {None, pair[1]}]
    assert len(unsettled) < len(accepted) / 100


PLAIN = json.dumps(NATIVE).encode()


@pytest.mark.parametrize("plain_before", [0, 1, 20], ids=lambda n: f"after {n} plain ones")
@pytest.mark.parametrize(
    "value",
    [
        *(json.dumps(record).encode() for record in FORMS[1:]),
        json.dumps(NATIVE | {"user_id": " ", "anonymous_id": 5}).encode(),
        json.dumps(NATIVE | {"user_id": " u2 ", "messageId": None, "distinct_id": None}).encode(),
        json.dumps(NATIVE | {"user_id": 7}).encode(),
        json.dumps(TRACK | {"user_id": "other"}).encode(),
        json.dumps(CLOUD | {"user_id": "other"}).encode(),
        json.dumps(POSTHOG | {"user_id": "other"}).encode(),
        b"{",
        b'{"user_id":"\xff"}',
        b'{"user_id":"u1","properties":' + b"[" * 100_000,
    ],
    ids=range(12),
)
def test_many_at_once_are_told_as_one_by_one(value, plain_before):
    """Among plain records, as the only ones, and when there are so many that nobody looks for plain ones any more."""
    values = [PLAIN] * plain_before + [value] * 10 + [PLAIN]

    assert [lead_id_of(one) for one in values] == lead_ids_of(values)


def test_many_at_once_with_headers():
    """Each with its own."""
    headers = [(), [*BINARY, ("ce_subject", b"h1")], ()]

    assert ["u1", "h1", "u1"] == lead_ids_of([PLAIN] * 3, headers)


NAMES = (
    "specversion", "messageId", "type", "distinct_id", "uuid", "user_id", "anonymous_id", "userId", "anonymousId",
    "subject", "data", "event_id", "source", "id", "properties", "event", "extra", "User_id", "user_id ", "\u00fcser",
)  # fmt: skip
LEADS = {"user_id", "userId", "subject", "distinct_id"}
TEXTS = st.sampled_from(["", " ", "u1", " u2 ", "\u2003u3", "anon:u4", "x" * 257, "track", "group", "1.0", "\x00", "7"])
NUMBERS = st.sampled_from(
    ["0", "-0", "7", "7.0", "1e2", "-1.5", str(2**63 - 1), str(2**63), str(-(2**63) - 1), "9" * 40]
)
SCALARS = st.one_of(TEXTS.map(json.dumps), NUMBERS, st.sampled_from(["null", "true", "false"]))


def object_of(members: list[tuple[str, str]]) -> str:
    """JSON with members in this order, names as often as they come."""
    return "{" + ",".join(f"{name}:{content}" for name, content in members) + "}"


@st.composite
def names(draw) -> str:
    """A member's name as JSON, now and then with a character of it escaped."""
    name = draw(st.sampled_from(NAMES))
    at = draw(st.integers(0, 4 * len(name)))
    return json.dumps(name) if at >= len(name) else f'"{name[:at]}\\u{ord(name[at]):04x}{name[at + 1 :]}"'


MEMBERS = st.lists(st.tuples(names(), SCALARS), max_size=4)
VALUES = st.one_of(SCALARS, MEMBERS.map(object_of), st.lists(SCALARS, max_size=2).map(lambda one: f"[{','.join(one)}]"))
HEADERS = st.lists(
    st.tuples(
        st.sampled_from(["ce_specversion", "ce_subject", "ce_id", "ce_source", "x"]),
        st.sampled_from([None, b"", b" ", b"h1", b"\xff", b"anon:h2"]),
    ),
    max_size=3,
)


@given(
    forms=st.lists(st.sampled_from(FORMS), max_size=3),
    more=st.lists(st.tuples(names(), VALUES), max_size=4),
    headers=st.one_of(st.just([]), HEADERS, HEADERS.map(lambda some: [*BINARY, *some])),
    shuffle=st.randoms(use_true_random=False),
)
def test_it_never_gives_another_lead_than_the_decoder(forms, more, headers, shuffle):
    """
    Records of several forms at once, each of another lead, with any members added: in any order, names twice or
    escaped, of any type.
    """
    members = [
        (json.dumps(name), json.dumps(f"{content}{place}" if name in LEADS else content))
        for place, form in enumerate(forms)
        for name, content in form.items()
    ] + more
    shuffle.shuffle(members)
    value = object_of(members).encode()
    expected = decoded(value, headers)

    assert expected is None or lead_id_of(value, headers) in {None, expected}
    assert expected is None or lead_ids_of([value], [headers] if headers else None)[0] in {None, expected}


@given(base=st.sampled_from(FORMS), at=st.integers(0, 200), put=st.binary(max_size=3), drop=st.integers(0, 3))
def test_broken_bytes_raise_nothing_and_never_give_another_lead(base, at, put, drop):
    """
    A few bytes exchanged anywhere: the decoder's lead, None, or a record that the decoder refuses.
    """
    whole = json.dumps(base).encode()
    value = whole[:at] + put + whole[at + drop :]
    expected = decoded(value)

    assert lead_id_of(value) in {None, expected} or expected is None
    assert lead_ids_of([value])[0] in {None, expected} or expected is None
