"""What is wrong with the form of a pack: every fault by its line, its path and what to write instead."""

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import pytest
import yaml

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


FAULTS = {
    entry.pop("fault"): entry
    for entry in yaml.safe_load(Path(__file__).with_name("faults_of_form.yaml").read_text(encoding="utf-8"))
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_fault_of_form_is_named_by_line_path_and_what_to_write(fault):
    """Each fault, put alone into the default pack, is found at its line and its path, and says what to write."""
    text = edited(fault["old"], fault["new"])

    problem = next(p for p in problems_of(text) if fault["message"] in p.message)

    assert (line_of(text, fault["at"]), fault["path"]) == (problem.line, problem.path)


@pytest.mark.parametrize(
    "fault",
    [
        "unknown rule kind", "norway in a list", "three decimals", "list for mapping", "no bound", "no reader",
        "unknown feature kind", "empty text", "missing rule kind", "yes for true", "empty list",
    ],
)  # fmt: skip
def test_a_value_that_cannot_be_read_has_no_false_problems_in_its_wake(fault):
    """What only follows from a value that could not be read (a missing feature, a sum) is not said."""
    text = edited(FAULTS[fault]["old"], FAULTS[fault]["new"])

    assert 1 == len(problems_of(text))


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
