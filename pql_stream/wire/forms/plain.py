"""The shortcut of the two forms that most events have: all fields there, texts and in order, settled in one go."""

from __future__ import annotations

from pql_stream.core.events import ProductEvent
from pql_stream.core.values import ID_CHARS_MAX
from pql_stream.wire.forms.fields import ANONYMOUS_PREFIX, JsonObject
from pql_stream.wire.forms.segment import PROPERTIES_FIELD
from pql_stream.wire.times import EARLIEST_MS, HOUR, HOURS_MS, REST, RESTS_MS, SECOND, SECONDS_MS


def plain_event(record: JsonObject, latest_ms: int, topic: str, partition: int, offset: int) -> ProductEvent | None:
    """
    The event in *record*, native or Segment's; None where the careful readers of the forms have to look.

    It refuses nothing and knows no fault by name; what it accepts, they accept with the same result. One
    function, and one condition at its end, because calls are most of what reading a plain event costs.
    """
    try:
        if "messageId" in record:
            name = record["type"]
            properties = record[PROPERTIES_FIELD[name]]
            if name == "track":
                name = record["event"].strip()
            event_id, user_id, time = record["messageId"].strip(), record["userId"].strip(), record["timestamp"]
            account_id = record["context"].get("groupId")
            if account_id is None:
                account_id = record.get("groupId")
        else:
            event_id, user_id = record["event_id"].strip(), record["user_id"].strip()
            account_id = record.get("account_id")
            name, time, properties = record["event"].strip(), record["occurred_at"], record["properties"]
        account = "none" if account_id is None else (account_id := account_id.strip())
        time_ms = (
            time if time.__class__ is int else HOURS_MS[time[HOUR]] + SECONDS_MS[time[SECOND]] + RESTS_MS[time[REST]]
        )
    except (AttributeError, LookupError, TypeError, ValueError):
        return None
    if (
        event_id
        and user_id
        and account
        and name
        # All of them together within the limit of one, so each is; and no prefix anywhere, so none in front.
        and len(event_id) + len(user_id) + len(account) + len(name) <= ID_CHARS_MAX
        and ANONYMOUS_PREFIX not in user_id
        and EARLIEST_MS <= time_ms <= latest_ms
        and properties.__class__ is dict
        # Marks of the forms that come before these two, or between them.
        and "specversion" not in record
        and "distinct_id" not in record
    ):
        return ProductEvent(event_id, user_id, account_id, name, time_ms, properties, topic, partition, offset)
    return None
