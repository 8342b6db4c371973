"""
The readers that all input forms share: one field, one rule (CONTRACT.md 2; 9, R5-R7, R9, R27).

Each takes a JSON value and the producer's own word for the field, which goes into the error. Values
never do: they may be personal data. None stands for absent throughout; it is never an error by itself.
"""

from __future__ import annotations

from typing import Any, Final, NoReturn

from pql_stream.core.values import ID_CHARS_MAX, INT64_MAX, INT64_MIN, is_absent
from pql_stream.errors import InvalidEvent

JsonObject = dict[str, Any]

ANONYMOUS_PREFIX: Final = "anon:"
"""Before the id of a lead whose user id is not known. It is ours: no user id begins with it (R27)."""


def missing(field: str, detail: str = "it is required") -> NoReturn:
    """
    Refuse the record for the lack of *field*; made to stand after ``or``.

    Raises:
        InvalidEvent: always, with the reason missing_field.
    """
    raise InvalidEvent("missing_field", field, detail)


# Every event passes here three times or more, so the readers compare classes, which costs a third of
# isinstance(). JSON values are never of a subclass, and a bool must not pass for an integer anyway.
def read_id(value: object, field: str) -> str | None:
    """
    An event, user or account id, trimmed; an integer becomes its decimal string. None if absent.

    Raises:
        InvalidEvent: bad_type, when it is longer than 256 characters, an integer beyond signed
            64 bit, or neither string nor integer.
    """
    if value.__class__ is str:
        text = value.strip()
        if len(text) > ID_CHARS_MAX:
            raise InvalidEvent("bad_type", field, f"longer than {ID_CHARS_MAX} characters")
        return text or None
    if value is None:
        return None
    if value.__class__ is int and INT64_MIN <= value <= INT64_MAX:
        return str(value)
    raise InvalidEvent("bad_type", field, "neither a string nor an integer of 64 bits")


def read_user_id(value: object, field: str) -> str | None:
    """
    As `read_id`, for the id of a known user.

    Raises:
        InvalidEvent: bad_type, as `read_id`, and when it begins with the prefix of anonymous leads.
    """
    user_id = read_id(value, field)
    # Else a producer could write into the score of an anonymous lead, or make one of two leads.
    if user_id is not None and user_id.startswith(ANONYMOUS_PREFIX):
        raise InvalidEvent("bad_type", field, f"begins with {ANONYMOUS_PREFIX}, which is reserved")
    return user_id


def read_anonymous_lead(value: object, field: str, *, user_field: str) -> str:
    """
    The lead id of somebody known by an anonymous id only; the prefix does not count as its length (R7).

    Raises:
        InvalidEvent: bad_type, as `read_id`; missing_field for *user_field*, when this one is absent too.
    """
    anonymous_id = read_id(value, field) or missing(user_field, f"it is required, or {field}")
    return ANONYMOUS_PREFIX + anonymous_id


def read_name(value: object, field: str) -> str | None:
    """
    An event name, trimmed. None if absent.

    Raises:
        InvalidEvent: bad_type, when it is no string or is longer than 256 characters.
    """
    if value.__class__ is str:
        name = value.strip()
        if len(name) > ID_CHARS_MAX:
            raise InvalidEvent("bad_type", field, f"longer than {ID_CHARS_MAX} characters")
        return name or None
    if value is None:
        return None
    raise InvalidEvent("bad_type", field, "not a string")


def read_object(value: object, field: str) -> JsonObject:
    """
    An object, empty if absent (R6).

    Raises:
        InvalidEvent: bad_type, when there is something else.
    """
    if value.__class__ is dict:
        return value
    if is_absent(value):
        return {}
    raise InvalidEvent("bad_type", field, "not an object")
