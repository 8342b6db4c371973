"""Tokens of unsubscribe links: ours are known, and nobody else can make one."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pql_stream.errors import InvalidSettings
from pql_stream.sinks.unsubscribe import UnsubscribeLinks, UnsubscribeTokens, Unsubscription

OLD, NEW = "an old secret with more than 32 characters", "a new secret with more than 32 characters"
TOKENS = UnsubscribeTokens((OLD,))
NAMED = Unsubscription("lead-1", "tips")

names = st.text(st.characters(exclude_categories=()), max_size=40)


@given(lead_id=names, list_name=names)
def test_a_token_names_its_lead_and_its_list(lead_id, list_name):
    """Whatever they are called, both come back, and in their places."""
    named = Unsubscription(lead_id, list_name)

    token = TOKENS.token(named)

    assert named == TOKENS.verify(token)
    assert token == TOKENS.token(named)
    assert not set(token) - set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")


@given(token=st.one_of(st.text(max_size=80), st.from_regex(r"[A-Za-z0-9_-]{0,30}\.[A-Za-z0-9_-]{22}", fullmatch=True)))
def test_anything_else_is_no_token(token):
    """Any text is told from ours, without an exception."""
    assert None is TOKENS.verify(token)


@given(data=st.data())
def test_a_changed_token_is_none(data):
    """No character can be replaced, taken out or added."""
    token = TOKENS.token(NAMED)
    at = data.draw(st.integers(0, len(token) - 1))
    put = data.draw(st.text(st.sampled_from("ABCab019-_.= \n"), max_size=2))
    changed = token[:at] + put + token[at + 1 :]
    assume(changed != token)

    assert None is TOKENS.verify(changed)


def test_a_token_has_one_spelling():
    """Base64 lets the last bits, blanks and padding differ; we do not."""
    token = TOKENS.token(NAMED)
    others = [token[:-1] + last for last in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"]

    assert [token] == [other for other in others if TOKENS.verify(other)]
    assert [] == [other for other in (f"{token}\n", f"{token}==", f" {token}", f"{token}!") if TOKENS.verify(other)]


def test_a_token_of_one_secret_is_none_of_another():
    """And with both, old mails keep working while new ones are signed anew."""
    both = UnsubscribeTokens((NEW, OLD))
    old, new = TOKENS.token(NAMED), both.token(NAMED)

    assert None is UnsubscribeTokens((NEW,)).verify(old)
    assert [NAMED, NAMED] == [both.verify(old), both.verify(new)]
    assert None is TOKENS.verify(new)


def test_names_do_not_run_into_each_other():
    """A letter cannot move from one to the other."""
    assert TOKENS.token(Unsubscription("bc", "a")) != TOKENS.token(Unsubscription("c", "ab"))


def test_a_huge_token_is_none():
    """It is not even decoded."""
    assert None is TOKENS.verify("A" * 10_000_000)


@pytest.mark.parametrize("secrets", [(), ("short",), (OLD, "")])
def test_a_weak_secret_stops_the_start(secrets):
    """And is not shown."""
    with pytest.raises(InvalidSettings) as caught:
        UnsubscribeTokens(secrets)

    assert "short" not in caught.value.what.replace("too short", "")


@pytest.mark.parametrize(
    "url",
    ["http://example.com/u", "https://", "example.com/u", "https://ex.com/u?t=1", "https://[::1", "https://ex.com/a,b"],
)
def test_a_link_that_rfc_8058_would_not_take_stops_the_start(url):
    """HTTPS, and nothing that would end the URL in a header."""
    with pytest.raises(InvalidSettings, match="unsubscribe links"):
        UnsubscribeLinks(base_url=url, tokens=TOKENS)


def test_a_link_is_the_address_and_the_token():
    """One slash between."""
    token = TOKENS.token(NAMED)

    for base in ("https://example.com/u", "https://example.com/u/"):
        assert f"https://example.com/u/{token}" == UnsubscribeLinks(base_url=base, tokens=TOKENS).url(NAMED)
