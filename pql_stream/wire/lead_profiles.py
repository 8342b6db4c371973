"""
The record of `lead-profiles`, version 1: contact data of a lead, and the row of the scorer's second table.

JSON that people can read. Beside each field stands the event that said it, so the record is all there is to fold
the next event onto. Equal states have equal bytes.
"""

from __future__ import annotations

import re
from typing import Any, Literal

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from pql_stream.core.profiles import EMAIL_BYTES_MAX, PROFILE_FIELDS, TEXT_CHARS_MAX, ProfileState
from pql_stream.errors import InvalidEvent, InvalidState
from pql_stream.wire.change_models import Time
from pql_stream.wire.numbers import rfc3339
from pql_stream.wire.times import parse_time_ms

SCHEMA = "lead-profiles/1"
VERSION = 1


def _text(description: str, chars_max: int = TEXT_CHARS_MAX) -> Any:  # noqa: ANN401 - what pydantic's Field gives
    return Field(description=description, max_length=chars_max)


class SaidByRecord(BaseModel):
    """The event that said a field last."""

    model_config = ConfigDict(extra="allow")

    event_id: str
    occurred_at: Time


class LeadProfileRecord(BaseModel):
    """
    What is known of how to reach a lead, null for what is not. A tombstone under the lead's key erases it.

    Personal data: this topic, and the topics that the product itself writes it to, are the only ones that have it.
    """

    model_config = ConfigDict(extra="allow", title="lead-profiles")

    schema_: Literal["lead-profiles/1"] = Field(alias="schema")
    lead_id: str
    email: str | None = _text("of a form that can be sent to; whether it exists is not known", EMAIL_BYTES_MAX)
    first_name: str | None = _text("as given")
    last_name: str | None = _text("as given")
    title: str | None = _text("what the lead does in the company")
    company: str | None = _text("name of the company")
    phone: str | None = _text("as given")
    timezone: str | None = _text("as given, usually a name of the IANA data base")
    locale: str | None = _text("as given, usually a BCP 47 tag")
    consent: bool | None = Field(description="whether the lead agreed to mails; null is no yes")
    said_by: dict[str, SaidByRecord] = Field(description="of each field that is known, the event that said it last")


class _SaidBy(msgspec.Struct, gc=False):
    event_id: str
    occurred_at: str


class _Record(msgspec.Struct, gc=False):
    schema: str
    lead_id: str
    email: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    title: str | None = None
    company: str | None = None
    phone: str | None = None
    timezone: str | None = None
    locale: str | None = None
    consent: bool | None = None
    said_by: dict[str, _SaidBy] = msgspec.field(default_factory=dict)


class _Head(msgspec.Struct):
    """What tells the version; the rest is skipped."""

    schema: str


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Record).decode
_decode_head = msgspec.json.Decoder(_Head).decode
_DECODE_ERRORS = (msgspec.DecodeError, ValueError, RecursionError)
"""What the decoder raises: bad UTF-8 and endless nesting are no DecodeError to it."""
_VERSIONED = re.compile(r"lead-profiles/([1-9][0-9]{0,8})")


def dump_profile(lead_id: str, state: ProfileState) -> bytes:
    """The record of *state*, which is of *lead_id*."""
    said = {name: stamped for name in PROFILE_FIELDS if (stamped := getattr(state, name)) is not None}
    return _encode(
        _Record(
            SCHEMA,
            lead_id,
            **{name: stamped[2] for name, stamped in said.items()},
            said_by={name: _SaidBy(stamped[1], rfc3339(stamped[0])) for name, stamped in said.items()},
        )
    )


def load_profile(value: bytes) -> tuple[str, ProfileState]:
    """
    The lead id and the state in a record of this version. There is no older one; of a later one, nothing is believed.

    Raises:
        InvalidState: the record is of a version this program does not know, or is none. Going on would lose what
            it says, so the worker stops.
    """
    try:
        version = _version_of(_decode_head(value).schema)
        if version == VERSION:
            return _read(_decode(value))
    except (*_DECODE_ERRORS, InvalidEvent, KeyError):
        # Not as its cause: what the decoder says may quote the record.
        version = None
    raise _unreadable() if version is None else _too_new(version)


def _version_of(schema: str) -> int | None:
    found = _VERSIONED.fullmatch(schema)
    return None if found is None else int(found[1])


def _read(record: _Record) -> tuple[str, ProfileState]:
    stamped = {}
    for name in PROFILE_FIELDS:
        value = getattr(record, name)
        if value is not None:
            by = record.said_by[name]
            stamped[name] = (parse_time_ms(by.occurred_at, "occurred_at"), by.event_id, value)
    return record.lead_id, ProfileState(**stamped)


def _too_new(version: int) -> InvalidState:
    return InvalidState(
        f"a record of lead-profiles has version {version}; this program reads version {VERSION}",
        why="it was written by a newer pql-stream",
        what_to_do="run the newer version again",
    )


def _unreadable() -> InvalidState:
    return InvalidState(
        "a record of lead-profiles cannot be read",
        why="it is no record of this topic, or damaged",
        what_to_do="find out who else writes to the topic; a tombstone under the record's key takes it away",
    )
