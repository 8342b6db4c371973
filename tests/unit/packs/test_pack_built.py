"""What is wrong with a pack that was built in Python, beyond what YAML can say."""

import msgspec
import pytest

from pql_stream.core.features import Condition, Feature, PropertyReader, Source
from pql_stream.core.pack_checks import Gaps, pack_problems
from pql_stream.core.packs import Group, ModelPack, Tier
from pql_stream.core.problems import Problem
from pql_stream.core.rules import (
    AtLeastRule,
    Band,
    BelowRule,
    FlagRule,
    GreatestRule,
    LinearRule,
    SecondsBetween,
    WordsRule,
)


def word_source(event: str = "e") -> Source:
    return Source((event,), properties=(PropertyReader("p", "word"),))


SMALL = ModelPack(
    name="small",
    version=1,
    title="Small",
    features=(
        Feature("seen", "flag", (Source(("e",)),)),
        Feature("level", "latest", (word_source(),)),
        Feature("began", "earliest", (Source(("e",)),)),
        Feature("ended", "latest_time", (Source(("e",)),)),
        Feature("size", "maximum", (Source(("e",), properties=(PropertyReader("p", "number"),)),)),
        Feature("5", "distinct", (Source(("e",), or_event_id=True),), at_most=9),
    ),
    groups=(Group("all", 500),),
    rules=(FlagRule("seen", "all", 500, "Seen", "seen", 500),),
    tiers=(Tier("cold", 0, None, sales_ready=False), Tier("warm", 500, None, sales_ready=True)),
)


def with_rule(rule):
    return msgspec.structs.replace(SMALL, rules=(rule,), groups=(Group("all", rule.points_max),), tiers=SMALL.tiers[:1])


def with_feature(feature):
    return msgspec.structs.replace(SMALL, features=(*SMALL.features, feature))


BETWEEN = SecondsBetween("began", "ended")
SECONDS = BelowRule("r", "all", 500, "{input}", BETWEEN, (Band(60, 500),))
BUILT = {
    "no bands": (with_rule(AtLeastRule("r", "all", 500, "x", "size", ())), ("rules", "r", "bands"), "no bands"),
    "no bands below": (with_rule(BelowRule("r", "all", 500, "x", BETWEEN, ())), ("rules", "r", "bands"), "no bands"),
    "negative bound": (
        with_rule(AtLeastRule("r", "all", 500, "x", "size", (Band(-1, 500),))),
        ("rules", "r", "bands", 0),
        "bounds are numbers from 0",
    ),
    "endless bound": (
        with_rule(BelowRule("r", "all", 500, "x", BETWEEN, (Band(float("inf"), 500),))),
        ("rules", "r", "bands", 0),
        "bounds are numbers from 0",
    ),
    "no input of a linear": (
        with_rule(LinearRule("r", "all", 500, "x", ())),
        ("rules", "r", "points_each"),
        "name at least one",
    ),
    "negative word": (
        with_rule(WordsRule("r", "all", 500, "x", "level", (("a", 500), ("b", -5)))),
        ("rules", "r", "points", "b"),
        "-0.05 points: write 0 or more",
    ),
    "word not compared": (
        with_rule(WordsRule("r", "all", 500, "x", "level", (("A_b", 500),))),
        ("rules", "r", "points", "A_b"),
        "`A_b` never occurs: write `a b`",
    ),
    "greatest within": (
        with_rule(GreatestRule("r", "all", 500, "", (SECONDS, GreatestRule("s", "all", 500, "", (SECONDS,))))),
        ("rules", "r", "of", 1),
        "a greatest within a greatest",
    ),
    "greatest of none": (with_rule(GreatestRule("r", "all", 0, "", ())), ("rules", "r", "of"), "fewer than two"),
    "blank reason": (
        with_rule(FlagRule("r", "all", 500, " ", "seen", 500)),
        ("rules", "r", "reason"),
        "write a sentence",
    ),
    "name of digits in a reason": (
        with_rule(LinearRule("r", "all", 500, "{5} {size}", (("5", 100), ("size", 100)))),
        ("rules", "r", "reason"),
        "`{5}` is not known here: write {size}",
    ),
    "no rules": (msgspec.structs.replace(SMALL, rules=()), ("rules",), "no rules"),
    "no tiers": (msgspec.structs.replace(SMALL, tiers=()), ("tiers",), "no tiers"),
    "rule twice": (msgspec.structs.replace(SMALL, rules=SMALL.rules * 2), ("rules", 1), "stands there twice"),
    "feature twice": (with_feature(SMALL.features[0]), ("features", 6), "stands there twice"),
    "group twice": (msgspec.structs.replace(SMALL, groups=SMALL.groups * 2), ("groups", 1), "stands there twice"),
    "no groups": (
        msgspec.structs.replace(SMALL, groups=()),
        ("rules", "seen", "group"),
        "there is none to name yet",
    ),
    "no source": (with_feature(Feature("f", "flag", ())), ("features", "f", "from"), "no event sets this"),
    "no events": (
        with_feature(Feature("f", "flag", (Source(()),))),
        ("features", "f", "from", 0, "events"),
        "no events",
    ),
    "event not compared": (
        with_feature(Feature("f", "flag", (Source(("A_b",)),))),
        ("features", "f", "from", 0, "events", 0),
        "`A_b` never occurs: words are compared as `a b`",
    ),
    "no value read": (
        with_feature(Feature("f", "latest", (Source(("e",)),))),
        ("features", "f", "from", 0),
        "no value is read",
    ),
    "no value allowed": (
        with_feature(Feature("f", "flag", (Source(("e",), (Condition("p", frozenset()),)),))),
        ("features", "f", "from", 0, "where", "p"),
        "no value is allowed",
    ),
    "value not compared": (
        with_feature(Feature("f", "flag", (Source(("e",), (Condition("p", frozenset({"A", None})),)),))),
        ("features", "f", "from", 0, "where", "p"),
        "`A` never occurs",
    ),
    "list of words not compared": (
        with_feature(Feature("f", "latest", (word_source(),), words=frozenset({"A", "b"}))),
        ("features", "f", "words"),
        "`A` never occurs",
    ),
}


@pytest.mark.parametrize(("pack", "path", "message"), BUILT.values(), ids=BUILT)
def test_a_pack_built_in_python_is_held_to_the_same(pack, path, message):
    """What YAML cannot even say is found as well in a pack that was built by hand."""
    assert [path] == [problem.path for problem in pack_problems(pack) if message in problem.message]


@pytest.mark.parametrize(
    "pack", [SMALL, with_rule(SECONDS), with_rule(LinearRule("r", "all", 500, "{input}", (("5", 100),)))]
)
def test_a_pack_that_is_right_has_no_problems(pack):
    """The checks find nothing where there is nothing."""
    assert [] == pack_problems(pack)


@pytest.mark.parametrize(
    ("pack", "gaps"),
    [
        (msgspec.structs.replace(SMALL, features=()), Gaps(features=None)),
        (msgspec.structs.replace(SMALL, features=()), Gaps(features={"seen"})),
        (msgspec.structs.replace(SMALL, rules=()), Gaps(sections={"rules"})),
        (msgspec.structs.replace(SMALL, groups=()), Gaps(sections={"groups"})),
        (msgspec.structs.replace(SMALL, tiers=()), Gaps(sections={"tiers"})),
        (msgspec.structs.replace(SMALL, profile=("",)), Gaps(sections={"profile"})),
        (msgspec.structs.replace(SMALL, name="", version=0), Gaps(sections={"pack", "version"})),
    ],
)
def test_nothing_is_said_that_follows_from_a_gap(pack, gaps):
    """Where something could not be read, its absence is no problem of what refers to it."""
    before = pack_problems(pack)

    assert ([], True) == (pack_problems(pack, gaps), bool(before))


def test_a_problem_has_a_path_and_a_message():
    """The form that the reader of YAML adds a line to."""
    problem = pack_problems(msgspec.structs.replace(SMALL, version=0))

    assert [Problem(("version",), "0: versions count from 1 to 1,000,000")] == problem


def test_a_long_list_of_names_is_cut():
    """A pack of a thousand features does not make messages of a thousand names."""
    features = tuple(Feature(f"f{n}", "flag", (Source(("e",)),)) for n in range(30))
    pack = msgspec.structs.replace(with_rule(FlagRule("r", "all", 500, "Seen", "zzz", 500)), features=features)

    (problem,) = pack_problems(pack)

    assert problem.message.endswith("f18, f19, …")
