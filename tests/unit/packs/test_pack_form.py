"""What is wrong with the form of a pack: every fault by its line, its path and what to write instead."""

from collections.abc import Callable
from importlib.resources import files

import pytest

from pql_stream.errors import InvalidPack, PackProblem
from pql_stream.wire.packs import parse_pack

PQL_100 = (files("pql_stream") / "packs" / "pql-100.yaml").read_text(encoding="utf-8")


def problems_of(text: str | bytes) -> tuple[PackProblem, ...]:
    with pytest.raises(InvalidPack) as caught:
        parse_pack(text, "a pack")
    return caught.value.problems


def edited(old: str, new: str) -> str:
    assert PQL_100.count(old) == 1, f"{old!r} must be there exactly once"
    return PQL_100.replace(old, new)


def line_of(text: str, part: str) -> int:
    assert text.count(part) == 1, f"{part!r} must be there exactly once"
    return text.count("\n", 0, text.index(part)) + 1


# (what is replaced, with what, the text in whose line the problem is, path, part of the message)
FAULTS = {
    "unknown top key": ("title: Pr", "titel: Pr", "titel", "titel", "did you mean `title`?"),
    "unknown key": ("    at_most: 7", "    at_mots: 7", "at_mots", "features.features_used.at_mots", "`at_most`?"),
    "missing key": (
        "    max: 5\n",
        "",
        "  documentation:",
        "rules.documentation",
        "`max` is missing: add `max: …`",
    ),
    "key of another kind": (
        "    kind: flag\n    from",
        "    kind: flag\n    at_most: 3\n    from",
        "at_most: 3",
        "features.tutorial_completed.at_most",
        "write one of kind, from",
    ),
    "duplicate key": (
        "  team_size:\n    kind: latest",
        "  team_size:\n    kind: latest\n    kind: flag",
        "kind: flag\n    from:\n      - events: [profile",
        "features.team_size",
        "`kind` stands in line",
    ),
    "duplicate feature": (
        "  segment:\n    kind: latest",
        "  industry:\n    kind: latest",
        "  industry:\n    kind: latest\n    from:\n      - events: [profile_completed, profile_updated,"
        " team_size_changed, identify, group]\n        property: segment",
        "features",
        "`industry` stands in line",
    ),
    "unknown rule kind": (
        "kind: below",
        "kind: under",
        "kind: under",
        "rules.time_to_first_value.kind",
        "`under` is not known: write one of at_least, below",
    ),
    "unknown part kind": (
        "      - kind: words\n        input: segment",
        "      - kind: word\n        input: segment",
        "kind: word\n        input: segment",
        "rules.industry.of[1].kind",
        "did you mean `words`?",
    ),
    "missing rule kind": (
        "    kind: flag\n    max: 5",
        "    max: 5",
        "  documentation:",
        "rules.documentation",
        "`kind` is missing",
    ),
    "missing part kind": (
        "      - kind: words\n        input: segment",
        "      - input: segment",
        "- input: segment",
        "rules.industry.of[1]",
        "`kind` is missing",
    ),
    "unknown feature kind": ("kind: flag\n    from", "kind: flags\n    from", "kind: flags", "features.tutorial_completed.kind", "`flag`"),
    "list for mapping": ("  usage: {max: 40}", "  usage: [40]", "usage: [40]", "groups.usage", "a list stands here: write `key: value`"),
    "text for mapping": ("  usage: {max: 40}", "  usage: forty", "usage: forty", "groups.usage", "a text stands here"),
    "nothing for mapping": ("  usage: {max: 40}", "  usage:", "  usage:\n", "groups.usage", "nothing stands here"),
    "mapping for text": ("input: tutorial_completed", "input: [tutorial_completed]", "input: [tut", "rules.documentation.input", "a list stands here: write a text"),
    "text for list": ("of:\n      - kind: words\n        input: industry", "of: industry\n    off:\n      - kind: words\n        input: industry", "of: industry", "rules.industry.of", "a text stands here: write a list"),
    "empty list": ("events: [trial_created]", "events: []", "events: []", "features.trial_started_at.from[0].events", "the list is empty"),
    "empty mapping": ("points_each: {community_posts: 2, feature_requests: 5}", "points_each: {}", "points_each: {}", "rules.community.points_each", "empty: name at least one feature"),
    "empty text": ("reason: Completed a tutorial", "reason: ' '", "reason: ' '", "rules.documentation.reason", "empty: write a text"),
    "long text": ("reason: Completed a tutorial", "reason: " + "x" * 201, "reason: xx", "rules.documentation.reason", "201 characters: write at most 200"),
    "two lines of text": ("reason: Completed a tutorial", "reason: \"one\\ntwo\"", "reason: \"one", "rules.documentation.reason", "a line break"),
    "lone surrogate": ("reason: Completed a tutorial", "reason: \"\\ud800\"", "\\ud800", "rules.documentation.reason", "cannot be shown"),
    "norway in a list": ("words: [none, basic, advanced]", "words: [no, basic, advanced]", "words: [no,", "features.compliance_level.words[0]", "put it in quotes: \"no\""),
    "norway as a key": ("enterprise: 10}", "off: 10}", "off: 10", "rules.industry.of[1].points", "put it in quotes: \"off\""),
    "number as text": ("input: tutorial_completed", "input: 5", "input: 5", "rules.documentation.input", "a number stands here"),
    "date as text": ("title: Pr", "title: 2026-01-01 #", "title: 2026", "title", "a date stands here"),
    "tagged text": ("title: Pr", "title: !x Pr", "title: !x", "title", "something else stands here"),
    "null for text": ("input: tutorial_completed", "input: null", "input: null", "rules.documentation.input", "nothing stands here"),
    "null among events": ("events: [trial_created]", "events: [null]", "events: [null]", "features.trial_started_at.from[0].events[0]", "nothing stands here"),
    "no text at all": ("input: tutorial_completed", "input:", "    input:\n", "rules.documentation.input", "write a text"),
    "list as key": ("enterprise: 10}", "[a]: 10}", "[a]: 10", "rules.industry.of[1].points", "a list cannot be a key: write a text"),
    "word of dashes": ("input: segment\n        points: {enterprise: 10}", "input: segment\n        points: {--: 10}", "points: {--", "rules.industry.of[1].points.--", "nothing is left of `--`"),
    "the same word twice": ("health care: 10", "Health_Care: 10\n          health-care: 10", "health-care", "rules.industry.of[0].points.health-care", "the same word as one above it, `health care`"),
    "yes for true": ("standard, sales_ready: true}\n  - {name: gold", "standard, sales_ready: yes}\n  - {name: gold", "sales_ready: yes", "tiers[2].sales_ready", "`yes`: write true or false"),
    "quoted true": ("standard, sales_ready: true}\n  - {name: gold", "standard, sales_ready: 'true'}\n  - {name: gold", "sales_ready: 'true'", "tiers[2].sales_ready", "write true or false"),
    "list for true": ("standard, sales_ready: true}\n  - {name: gold", "standard, sales_ready: [true]}\n  - {name: gold", "sales_ready: [true]", "tiers[2].sales_ready", "a list stands here: write true or false"),
    "three decimals": ("feature_requests: 5}", "feature_requests: 5.001}", "5.001", "rules.community.points_each.feature_requests", "at most two decimals"),
    "negative points": ("feature_requests: 5}", "feature_requests: -5}", "-5}", "rules.community.points_each.feature_requests", "`-5`: write points from 0"),
    "quoted points": ("feature_requests: 5}", "feature_requests: '5'}", "'5'", "rules.community.points_each.feature_requests", "without quotes"),
    "octal": ("feature_requests: 5}", "feature_requests: 010}", "010}", "rules.community.points_each.feature_requests", "`010`: write points"),
    "sexagesimal": ("{below: 3600,", "{below: 1:00:00,", "1:00:00", "rules.time_to_first_value.bands[0].below", "`1:00:00`: write a number from 0"),
    "exponent": ("{below: 3600,", "{below: 3.6e3,", "3.6e3", "rules.time_to_first_value.bands[0].below", "`3.6e3`: write a number"),
    "not a number": ("{below: 3600,", "{below: .nan,", ".nan", "rules.time_to_first_value.bands[0].below", "`.nan`: write a number"),
    "odd thousands": ("10_000_000", "1000_0000", "1000_0000", "rules.company_revenue.bands[1].at_least", "write a number"),
    "16 digits": ("10_000_000", "1000000000000000", "1000000000000000", "rules.company_revenue.bands[1].at_least", "write a number"),
    "decimal count": ("at_most: 50", "at_most: 50.0", "at_most: 50.0", "features.successful_runs.at_most", "write a whole number"),
    "list for number": ("at_most: 50", "at_most: [50]", "at_most: [50]", "features.successful_runs.at_most", "a list stands here: write a whole number"),
    "no bound": ("{at_least: 2, points: 5}", "{points: 5}", "- {points: 5}", "rules.team_size.bands[0]", "write one of `at_least`"),
    "two bounds": ("{at_least: 2, points: 5}", "{at_least: 2, above: 2, points: 5}", "above: 2", "rules.team_size.bands[0]", "write one of `at_least`"),
    "wrong bound": ("{below: 3600,", "{at_least: 3600,", "at_least: 3600", "rules.time_to_first_value.bands[0]", "`below` is missing"),
    "no reader": ("        property: run_id\n        as: id\n", "        property: run_id\n", "        property: run_id", "features.successful_runs.from[0].property", "`as` is missing: say how the property is read: id, label"),
    "unknown reader": ("as: whole", "as: integer", "as: integer", "features.team_size.from[0].as", "`integer` is not known: write one of id"),
    "reader of nothing": ("amount}  # also bands such as 1M-10M", "amount}\n        as: number", "        as: number", "features.company_revenue_usd.from[0].as", "nothing is read by this"),
    "reader without a property": ("        property: run_id\n        as: id\n", "        as: id\n", "        as: id\n        or_event_id: true  # w", "features.successful_runs.from[0].as", "nothing is read by this"),
    "max of a part": ("points: {enterprise: 10}", "points: {enterprise: 10}\n        max: 10", "        max: 10", "rules.industry.of[1].max", "is not known here"),
    "merge key": ("  usage: {max: 40}", "  usage: {<<: {max: 40}}", "<<", "groups.usage", "cannot be a key"),
}  # fmt: skip


@pytest.mark.parametrize(("old", "new", "marker", "path", "message"), FAULTS.values(), ids=FAULTS)
def test_a_fault_of_form_is_named_by_line_path_and_what_to_write(old, new, marker, path, message):
    """Each fault, put alone into the default pack, is found at its line and its path, and says what to write."""
    text = edited(old, new)

    problem = next(p for p in problems_of(text) if message in p.message)

    assert (line_of(text, marker), path) == (problem.line, problem.path)


@pytest.mark.parametrize(
    "fault",
    [
        "unknown rule kind", "norway in a list", "three decimals", "list for mapping", "no bound", "no reader",
        "unknown feature kind", "empty text", "missing rule kind", "yes for true", "empty list",
    ],
)  # fmt: skip
def test_a_value_that_cannot_be_read_has_no_false_problems_in_its_wake(fault):
    """What only follows from a value that could not be read (a missing feature, a sum) is not said."""
    old, new, *_ = FAULTS[fault]

    assert 1 == len(problems_of(edited(old, new)))


@pytest.mark.parametrize("section", ["features", "groups", "rules", "tiers", "pack", "version", "title"])
def test_a_section_that_is_missing_is_one_problem(section):
    """Without a section there is one problem, and not one more for each name that would stand in it."""
    text = PQL_100.replace(f"\n{section}:", "\nprofile_of_old:", 1)

    messages = [p.message for p in problems_of(text)]

    assert [f"`{section}` is missing: add `{section}: …`"] == [m for m in messages if "missing" in m]
    assert 2 == len(messages)  # the other is the key that nobody knows


def test_all_problems_are_told_at_once_in_the_order_of_the_file():
    """Faults of form and of meaning in several places come together, sorted by line."""
    text = (
        PQL_100.replace("at_most: 7", "at_most: 6")
        .replace("input: tutorial_completed", "input: tutorials")
        .replace("from: 75", "from: 7.555")
        .replace("title: P", "titel: P")
    )

    problems = problems_of(text)

    assert [
        "file",
        "titel",
        "features.features_used.at_most",
        "rules.documentation.input",
        "tiers[2].from",
    ] == [p.path for p in problems]
    assert sorted(p.line for p in problems) == [p.line for p in problems]


def test_a_single_value_needs_no_brackets():
    """One event, one property, one word and one profile feature may stand without a list."""
    text = edited("events: [trial_created]", "events: trial_created")

    assert parse_pack(PQL_100, "a") == parse_pack(text, "b")


def test_thousands_may_be_parted():
    """10_000_000 is 10000000, and 60.00 is 60."""
    text = edited("10_000_000", "10000000").replace("from: 60", "from: 60.00")

    assert parse_pack(PQL_100, "a") == parse_pack(text, "b")


def test_a_byte_order_mark_and_windows_line_ends_are_taken():
    """An editor on Windows does no harm."""
    text = b"\xef\xbb\xbf" + PQL_100.replace("\n", "\r\n").encode()

    assert parse_pack(PQL_100, "a") == parse_pack(text, "b")


Refusal = tuple[str | bytes, int, str]
REFUSED: dict[str, Callable[[], Refusal]] = {
    "empty": lambda: ("", 1, "the file is empty"),
    "comment only": lambda: ("# nothing\n", 1, "the file is empty"),
    "not a mapping": lambda: ("- a\n", 1, "a list stands here"),
    "text": lambda: ("hello", 1, "a text stands here"),
    "not UTF-8": lambda: (b"pack: x\ntitle: \xff\n", 2, "not UTF-8"),
    "UTF-16": lambda: (PQL_100.encode("utf-16"), 1, "not UTF-8"),
    "binary": lambda: ("pack: x\ntitle: \x00", 2, "not for reading"),
    "tab": lambda: ("pack: x\n\tversion: 1\n", 2, "a tab: write blanks instead"),
    "two documents": lambda: ("pack: a\n---\npack: b\n", 2, "a second document begins"),
    "broken flow": lambda: ("pack: a\ngroups: {usage: {max: 3}\n", 3, "not YAML: "),
    "anchor": lambda: ("pack: &a b\n", 1, "anchors (&) and aliases (*) are not taken"),
    "alias": lambda: ("pack: x\ntitle: *a\n", 2, "anchors (&) and aliases (*) are not taken"),
    "deep": lambda: ("[" * 5_000 + "]" * 5_000, 1, "more than 12 levels"),
    "deep mapping": lambda: ("{a: " * 5_000, 1, "more than 12 levels"),
    "escape out of range": lambda: ('title: "\\UFFFFFFFF"', 0, "out of range"),
    "version of YAML out of range": lambda: (f"%YAML {'9' * 5_000}.1\n---\na: b", 0, "out of range"),
    "too large": lambda: ("#" * ((1 << 20) + 1), 0, "over 1 MiB"),
}


@pytest.mark.parametrize("refusal", REFUSED.values(), ids=REFUSED)
def test_what_is_no_yaml_of_ours_is_refused_with_its_line(refusal):
    """Broken, binary, deep, huge and many-document YAML is one problem at a line, never another exception."""
    text, line, message = refusal()

    (problem,) = problems_of(text)

    assert (line, "file") == (problem.line, problem.path)
    assert message in problem.message


def test_a_billion_laughs_cost_nothing():
    """Aliases are refused at the first one, before anything is multiplied."""
    levels = [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 12)]
    text = "\n".join(["l0: &l0 lol", *levels])

    (problem,) = problems_of(text)

    assert 1 == problem.line


def test_strange_keys_are_shown_on_one_line():
    """A key of control characters or of great length does not spoil the list of problems."""
    text = edited("  usage: {max: 40}", f'  "a\\nb{"x" * 99}": {{max: 40}}')

    shown = [p.path for p in problems_of(text) if p.path.startswith("groups.")]

    assert [f"groups.a?b{'x' * 37}…"] == list(dict.fromkeys(shown))
