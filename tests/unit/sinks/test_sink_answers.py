"""What a status, a Retry-After or a missing answer means."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from pql_stream.delivery.outcomes import Later, Refused, Unknown
from pql_stream.sinks.answers import ASKED_S_MAX, outcome_of_failure, outcome_of_status, retry_after_s
from pql_stream.sinks.http import Answer, NoAnswer, NotSent

NOW_S = 1_800_000_000.0  # Fri, 15 Jan 2027 08:00:00 GMT


def answer(status: int, retry_after: str | None = None) -> Answer:
    headers = CIMultiDict({} if retry_after is None else {"retry-after": retry_after})
    return Answer(status, headers, b"")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0.0),
        (" 120 ", 120.0),
        ("3600", 3600.0),
        ("86400", ASKED_S_MAX),
        ("99999999999999999999999999", ASKED_S_MAX),
        ("Fri, 15 Jan 2027 08:01:30 GMT", 90.0),
        ("Friday, 15-Jan-27 08:01:30 GMT", 90.0),
        ("Fri, 15 Jan 2027 07:00:00 GMT", 0.0),
        ("Fri, 15 Jan 2077 07:00:00 GMT", ASKED_S_MAX),
        ("Fri, 15 Jan 2027 08:00:30 -0000", 30.0),
        ("", None),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("\u0661\u0662", None),
        ("Fri, 99 Jan 2027 08:00:00 GMT", None),
        ("Fri, 15 Jan 99999999999 08:00:00 GMT", None),
    ],
)
def test_retry_after(text, expected):
    """
    Seconds or a date, at most a day; nonsense is as if it was not there.
    """
    assert expected == retry_after_s(answer(429, text).headers, NOW_S)


def test_no_retry_after():
    """
    A destination that names no time.
    """
    assert retry_after_s({}, NOW_S) is None


@given(st.text())
def test_any_retry_after_is_read(text):
    """
    Whatever a header holds: None or a time between now and a day.
    """
    asked_s = retry_after_s({"Retry-After": text}, NOW_S)

    assert asked_s is None or 0.0 <= asked_s <= ASKED_S_MAX


@pytest.mark.parametrize("status", [200, 201, 202, 204, 207, 299])
def test_a_2xx_says_nothing_yet(status):
    """
    Batches fail in part under a 2xx: the body has to be read.
    """
    assert outcome_of_status(answer(status), now_s=NOW_S) is None


@pytest.mark.parametrize(
    ("status", "retry_after", "expected"),
    [
        (429, None, Later("rate_limited", "sink", None, "status 429")),
        (429, "2", Later("rate_limited", "sink", 2.0, "status 429")),
        (429, "900", Later("rate_limited", "sink", 900.0, "status 429")),
        (429, "901", Later("quota_used_up", "sink", 901.0, "status 429")),
        (401, None, Later("unauthorised", "sink", None, "status 401")),
        (403, None, Later("unauthorised", "sink", None, "status 403")),
        (408, None, Later("busy", "item", None, "status 408")),
        (423, "3", Later("busy", "item", 3.0, "status 423")),
        (425, None, Later("busy", "item", None, "status 425")),
        (500, None, Later("unavailable", "item", None, "status 500")),
        (500, "9", Later("unavailable", "sink", 9.0, "status 500")),
        (502, None, Later("unavailable", "sink", None, "status 502")),
        (503, "7200", Later("unavailable", "sink", 7200.0, "status 503")),
        (504, None, Later("unavailable", "sink", None, "status 504")),
        (507, None, Later("unavailable", "item", None, "status 507")),
        (521, None, Later("unavailable", "sink", None, "status 521")),
        (302, None, Later("unavailable", "sink", None, "status 302")),
        (308, None, Later("unavailable", "sink", None, "status 308")),
        (400, None, Refused("invalid", "status 400")),
        (404, None, Refused("not_found", "status 404")),
        (409, None, Refused("conflict", "status 409")),
        (410, None, Refused("gone", "status 410")),
        (413, None, Refused("too_large", "status 413")),
        (414, None, Refused("too_large", "status 414")),
        (422, None, Refused("invalid", "status 422")),
        (431, None, Refused("too_large", "status 431")),
    ],
)
def test_statuses(status, retry_after, expected):
    """
    The table of what each status means where a destination says no more about it.
    """
    assert expected == outcome_of_status(answer(status, retry_after), now_s=NOW_S)


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (NotSent("x"), Later("not_connected", "sink", None, "x")),
        (NotSent("x", is_forbidden=True), Refused("forbidden_address", "x")),
        (NoAnswer("x"), Unknown("x")),
        (NoAnswer("x", head=answer(200)), Unknown("x")),
    ],
)
def test_failures(failure, expected):
    """
    Surely not sent is "later", perhaps sent is "unknown", and an address we must not call is refused.
    """
    assert expected == outcome_of_failure(failure)
