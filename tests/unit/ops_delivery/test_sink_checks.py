"""What an operator is told of a destination's answer."""

import pytest

from pql_stream.delivery.outcomes import Delivered, Later, Refused, Unknown
from pql_stream.errors import LedgerAway
from pql_stream.ops.delivery.checks import check_of, with_disabled

OUTCOMES = {
    "fine": (Delivered(), True, "it answers; the credentials are good", ""),
    "seen in part": (Delivered(detail="no more is known"), True, "it answers; no more is known", ""),
    "bad credentials": (Later("unauthorised", detail="status 401"), False, "unauthorised: status 401", "credentials"),
    "away": (Later("not_connected"), False, "not connected", "firewall"),
    "down": (Later("unavailable", detail="status 503"), False, "unavailable: status 503", "is up"),
    "too often": (Later("rate_limited"), False, "rate limited", "again later"),
    "no more today": (Later("quota_used_up"), False, "quota used up", "quota"),
    "busy": (Later("busy", "item"), False, "busy", "try again"),
    "not set up": (Refused("not_found", "no such property"), False, "not found: no such property", "set-up crm"),
    "inside": (Refused("forbidden_address"), False, "forbidden address", "allowed_networks"),
    "gone": (Refused("gone", "status 410"), False, "gone: status 410", "its settings"),
    "silent": (Unknown("TimeoutError"), False, "no answer: TimeoutError", "is up"),
}


@pytest.mark.parametrize(("outcome", "ok", "text", "what_to_do"), OUTCOMES.values(), ids=OUTCOMES.keys())
def test_each_outcome_says_what_to_do(outcome, ok, text, what_to_do):
    """
    In words, with the destination's code, and the next step where there is one.
    """
    check = check_of("crm", outcome)

    assert (ok, text) == (check.ok, check.text)
    assert what_to_do in check.what_to_do
    assert ok is not bool(check.what_to_do)


def test_what_is_disabled_is_told_whatever_the_destination_says_now():
    """
    Since when, what becomes of its deliveries, and both ways out.
    """
    check = with_disabled(check_of("hook", Delivered()), 1_767_607_200_000)

    assert (False, True) == (check.ok, check.text.startswith("disabled since 2026-01-05T10:00:00.000Z"))
    assert "sinks enable hook" in check.what_to_do
    assert "new URL" in check.what_to_do


def test_a_ledger_that_is_away_leaves_it_open():
    """
    The destination's own answer stands, and it is told that the ledger was not heard.
    """
    away = LedgerAway("no answer", why="Redis at x: refused", what_to_do="see to Redis")

    checks = [with_disabled(check_of("hook", outcome), away) for outcome in (Delivered(), Later("busy", "item"))]

    assert [True, False] == [check.ok for check in checks]
    assert ["see to Redis", "try again"] == [check.what_to_do for check in checks]
    assert all("(Redis at x: refused)" in check.text for check in checks)
    assert check_of("hook", Delivered()) == with_disabled(check_of("hook", Delivered()), None)
