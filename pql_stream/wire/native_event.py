"""
The native form of an event, for its JSON Schema: what producers are asked to write (CONTRACT.md 2).

Decoding does not come past here: `wire.forms.native` reads native events, at a fraction of the price. It
takes a little more than is asked for here (blank ids count as absent, padding does not count as length),
and what is valid here is accepted, but for what a schema cannot say: a day that no month has, a time
more than a day ahead of the record, `5.0` for 5, a record too large or too deep.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from pql_stream.core.values import ID_CHARS_MAX, INT64_MAX, INT64_MIN
from pql_stream.wire.forms.fields import ANONYMOUS_PREFIX
from pql_stream.wire.times import EARLIEST_MS, LATEST_MS

_NOT_BLANK = r"\S"
_RFC_3339 = (
    r"^[2-9][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])[Tt ]"
    r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]+)?([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"
)

_TextId = Annotated[str, Field(min_length=1, max_length=ID_CHARS_MAX, pattern=_NOT_BLANK)]
_UserTextId = Annotated[_TextId, Field(json_schema_extra={"not": {"pattern": rf"^\s*{ANONYMOUS_PREFIX}"}})]
_IntegerId = Annotated[int, Field(ge=INT64_MIN, le=INT64_MAX)]
_TimeText = Annotated[str, Field(pattern=_RFC_3339, json_schema_extra={"format": "date-time"})]
_TimeMs = Annotated[int, Field(ge=EARLIEST_MS, le=LATEST_MS)]


def _given(field: str) -> dict[str, Any]:
    return {"required": [field], "properties": {field: {"type": ["string", "integer"]}}}


class NativeEventRecord(BaseModel):
    """
    Something that somebody did in the product; names and properties are open.

    Fields that are not listed are ignored, but `messageId`, `distinct_id` and `specversion` may make the
    record one of another form.
    """

    model_config = ConfigDict(
        extra="allow",
        title="product-activity, native form",
        json_schema_extra={"anyOf": [_given("user_id"), _given("anonymous_id")]},
    )

    event_id: _TextId | _IntegerId = Field(description="the same for a repeat of the same event")
    user_id: _UserTextId | _IntegerId | None = Field(None, description="who did it; without it, anonymous_id is who")
    anonymous_id: _TextId | _IntegerId | None = Field(None, description="a device or session, before the user is known")
    account_id: _TextId | _IntegerId | None = Field(None, description="the company of the user")
    event: _TextId = Field(description="what was done, such as feature_used; unknown names are fine")
    occurred_at: _TimeText | _TimeMs = Field(
        description="RFC 3339 with an offset, or milliseconds since 1970; at most a day ahead of the record"
    )
    properties: dict[str, Any] | None = Field(None, description="what is known about it; open")
