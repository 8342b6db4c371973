"""Rules as flat code beside the same rules read off their data, band by band."""

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from pql_stream.core.features import MEMBER_BYTES, Feature
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
from pql_stream.core.scoring import RuleCompiler

encode = msgspec.json.encode

# Names and words that would be found out if any of them became code.
HOSTILE = ["%b", "0", "f", "v", "n1", "a'b", '"""', "{f}", "f[0]); exit(", "\\", "\n", "lambda", "__import__('os')"]
FEATURES = (
    Feature("count'", "distinct", (), at_most=7),
    Feature("f[0]", "distinct_days", (), at_most=40),
    Feature("n1", "earliest", ()),
    Feature("{v}", "latest_time", ()),
    Feature("\n", "latest", ()),
    Feature('"', "latest", ()),
    Feature("lambda", "maximum", ()),
    Feature("flag", "flag", ()),
)
SLOTS = {feature.name: (slot, feature) for slot, feature in enumerate(FEATURES)}
COUNT, DAYS, START, END, NUMBER, WORD, PEAK, FLAG = SLOTS

# Few numbers on purpose: values on, beside and between bounds.
numbers = st.sampled_from([0, 0.01, 0.5, 1, 1.239, 2, 3, 5, 7, 8, 9.999, 40, 1e15, 2**60, 1e308])
points = st.sampled_from([0, 1, 33, 101, 500, 1000, 10_000])
bounds = st.lists(numbers, min_size=1, max_size=4, unique=True).map(sorted)
SPAN = SecondsBetween(START, END)
sources = st.sampled_from([COUNT, DAYS, NUMBER, PEAK, SPAN, SPAN])


def bands(*, may_be_above: bool) -> st.SearchStrategy[tuple[Band, ...]]:
    above = st.booleans() if may_be_above else st.just(value=False)
    return bounds.flatmap(
        lambda chosen: st.tuples(*(st.builds(Band, st.just(bound), points, above=above) for bound in chosen))
    )


def rule_of(kind, **own) -> st.SearchStrategy:
    return st.builds(kind, name=st.just("r"), group=st.just("g"), points_max=points, reason=st.just(""), **own)


parts = st.one_of(
    rule_of(AtLeastRule, input=sources, bands=bands(may_be_above=True)),
    rule_of(BelowRule, input=sources, bands=bands(may_be_above=False)),
    rule_of(
        LinearRule,
        points_each=st.dictionaries(st.sampled_from([COUNT, DAYS, NUMBER, PEAK]), points.filter(bool), min_size=1).map(
            lambda each: tuple(each.items())
        ),
    ),
    rule_of(
        WordsRule,
        input=st.just(WORD),
        points=st.dictionaries(st.sampled_from(HOSTILE), points).map(lambda words: tuple(words.items())),
    ),
    rule_of(FlagRule, input=st.just(FLAG), points=points),
)
rules = parts | rule_of(GreatestRule, of=st.lists(parts, min_size=2, max_size=3).map(tuple))

members = st.integers(0, 6).map(lambda count: bytes(range(count * MEMBER_BYTES)))
times = st.none() | st.sampled_from([0, 1, 999, 1_000, 7_001, 8_000_000])
features = st.tuples(
    members | st.just(7),
    members | st.just(40),
    times,
    times,
    st.none() | numbers.map(lambda value: (0, "e1", value)),
    st.none() | st.sampled_from([*HOSTILE, "else"]).map(lambda value: (0, "e1", value)),
    st.none() | numbers,
    st.sampled_from([None, True]),
)


def number_of(source, values):
    if isinstance(source, SecondsBetween):
        start, end = (values[SLOTS[name][0]] for name in (source.start, source.end))
        return None if start is None or end is None else (end - start) / 1000
    slot, feature = SLOTS[source]
    value = values[slot]
    if feature.is_count:
        return value if isinstance(value, int) else len(value) // MEMBER_BYTES
    return value[2] if value is not None and feature.kind == "latest" else value


def points_of(rule, values) -> int:  # noqa: C901 - a branch for each kind
    match rule:
        case GreatestRule():
            return max(0, *(points_of(part, values) for part in rule.of))
        case FlagRule():
            return rule.points if values[SLOTS[FLAG][0]] else 0
        case WordsRule():
            return dict(rule.points).get(number_of(rule.input, values), 0)
        case LinearRule():
            gained = [(number_of(name, values) or 0, each) for name, each in rule.points_each]
            return min(sum(int(min(value * each, rule.points_max)) for value, each in gained), rule.points_max)
    value = number_of(rule.input, values)
    given = 0
    if value is not None and isinstance(rule, AtLeastRule):
        for band in rule.bands:
            if value > band.bound or (value == band.bound and not band.above):
                given = band.points
    elif value is not None and value >= 0:
        for band in reversed(rule.bands):
            if value < band.bound:
                given = band.points
    return given


def shown_of(rule, values):
    match rule:
        case GreatestRule():
            return {"_".join(reads_of(part)): shown_of(part, values) for part in rule.of}
        case FlagRule():
            return bool(values[SLOTS[FLAG][0]])
        case WordsRule():
            return number_of(rule.input, values)
        case LinearRule():
            shown = {
                name: shown_number(name, linear_count(rule.points_max, each), values) for name, each in rule.points_each
            }
            return shown if len(shown) > 1 else next(iter(shown.values()))
    return shown_number(rule.input, highest_count(rule.bands), values)


def shown_number(source, highest, values):
    value = number_of(source, values)
    return min(value, highest) if source in {COUNT, DAYS} else cut(value)


@settings(max_examples=300)
@given(st.lists(rules, min_size=1, max_size=4), features)
def test_flat_rules_are_the_rules(chosen, values):
    """Any rule over any features gives the points, and shows the input, that its data says."""
    compiler = RuleCompiler(SLOTS)
    compiled = [compiler.rule(rule) for rule in chosen]

    assert [points_of(rule, values) for rule in chosen] == [rule.points(values) for rule in compiled]
    shown = [shown_of(rule, values) for rule in chosen]
    assert shown == [rule.input(values) for rule in compiled]
    assert tuple(shown) == compiler.inputs(chosen)(values)
    json = compiler.contributions_json(chosen)
    refs = tuple(b"ref %d" % place for place in range(len(chosen)))
    filled = b",".join(template + b":%b" for template in json.templates) % json.parts(values, refs)
    assert b",".join(encode(one) + b":" + ref for one, ref in zip(shown, refs, strict=True)) == filled


def test_thousands_of_anything_are_no_deeper_code():
    """What a valid pack may hold of bands, parts, features and rules is more than Python nests."""
    many = 2_000
    banded = AtLeastRule("r", "g", many, "", PEAK, tuple(Band(bound, bound + 1) for bound in range(many)))
    compiler = RuleCompiler(SLOTS)

    assert [0, 1, 1_001, many] == [compiler.rule(banded).points((*[None] * 6, v)) for v in (None, 0.5, 1_000, 2**60)]
    below = BelowRule("r", "g", many, "", PEAK, tuple(Band(bound, many - bound) for bound in range(1, many)))
    assert [many - 1, 1, 0] == [compiler.rule(below).points((*[None] * 6, v)) for v in (0, many - 2, many - 1)]
    parts = (AtLeastRule("r", "g", 5, "", PEAK, (Band(1, 5),)),) * many
    assert 5 == compiler.rule(GreatestRule("r", "g", 5, "", parts)).points((*[None] * 6, 1))
    each = tuple((PEAK, 1) for _ in range(many))
    assert many == compiler.rule(LinearRule("r", "g", many, "", each)).points((*[None] * 6, 1))
    assert {"g": many} == compiler.sums({"g": range(many)})((1,) * many)
    assert (1,) * many == compiler.inputs(parts)((*[None] * 6, 1))
    shown = compiler.contributions_json(parts).parts((*[None] * 6, 1), (b"null",) * many)
    assert (b"1", b"null") * many == shown


@given(st.dictionaries(st.sampled_from(HOSTILE), st.lists(st.integers(0, 5), max_size=3)), st.tuples(*[points] * 6))
def test_sums(parts_of_six, six):
    """Each part is the sum of its members, also one without any."""
    expected = {name: sum(six[place] for place in places) for name, places in parts_of_six.items()}

    assert expected == RuleCompiler(SLOTS).sums(parts_of_six)(six)
