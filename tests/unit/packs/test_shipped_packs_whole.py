"""The shipped packs as a whole: their tiers, their maxima, what they keep and the reasons they give."""

from collections.abc import Iterable

import pytest

from pql_stream.core.events import ProductEvent
from pql_stream.core.packs import CompiledPack, compile_pack
from pql_stream.core.states import LeadState
from pql_stream.core.transition import advance, reasons
from pql_stream.testing.builders import JAN_5_MS, product_event
from pql_stream.wire.packs import load_pack, shipped_packs

PACKS = {name: compile_pack(load_pack(name)) for name in shipped_packs()}
BANDED, LINEAR = PACKS["pql-100"], PACKS["pql-100-linear"]
both = pytest.mark.parametrize("pack", PACKS.values(), ids=PACKS)


def lead_after(events: Iterable[ProductEvent], pack: CompiledPack) -> LeadState:
    state = None
    for event in events:
        state = advance(state, event, pack).state
    assert state is not None
    return state


def test_the_shipped_packs_are_these_in_version_1():
    """Names and versions are in every record, so they are pinned."""
    assert [("pql-100", 1), ("pql-100-linear", 1)] == [(pack.name, pack.version) for pack in PACKS.values()]


@both
def test_groups_rules_and_maxima_are_the_contracts(pack):
    """The order of the rules is the order of the contributions; the maxima add up to 100."""
    expected = [
        ("usage", "feature_adoption", 15),
        ("usage", "workflow_success", 15),
        ("usage", "compliance", 10),
        ("engagement", "time_to_first_value", 15),
        ("engagement", "community", 10),
        ("engagement", "documentation", 5),
        ("business", "team_size", 10),
        ("business", "company_revenue", 10),
        ("business", "industry", 10),
    ]

    assert expected == [(rule.group, rule.name, rule.points_max / 100) for rule in pack.rules]
    assert {"usage": 40, "engagement": 30, "business": 30} == {
        group.name: group.points_max / 100 for group in pack.pack.groups
    }


@both
@pytest.mark.parametrize(
    ("tier", "score_from", "handoff", "sales_ready"),
    [
        ("unqualified", 0, None, False),
        ("bronze", 60, "delayed", False),
        ("silver", 75, "standard", True),
        ("gold", 85, "standard", True),
        ("platinum", 95, "immediate", True),
    ],
)
def test_tiers_begin_at_their_score(pack, tier, score_from, handoff, sales_ready):
    """At its score a tier begins, a hundredth below it has not."""
    at = pack.tier_of(score_from * 100)

    assert (tier, handoff, sales_ready) == (at.name, at.handoff, at.sales_ready)
    assert score_from == 0 or tier != pack.tier_of(score_from * 100 - 1).name


@both
@pytest.mark.parametrize("name", ["trial_converted", "subscription_started", "login", "x" * 256])
def test_other_events_earn_nothing(pack, name):
    """Conversion is kept, but it is no sign of a lead; unknown events are activity."""
    assert 0 == sum(lead_after([product_event(name)], pack).pack.points)


@pytest.mark.parametrize("name", ["trial_converted", "subscription_started"])
def test_conversion_is_kept(name):
    """The earliest conversion stands among the features."""
    slot = [feature.name for feature in BANDED.pack.features].index("converted_at")

    assert JAN_5_MS == lead_after([product_event(name)], BANDED).features[slot]


BEST_LEAD = [
    product_event("trial_created"),
    *[product_event("feature_used", feature=str(n)) for n in range(7)],
    *[product_event("workflow_success", run_id=n, occurred_at_ms=JAN_5_MS + 45 * 60_000) for n in range(50)],
    product_event("compliance_level_changed", level="advanced"),
    *[product_event("community_post", post_id=n) for n in range(5)],
    product_event("tutorial_completed"),
    product_event("identify", team_size=12, company_revenue_usd=20_000_000, industry="finance"),
]


def test_the_best_lead_has_100_points_and_reasons_a_salesperson_understands():
    """All rules at their maximum are 100 points; each says why, the largest first."""
    state = lead_after(BEST_LEAD, BANDED)

    assert 10_000 == sum(state.pack.points)
    assert (
        "7 different features used (+15)",
        "50 successful workflow runs (+15)",
        "First successful run 45 minutes after the trial began (+15)",
        "Compliance level: advanced (+10)",
        "Active in the community: forum posts 5, feature requests 0 (+10)",
        "Team of 12 (+10)",
        "Yearly revenue from 10 million USD (+10)",
        "Industry: finance (+10)",
        "Completed a tutorial (+5)",
    ) == reasons(state.features, state.pack.points, BANDED)


@pytest.mark.parametrize(
    ("name", "properties", "reason"),
    [
        ("identify", {"company_revenue": "1M-10M"}, "Yearly revenue below 10 million USD (+5)"),
        ("identify", {"industry": "retail", "segment": "enterprise"}, "Enterprise customer (+10)"),
        ("identify", {"industry": "saas", "segment": "smb"}, "Industry: saas (+5)"),
        ("community_post", {}, "Active in the community: forum posts 1, feature requests 0 (+2)"),
    ],
)
def test_a_reason_fits_its_points(name, properties, reason):
    """The band and the part that earned the points give the sentence."""
    state = lead_after([product_event(name, **properties)], BANDED)

    assert (reason,) == reasons(state.features, state.pack.points, BANDED)


@both
def test_sales_is_shown_the_profile_of_the_contract(pack):
    """These four facts, in this order."""
    assert ("team_size", "industry", "segment", "company_revenue_usd") == pack.pack.profile


@both
def test_a_lead_of_whom_nothing_is_known_scores_0(pack):
    """No rule has a default that earns points."""
    assert 0 == sum(pack.points_unset)


def test_the_packs_differ_in_two_rules_only():
    """What `pql-100-linear` is compared for is the counting of usage, so all else is equal."""
    banded, linear = BANDED.pack, LINEAR.pack

    assert banded.rules[2:] == linear.rules[2:]
    assert (banded.tiers, banded.groups, banded.profile) == (linear.tiers, linear.groups, linear.profile)
    assert banded.features[1:] == linear.features[1:]
