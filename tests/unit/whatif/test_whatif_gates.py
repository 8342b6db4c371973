"""Limits as they are written, and what they let pass."""

from collections import Counter
from fractions import Fraction

import pytest

from pql_stream.replay.whatif.gates import gates_of, parse_limit
from pql_stream.replay.whatif.totals import Totals


def totals(leads, *, changed=0, newly_qualified=0):
    made = Totals([], [], [], [])
    made.leads, made.changed, made.newly_qualified = leads, changed, newly_qualified
    return made


@pytest.mark.parametrize(
    ("text", "leads", "share"),
    [
        ("0", 0, None),
        (" 50 ", 50, None),
        ("2%", None, Fraction(2, 100)),
        ("0.5 %", None, Fraction(5, 1000)),
        ("100%", None, Fraction(1)),
        ("0%", None, Fraction(0)),
    ],
)
def test_limits(text, leads, share):
    """A number of leads, or a share of them, exactly."""

    assert (text.strip(), leads, share) == parse_limit(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "abc",
        "-1",
        "2.5",
        "1e3",
        "101%",
        "100.01%",
        "%",
        "2%%",
        "nan",
        "inf",
        "٣",
        "1_000",
        "9" * 5000,
        "0.1234567%",
    ],
    ids=lambda text: text[:12],
)
def test_rubbish_is_no_limit(text):
    """Whoever writes something else is told what to write."""
    with pytest.raises(ValueError, match=r"write a number of leads, such as 50, or a share of all leads, such as 2%"):
        parse_limit(text)


@pytest.mark.parametrize(
    ("limit", "leads", "count", "passed"),
    [
        ("2%", 100, 2, True),
        ("2%", 100, 3, False),
        ("2%", 49, 1, False),
        ("0.1%", 3000, 3, True),
        ("7", 100, 7, True),
        ("7", 100, 8, False),
        ("0", 100, 0, True),
        ("0", 100, 1, False),
        ("100%", 100, 100, True),
        ("100%", 0, 0, False),
        ("5", 0, 0, False),
    ],
)
def test_gates(limit, leads, count, passed):
    """Exactly on the limit is within it; where there is no lead nothing is."""
    made = totals(leads, changed=count, newly_qualified=count)
    gates = gates_of(made, max_changed=parse_limit(limit), max_new_qualified=parse_limit(limit))

    assert [("max_changed", count, passed), ("max_new_qualified", count, passed)] == [
        (gate.name, gate.leads, gate.passed) for gate in gates
    ]


def test_what_is_not_asked_is_no_gate():
    """Each alone, or none."""
    limit = parse_limit("1")

    assert () == gates_of(totals(1), max_changed=None, max_new_qualified=None)
    assert ["max_new_qualified"] == [
        gate.name for gate in gates_of(totals(1), max_changed=None, max_new_qualified=limit)
    ]
    assert Counter() == totals(1).tier
