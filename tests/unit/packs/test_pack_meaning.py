"""What is wrong with the meaning of a pack that has the right form."""

from importlib.resources import files

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
from pql_stream.errors import InvalidPack
from pql_stream.wire.packs import parse_pack

PQL_100 = (files("pql_stream") / "packs" / "pql-100.yaml").read_text(encoding="utf-8")

RUNS = "      - {at_least: 5, points: 5}\n      - {at_least: 20, points: 10}\n      - {at_least: 50, points: 15}"
TEAM = "      - {at_least: 2, points: 5}\n      - {at_least: 6, points: 10}"
TIMES = "input: {seconds_from: trial_started_at, to: first_success_at}"
TIME_BANDS = "      - {below: 3600, points: 15}  # an hour\n      - {below: 86400, points: 10}"

# (what is replaced, with what, the text in whose line the problem is, path, part of the message)
FAULTS = {
    "pack name": ("pack: pql-100", "pack: PQL", "pack: PQL", "pack", "`PQL` is no name: use a-z"),
    "version 0": ("version: 1", "version: 0", "version: 0", "version", "0: versions count from 1"),
    "huge version": ("version: 1", "version: 1000001", "version: 1", "version", "1,000,001: versions count"),
    "feature name": ("  converted_at:", "  Converted:", "  Converted:", "features.Converted", "`Converted` is no name"),
    "long name": ("  converted_at:", f"  {'c' * 65}:", "  cc", f"features.{'c' * 40}…", "is no name"),
    "rule name": ("  documentation:", "  docu mentation:", "  docu", "rules.docu mentation", "is no name"),
    "group name": ("  usage: {max", "  Usage: {max", "  Usage:", "groups.Usage", "`Usage` is no name"),
    "tier name": ("name: gold", "name: Gold", "name: Gold", "tiers[3].name", "`Gold` is no name"),
    "hand-off class": ("handoff: delayed", "handoff: later!", "later!", "tiers[1].handoff", "`later!` is no name"),
    "unknown feature": ("input: tutorial_completed", "input: tutorials", "input: tutorials", "rules.documentation.input", "no feature `tutorials`: did you mean `tutorial_completed`?"),
    "unknown feature, near none": ("input: tutorial_completed", "input: zzz", "input: zzz", "rules.documentation.input", "no feature `zzz`: write one of features_used"),
    "unknown start": ("seconds_from: trial_started_at", "seconds_from: trial", "seconds_from: trial,", "rules.time_to_first_value.input.seconds_from", "no feature `trial`"),
    "unknown in points_each": ("{community_posts: 2", "{community_post: 2", "{community_post: 2", "rules.community.points_each.community_post", "did you mean `community_posts`?"),
    "unknown in the profile": ("profile: [team_size,", "profile: [team,", "profile: [team,", "profile[0]", "no feature `team`"),
    "bands over words": ("input: team_size", "input: industry", "input: industry\n    bands", "rules.team_size.input", "`industry` is of kind latest: name a count"),
    "bands over a moment": ("input: team_size", "input: converted_at", "input: converted_at", "rules.team_size.input", "`converted_at` is of kind earliest: name a count"),
    "linear over a flag": ("{community_posts: 2", "{tutorial_completed: 2", "{tutorial_completed: 2", "rules.community.points_each.tutorial_completed", "is of kind flag: name a count"),
    "flag over a count": ("input: tutorial_completed", "input: features_used", "input: features_used\n    points", "rules.documentation.input", "is of kind distinct: name a feature of kind flag"),
    "words over a number": ("input: compliance_level", "input: team_size", "input: team_size\n    points", "rules.compliance.input", "is of kind latest: name a feature of kind latest that is read as word"),
    "words over ids": ("property: segment\n        as: word", "property: segment\n        as: id", "input: segment", "rules.industry.of[1].input", "read as word or label"),
    "time from a count": ("seconds_from: trial_started_at", "seconds_from: team_size", "seconds_from: team_size", "rules.time_to_first_value.input.seconds_from", "earliest or latest_time"),
    "time from itself": (TIMES, "input: {seconds_from: trial_started_at, to: trial_started_at}", "to: trial_started_at}", "rules.time_to_first_value.input", "from a time to itself"),
    "profile of a count": ("profile: [team_size,", "profile: [features_used,", "profile: [features_used,", "profile[0]", "only `latest` features"),
    "profile twice": ("profile: [team_size,", "profile: [industry,", "profile: [industry,", "profile[1]", "`industry` stands there twice"),
    "bands fall": (TEAM, "      - {at_least: 6, points: 5}\n      - {at_least: 2, points: 10}", "{at_least: 2, points: 10}", "rules.team_size.bands[1]", "2 after 6: write the lowest bound first"),
    "equal bounds": (TEAM, "      - {at_least: 6, points: 5}\n      - {at_least: 6, points: 10}", "{at_least: 6, points: 10}", "rules.team_size.bands[1]", "the same bound as the band before it"),
    "equal bounds over whole numbers": (TEAM, "      - {above: 5, points: 5}\n      - {at_least: 6, points: 10}", "{at_least: 6, points: 10}", "rules.team_size.bands[1]", "the same bound as the band before it"),
    "points do not rise": (TEAM, "      - {at_least: 2, points: 10}\n      - {at_least: 6, points: 10}", "{at_least: 6, points: 10}", "rules.team_size.bands[1]", "10 points: write more than 10"),
    "band of no points": (TEAM, "      - {at_least: 2, points: 0}\n      - {at_least: 6, points: 10}", "{at_least: 2, points: 0}", "rules.team_size.bands[0]", "0 points: write more than 0"),
    "points do not fall": ("{below: 86400, points: 10}", "{below: 86400, points: 15}", "{below: 3600, points: 15}", "rules.time_to_first_value.bands[0]", "15 points: write more than 15, which a lead has after"),
    "late band of no points": ("{below: 604800, points: 5}", "{below: 604800, points: 0}", "{below: 604800, points: 0}", "rules.time_to_first_value.bands[2]", "0 points: write more than 0"),
    "below bounds fall": (TIME_BANDS, "      - {below: 86400, points: 15}\n      - {below: 3600, points: 10}", "{below: 3600, points: 10}", "rules.time_to_first_value.bands[1]", "3,600 after 86,400"),
    "below 0": ("{below: 3600,", "{below: 0,", "{below: 0,", "rules.time_to_first_value.bands[0]", "nothing lies below 0"),
    "at least none of a count": (RUNS, RUNS.replace("at_least: 5,", "at_least: 0,"), "{at_least: 0,", "rules.workflow_success.bands[0]", "must earn nothing: begin at 1"),
    "fraction of a count": (RUNS, RUNS.replace("at_least: 5,", "at_least: 5.5,"), "{at_least: 5.5,", "rules.workflow_success.bands[0]", "write 5 or 6"),
    "fraction of a whole number": (TEAM, TEAM.replace("at_least: 2", "above: 2.5"), "{above: 2.5,", "rules.team_size.bands[0]", "write 2 or 3"),
    "below over a count": (TIMES, "input: features_used", "input: features_used\n    bands:\n      - {below", "rules.time_to_first_value.input", "must earn nothing: use at_least"),
    "bound under the highest band": ("at_most: 50", "at_most: 49", "at_most: 49", "features.successful_runs.at_most", "49: counting stops before rule `workflow_success` has given all: write 50"),
    "bound under a band above": (RUNS, RUNS.replace("at_least: 50", "above: 50"), "at_most: 50", "features.successful_runs.at_most", "write 51"),
    "bound under a linear count": ("at_most: 5\n", "at_most: 4\n", "at_most: 4", "features.community_posts.at_most", "rule `community` has given all: write 5"),
    "no bound": ("at_most: 50", "at_most: 0", "at_most: 0", "features.successful_runs.at_most", "0: write 1 to 1,000"),
    "huge bound": ("at_most: 50", "at_most: 1001", "at_most: 1001", "features.successful_runs.at_most", "1,001: write 1 to 1,000"),
    "maximum over the bands": ("    max: 10\n    input: team_size", "    max: 11\n    input: team_size", "max: 11", "rules.team_size.max", "11, but the rule can give 10: write max: 10"),
    "maximum under the bands": ("    max: 10\n    input: team_size", "    max: 9.5\n    input: team_size", "max: 9.5", "rules.team_size.max", "9.5, but the rule can give 10"),
    "maximum of a below": ("    max: 15\n    input: {sec", "    max: 10\n    input: {sec", "max: 10\n    input: {sec", "rules.time_to_first_value.max", "can give 15"),
    "maximum of words": ("    max: 10\n    input: compliance", "    max: 5\n    input: compliance", "max: 5\n    input: compliance", "rules.compliance.max", "can give 10"),
    "maximum of a flag": ("    max: 5\n", "    max: 6\n", "max: 6", "rules.documentation.max", "can give 5"),
    "maximum of a greatest": ("    max: 10\n    of", "    max: 5\n    of", "max: 5\n    of", "rules.industry.max", "can give 10"),
    "words of no points": ("{basic: 5, advanced: 10}", "{basic: 0, advanced: 0}", "max: 10\n    input: compliance", "rules.compliance.max", "the rule earns nothing"),
    "linear of no points": ("{community_posts: 2", "{community_posts: 0", "{community_posts: 0", "rules.community.points_each.community_posts", "0 each: write above 0"),
    "linear over its maximum": ("{community_posts: 2", "{community_posts: 10.5", "{community_posts: 10.5", "rules.community.points_each.community_posts", "10.5 each: write above 0, and no more than"),
    "linear without a maximum": ("    max: 10\n    points_each", "    max: 0\n    points_each", "max: 0", "rules.community.max", "write a maximum above 0"),
    "word that never occurs": ("{basic: 5,", "{basics: 5,", "{basics: 5,", "rules.compliance.points.basics", "never has this word: did you mean `basic`?"),
    "unknown group": ("    group: business\n    kind: greatest", "    group: busines\n    kind: greatest", "group: busines\n", "rules.industry.group", "no group `busines`: did you mean `business`?"),
    "unused group": ("  usage: {max: 40}", "  usage: {max: 40}\n  other: {max: 5}", "other:", "groups.other", "no rule is in group `other`"),
    "group under its rules": ("  usage: {max: 40}", "  usage: {max: 39}", "usage: {max: 39}", "groups.usage.max", "39, but its rules can give 40: write max: 40"),
    "group over its rules": ("  usage: {max: 40}", "  usage: {max: 40.5}", "usage: {max: 40.5}", "groups.usage.max", "40.5, but its rules can give 40"),
    "over 100": ("    max: 5\n    input: tutorial_completed\n    points: 5", "    max: 6\n    input: tutorial_completed\n    points: 6", "\nrules:", "rules", "all rules together can give 101 points: 100 is the most"),
    "first tier above 0": ("{name: unqualified, from: 0}", "{name: unqualified, from: 1}", "from: 1}", "tiers[0].from", "the lowest tier begins at 1: write from: 0"),
    "hand-off of the first tier": ("{name: unqualified, from: 0}", "{name: unqualified, from: 0, handoff: none}", "handoff: none", "tiers[0].handoff", "never handed off"),
    "first tier ready for sales": ("{name: unqualified, from: 0}", "{name: unqualified, from: 0, sales_ready: true}", "from: 0, sales_ready", "tiers[0].sales_ready", "every lead begins"),
    "tiers fall": ("name: gold, from: 85", "name: gold, from: 70", "name: gold", "tiers[3].from", "70 after 75: tiers rise"),
    "equal tiers": ("name: gold, from: 85", "name: gold, from: 75", "name: gold", "tiers[3].from", "75 after 75: tiers rise"),
    "tier twice": ("name: gold", "name: silver", "name: silver, from: 85", "tiers[3]", "`silver` stands there twice"),
    "tier out of reach": ("from: 95", "from: 100.01", "from: 100.01", "tiers[4].from", "100.01 cannot be reached: all rules give 100"),
    "readiness ends": ("{name: gold, from: 85, handoff: standard, sales_ready: true}", "{name: gold, from: 85, handoff: standard}", "name: gold", "tiers[3]", "`silver` below it is ready for sales"),
    "event twice": ("[feature_used]", "[feature_used, Feature-Used]", "Feature-Used", "features.features_used.from[0].events[1]", "`feature used` stands there twice"),
    "distinct of nothing": ("        property: run_id\n        as: id\n        or_event_id: true  # without a run_id every event is a run of its own\n", "", "events: [workflow_completed, workflow_success]\n        where: {status: [success, null]}  # null: the event has no status\n\n  first", "features.successful_runs.from[0]", "nothing is counted: add `property`"),
    "distinct numbers": ("as: label", "as: number", "from:\n      - events: [feature_used]", "features.features_used.from", "read as number, but things are told apart by text: write as: id or label or word"),
    "texts and numbers": ("{name: company_revenue, as: amount}", "{name: company_revenue, as: word}", "from:\n      - events: [profile_completed, profile_updated, team_size_changed, identify, group]\n        property:\n", "features.company_revenue_usd.from", "texts (word) and numbers (number)"),
    "greatest text": ("  segment:\n    kind: latest", "  segment:\n    kind: maximum", "from:\n      - events: [profile_completed, profile_updated, team_size_changed, identify, group]\n        property: segment", "features.segment.from", "read as word, but only numbers have a greatest"),
    "words for numbers": ("  team_size:\n    kind: latest", "  team_size:\n    kind: latest\n    words: [ten]", "words: [ten]", "features.team_size.words", "a list of words is for"),
    "one part": ("      - kind: words\n        input: segment\n        points: {enterprise: 10}\n        reason: Enterprise customer\n", "", "    of:", "rules.industry.of", "name two parts or more"),
    "the same input twice": ("        input: segment\n", "        input: industry\n", "- kind: words\n        input: industry\n        points: {enterprise: 10}", "rules.industry.of[1]", "another part reads `industry` already"),
    "unknown field of a reason": ("Team of {input}", "Team of {size}", "Team of {size}", "rules.team_size.reason", "`{size}` is not known here: write {input}"),
    "input where there are several": ("forum posts {community_posts}", "forum posts {input}", "forum posts {input}", "rules.community.reason", "write {community_posts} or {feature_requests}"),
    "place in a reason": ("Team of {input}", "Team of {}", "Team of {}", "rules.team_size.reason", "`{}` is not known here"),
    "attribute in a reason": ("Team of {input}", "Team of {input.real}", "Team of {input.real}", "rules.team_size.reason", "`{input.real}` is not known here"),
    "index in a reason": ("Team of {input}", "Team of {input[0]}", "Team of {input[0]}", "rules.team_size.reason", "`{input[0]}` is not known here"),
    "format in a reason": ("Team of {input}", "Team of {input:>999999999}", "Team of {input:>9", "rules.team_size.reason", "formats are not taken: write plain {input}"),
    "conversion in a reason": ("Team of {input}", "Team of {input!r}", "Team of {input!r}", "rules.team_size.reason", "formats are not taken"),
    "broken brace": ("Team of {input}", "Team of {input", "Team of {input", "rules.team_size.reason", "a brace without its pair"),
    "brace in a flag's reason": ("Completed a tutorial", "Completed {input} tutorials", "Completed {input}", "rules.documentation.reason", "write no braces"),
    "reason of a band": ("reason: Yearly revenue from 10 million USD", "reason: 'Yearly {revenue}'", "Yearly {revenue}", "rules.company_revenue.bands[1].reason", "`{revenue}` is not known here"),
    "reason of a part": ("\"Industry: {input}\"", "\"Industry: {industry}\"", "Industry: {industry}", "rules.industry.of[0].reason", "`{industry}` is not known here"),
}  # fmt: skip


def edited(old: str, new: str) -> str:
    assert PQL_100.count(old) == 1, f"{old!r} must be there exactly once"
    return PQL_100.replace(old, new)


@pytest.mark.parametrize(("old", "new", "marker", "path", "message"), FAULTS.values(), ids=FAULTS)
def test_a_fault_of_meaning_is_named_by_line_path_and_what_to_write(old, new, marker, path, message):
    """Each fault, put alone into the default pack, is found at its line and path, and says what to write."""
    text = edited(old, new)
    with pytest.raises(InvalidPack) as caught:
        parse_pack(text, "a pack")
    problem = next(p for p in caught.value.problems if message in p.message)

    assert text.count(marker) == 1
    line = text.count("\n", 0, text.index(marker) + len(marker) - len(marker.lstrip("\n"))) + 1
    assert (line, path) == (problem.line, problem.path)


ALLOWED = {
    "a count may begin above 0": (RUNS, RUNS.replace("at_least: 5,", "above: 0,")),
    "braces may be doubled": ("Team of {input}", "Team {{of}} {input}"),
    "a reason needs no input": ("Team of {input}", "A team"),
    "a bound may be higher than needed": ("at_most: 50", "at_most: 60"),
    "a word may be worth nothing": ("{basic: 5,", "{none: 0, basic: 5,"),
    "at least and above one bound": (
        "      - {above: 0, points: 5, reason: Yearly revenue below 10 million USD}",
        "      - {at_least: 0, points: 1}\n      - {above: 0, points: 5}",
    ),
    "days may be counted": (
        "  converted_at:",
        "  days_seen:\n    kind: distinct_days\n    at_most: 9\n    from:\n      - events: login\n  converted_at:",
    ),
    "a fraction of a number": ("10_000_000", "10_000_000.5"),
    "events may be counted by themselves": ("        property: run_id\n        as: id\n", ""),
}


@pytest.mark.parametrize(("old", "new"), ALLOWED.values(), ids=ALLOWED)
def test_what_is_unusual_but_right_is_taken(old, new):
    """The checks refuse mistakes, not taste."""
    assert "pql-100" == parse_pack(edited(old, new), "a pack").name


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
    return msgspec.structs.replace(
        SMALL, rules=(rule,), groups=(Group("all", rule.points_max),), tiers=SMALL.tiers[:1]
    )


def with_feature(feature):
    return msgspec.structs.replace(SMALL, features=(*SMALL.features, feature))


BETWEEN = SecondsBetween("began", "ended")
SECONDS = BelowRule("r", "all", 500, "{input}", BETWEEN, (Band(60, 500),))
BUILT = {
    "no bands": (with_rule(AtLeastRule("r", "all", 500, "x", "size", ())), ("rules", "r", "bands"), "no bands"),
    "no bands below": (with_rule(BelowRule("r", "all", 500, "x", BETWEEN, ())), ("rules", "r", "bands"), "no bands"),
    "negative bound": (with_rule(AtLeastRule("r", "all", 500, "x", "size", (Band(-1, 500),))), ("rules", "r", "bands", 0), "bounds are numbers from 0"),
    "endless bound": (with_rule(BelowRule("r", "all", 500, "x", BETWEEN, (Band(float("inf"), 500),))), ("rules", "r", "bands", 0), "bounds are numbers from 0"),
    "no input of a linear": (with_rule(LinearRule("r", "all", 500, "x", ())), ("rules", "r", "points_each"), "name at least one"),
    "negative word": (with_rule(WordsRule("r", "all", 500, "x", "level", (("a", 500), ("b", -5)))), ("rules", "r", "points", "b"), "-0.05 points: write 0 or more"),
    "word not compared": (with_rule(WordsRule("r", "all", 500, "x", "level", (("A_b", 500),))), ("rules", "r", "points", "A_b"), "`A_b` never occurs: write `a b`"),
    "greatest within": (with_rule(GreatestRule("r", "all", 500, "", (SECONDS, GreatestRule("s", "all", 500, "", (SECONDS,))))), ("rules", "r", "of", 1), "a greatest within a greatest"),
    "greatest of none": (with_rule(GreatestRule("r", "all", 0, "", ())), ("rules", "r", "of"), "fewer than two"),
    "blank reason": (with_rule(FlagRule("r", "all", 500, " ", "seen", 500)), ("rules", "r", "reason"), "write a sentence"),
    "name of digits in a reason": (with_rule(LinearRule("r", "all", 500, "{5} {size}", (("5", 100), ("size", 100)))), ("rules", "r", "reason"), "`{5}` is not known here: write {size}"),
    "no rules": (msgspec.structs.replace(SMALL, rules=()), ("rules",), "no rules"),
    "no tiers": (msgspec.structs.replace(SMALL, tiers=()), ("tiers",), "no tiers"),
    "rule twice": (msgspec.structs.replace(SMALL, rules=SMALL.rules * 2), ("rules", 1), "stands there twice"),
    "feature twice": (with_feature(SMALL.features[0]), ("features", 6), "stands there twice"),
    "group twice": (msgspec.structs.replace(SMALL, groups=SMALL.groups * 2), ("groups", 1), "stands there twice"),
    "no groups": (msgspec.structs.replace(SMALL, groups=()), ("rules", "seen", "group"), "write one of none: there is none"),
    "no source": (with_feature(Feature("f", "flag", ())), ("features", "f", "from"), "no event sets this"),
    "no events": (with_feature(Feature("f", "flag", (Source(()),))), ("features", "f", "from", 0, "events"), "no events"),
    "event not compared": (with_feature(Feature("f", "flag", (Source(("A_b",)),))), ("features", "f", "from", 0, "events", 0), "`A_b` never occurs: words are compared as `a b`"),
    "no value read": (with_feature(Feature("f", "latest", (Source(("e",)),))), ("features", "f", "from", 0), "no value is read"),
    "no value allowed": (with_feature(Feature("f", "flag", (Source(("e",), (Condition("p", frozenset()),)),))), ("features", "f", "from", 0, "where", "p"), "no value is allowed"),
    "value not compared": (with_feature(Feature("f", "flag", (Source(("e",), (Condition("p", frozenset({"A", None})),)),))), ("features", "f", "from", 0, "where", "p"), "`A` never occurs"),
    "list of words not compared": (with_feature(Feature("f", "latest", (word_source(),), words=frozenset({"A", "b"}))), ("features", "f", "words"), "`A` never occurs"),
}  # fmt: skip


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
