"""Readers: what of a property's value is known."""

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pql_stream.core.values import READERS, is_absent, read_amount
from tests.oracle.facts import revenue_band

NO_TEXT = {"null": None, "true": True, "list": ["x"], "object": {"x": 1}}
NO_NUMBER = {**NO_TEXT, "digits in a string": "6", "negative": -1, "slightly negative": -0.01}

# reader -> {case: (given, known value or None)}
CASES = {
    "id": {
        "text": ("run-1", "run-1"),
        "trimmed": (" Run_1 ", "Run_1"),
        "256 characters": ("é" * 256, "é" * 256),
        "257 characters": ("é" * 257, None),
        "empty": ("", None),
        "blank": (" \u00a0", None),
        "integer": (5, "5"),
        "negative integer": (-5, "-5"),
        "least of 64 bits": (-(2**63), str(-(2**63))),
        "greatest of 64 bits": (2**63 - 1, str(2**63 - 1)),
        "65 bits": (2**63, None),
        "below 64 bits": (-(2**63) - 1, None),
        "float": (5.0, None),
    },
    "word": {
        "text": (" Health_Care", "health care"),
        "blank": ("  ", None),
        "separators": ("--", None),
        "256 characters": ("E" * 256, "e" * 256),
        "256 characters when trimmed": ("\t" + "E" * 256 + "  ", "e" * 256),
        "257 characters": ("e" * 257, None),
        "integer": (5, None),
    },
    "label": {
        "text": (" Report_Builder ", "report builder"),
        "integer": (5, "5"),
        "65 bits": (2**63, None),
        "float": (5.0, None),
        "separators": ("_", None),
        "256 characters when trimmed": ("\t" + "E" * 256 + "  ", "e" * 256),
        "257 characters": ("e" * 257, None),
    },
    "whole": {
        "integer": (6, 6),
        "zero": (0, 0),
        "whole float": (5.0, 5),
        "fraction": (5.5, None),
        "huge": (10**25, 1e25),
    },
    "number": {
        "integer": (6, 6),
        "float": (5.5, 5.5),
        "whole float": (5.0, 5),
        "minus zero": (-0.0, 0),
        "greatest of 64 bits": (2**63 - 1, 2**63 - 1),
        "beyond 64 bits": (2**63, float(2**63)),
        "beyond 64 bits, float": (1e300, 1e300),
    },
    "amount": {
        "integer": (20_000_000, 20_000_000),
        "float": (9.5, 9.5),
        "band": ("1M-10M", 1_000_000),
    },
}  # fmt: skip
for reader in ("id", "word", "label"):
    CASES[reader] |= {name: (given, None) for name, given in NO_TEXT.items()}
for reader in ("whole", "number", "amount"):
    CASES[reader] |= {name: (given, None) for name, given in NO_NUMBER.items()}


@pytest.mark.parametrize(
    ("reader", "given_value", "expected"),
    [(reader, *case) for reader, cases in CASES.items() for case in cases.values()],
    ids=[f"{reader}: {name}" for reader, cases in CASES.items() for name in cases],
)
def test_readers(reader, given_value, expected):
    """R14-R16: what is of the wrong type or out of range is unknown, and equal numbers have one type."""
    known = READERS[reader](given_value)

    assert (expected, type(expected)) == (known, type(known))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<1M", 0.01),
        ("< $1,000.50", 0.01),
        ("<0", None),
        ("<0.00k", None),
        ("1M-10M", 1_000_000),
        ("$10M\u2013$100M", 10_000_000),
        ("10M \u2014 100M", 10_000_000),
        ("10M\u2212100M", 10_000_000),
        ("10M\u301c100M", 10_000_000),
        ("$10M\u00a0\u2013\u202f$100M", 10_000_000),
        (">\u00a010\u2009M", 10_000_000),
        ("10-50M", 10_000_000),
        ("500-1M", 500),
        ("10M-50", None),
        ("50-10M", 50),
        ("50M-10M", None),
        ("5-5", 5),
        ("0-1M", 0.01),
        ("100M+", 100_000_000),
        ("100 m +", 100_000_000),
        ("0+", 0.01),
        (">10M", 10_000_000),
        (" > $ 10 M ", 10_000_000),
        (">0", 0.01),
        ("$1,500K+", 1_500_000),
        ("1.5b+", 1_500_000_000),
        ("0.001+", 0.001),
        ("1,50+", None),
        ("10M", None),
        ("€5M+", None),
        ("1M<", None),
        ("10M>", None),
        (">5M+", None),
        ("\u0661M+", None),
        ("10\u212a+", None),
        ("9" * 400 + "+", None),
        ("9" * 1_000_000 + "B+", None),
        ("1-" + "9" * 1_000_000 + "B", 1_000_000_000),
        ("<" + "9" * 1_000_000 + "B", 0.01),
        ("1" + " " * 5_000 + "-" + " " * 5_000 + "1" + " " * 5_000 + "x", None),  # in every way to share them: days
        (">" + " " * 500_000 + "x", None),
        (" ", None),
    ],
    ids=lambda value: repr(value)[:24],
)  # fmt: skip
def test_revenue_bands(text, expected):
    """R17: the lower bound counts; "above 0" is one cent; what is no band is unknown."""

    assert expected == read_amount(text)


def test_every_dash_makes_a_band():
    """R17 says any dash: all of Unicode's class for them, and the minus sign."""
    dashes = [chr(code) for code in range(sys.maxunicode) if unicodedata.category(chr(code)) == "Pd"] + ["\u2212"]

    assert dict.fromkeys(dashes, 1_000_000) == {dash: read_amount(f"1M{dash}2M") for dash in dashes}


_amounts = st.builds(
    "{}{}{}".format,
    st.sampled_from(["", "$", "$ "]),
    st.sampled_from(["0", "1", "10", "50", "1,000", "2.5", "00", ".5"]),
    st.sampled_from(["", "k", "M", " b", "T"]),
)
_bands = st.one_of(
    st.builds("<{}".format, _amounts),
    st.builds("> {}".format, _amounts),
    st.builds("{}+".format, _amounts),
    st.builds(
        "{}{}{}".format,
        _amounts,
        st.sampled_from(["-", " \u2013 ", "\u00a0\u2014\u202f", "\u2212", "\u301c", "~"]),
        _amounts,
    ),
    st.text(alphabet="0123,.$<>+-kMB ", max_size=12),
)


@given(_bands)
def test_bands_read_as_the_contract_alone_says(text):
    """Whatever is written as a band, an independent reading of the contract finds the same lower bound."""
    expected = revenue_band(text)

    assert (None if expected is None else float(expected)) == read_amount(text)


@pytest.mark.parametrize(
    ("given_value", "expected"),
    [(None, True), ("", True), (" \t", True), ("x", False), (0, False), (False, False), ([], False)],
    ids=repr,
)
def test_absent(given_value, expected):
    """R5: null, "" and blanks are absent; nothing else is."""

    assert expected == is_absent(given_value)
