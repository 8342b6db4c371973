"""How words are compared."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pql_stream.core.words import _CACHED_CHARS_MAX, word


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Financial Services", "financial services"),
        ("financial_services", "financial services"),
        ("FINANCIAL-SERVICES", "financial services"),
        ("  financial _-  services ", "financial services"),
        ("\u00a0\t saas \n", "saas"),
        ("Straße", "strasse"),
        ("a\tb", "a\tb"),
        ("_-_", ""),
        ("", ""),
        ("é", "é"),
        ("e\u0301", "e\u0301"),
    ],
    ids=[
        "case", "underscore", "dash", "runs of spaces", "trimmed like str.strip", "folded, not lowered",
        "other blanks inside stay", "separators only", "empty", "composed", "not normalised",
    ],
)  # fmt: skip
def test_the_compared_form_of_a_word(text, expected):
    """R14: case-folded, `_` and `-` as spaces, runs of spaces as one, trimmed, and nothing else."""

    assert expected == word(text)


@given(st.text(alphabet=st.sampled_from("aAßİ _-\u00a0\t\u1e9e"), max_size=80))
def test_the_compared_form_is_compared_as_itself(text):
    """A word in its compared form is its own compared form, whether it is short enough to be remembered or not."""

    assert word(text) == word(word(text))


def test_long_text_is_compared_like_short_text():
    """Text beyond the cache's limit follows the same rules."""
    long = "A_" * _CACHED_CHARS_MAX

    assert ("a " * _CACHED_CHARS_MAX).strip() == word(long)
