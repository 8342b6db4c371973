"""Our own form, which every record has that is of no other (CONTRACT.md 2)."""

from __future__ import annotations

from pql_stream.core.events import ProductEvent
from pql_stream.core.values import ID_CHARS_MAX
from pql_stream.wire.forms.fields import (
    JsonObject,
    missing,
    read_anonymous_lead,
    read_id,
    read_name,
    read_object,
    read_user_id,
)
from pql_stream.wire.times import (
    EARLIEST_MS,
    HOUR,
    HOURS_MS,
    REST,
    RESTS_MS,
    SECOND,
    SECONDS_MS,
    parse_time_ms,
)


def read_native(record: JsonObject, latest_ms: int, topic: str, partition: int, offset: int) -> ProductEvent:
    """
    The event in *record*; *latest_ms* is the latest time of an event that is believed.

    Raises:
        InvalidEvent: missing_field, bad_type or bad_time.
    """
    # What most events look like, every field a text and in order, is settled without a call, which
    # takes a third off the time of decoding. Whatever else there is, and every refusal, is left to
    # the readers of the fields.
    try:
        event_id = record["event_id"].strip()
        user_id = record["user_id"].strip()
        account_id = record.get("account_id")
        if account_id is not None:
            account_id = account_id.strip()
        name = record["event"].strip()
        time = record["occurred_at"]
        if time.__class__ is int:
            time_ms = time
        else:
            time_ms = HOURS_MS[time[HOUR]] + SECONDS_MS[time[SECOND]] + RESTS_MS[time[REST]]
        properties = record["properties"]
    except (AttributeError, KeyError, TypeError, ValueError):
        return _read_fields(record, latest_ms, topic, partition, offset)
    if (
        0 < len(event_id) <= ID_CHARS_MAX
        and 0 < len(user_id) <= ID_CHARS_MAX
        and ":" not in user_id
        and (account_id is None or 0 < len(account_id) <= ID_CHARS_MAX)
        and 0 < len(name) <= ID_CHARS_MAX
        and EARLIEST_MS <= time_ms <= latest_ms
        and properties.__class__ is dict
    ):
        return ProductEvent(event_id, user_id, account_id, name, time_ms, properties, topic, partition, offset)
    return _read_fields(record, latest_ms, topic, partition, offset)


def _read_fields(record: JsonObject, latest_ms: int, topic: str, partition: int, offset: int) -> ProductEvent:
    # In the order of the contract's table: the first fault is the one that is named (R10).
    get = record.get
    return ProductEvent(
        read_id(get("event_id"), "event_id") or missing("event_id"),
        read_user_id(get("user_id"), "user_id")
        or read_anonymous_lead(get("anonymous_id"), "anonymous_id", user_field="user_id"),
        read_id(get("account_id"), "account_id"),
        read_name(get("event"), "event") or missing("event"),
        parse_time_ms(get("occurred_at"), "occurred_at", latest_ms),
        read_object(get("properties"), "properties"),
        topic,
        partition,
        offset,
    )
