"""The messages of the AsyncAPI document: what a record of each kind is, as far as no model says it."""

from __future__ import annotations

from typing import Any, get_args

from pql_stream.errors import RejectReason

_LEAD = {"type": "string", "description": "the lead's id"}
_TEXT = {"type": "string"}
_DECIMAL = {"type": "string", "pattern": "^-?[0-9]+$"}
_ID = {"type": ["string", "integer"]}
_TIME = {"type": ["string", "integer"], "description": "RFC 3339 with an offset, or milliseconds since 1970"}
_OPEN = {"type": ["object", "null"]}

_DLQ = {
    "pql-dlq-detail": {**_TEXT, "description": "names the field; `stub` where size and SHA-256 stand for the bytes"},
    "pql-dlq-original-topic": _TEXT,
    "pql-dlq-original-partition": _DECIMAL,
    "pql-dlq-original-offset": _DECIMAL,
    "pql-dlq-original-timestamp": _DECIMAL,
    "pql-dlq-version": {"type": "string", "const": "1"},
}
_ORIGIN = {
    "pql-origin-topic": _TEXT,
    "pql-origin-partition": _DECIMAL,
    "pql-origin-offset": _DECIMAL,
    "pql-origin-timestamp": _DECIMAL,
}


def _message(summary: str, payload: dict[str, Any], **more: object) -> dict[str, Any]:
    key = more.pop("key", _LEAD)
    return {
        "summary": summary,
        "payload": payload,
        **more,
        "bindings": {"kafka": {"key": key, "bindingVersion": "0.5.0"}},
    }


def _record(model: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{model}"}


def _headers(named: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "required": list(named), "properties": named}


def _form(required: dict[str, Any], optional: dict[str, Any]) -> dict[str, Any]:
    """Of a form that is not ours: enough to recognise it, and the fields that are read."""
    return {"type": "object", "required": list(required), "properties": {**required, **optional}}


_SEGMENT = _form(
    {"type": {"enum": ["track", "identify", "group", "page", "screen", "alias"]}, "messageId": _ID},
    {
        "userId": _ID,
        "anonymousId": _ID,
        "groupId": _ID,
        "event": _TEXT,
        "timestamp": _TIME,
        "originalTimestamp": _TIME,
        "context": _OPEN,
        "properties": _OPEN,
        "traits": _OPEN,
    },
)
_CLOUD = _form(
    {"specversion": _TEXT, "id": _ID, "source": _ID, "type": _TEXT, "time": _TIME}, {"subject": _ID, "data": _OPEN}
)
_POSTHOG = _form(
    {"uuid": _ID, "distinct_id": _ID, "event": _TEXT, "timestamp": _TIME},
    {"properties": {"type": ["object", "string", "null"]}, "$groups": _OPEN},
)

_EVENTS: dict[str, tuple[str, dict[str, Any]]] = {
    "nativeEvent": ("An event in our own form", _record("NativeEventRecord")),
    "segmentEvent": ("An event as Segment and RudderStack write it", _SEGMENT),
    "cloudEvent": (
        "A CloudEvent 1.0 in structured mode; in binary mode the ce_* headers have all but the data",
        _CLOUD,
    ),
    "posthogEvent": ("An event as PostHog writes it", _POSTHOG),
}
_REASONS = {"pql-dlq-reason": {"type": "string", "enum": list(get_args(RejectReason))}}

MESSAGES: dict[str, dict[str, Any]] = {
    **{name: _message(summary, payload) for name, (summary, payload) in _EVENTS.items()},
    **{
        f"rekeyed{name[:1].upper()}{name[1:]}": _message(
            f"{summary}, with where the producer wrote it", payload, headers=_headers(_ORIGIN)
        )
        for name, (summary, payload) in _EVENTS.items()
    },
    "deadLetter": _message(
        "A record that is no event: the received bytes, untouched",
        {"description": "any bytes"},
        contentType="application/octet-stream",
        headers=_headers(_REASONS | _DLQ),
        key={"description": "as received"},
    ),
    "scoreChanged": _message("The points of a rule changed", _record("ScoreChangedRecord")),
    "pqlQualified": _message("A lead reached a tier for the first time", _record("PqlQualifiedRecord")),
    "leadProfile": _message("What is known of how to reach a lead", _record("LeadProfileRecord")),
    "erasure": _message("A tombstone: the lead is to be forgotten", {"type": "null"}),
    "leadRow": _message(
        "A row of the scorer's table; its form is nobody else's business and may change",
        {"description": "internal"},
        contentType="application/octet-stream",
    ),
    "shadowDifference": _message(
        "A shadow pack came to differ from the live one for a lead, otherwise than before", _record("ShadowDiffRecord")
    ),
    "control": _message(
        "What is asked of the workers, and what they answer: which pack is live on which partition",
        _record("ControlRecord"),
        key={"type": "string", "description": "what the record is about"},
    ),
    "delivery": _message("One published record on its way to one sink", _record("DeliveryRecord")),
    "deadDelivery": _message(
        "A delivery that will not be made; without a value, the mark that one was redriven",
        {"oneOf": [_record("DeliveryRecord"), {"type": "null"}]},
        headers={"type": "object", "properties": {"pql-dlq-reason": _TEXT, "pql-dlq-sink": _TEXT, **_DLQ}},
    ),
}
