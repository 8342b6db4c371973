"""
Which lead a record names, at a fraction of the price of decoding it: for whoever has to pass over most records.

The codec picks the few fields that say so and skips the rest unread. A record of which it does not know enough
(a field of a type that no id has, a fault) is left to `wire.events.decode_event`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from pql_stream.core.values import is_absent
from pql_stream.errors import InvalidEvent
from pql_stream.wire.forms.cloudevents import BINARY, binary_record
from pql_stream.wire.forms.fields import read_anonymous_lead, read_user_id
from pql_stream.wire.forms.segment import PROPERTIES_FIELD
from pql_stream.wire.headers import Headers

_Id = str | int | None
"""
What an id, or the mark of a form, is nearly always; anything else is an error to the codec.

It takes 7.0 for 7, which as an id the decoder refuses: no id is the other's.
"""


class _Data(msgspec.Struct, gc=False):
    user_id: _Id = None


class _Named(msgspec.Struct, gc=False):
    """Every field that says which form a record has, or whose it is. Of several of one name the last counts (R4)."""

    specversion: str | int | float | None = None
    messageId: _Id = None  # noqa: N815 - Segment's name
    type: str | None = None
    distinct_id: _Id = None
    uuid: _Id = None
    user_id: _Id = None
    anonymous_id: _Id = None
    userId: _Id = None  # noqa: N815 - Segment's name
    anonymousId: _Id = None  # noqa: N815 - Segment's name
    subject: _Id = None
    data: _Data | None = None


class _Plain(msgspec.Struct, gc=False):
    """The few fields that settle most records, at half the price: a native event of a user, and no mark of a form."""

    user_id: str
    specversion: None = None
    messageId: None = None  # noqa: N815 - Segment's name
    distinct_id: None = None


_decode = msgspec.json.Decoder(_Named).decode
_decode_plain = msgspec.json.Decoder(_Plain).decode
_ERRORS = (InvalidEvent, msgspec.DecodeError, ValueError, RecursionError)
"""What is left to `decode_event`. Bad UTF-8 and endless nesting are no DecodeError to the codec."""

_ODD_PART = 8
"""Of so many records one may be other than plain before the rest is taken for that, too: to find out costs a record."""


def lead_ids_of(values: Sequence[bytes], headers: Iterable[Headers] | None = None) -> list[str | None]:
    """`lead_id_of` of each of *values*, for less; *headers* is None where none of them has any."""
    if headers is not None:
        return list(map(lead_id_of, values, headers))
    leads: list[str | None] = []
    odd_left = len(values) // _ODD_PART
    for value in values:
        lead_id = ""
        if odd_left >= 0:
            try:
                lead_id = _decode_plain(value).user_id.strip()
            except _ERRORS:
                odd_left -= 1
        leads.append(lead_id or lead_id_of(value))
    return leads


def lead_id_of(value: bytes, headers: Headers = ()) -> str | None:
    """
    The lead of the record *value*: as `decode_event` gives it, if that does not refuse the record.

    None where only `decode_event` can say; that is rare for records as producers write them.
    """
    try:
        return _lead_of(_decode(value), headers)
    except _ERRORS:
        return None


def _lead_of(named: _Named, headers: Headers) -> str | None:
    """
    The lead by the fields of the first form that fits (R11).

    Raises:
        InvalidEvent: a field is one that `decode_event` refuses the record for.
    """
    if headers and (binary := binary_record(headers, None)) is not None:
        # The value is the data of such a record.
        return read_user_id(binary[BINARY.subject], "") or read_user_id(named.user_id, "")
    if named.specversion is not None and not is_absent(named.specversion):
        data_user_id = None if named.data is None else named.data.user_id
        return read_user_id(named.subject, "") or read_user_id(data_user_id, "")
    if named.messageId is not None and named.type in PROPERTIES_FIELD and not is_absent(named.messageId):
        return read_user_id(named.userId, "") or read_anonymous_lead(named.anonymousId, "", user_field="")
    if named.distinct_id is not None and not (is_absent(named.distinct_id) or is_absent(named.uuid)):
        return read_user_id(named.distinct_id, "")
    return read_user_id(named.user_id, "") or read_anonymous_lead(named.anonymous_id, "", user_field="")
