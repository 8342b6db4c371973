"""Records that producers should not send, and what becomes of each: the demo mixes them in."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

from pql_stream.errors import RejectReason

Headers = tuple[tuple[str, bytes], ...]

_RECORD_BYTES_MAX = 1024 * 1024
_DEPTH_MAX = 64
"""Bytes and levels that are still accepted (CONTRACT.md 2 and R1)."""
_OCCURRED_AT = "2024-06-01T12:00:00Z"


@dataclass(frozen=True, slots=True)
class DirtyRecord:
    """
    One record and what must become of it.

    *value* is None or empty for a tombstone; then *reason* is None, for it is skipped and counted.
    Otherwise the record goes to the dead-letter topic with *reason*.
    """

    key: bytes | None
    value: bytes | None
    headers: Headers
    reason: RejectReason | None


def dirt(seed: int = 1) -> tuple[DirtyRecord, ...]:
    """
    Always the same few dozen records, in an order and with keys of *seed*.

    Every reason that a producer can cause is there, in several of the forms, and tombstones. One
    record is over the size limit, built here: shipped it would be a megabyte of nothing.
    """
    rng = Random(seed)  # noqa: S311 - an order, not a secret
    records = [
        DirtyRecord(_key(rng), value, headers, reason)
        for reason, values in _refused().items()
        for value, headers in values
    ]
    records += [DirtyRecord(_key(rng), value, headers, None) for value, headers in _TOMBSTONES]
    rng.shuffle(records)
    return tuple(records)


def _key(rng: Random) -> bytes | None:
    """A lead of its own, so that no real one is touched; some producers send no key."""
    return f"dirt-{rng.randrange(1000):03d}".encode() if rng.randrange(4) else None


_TOMBSTONES: tuple[tuple[bytes | None, Headers], ...] = (
    (None, ()),
    (b"", ()),
    (None, (("source", b"cleanup-job"),)),
)


def _refused() -> dict[RejectReason, list[tuple[bytes, Headers]]]:
    bare: dict[RejectReason, list[bytes]] = {
        "too_large": [_native(properties={"note": "x" * _RECORD_BYTES_MAX})],
        "not_utf8": [
            _native().replace(b"editor", b"\xe9diteur"),
            b"\xff\xfe{\x00}\x00",
            b"\x1f\x8b\x08\x00\x00\x00\x00\x00",
        ],
        "not_json": [
            b"hello",
            b'{"event_id": "e1", ',
            b"{'event_id': 'e1'}",
            b'{"event_id": "e1", "n": NaN}',
            _native() + b"{}",
            b"event_id,event,occurred_at",
        ],
        "not_object": [b"[]", b'"feature_used"', b"42", b"null", b"[" + _native() + b"]"],
        "missing_field": list(_missing()),
        "bad_type": list(_bad_types()),
        "bad_time": [_native(occurred_at=text) for text in _BAD_TIMES] + [_segment(timestamp="01-06-2024")],
        "too_deep": [_native(properties={"a": _nested()}), b"[" * 100_000],
    }
    refused: dict[RejectReason, list[tuple[bytes, Headers]]] = {
        reason: [(value, ()) for value in values] for reason, values in bare.items()
    }
    refused["missing_field"].append((b'{"user_id": "dirt"}', _BINARY_WITHOUT_TYPE))
    return refused


_BAD_TIMES = (
    "2024-06-01T12:00:00",
    "2024-06-01",
    "yesterday",
    "1717243200000",
    "1970-01-01T00:00:00Z",
    "9998-01-01T00:00:00Z",
)
"""Without an offset, a day, a word, digits as text, a clock that was never set, one that runs ahead."""

_BINARY_WITHOUT_TYPE: Headers = (
    ("ce_specversion", b"1.0"),
    ("ce_id", b"1"),
    ("ce_source", b"/product"),
    ("ce_time", _OCCURRED_AT.encode()),
)
"""A CloudEvent in binary mode, its type forgotten."""


def _missing() -> Iterator[bytes]:
    yield b"{}"
    yield _native(event_id=None)
    yield _native(user_id="  ")
    yield _native(event="")
    yield _native(occurred_at=None)
    yield _segment(userId=None)
    yield _segment(timestamp=None)
    yield _record({"uuid": "dirt-1", "distinct_id": "dirt", "timestamp": _OCCURRED_AT})


def _bad_types() -> Iterator[bytes]:
    yield _native(event_id=1.5)
    yield _native(user_id=True)
    yield _native(user_id="x" * 257)
    yield _native(user_id="anon:me")
    yield _native(account_id={"id": "acme"})
    yield _native(event=7)
    yield _native(occurred_at={"seconds": 1})
    yield _native(properties=["feature", "editor"])
    yield _segment(properties="feature=editor")
    yield _record(
        {
            "uuid": "dirt-2",
            "distinct_id": "dirt",
            "event": "x",
            "timestamp": _OCCURRED_AT,
            "properties": "{broken",
        }
    )


def _native(**changed: Any) -> bytes:  # noqa: ANN401 - any JSON value may be wrong
    fields = {
        "event_id": "dirt-0",
        "user_id": "dirt",
        "event": "feature_used",
        "occurred_at": _OCCURRED_AT,
        "properties": {"feature": "editor"},
    }
    return _record(fields | changed)


def _segment(**changed: Any) -> bytes:  # noqa: ANN401 - any JSON value may be wrong
    fields = {
        "type": "track",
        "messageId": "dirt-0",
        "userId": "dirt",
        "event": "feature_used",
        "timestamp": _OCCURRED_AT,
        "properties": {"feature": "editor"},
    }
    return _record(fields | changed)


def _nested() -> list[Any]:
    nested: list[Any] = []
    for _ in range(_DEPTH_MAX):
        nested = [nested]
    return nested


def _record(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields).encode()
