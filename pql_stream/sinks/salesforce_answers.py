"""
What Salesforce's error codes mean for a delivery.

Codes are Salesforce's own words; nothing else of an answer, least of all a message, goes into an outcome: messages
repeat the values that were sent.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from pql_stream.delivery.outcomes import Later, LaterReason, Outcome, RefusalReason, Refused, Scope
from pql_stream.sinks.answers import outcome_of_status
from pql_stream.sinks.http import Answer

CONVERTED = "CANNOT_UPDATE_CONVERTED_LEAD"
FIELD_MISSING = "REQUIRED_FIELD_MISSING"
SESSION_ENDED = "INVALID_SESSION_ID"

_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,79}")
_ROLLED_BACK = frozenset({"PROCESSING_HALTED", "ALL_OR_NONE_OPERATION_ROLLED_BACK"})
_LATER: dict[str, tuple[LaterReason, Scope]] = {
    "UNABLE_TO_LOCK_ROW": ("busy", "item"),
    "ENTITY_IS_LOCKED": ("busy", "item"),
    "QUERY_TIMEOUT": ("busy", "item"),
    "UNKNOWN_EXCEPTION": ("busy", "item"),
    "REQUEST_LIMIT_EXCEEDED": ("quota_used_up", "sink"),
    "STORAGE_LIMIT_EXCEEDED": ("quota_used_up", "sink"),
    "SERVER_UNAVAILABLE": ("unavailable", "sink"),
    SESSION_ENDED: ("unauthorised", "sink"),
    "INVALID_AUTH_HEADER": ("unauthorised", "sink"),
    "API_DISABLED_FOR_ORG": ("unauthorised", "sink"),
    "API_CURRENTLY_DISABLED": ("unauthorised", "sink"),
}
# An Apex trigger of the org ran out of its budget: fewer records at once, or another time, may do.
_LIMIT_MESSAGES = ("Too many SOQL queries", "Too many DML", "Apex CPU time limit exceeded", "System.LimitException")
_REFUSALS: dict[str, RefusalReason] = {
    "DUPLICATES_DETECTED": "conflict",
    "DUPLICATE_EXTERNAL_ID": "conflict",
    "DUPLICATE_VALUE": "conflict",
    CONVERTED: "conflict",
    "NOT_FOUND": "not_found",
    "ENTITY_IS_DELETED": "not_found",
    "INVALID_CROSS_REFERENCE_KEY": "not_found",
}


@dataclass(frozen=True, slots=True)
class ApiError:
    """One error of an answer. *message* is only looked at: it may hold personal data."""

    code: str
    message: str = field(default="", repr=False)
    fields: tuple[str, ...] = ()


def code_in(value: object) -> str:
    """*value* if it looks like an error code, else ""."""
    return value if isinstance(value, str) and _CODE.fullmatch(value) else ""


def errors_in(said: object) -> tuple[ApiError, ...]:
    """
    The errors of a body: an array of objects, with `errorCode` for a request or `statusCode` for one of its records.

    Those that only say that another one failed are left out. Empty when there is nothing that can be read.
    """
    found = []
    for one in said if isinstance(said, list) else [said]:
        if isinstance(one, dict) and (code := code_in(one.get("errorCode", one.get("statusCode")))):
            fields = one.get("fields")
            named = tuple(map(code_in, fields)) if isinstance(fields, list) else ()
            found.append(ApiError(code, str(one.get("message", "")), named))
    return tuple(error for error in found if error.code not in _ROLLED_BACK)


def outcome_of_errors(errors: Sequence[ApiError], *, key_field: str) -> Later | Refused:
    """What *errors* of one record mean; the first counts. *key_field* is the external id field of leads."""
    if not errors:
        return Refused("invalid", "an error without a code")
    error = errors[0]
    if error.code == "REQUEST_LIMIT_EXCEEDED" and error.message.startswith("Concurrent"):
        # The same code as for the day's calls; this is about long ones at the same time.
        return Later("rate_limited", "sink", detail=error.code)
    if error.code in _LATER:
        reason, scope = _LATER[error.code]
        return Later(reason, scope, detail=error.code)
    # Who inserts the same lead as somebody else in this very moment will update it the next time.
    is_race = error.code == "DUPLICATE_VALUE" and (key_field in error.fields or key_field in error.message)
    if is_race or any(text in error.message for text in _LIMIT_MESSAGES):
        return Later("busy", "item", detail=error.code)
    return Refused(_REFUSALS.get(error.code, "invalid"), error.code)


def outcome_of_answer(answer: Answer, *, now_s: float, key_field: str) -> Outcome | None:
    """What an answer means for all of its request; None for 2xx: the body has to be read."""
    if 200 <= answer.status <= 299:
        return None
    errors = errors_in(answer.json())
    detail = errors[0].code if errors else f"status {answer.status}"
    if answer.status in {401, 403}:
        outcome = outcome_of_errors(errors, key_field=key_field)
        return outcome if isinstance(outcome, Later) else Later("unauthorised", "sink", detail=detail)
    if 300 <= answer.status <= 399 or answer.status in {404, 405, 410}:
        # Our requests name resources that are there in every org. So it is the wrong host, an API
        # version that is no more, or no external id field: nothing will pass until somebody acts.
        return Later("unauthorised", "sink", detail=detail)
    if answer.status == 400 and errors:
        return outcome_of_errors(errors, key_field=key_field)
    return outcome_of_status(answer, now_s=now_s)


def is_session_over(answer: Answer) -> bool:
    """Does *answer* ask for another token?"""
    return answer.status == 401 and any(error.code == SESSION_ENDED for error in errors_in(answer.json()))
