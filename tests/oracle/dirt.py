"""
Records that are refused, skipped, or just within a limit, each with the outcome it must have.

Only faults about which the contract leaves no doubt stand here. `internal_error` cannot be provoked.
"""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.oracle.decode import DEPTH_MAX, RECORD_BYTES_MAX
from tests.oracle.render import Record, key_of, time_text

SECOND_MS, DAY_MS = 1000, 86_400_000
REMOVED = object()

Fields = dict[str, Any]
Case = tuple[str, str, Fields]

# --- whole records, as changes to a good one: (expected, form, changes); a callable takes the timestamp ---

FIELD_CASES: tuple[Case, ...] = (
    # missing_field: gone, null, empty, blank (R5)
    ("missing_field", "native", {"event_id": REMOVED}),
    ("missing_field", "native", {"event_id": None}),
    ("missing_field", "native", {"event_id": ""}),
    ("missing_field", "native", {"event_id": " \u3000\t"}),
    ("missing_field", "native", {"user_id": REMOVED}),
    ("missing_field", "native", {"user_id": "", "anonymous_id": "  "}),
    ("missing_field", "native", {"event": REMOVED}),
    ("missing_field", "native", {"event": " "}),
    ("missing_field", "native", {"occurred_at": REMOVED}),
    ("missing_field", "native", {"occurred_at": ""}),
    ("missing_field", "segment", {"userId": REMOVED}),
    ("missing_field", "segment", {"event": None}),
    ("missing_field", "segment", {"timestamp": REMOVED}),
    ("missing_field", "segment", {"messageId": ""}),  # then it is a native one, without an event_id
    ("missing_field", "cloudevents", {"source": REMOVED}),
    ("missing_field", "cloudevents", {"id": " "}),
    ("missing_field", "cloudevents", {"subject": REMOVED}),
    ("missing_field", "cloudevents", {"type": "com.shop."}),
    ("missing_field", "cloudevents", {"type": ".v1"}),
    ("missing_field", "cloudevents", {"time": None}),
    ("missing_field", "posthog", {"event": ""}),
    ("missing_field", "posthog", {"timestamp": REMOVED}),
    ("missing_field", "posthog", {"uuid": None}),  # a native one again
    # bad_type
    ("bad_type", "native", {"event_id": 12.0}),
    ("bad_type", "native", {"event_id": True}),
    ("bad_type", "native", {"event_id": ["e"]}),
    ("bad_type", "native", {"event_id": "e" * 257}),
    ("bad_type", "native", {"event_id": 2**63}),
    ("bad_type", "native", {"event_id": -(2**63) - 1}),
    ("bad_type", "native", {"user_id": 1.5, "anonymous_id": "a1"}),
    ("bad_type", "native", {"user_id": {"id": 1}}),
    ("bad_type", "native", {"user_id": "anon:u1"}),
    ("bad_type", "native", {"user_id": "  anon:u1"}),
    ("bad_type", "native", {"user_id": None, "anonymous_id": False}),
    ("bad_type", "native", {"user_id": None, "anonymous_id": "a" * 257}),
    ("bad_type", "native", {"account_id": ["acme"]}),
    ("bad_type", "native", {"account_id": 0.5}),
    ("bad_type", "native", {"event": 5}),
    ("bad_type", "native", {"event": "n" * 257}),
    ("bad_type", "native", {"occurred_at": 1_767_571_200_000.5}),
    ("bad_type", "native", {"occurred_at": True}),
    ("bad_type", "native", {"occurred_at": {}}),
    ("bad_type", "native", {"properties": "{}"}),
    ("bad_type", "native", {"properties": []}),
    ("bad_type", "native", {"properties": 5}),
    ("bad_type", "segment", {"messageId": {"a": 1}}),
    ("bad_type", "segment", {"userId": 1.5, "anonymousId": "a1"}),
    ("bad_type", "segment", {"context": "c"}),
    ("bad_type", "segment", {"context": {"groupId": 1.5}, "groupId": "acme"}),
    ("bad_type", "segment", {"groupId": [1]}),
    ("bad_type", "segment", {"event": ["e"]}),
    ("bad_type", "segment", {"timestamp": 1.5, "originalTimestamp": "2026-01-05T10:00:00Z"}),
    ("bad_type", "segment", {"type": "identify", "traits": "t"}),
    ("bad_type", "cloudevents", {"source": "s" * 250, "id": "e-12345"}),
    ("bad_type", "cloudevents", {"id": 1.5}),
    ("bad_type", "cloudevents", {"subject": "anon:x"}),
    ("bad_type", "cloudevents", {"type": 7}),
    ("bad_type", "cloudevents", {"data": [1]}),
    ("bad_type", "cloudevents", {"data": "text"}),
    ("bad_type", "posthog", {"distinct_id": "anon:x"}),
    ("bad_type", "posthog", {"distinct_id": True}),
    ("bad_type", "posthog", {"properties": '{"a": NaN}'}),
    ("bad_type", "posthog", {"properties": '{"a": 1e999}'}),
    ("bad_type", "posthog", {"properties": '{"a": "\\ud800"}'}),
    ("bad_type", "posthog", {"properties": "[1]"}),
    ("bad_type", "posthog", {"properties": "{"}),
    ("bad_type", "posthog", {"properties": "[" * 65}),
    ("bad_type", "posthog", {"properties": {"$groups": [1]}}),
    ("bad_type", "posthog", {"$groups": "acme"}),
    ("bad_type", "posthog", {"properties": {"$groups": {"company": 1.5}}}),
    # bad_time
    ("bad_time", "native", {"occurred_at": "2026-01-05T10:00:00"}),
    ("bad_time", "native", {"occurred_at": "2026-01-05"}),
    ("bad_time", "native", {"occurred_at": "1767571200000"}),
    ("bad_time", "native", {"occurred_at": " 2026-01-05T10:00:00Z"}),
    ("bad_time", "native", {"occurred_at": "2026-01-05T10:00:00Z\n"}),
    ("bad_time", "native", {"occurred_at": "2026-01-05T10:00:60Z"}),
    ("bad_time", "native", {"occurred_at": "2026-01-05T24:00:00Z"}),
    ("bad_time", "native", {"occurred_at": "2026-02-29T10:00:00Z"}),
    ("bad_time", "native", {"occurred_at": "2026-01-05T10:00:00.Z"}),
    ("bad_time", "native", {"occurred_at": "2026-01-05T10:00:00,5Z"}),
    ("bad_time", "native", {"occurred_at": "2026-01-05  10:00:00Z"}),
    ("bad_time", "native", {"occurred_at": "2026-01-05T10:00Z"}),
    ("bad_time", "native", {"occurred_at": "2026-01-05T10:00:00+0100"}),
    ("bad_time", "native", {"occurred_at": "2026-01-05T10:00:00+01"}),
    ("bad_time", "native", {"occurred_at": "20260105T100000Z"}),
    ("bad_time", "native", {"occurred_at": "٢026-01-05T10:00:00Z"}),  # a digit, not an ASCII one
    ("bad_time", "native", {"occurred_at": "1999-12-31T23:59:59.999Z"}),
    ("bad_time", "native", {"occurred_at": "2000-01-01T00:00:00+00:01"}),
    ("bad_time", "native", {"occurred_at": 946_684_799_999}),
    ("bad_time", "native", {"occurred_at": 0}),
    ("bad_time", "native", {"occurred_at": -1}),
    ("bad_time", "native", {"occurred_at": 253_402_300_800_000}),
    ("bad_time", "native", {"occurred_at": "9999-12-31T23:59:59.999-00:01"}),
    ("bad_time", "native", {"occurred_at": lambda at_ms: at_ms + DAY_MS + 1}),
    ("bad_time", "segment", {"timestamp": "yesterday", "originalTimestamp": "2026-01-05T10:00:00Z"}),
    ("bad_time", "segment", {"timestamp": lambda at_ms: at_ms + 2 * DAY_MS}),
    ("bad_time", "cloudevents", {"time": "2026-01-05T10:00:00"}),
    ("bad_time", "posthog", {"timestamp": "2026-13-05T10:00:00Z"}),
    # two faults: the first in the order of R10
    ("missing_field", "native", {"event_id": None, "user_id": 1.5, "occurred_at": "never"}),
    ("bad_type", "native", {"user_id": 1.5, "event": None}),
    ("bad_time", "native", {"occurred_at": "never", "properties": 5}),
    # just right
    ("event", "native", {"event_id": 2**63 - 1}),
    ("event", "native", {"event_id": "e" * 256}),
    ("event", "native", {"event_id": "😀" * 256}),
    ("event", "native", {"event_id": "  " + "e" * 256 + "\u00a0"}),
    ("event", "native", {"event": "n" * 256}),
    ("event", "native", {"event": "n" * 256 + "  "}),
    ("event", "native", {"account_id": -(2**63)}),
    ("event", "native", {"occurred_at": "2000-01-01T00:00:00Z"}),
    ("event", "native", {"occurred_at": 946_684_800_000}),
    ("event", "native", {"occurred_at": "1999-12-31T23:59:00-00:01"}),
    ("event", "native", {"occurred_at": lambda at_ms: at_ms + DAY_MS}),
    ("event", "native", {"occurred_at": "2024-02-29t23:59:59.999999999999z"}),
    ("event", "native", {"occurred_at": "2024-02-29 23:59:59+23:59"}),
    ("event", "native", {"properties": None}),
    ("event", "native", {"properties": REMOVED}),
    ("event", "native", {"properties": {"text": "]}[{" * 100 + '\\"' + "[" * 100}}),
    ("event", "native", {"type": "track", "messageId": None}),
    ("event", "native", {"type": "purchase", "messageId": "m1"}),
    ("event", "native", {"distinct_id": "x", "uuid": " "}),
    ("event", "native", {"specversion": None}),
    ("event", "segment", {"distinct_id": "x", "uuid": "y"}),
    ("event", "segment", {"type": "page", "event": 5}),
    ("event", "segment", {"context": None, "groupId": 7}),
    ("event", "cloudevents", {"type": "track", "messageId": "m1"}),
    ("event", "cloudevents", {"source": "s" * 251, "id": "e-99"}),
    ("event", "cloudevents", {"data": None}),
    ("event", "cloudevents", {"data": REMOVED}),
    ("event", "posthog", {"properties": '{"$groups": {"company": "acme"}}'}),
    ("event", "posthog", {"properties": None, "$groups": None}),
)

# --- bytes, made of the text of a good native record ---

TextCase = tuple[str, str, Callable[[str], bytes]]


def _with_member(text: str, member: str) -> bytes:
    return (text[:-1] + "," + member + "}").encode("utf-8")


def _padded(text: str, size: int) -> bytes:
    return text.encode("utf-8") + b" " * (size - len(text.encode("utf-8")))


def _nested(text: str, levels: int) -> bytes:
    """The record is level 1, so *levels* in all."""
    return _with_member(text, '"deep":' + "[" * (levels - 1) + "]" * (levels - 1))


TEXT_CASES: tuple[TextCase, ...] = (
    ("too_large", "one byte over", lambda text: _padded(text, RECORD_BYTES_MAX + 1)),
    ("too_large", "and not UTF-8", lambda _: b"\xff" * (RECORD_BYTES_MAX + 1)),
    ("event", "1 MiB", lambda text: _padded(text, RECORD_BYTES_MAX)),
    ("not_utf8", "latin-1", lambda text: _with_member(text, '"x":"é"').decode().encode("latin-1")),
    ("not_utf8", "overlong", lambda text: text.encode() + b"\xc0\x80"),
    ("not_utf8", "an encoded surrogate", lambda text: text.encode() + b"\xed\xa0\x80"),
    ("not_utf8", "cut in a character", lambda text: text.encode() + b"\xf0\x9f\x98"),
    ("not_utf8", "and deep", lambda _: b"[" * 100 + b"\xff"),
    ("too_deep", "65", lambda text: _nested(text, DEPTH_MAX + 1)),
    ("event", "64", lambda text: _nested(text, DEPTH_MAX)),
    ("too_deep", "and broken", lambda _: b'{"a":' * 65),
    ("too_deep", "very", lambda _: b"[" * 20_000),
    ("too_deep", "and no object", lambda _: b"[" * 65 + b"]" * 65),
    ("not_json", "64, broken", lambda _: b"[" * 64),
    ("not_json", "cut", lambda text: text[:-1].encode()),
    ("not_json", "two", lambda text: (text + text).encode()),
    ("not_json", "blank", lambda _: b"   "),
    ("not_json", "a byte order mark", lambda text: b"\xef\xbb\xbf" + text.encode()),
    ("not_json", "UTF-16 of ASCII", lambda _: '{"a":1}'.encode("utf-16-le")),
    ("not_json", "a lone surrogate", lambda text: _with_member(text, r'"x":"\ud800"')),
    ("not_json", "a low one first", lambda text: _with_member(text, r'"x":"\ude00\ud83d"')),
    ("not_json", "one in a key", lambda text: _with_member(text, r'"\udfff":1')),
    ("not_json", "one in a list", lambda text: _with_member(text, r'"x":[[],[{"y":["\ud800a"]}]]')),
    ("not_json", "NaN", lambda text: _with_member(text, '"x":NaN')),
    ("not_json", "Infinity", lambda text: _with_member(text, '"x":Infinity')),
    ("not_json", "-Infinity", lambda text: _with_member(text, '"x":-Infinity')),
    ("not_json", "1e999", lambda text: _with_member(text, '"x":1e999')),
    ("not_json", "-1e309", lambda text: _with_member(text, '"x":-1e309')),
    ("not_json", "400 digits", lambda text: _with_member(text, '"x":' + "9" * 400)),
    ("not_json", "5000 digits", lambda text: _with_member(text, '"x":' + "9" * 5000)),
    ("not_json", "a leading zero", lambda text: _with_member(text, '"x":01')),
    ("not_json", "a plus", lambda text: _with_member(text, '"x":+1')),
    ("not_json", "no digit after the point", lambda text: _with_member(text, '"x":1.')),
    ("not_json", "a trailing comma", lambda text: (text[:-1] + ",}").encode()),
    ("not_json", "a control character", lambda text: _with_member(text, '"x":"a\tb"')),
    ("not_json", "single quotes", lambda _: b"{'event_id':'e'}"),
    ("not_json", "a comment", lambda text: (text + "//").encode()),
    ("not_json", "an unknown escape", lambda text: _with_member(text, r'"x":"\x41"')),
    ("not_object", "a list", lambda text: f"[{text}]".encode()),
    ("not_object", "a string", lambda _: b'"event"'),
    ("not_object", "a number", lambda _: b"5"),
    ("not_object", "null", lambda _: b"null"),
    ("event", "a pair of surrogates", lambda text: _with_member(text, r'"x":"\ud83d\ude00"')),
    ("event", "300 digits", lambda text: _with_member(text, '"x":' + "9" * 300)),
    ("event", "DEL and NUL escape", lambda text: _with_member(text, '"x":"\x7f\\u0000"')),
)

HEADER_CASES: tuple[tuple[str, str, bytes | None, tuple[tuple[str, bytes], ...]], ...] = (
    ("skipped", "a tombstone", None, ()),
    ("skipped", "zero bytes", b"", ()),
    ("skipped", "a tombstone with headers", None, (("ce_specversion", b"1.0"), ("ce_id", b"1"))),
    ("missing_field", "no ce_source", b"{}", (("ce_specversion", b"1.0"), ("ce_id", b"1"))),
    (
        "missing_field",
        "blank ce_id",
        b"{}",
        (("ce_specversion", b"1.0"), ("ce_source", b"s"), ("ce_id", b" ")),
    ),
    (
        "missing_field",
        "no subject",
        b"{}",
        (("ce_specversion", b"1.0"), ("ce_source", b"s"), ("ce_id", b"1")),
    ),
    (
        "bad_time",
        "milliseconds as text",
        b"{}",
        (
            ("ce_specversion", b"1.0"),
            ("ce_source", b"s"),
            ("ce_id", b"1"),
            ("ce_subject", b"u"),
            ("ce_type", b"login"),
            ("ce_time", b"1767571200000"),
        ),
    ),
    ("not_object", "binary with a list", b"[]", (("ce_specversion", b"1.0"),)),
)


@dataclass(frozen=True)
class _Dirt:
    expect: str
    note: str
    make: Callable[[str, str, int], tuple[bytes | None, tuple[tuple[str, bytes], ...]]]


def _base(form: str, user: str, own_id: str, at_ms: int) -> Fields:
    if form == "segment":
        return {"type": "track", "messageId": own_id, "userId": user, "event": "login", "timestamp": at_ms}
    if form == "cloudevents":
        return {
            "specversion": "1.0",
            "source": "s",
            "id": own_id,
            "subject": user,
            "type": "login",
            "time": at_ms,
        }
    if form == "posthog":
        return {"uuid": own_id, "distinct_id": user, "event": "login", "timestamp": at_ms}
    return {"event_id": own_id, "user_id": user, "event": "login", "occurred_at": at_ms, "properties": {}}


def _of_fields(case: Case) -> _Dirt:
    expect, form, changes = case

    def make(user: str, own_id: str, at_ms: int) -> tuple[bytes, tuple[tuple[str, bytes], ...]]:
        fields = _base(form, user, own_id, at_ms - SECOND_MS)
        for name, change in changes.items():
            fields[name] = change(at_ms) if callable(change) else change
        kept = {name: value for name, value in fields.items() if value is not REMOVED}
        return json.dumps(kept).encode(), ()

    shown = {name: "-" if value is REMOVED else value for name, value in changes.items()}
    return _Dirt(expect, f"{form} {shown}"[:120], make)


def _of_text(case: TextCase) -> _Dirt:
    expect, note, spoil = case

    def make(user: str, own_id: str, at_ms: int) -> tuple[bytes, tuple[tuple[str, bytes], ...]]:
        at = time_text(random.Random(at_ms), at_ms - SECOND_MS)
        fields = _base("native", user, own_id, 0) | {"occurred_at": at}
        return spoil(json.dumps(fields)), ()

    return _Dirt(expect, note, make)


CATALOGUE: tuple[_Dirt, ...] = (
    *(_of_text(case) for case in TEXT_CASES),
    *(
        _Dirt(expect, note, lambda _user, _id, _at_ms, value=value, headers=headers: (value, headers))
        for expect, note, value, headers in HEADER_CASES
    ),
    *(_of_fields(case) for case in FIELD_CASES),
)


def dirty_records(rng: random.Random, hosts: list[tuple[str, int]], count: int) -> list[Record]:
    """
    *count* records for *hosts* (user id, a time in milliseconds), a shuffled catalogue over and over.

    Every reason comes before any comes twice; the records of a megabyte come in the first round only.
    """
    made: list[Record] = []
    for number, dirt in enumerate(_deck(rng, count)):
        user, from_ms = rng.choice(hosts)
        at_ms = from_ms + rng.randrange(12 * DAY_MS)
        value, headers = dirt.make(user, f"d{number}", at_ms)
        key = key_of(user) if dirt.expect == "event" else rng.choice((key_of(user), None, b"\xff"))
        made.append(Record(value, headers, key, at_ms, dirt.expect, f"dirt: {dirt.note}"))
    return made


def _deck(rng: random.Random, count: int) -> list[_Dirt]:
    first = rng.sample(CATALOGUE, len(CATALOGUE))
    one_of_each = list({dirt.expect: dirt for dirt in first}.values())
    deck = one_of_each + [dirt for dirt in first if dirt not in one_of_each]
    again = [dirt for dirt in CATALOGUE if dirt.note not in ("one byte over", "and not UTF-8", "1 MiB")]
    while len(deck) < count:
        deck += rng.sample(again, len(again))
    return deck[:count]
