"""
Redrive: dead letters of a sink that are to be tried again, by the same sink.

A redriven delivery is a newer copy of the same delivery, so the ledger lets it pass, and once it is delivered nothing
else of it. The copy is a function of its dead letter: to write it a second time changes nothing. Behind it goes a
mark into the dead-letter topic, so that the next run leaves that dead letter alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import msgspec

from pql_stream.delivery.ledger import Ref, Row
from pql_stream.errors import InvalidEvent
from pql_stream.wire.deliveries import Delivery, decode_delivery, encode_delivery
from pql_stream.wire.headers import Headers
from pql_stream.wire.records import OutRecord, SourceRecord

MARK_HEADER = "pql-redriven"
"""Of a mark, a record without a value: the offset of the dead letter that was redriven."""
FROM_HEADER = "pql-redriven-from"
"""Of a redriven delivery: topic, partition and offset of its dead letter. Its pql-dlq-* headers come along."""

_OURS = frozenset({MARK_HEADER, FROM_HEADER})
_ERASED = ("unwanted", "erased")
_ABOUT_NOW = frozenset({"task", "message", "mail"})

Verdict = Literal[
    "redrive", "redriven", "under_way", "delivered", "superseded", "changed_since", "dropped", "erased", "unreadable"
]
"""
What is to become of a dead letter. *redriven*: it was, and a mark says so. *under_way*: a newer copy stands for it.
*changed_since*: the lead has later values than this upsert. *dropped*: the lead is below the tier that it is about.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """One dead letter and where it lies; *delivery* is None when its value is none. It was written at *died_at_ms*."""

    topic: str
    partition: int
    offset: int
    died_at_ms: int
    reason: str
    detail: str
    key: bytes | None = field(repr=False)
    value: bytes = field(repr=False)
    headers: Headers = field(repr=False)
    delivery: Delivery | None = field(repr=False)

    @property
    def ref(self) -> Ref | None:
        """How the ledger knows its delivery."""
        one = self.delivery
        return None if one is None else Ref(one.delivery_id, one.lead_id, one.place or 0, one.copy)


def read_dead_letter(record: SourceRecord, topic: str, partition: int) -> DeadLetter | int | None:
    """The dead letter in *record*; of a mark the offset that it is about; None for what is neither."""
    if record.value is None:
        return _marked(record)
    try:
        delivery = decode_delivery(record.value)
    except InvalidEvent:
        delivery = None
    return DeadLetter(
        topic=topic,
        partition=partition,
        offset=record.offset,
        died_at_ms=record.timestamp,
        reason=_text(record.headers, "pql-dlq-reason"),
        detail=_text(record.headers, "pql-dlq-detail"),
        key=record.key,
        value=record.value,
        headers=record.headers,
        delivery=delivery,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which dead letters are meant: all of the bounds that are given must hold. Times in milliseconds, half-open."""

    reasons: frozenset[str] = frozenset()
    lead_ids: frozenset[str] = frozenset()
    since_ms: int | None = None
    until_ms: int | None = None

    def takes(self, letter: DeadLetter) -> bool:
        """Is *letter* meant?"""
        if self.reasons and letter.reason not in self.reasons:
            return False
        if self.lead_ids and (letter.key or b"").decode(errors="replace") not in self.lead_ids:
            return False
        if self.since_ms is not None and letter.died_at_ms < self.since_ms:
            return False
        return self.until_ms is None or letter.died_at_ms < self.until_ms


class Standing(NamedTuple):
    """Where a lead stands by its last change."""

    pack: str
    pack_version: int
    sequence: int
    tier: str


class _Change(msgspec.Struct):
    schema: str
    lead_id: str
    pack: str
    pack_version: int
    sequence: int
    tier_after: str


_decode_change = msgspec.json.Decoder(_Change).decode


def read_standing(value: bytes) -> Standing | None:
    """What a record of `score-changed` says of its lead; None for none of version 1."""
    try:
        change = _decode_change(value)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    if change.schema != "score-changed/1":
        return None
    return Standing(change.pack, change.pack_version, change.sequence, change.tier_after)


def judge(letter: DeadLetter, row: Row, standing: Standing | None, tiers: Sequence[str]) -> Verdict:
    """
    What is to become of *letter*, which has no mark.

    *row* is the ledger's of its delivery. *standing* is the lead's, None if nothing is known of it; *tiers* are the
    live pack's, the lowest first.
    """
    delivery = letter.delivery
    if delivery is None:
        return "unreadable"
    if (letter.reason, letter.detail) == _ERASED:
        return "erased"
    if row.state in {"delivered", "superseded"}:
        return row.state
    if row.copy > delivery.copy or row.state == "sending":
        return "under_way"
    if standing is None:
        return "redrive"
    return _held_against(delivery, standing, tiers)


def _held_against(delivery: Delivery, standing: Standing, tiers: Sequence[str]) -> Verdict:
    record = delivery.record
    # To send it would bring back old values: the later change has a delivery of its own, if a route takes it.
    if delivery.action == "upsert" and _sequence_of(record, standing) < standing.sequence:
        return "changed_since"
    # Whoever is sent every change as it was takes it as that, whatever came after it.
    if delivery.of == "score-changed" and delivery.action not in _ABOUT_NOW:
        return "redrive"
    about = record.get("tier", record.get("tier_after"))
    if about not in tiers or standing.tier not in tiers or record.get("pack") != standing.pack:
        return "redrive"
    return "dropped" if tiers.index(standing.tier) < tiers.index(about) else "redrive"


def _sequence_of(record: Mapping[str, Any], standing: Standing) -> float:
    """The record's sequence where it is counted as that of *standing*; else beyond any."""
    sequence = record.get("sequence")
    is_same_count = (record.get("pack"), record.get("pack_version")) == (standing.pack, standing.pack_version)
    return sequence if is_same_count and isinstance(sequence, int) else float("inf")


def redriven_record(letter: DeadLetter, options: Mapping[str, Any] | None = None) -> OutRecord:
    """
    The copy of *letter*'s delivery for its sink's topic; the same each time. *options* instead of those it has.

    Its attempts begin anew, and it takes its place behind what is there.
    """
    delivery = letter.delivery
    assert delivery is not None, "an unreadable one is never redriven"  # noqa: S101 - our own mistake
    copy = msgspec.structs.replace(
        delivery,
        options=delivery.options if options is None else dict(options),
        attempts=0,
        first_failed_at_ms=None,
        parked_at_ms=None,
        due_at_ms=None,
        not_before_ms=None,
        place=None,
        redriven_at_ms=max(letter.died_at_ms, delivery.copy + 1),
    )
    place = f"{letter.topic}/{letter.partition}/{letter.offset}".encode()
    return OutRecord(letter.key, encode_delivery(copy), [*_others(letter.headers), (FROM_HEADER, place)])


def mark_record(letter: DeadLetter) -> OutRecord:
    """What says in the dead-letter topic that *letter* was redriven."""
    return OutRecord(letter.key, None, [(MARK_HEADER, b"%d" % letter.offset)])


def _marked(record: SourceRecord) -> int | None:
    offset = _text(record.headers, MARK_HEADER)
    return int(offset) if offset.isascii() and offset.isdecimal() else None


def _others(headers: Headers) -> Headers:
    return [header for header in headers if header[0] not in _OURS]


def _text(headers: Headers, name: str) -> str:
    """The last header called *name*: ours come behind those of others."""
    found = [content for header, content in headers if header == name and content is not None]
    return found[-1].decode(errors="replace") if found else ""
