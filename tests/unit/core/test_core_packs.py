"""Compiled packs: which events matter, which tier a score has, what a group adds up to."""

import pytest

from pql_stream.core import packs
from tests.unit.core.every_kind import EVERY_KIND, every_kind


@pytest.fixture
def pack():
    return every_kind()


@pytest.mark.parametrize(
    ("score", "tier"),
    [
        (0, "cold"),
        (2999, "cold"),
        (3000, "warm"),
        (4999, "warm"),
        (5000, "hot"),
        (7499, "hot"),
        (7500, "blazing"),
        (10_000, "blazing"),
    ],
)
def test_tiers_begin_exactly_at_their_score(pack, score, tier):
    """A hundredth below a tier is the tier below."""

    assert tier == pack.tier_of(score).name
    assert tier == pack.tiers[pack.tier_place(score)].name


def test_groups_add_up_their_rules(pack):
    """Every rule is in exactly one group's sum."""
    points = tuple(10**place for place in range(len(pack.rules)))

    assert {"use": 111, "told": 1_111_000} == pack.group_points(points)


def test_a_new_lead_has_no_points(pack):
    """Nothing known earns nothing, in any kind of rule."""

    assert (0,) * len(EVERY_KIND.rules) == pack.points_unset


def test_a_plan_names_the_features_and_their_rules(pack):
    """An event moves the features whose sources name it, and those are read by the rules that name them."""
    features = [feature.name for feature in EVERY_KIND.features]
    rules = [rule.name for rule in EVERY_KIND.rules]

    planned = {features[slot]: [rules[place] for place, _ in readers] for slot, _, readers in pack.plan("measured")}
    assert {"peak": ["extremes"], "trough": ["extremes"]} == planned


@pytest.mark.parametrize("name", ["used", "USED", " used_", "-Used-"])
def test_event_names_are_compared_as_words(pack, name):
    """However an event's name is written, it is planned as its word (R14)."""

    assert pack.event_words["used"] == pack.plan(name)
    assert pack.plan(name)


def test_an_unknown_event_does_nothing(pack):
    """A name that the pack does not know has an empty plan."""

    assert () == pack.plan("else")


def test_names_that_producers_make_up_do_not_fill_the_memory(pack):
    """The plans remembered are bounded, and what is forgotten is planned again, the same."""
    kept = pack.plan("used")
    for number in range(packs._PLANS_MAX):
        pack.plan(f"made up {number}")

    assert packs._PLANS_MAX > len(pack.plans)
    assert kept == pack.plan("used")
