"""What is wrong with the meaning of a pack that has the right form."""

from importlib.resources import files
from pathlib import Path

import pytest
import yaml

from pql_stream.errors import InvalidPack
from pql_stream.wire.packs import parse_pack

PQL_100 = (files("pql_stream") / "packs" / "pql-100.yaml").read_text(encoding="utf-8")

FAULTS = {
    entry.pop("fault"): entry
    for entry in yaml.safe_load(Path(__file__).with_name("faults_of_meaning.yaml").read_text(encoding="utf-8"))
}


def edited(old: str, new: str) -> str:
    assert PQL_100.count(old) == 1, f"{old!r} must be there exactly once"
    return PQL_100.replace(old, new)


def line_of(text: str, part: str) -> int:
    """The line in which *part* begins, where it does not begin with line ends."""
    assert text.count(part) == 1, f"{part!r} must be there exactly once"
    return text.count("\n", 0, text.index(part)) + len(part) - len(part.lstrip("\n")) + 1


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_fault_of_meaning_is_named_by_line_path_and_what_to_write(fault):
    """Each fault, put alone into the default pack, is found at its line and path, and says what to write."""
    text = edited(fault["old"], fault["new"])
    with pytest.raises(InvalidPack) as caught:
        parse_pack(text, "a pack")
    problem = next(p for p in caught.value.problems if fault["message"] in p.message)

    assert (line_of(text, fault["at"]), fault["path"]) == (problem.line, problem.path)


def test_a_problem_of_a_single_value_without_brackets_has_the_line_of_its_field():
    """`profile: teem` is the list of one; its place in the list has no line of its own."""
    text = edited("profile: [team_size, industry, segment, company_revenue_usd]", "profile: teem")
    with pytest.raises(InvalidPack) as caught:
        parse_pack(text, "a pack")

    assert [(line_of(text, "profile: teem"), "profile[0]")] == [(p.line, p.path) for p in caught.value.problems]


ALLOWED = {
    "a count may begin above 0": (
        "{at_least: 5, points: 5}\n      - {at_least: 20",
        "{above: 0, points: 5}\n      - {at_least: 20",
    ),
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
