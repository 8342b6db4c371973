"""What an HTTP status, a Retry-After or a missing answer means for a delivery, where the destination says no more."""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from pql_stream.delivery.outcomes import Later, Outcome, Refused, Unknown
from pql_stream.sinks.http import Answer, NoAnswer, NotSent

WAIT_S_MAX = 15 * 60.0
"""Who asks for a longer wait than this has no rate limit in mind but a quota."""
ASKED_S_MAX = 24 * 3600.0
"""The longest wait that is believed; daily quotas end within it. An absurd number must not stop a sink for good."""

_REFUSED_TOO_LARGE = frozenset({413, 414, 431})
_BUSY = frozenset({408, 423, 425})
_AWAY = frozenset({502, 503, 504, *range(520, 528), 530})
"""A proxy says that there is nobody behind it; from 520 on it is Cloudflare's."""


def retry_after_s(headers: Mapping[str, str], now_s: float) -> float | None:
    """
    Seconds that the header Retry-After asks to wait, from seconds or from an HTTP date (RFC 9110, 10.2.3).

    *now_s* is the Unix time. None when it is absent or nonsense; a date that has passed is 0.
    """
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:12]), ASKED_S_MAX)
    try:
        asked_s = parsedate_to_datetime(text).timestamp() - now_s
    except (ValueError, OverflowError):
        return None
    return min(max(asked_s, 0.0), ASKED_S_MAX)


def outcome_of_status(answer: Answer, *, now_s: float) -> Later | Refused | None:
    """
    What *answer*'s status says of every item of the request; None for 2xx: the body has to be read.

    A sink looks first for what its destination means by a status, and asks here for the rest. *now_s* is the Unix
    time.
    """
    status = answer.status
    detail = f"status {status}"
    match status:
        case _ if 200 <= status <= 299:
            return None
        case 401 | 403:
            return Later("unauthorised", "sink", detail=detail)
        case 429:
            after_s = retry_after_s(answer.headers, now_s)
            is_quota = after_s is not None and after_s > WAIT_S_MAX
            return Later("quota_used_up" if is_quota else "rate_limited", "sink", after_s, detail)
        case _ if status in _BUSY:
            return Later("busy", "item", retry_after_s(answer.headers, now_s), detail)
        case _ if status >= 500 or status < 400:
            # A 500 may be about this one request, and waiting for it must not stop the
            # others; that of a proxy, or one that names a time, is about all of them. So is a
            # redirect, which we do not follow: it is about the address, and not the items.
            after_s = retry_after_s(answer.headers, now_s)
            is_away = status in _AWAY or status < 400 or after_s is not None
            return Later("unavailable", "sink" if is_away else "item", after_s, detail)
        case _:
            return _refused(status, detail)


def _refused(status: int, detail: str) -> Refused:
    """Of what no repeat will make better."""
    if status in _REFUSED_TOO_LARGE:
        return Refused("too_large", detail)
    match status:
        case 404:
            return Refused("not_found", detail)
        case 409:
            return Refused("conflict", detail)
        case 410:
            return Refused("gone", detail)
        case _:
            return Refused("invalid", detail)


def outcome_of_failure(failure: NotSent | NoAnswer) -> Outcome:
    """What it means for every item of a request that it did not get through, or got no answer."""
    match failure:
        case NotSent(is_forbidden=True):
            return Refused("forbidden_address", str(failure))
        case NotSent():
            return Later("not_connected", "sink", detail=str(failure))
        case _:
            return Unknown(str(failure))
