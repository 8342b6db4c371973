"""
The four input forms (CONTRACT.md 2), written: what somebody did -> one record.

Only `mixed` picks a form by the event; the pick is a function of the event's id, so it costs no chance
and a lead does the same in every form.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import orjson

Form = Literal["native", "segment", "cloudevents", "posthog", "mixed"]
FORMS: tuple[Form, ...] = ("native", "segment", "cloudevents", "posthog", "mixed")

IDENTIFY = "identify"
GROUP = "group"
_PROFILE_NAMES = {IDENTIFY: "profile_completed", GROUP: "profile_updated"}
"""What the two Segment calls are called in the forms that have no calls of their own for them."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_JSON_TEXT_EVERY = 8
"""One PostHog event of so many carries its properties as a JSON string, as PostHog's own exports do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """
    One thing somebody did, in no form yet.

    *name* is an event name, or `IDENTIFY` or `GROUP` for facts about the person and the company.
    *user_id* is what the product calls the person, or the device where *is_anonymous*.
    """

    event_id: str
    at_ms: int
    user_id: str
    is_anonymous: bool = False
    account_id: str | None = None
    name: str
    properties: dict[str, Any]


def encode(activity: Activity, form: Form) -> bytes:
    """*activity* as one record of *form*: a JSON object without a line end."""
    return orjson.dumps(_WRITERS[_form_of(activity, form)](activity))


def lead_id_of(activity: Activity, form: Form) -> str:
    """
    The lead that scoring will see.

    CloudEvents and PostHog cannot say "anonymous", so there the device itself is the lead.
    """
    named = not activity.is_anonymous or _form_of(activity, form) in {"cloudevents", "posthog"}
    return activity.user_id if named else f"anon:{activity.user_id}"


def _form_of(activity: Activity, form: Form) -> Form:
    if form != "mixed":
        return form
    # An anonymous lead must stay one lead, so it keeps to the forms that give it the same id.
    choices = FORMS[:2] if activity.is_anonymous else FORMS[:4]
    return choices[sum(activity.event_id.encode()) % len(choices)]


def rfc3339(at_ms: int) -> str:
    """Milliseconds since 1970 as text in UTC; whole seconds without a fraction."""
    moment = _EPOCH + timedelta(milliseconds=at_ms)
    return moment.isoformat(timespec="milliseconds" if at_ms % 1000 else "seconds").replace("+00:00", "Z")


def _native(activity: Activity) -> dict[str, Any]:
    record: dict[str, Any] = {
        "event_id": activity.event_id,
        "event": _PROFILE_NAMES.get(activity.name, activity.name),
        "occurred_at": rfc3339(activity.at_ms),
        "anonymous_id" if activity.is_anonymous else "user_id": activity.user_id,
    }
    if activity.account_id is not None:
        record["account_id"] = activity.account_id
    if activity.properties:
        record["properties"] = activity.properties
    return record


def _segment(activity: Activity) -> dict[str, Any]:
    record: dict[str, Any] = {
        "type": activity.name if activity.name in _PROFILE_NAMES else "track",
        "messageId": activity.event_id,
        "timestamp": rfc3339(activity.at_ms),
        "anonymousId" if activity.is_anonymous else "userId": activity.user_id,
    }
    if activity.account_id is not None:
        if activity.name == GROUP:
            record["groupId"] = activity.account_id
        else:
            record["context"] = {"groupId": activity.account_id}
    if activity.name in _PROFILE_NAMES:
        record["traits"] = activity.properties
    else:
        record |= {"event": activity.name, "properties": activity.properties}
    return record


def _cloudevents(activity: Activity) -> dict[str, Any]:
    data = dict(activity.properties)
    if activity.account_id is not None:
        data["account_id"] = activity.account_id
    return {
        "specversion": "1.0",
        "id": activity.event_id,
        "source": "/product",
        "type": f"com.example.product.{_PROFILE_NAMES.get(activity.name, activity.name)}.v1",
        "subject": activity.user_id,
        "time": rfc3339(activity.at_ms),
        "datacontenttype": "application/json",
        "data": data,
    }


def _posthog(activity: Activity) -> dict[str, Any]:
    properties: dict[str, Any] = dict(activity.properties)
    if activity.account_id is not None:
        properties["$groups"] = {"company": activity.account_id}
    as_text = sum(activity.event_id.encode()) % _JSON_TEXT_EVERY == 0
    return {
        "uuid": activity.event_id,
        "distinct_id": activity.user_id,
        "event": _PROFILE_NAMES.get(activity.name, activity.name),
        "timestamp": rfc3339(activity.at_ms),
        "properties": orjson.dumps(properties).decode() if as_text else properties,
    }


_WRITERS: dict[Form, Callable[[Activity], dict[str, Any]]] = {
    "native": _native,
    "segment": _segment,
    "cloudevents": _cloudevents,
    "posthog": _posthog,
}
