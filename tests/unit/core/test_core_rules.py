"""Rules: features to points, to what people see of the input, and to the reason's sentence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pql_stream.core.features import NO_MEMBERS, Feature
from pql_stream.core.rules import (
    AtLeastRule,
    Band,
    BelowRule,
    FlagRule,
    GreatestRule,
    LinearRule,
    SecondsBetween,
    WordsRule,
    cut,
    highest_count,
    linear_count,
    reads_of,
)
from pql_stream.core.scoring import CompiledRule, RuleCompiler

SLOTS = {
    feature.name: (slot, feature)
    for slot, feature in enumerate(
        (
            Feature("count", "distinct", (), at_most=7),
            Feature("days", "distinct_days", (), at_most=40),
            Feature("start", "earliest", ()),
            Feature("end", "latest_time", ()),
            Feature("told", "latest", ()),
            Feature("other", "latest", ()),
            Feature("flag", "flag", ()),
            Feature("peak", "maximum", ()),
        )
    )
}
UNSET = tuple(feature.unset for _, feature in SLOTS.values())


def known(**values) -> tuple:
    """Feature values: those given, the others unset. A latest one is given by its value."""
    stamped = {name: (0, "e1", value) if name in {"told", "other"} else value for name, value in values.items()}
    return tuple(stamped.get(name, feature.unset) for name, (_, feature) in SLOTS.items())


def compiled(rule) -> CompiledRule:
    return RuleCompiler(SLOTS).rule(rule)


def members(*numbers) -> bytes:
    """A distinct set of these."""
    return b"".join(number.to_bytes(8) for number in numbers)


def at_least(source, *bands, reason="{input}") -> CompiledRule:
    return compiled(AtLeastRule("r", "g", bands[-1].points, reason, source, bands))


def below(source, *bands, reason="{input}") -> CompiledRule:
    return compiled(BelowRule("r", "g", bands[0].points, reason, source, bands))


def linear(points_max, reason="{input}", **points_each) -> CompiledRule:
    return compiled(LinearRule("r", "g", points_max, reason, tuple(points_each.items())))


WORDS = WordsRule("r", "g", 1000, "Level {input}", "told", (("basic", 500), ("advanced", 1000)))
SPAN = SecondsBetween("start", "end")


def results(rule: CompiledRule, features) -> tuple:
    return rule.points(features), rule.input(features)


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (NO_MEMBERS, (0, 0)),
        (members(1, 2), (0, 2)),
        (members(1, 2, 3), (500, 3)),
        (members(1, 2, 3, 4), (500, 4)),
        (members(1, 2, 3, 4, 5), (1000, 5)),
        (7, (1000, 5)),
    ],
    ids=["none", "under", "at the lower", "between", "at the higher", "full"],
)
def test_at_least_over_a_count(count, expected):
    """The highest band that is reached counts, and the count shown stops there (R20)."""

    assert expected == results(at_least("count", Band(3, 500), Band(5, 1000)), known(count=count))


def test_a_count_that_stops_at_the_highest_band_is_shown_as_it_is():
    """Where the feature itself stops counting there is nothing left to cut."""

    assert (500, 7) == results(at_least("count", Band(7, 500)), known(count=7))


@pytest.mark.parametrize(
    ("value", "points"),
    [(None, 0), (0, 0), (0.01, 500), (9_999_999.99, 500), (10_000_000, 1000), (10_000_001.5, 1000)],
    ids=repr,
)
def test_at_least_over_a_number(value, points):
    """`above` leaves its bound out, `at_least` takes it in; unknown earns nothing."""
    rule = at_least("told", Band(0, 500, above=True), Band(10_000_000, 1000))
    features = UNSET if value is None else known(told=value)

    assert (points, value) == results(rule, features)


def test_numbers_of_a_maximum_are_read_as_they_are():
    """A feature that keeps a bare number needs no unpacking."""

    assert (500, 3.14) == results(at_least("peak", Band(3, 500)), known(peak=3.149))


@pytest.mark.parametrize(
    ("end_ms", "expected"),
    [
        (None, (0, None)),
        (-1, (0, -0.01)),
        (0, (1500, 0)),
        (3_599_999, (1500, 3599.99)),
        (3_600_000, (1000, 3600)),
        (86_399_999, (1000, 86399.99)),
        (86_400_000, (0, 86400)),
    ],
    ids=repr,
)
def test_below_over_seconds(end_ms, expected):
    """Less is better, to the millisecond; unknown, too late and less than nothing earn nothing alike."""
    rule = below(SPAN, Band(3600, 1500), Band(86_400, 1000))
    features = known(start=1000) if end_ms is None else known(start=1000, end=1000 + end_ms)

    assert expected == results(rule, features)


def test_seconds_need_both_ends():
    """With one end only, whichever, the time is unknown."""
    rule = at_least(SPAN, Band(1, 500))

    assert (0, None) == results(rule, known(end=5000))
    assert (500, 5) == results(rule, known(start=0, end=5000))


@pytest.mark.parametrize(
    ("count", "days", "expected"),
    [
        (NO_MEMBERS, NO_MEMBERS, (0, {"count": 0, "days": 0})),
        (members(1), NO_MEMBERS, (200, {"count": 1, "days": 0})),
        (members(1, 2), members(1), (900, {"count": 2, "days": 1})),
        (members(1, 2, 3), members(1), (1000, {"count": 3, "days": 1})),
        (7, 40, (1000, {"count": 5, "days": 2})),
    ],
    ids=["none", "one", "both", "over the cap", "full"],
)
def test_linear_adds_up_to_its_cap(count, days, expected):
    """So much for each, up to the maximum; every count shown stops where it alone has reached it (R20)."""

    assert expected == results(linear(1000, count=200, days=500), known(count=count, days=days))


def test_linear_of_one_input_shows_it_alone():
    """One input is shown bare; hundredths add up exactly, and what is left of one is cut."""

    assert (428, 2) == results(linear(1500, count=214), known(count=members(1, 2)))
    assert (333, 3.33) == results(linear(1500, told=100), known(told=3.337))


def test_linear_over_huge_numbers_stops_at_its_cap():
    """A number whose points are beyond a double earns the cap, not an error."""

    assert (1500, 1e308) == results(linear(1500, told=10_000), known(told=1e308))


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, (0, None)), ("basic", (500, "basic")), ("advanced", (1000, "advanced")), ("gold", (0, "gold"))],
    ids=repr,
)
def test_words(value, expected):
    """Points by word; a word that is not listed is known and earns nothing."""
    features = UNSET if value is None else known(told=value)

    assert expected == results(compiled(WORDS), features)


def test_flag():
    """All or nothing."""
    rule = compiled(FlagRule("r", "g", 500, "Done", "flag", 500))

    assert (0, False) == results(rule, UNSET)
    assert (500, True) == results(rule, known(flag=True))
    assert "Done" == rule.reason(known(flag=True))


def test_greatest():
    """The greatest part counts, and the first of equal ones gives the reason; the input has all parts."""
    parts = (
        WORDS,
        WordsRule("r", "g", 1000, "Segment {input}", "other", (("big", 1000), ("mid", 500))),
        AtLeastRule("r", "g", 700, "{input} apart", SPAN, (Band(60, 700),)),
    )
    rule = compiled(GreatestRule("r", "g", 1000, "", parts))

    assert ("told", "other", "start", "end") == rule.reads
    assert (0, {"told": None, "other": None, "start_end": None}) == results(rule, UNSET)
    assert (700, {"told": "basic", "other": "mid", "start_end": 60}) == results(
        rule, known(told="basic", other="mid", start=0, end=60_000)
    )
    assert "1 minute apart" == rule.reason(known(told="basic", other="mid", start=0, end=60_000))
    assert "Level basic" == rule.reason(known(told="basic", other="mid"))
    assert "Segment big" == rule.reason(known(told="basic", other="big"))


@pytest.mark.parametrize(
    ("rule", "features", "sentence"),
    [
        (at_least("count", Band(2, 500), reason="{input} runs"), {"count": members(1, 2, 3)}, "2 runs"),
        (at_least("told", Band(2, 500), reason="Team of {input}"), {"told": 12_000}, "Team of 12,000"),
        (at_least("told", Band(2, 500), reason="{input} USD"), {"told": 1_234_567.891}, "1,234,567.89 USD"),
        (
            at_least("told", Band(0, 1, above=True, reason="Some"), Band(9, 2, reason="Much: {input}")),
            {"told": 9},
            "Much: 9",
        ),
        (
            at_least("told", Band(0, 1, above=True, reason="Some"), Band(9, 2, above=True, reason="Much")),
            {"told": 9},
            "Some",
        ),
        (at_least("told", Band(5, 1, reason="Own"), reason="All: {input}"), {"told": 4}, "All: 4"),
        (at_least("told", Band(5, 1, reason="Own"), reason="None"), {}, "None"),
        (at_least(SPAN, Band(1, 1), reason="after {input}"), {"start": 0, "end": 7_200_000}, "after 2 hours"),
        (below(SPAN, Band(60, 2), Band(3600, 1), reason="{input}"), {"start": 0, "end": 999}, "no time"),
        (below(SPAN, Band(60, 2), reason="{input}"), {"start": 0, "end": 1_000}, "1 second"),
        (below(SPAN, Band(60, 2), reason="{input}"), {"start": 0, "end": 59_999}, "59 seconds"),
        (below(SPAN, Band(90, 2), reason="{input}"), {"start": 0, "end": 61_000}, "1 minute"),
        (below(SPAN, Band(9000, 2), reason="{input}"), {"start": 0, "end": 2_699_999}, "44 minutes"),
        (below(SPAN, Band(9e6, 2), reason="{input}"), {"start": 0, "end": 86_400_000}, "1 day"),
        (below(SPAN, Band(9e6, 2), reason="{input}"), {"start": 0, "end": 259_200_000}, "3 days"),
        (
            below(SPAN, Band(60, 2, reason="At once"), Band(3600, 1, reason="In {input}")),
            {"start": 0, "end": 120_000},
            "In 2 minutes",
        ),
        (below(SPAN, Band(60, 2, reason="At once")), {"start": 0, "end": 120_000}, "2 minutes"),
        (below(SPAN, Band(60, 2, reason="At once")), {}, "no time"),
        (linear(1000, "{input} days", days=100), {"days": members(1, 2)}, "2 days"),
        (
            linear(1000, "{count} posts, {days} days", count=200, days=500),
            {"count": members(1), "days": 40},
            "1 posts, 2 days",
        ),
        (compiled(WORDS), {"told": "advanced"}, "Level advanced"),
        (compiled(WORDS), {"told": "{input}"}, "Level {input}"),
    ],
)  # fmt: skip
def test_reasons(rule, features, sentence):
    """A sentence for a salesperson: the band's own, else the rule's, with the input as people write it."""

    assert sentence == rule.reason(known(**features))


def test_what_rules_read():
    """Every kind of rule says which features it reads, each once."""
    greatest = GreatestRule("r", "g", 1, "", (WORDS, WORDS))

    assert ("count",) == reads_of(AtLeastRule("r", "g", 1, "", "count", ()))
    assert ("start", "end") == reads_of(BelowRule("r", "g", 1, "", SPAN, ()))
    assert ("count", "days") == reads_of(LinearRule("r", "g", 1, "", (("count", 1), ("days", 1))))
    assert ("flag",) == reads_of(FlagRule("r", "g", 1, "", "flag", 1))
    assert ("told",) == reads_of(greatest)


@pytest.mark.parametrize(
    ("bound", "above", "count"),
    [(50, False, 50), (50, True, 51), (49.5, False, 50), (49.5, True, 50)],
    ids=["at least", "above", "at least a fraction", "above a fraction"],
)
def test_highest_count(bound, above, count):
    """The least whole number that is in the highest band."""

    assert count == highest_count((Band(1, 1), Band(bound, 2, above=above)))


def test_linear_count():
    """The least count that earns the cap."""

    assert (8, 50, 5, 1) == (
        linear_count(1500, 214),
        linear_count(1500, 30),
        linear_count(1000, 200),
        linear_count(10, 500),
    )


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (None, None),
        (5, 5),
        (-5, -5),
        ("word", "word"),
        (0.0, 0),
        (3599.999, 3599.99),
        (3599.994, 3599.99),
        (0.29, 0.29),
        (1.15, 1.15),
        (0.009, 0.01),
        (1e-300, 0.01),
        (-0.005, -0.01),
        (-0.001, -0.01),
        (-1.239, -1.24),
        (1e300, 1e300),
    ],
    ids=repr,
)
def test_cut(number, expected):
    """Two decimals, cut downwards also below zero; what is above zero stays above."""

    assert expected == cut(number)


@given(st.floats(min_value=-1e9, max_value=1e9))
def test_cut_never_rounds_up_to_a_bound(number):
    """What is shown has two decimals and is less than one of them under the number, never over it (R20)."""
    shown = cut(number)

    assert shown == round(shown, 2)
    assert shown <= number or (0 < number < 0.01 and shown == 0.01)
    assert number - shown < 0.01 + 1e-6
