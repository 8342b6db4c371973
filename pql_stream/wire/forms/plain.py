"""The shortcut of all forms: events whose fields are all there, texts and in order, settled in one go."""

from __future__ import annotations

from typing import Any

from pql_stream.core.events import ProductEvent
from pql_stream.core.values import ID_CHARS_MAX
from pql_stream.wire.forms.fields import ANONYMOUS_PREFIX
from pql_stream.wire.times import EARLIEST_MS, HOUR, HOURS_MS, REST, RESTS_MS, SECOND, SECONDS_MS


def plain_event(  # noqa: PLR0917 - positional, because keywords would cost what the shortcut saves
    event_id: Any,  # noqa: ANN401 - JSON values, all of them, and nothing is known of them yet
    user_id: Any,  # noqa: ANN401
    account_id: Any,  # noqa: ANN401
    name: Any,  # noqa: ANN401
    time: Any,  # noqa: ANN401
    properties: Any,  # noqa: ANN401
    latest_ms: int,
    topic: str,
    partition: int,
    offset: int,
) -> ProductEvent | None:
    """
    The event of these fields, or None where the careful readers of `forms.fields` have to look.

    It refuses nothing and knows no fault by name; what it accepts, they accept with the same result.
    """
    try:
        event_id = event_id.strip()
        user_id = user_id.strip()
        if account_id is not None:
            account_id = account_id.strip()
        name = name.strip()
        time_ms = (
            time if time.__class__ is int else HOURS_MS[time[HOUR]] + SECONDS_MS[time[SECOND]] + RESTS_MS[time[REST]]
        )
    except (AttributeError, TypeError, ValueError):
        return None
    if (
        0 < len(event_id) <= ID_CHARS_MAX
        and 0 < len(user_id) <= ID_CHARS_MAX
        and not user_id.startswith(ANONYMOUS_PREFIX)
        and (account_id is None or 0 < len(account_id) <= ID_CHARS_MAX)
        and 0 < len(name) <= ID_CHARS_MAX
        and EARLIEST_MS <= time_ms <= latest_ms
        and properties.__class__ is dict
    ):
        return ProductEvent(event_id, user_id, account_id, name, time_ms, properties, topic, partition, offset)
    return None
