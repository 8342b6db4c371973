"""
What Slack says about a message, by its error codes.

Sources: Slack's reference of chat.postMessage and of incoming webhooks; the texts there say what may have been
carried out. No call was made against the real service.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from pql_stream.delivery.outcomes import Later, Outcome, RefusalReason, Refused, Unknown
from pql_stream.sinks.answers import outcome_of_status, retry_after_s
from pql_stream.sinks.http import Answer

# "It's possible some aspect of the operation succeeded before the error was raised."
_PERHAPS_DONE = frozenset({"internal_error", "fatal_error"})
_RATE_LIMITED = frozenset({"ratelimited", "rate_limited", "message_limit_exceeded"})
_AWAY = frozenset({"service_unavailable", "team_added_to_org", "org_login_required", "rollup_error"})
_BUSY = frozenset({"request_timeout"})
"""Slack got a request that was cut short, and did nothing."""
_UNAUTHORISED = frozenset(
    {
        "access_denied",
        "accesslimited",
        "account_inactive",
        "ekm_access_denied",
        "enterprise_is_restricted",
        "invalid_auth",
        "invalid_token",
        "missing_scope",
        "no_active_hooks",
        "no_permission",
        "no_service",
        "no_team",
        "not_allowed_token_type",
        "not_authed",
        "team_access_not_granted",
        "team_disabled",
        "token_expired",
        "token_revoked",
        "two_factor_setup_required",
    }
)
"""About the token, or the webhook as a whole: the next message would fare no better, and none is thrown away."""
_REFUSED: Mapping[str, RefusalReason] = {
    "action_prohibited": "invalid",
    "cannot_reply_to_message": "invalid",
    "channel_is_archived": "gone",
    "channel_not_found": "not_found",
    "invalid_arguments": "invalid",
    "invalid_blocks": "invalid",
    "invalid_blocks_format": "invalid",
    "invalid_metadata_format": "invalid",
    "invalid_payload": "invalid",
    "is_archived": "gone",
    "metadata_too_large": "too_large",
    "msg_blocks_too_long": "too_large",
    "msg_too_long": "too_large",
    "no_text": "invalid",
    "not_in_channel": "not_found",
    "restricted_action": "invalid",
    "user_not_found": "not_found",
}
"""About this message, or this channel. A code that is not here is one of these: it says no, and not why."""

_CODE = re.compile(r"[a-z][a-z0-9_]{1,60}")


def outcome_of_code(code: str, headers: Mapping[str, str], now_s: float) -> Outcome:
    """What an error code means for the message."""
    if code in _PERHAPS_DONE:
        return Unknown(code)
    if code in _RATE_LIMITED:
        return Later("rate_limited", "channel", retry_after_s(headers, now_s), code)
    if code in _AWAY:
        return Later("unavailable", "sink", retry_after_s(headers, now_s), code)
    if code in _BUSY:
        return Later("busy", "item", detail=code)
    if code in _UNAUTHORISED:
        return Later("unauthorised", "sink", detail=code)
    return Refused(_REFUSED.get(code, "invalid"), code)


def api_failure(answer: Answer, now_s: float) -> Outcome | None:
    """What an answer of the Web API says that is not `"ok": true`; None for one that is."""
    fields = answer.json()
    if isinstance(fields, dict) and answer.status == 200 and fields.get("ok") is True:
        return None
    error = fields.get("error") if isinstance(fields, dict) else None
    if isinstance(error, str) and _CODE.fullmatch(error):
        return outcome_of_code(error, answer.headers, now_s)
    return _by_status(answer, now_s) or Unknown("an answer that is none of Slack's")


def webhook_failure(answer: Answer, now_s: float) -> Outcome | None:
    """What an answer of an incoming webhook says that is not "ok"; None for one that is."""
    text = answer.body[:100].decode(errors="replace").strip()
    if answer.status == 200:
        return None if text == "ok" else Unknown("an answer that is none of Slack's")
    if _CODE.fullmatch(text):
        return outcome_of_code(text, answer.headers, now_s)
    return _by_status(answer, now_s) or Unknown(f"status {answer.status}")


def _by_status(answer: Answer, now_s: float) -> Outcome | None:
    """As every sink reads it, but Slack counts messages by the channel."""
    match outcome_of_status(answer, now_s=now_s):
        case Later("rate_limited") as later:
            return replace(later, scope="channel")
        case outcome:
            return outcome
