"""The rules of the shipped packs: every band of the contract's table below, at and above its bound."""

from collections.abc import Iterable
from typing import Any

import pytest

from pql_stream.core.events import ProductEvent
from pql_stream.core.packs import CompiledPack, compile_pack
from pql_stream.core.states import LeadState
from pql_stream.core.transition import advance, contributions
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


def earned(rule: str, events: Iterable[ProductEvent], pack: CompiledPack = BANDED) -> tuple[int | float, Any]:
    """(points, input) of *rule* after *events*."""
    part = next(p for p in contributions(lead_after(events, pack), pack) if p.rule == rule)
    return part.points / 100, part.input


def profile(**properties: Any) -> list[ProductEvent]:
    return [product_event("profile_updated", **properties)]


def features(count: int) -> list[ProductEvent]:
    return [product_event("feature_used", feature=f"f{n}") for n in range(count)]


def runs(count: int) -> list[ProductEvent]:
    return [product_event("workflow_completed", run_id=f"r{n}") for n in range(count)]


def posts(count: int, kind: str = "forum_post") -> list[ProductEvent]:
    return [product_event("community_post", post_id=f"p{n}", kind=kind) for n in range(count)]


def requests(count: int) -> list[ProductEvent]:
    return [product_event("feature_requested", request_id=f"q{n}") for n in range(count)]


def first_success_after(elapsed_ms: int) -> list[ProductEvent]:
    return [
        product_event("trial_created"),
        product_event("workflow_success", occurred_at_ms=JAN_5_MS + elapsed_ms),
    ]


@pytest.mark.parametrize(("count", "points"), [(0, 0), (2, 0), (3, 5), (4, 5), (5, 10), (6, 10), (7, 15), (8, 15)])
def test_feature_adoption_in_bands(count, points):
    """3, 5 and 7 features; the count stops at 7."""
    events = [*features(count), product_event("login")]

    assert (points, min(count, 7)) == earned("feature_adoption", events)


@pytest.mark.parametrize(
    ("count", "points"),
    [(0, 0), (4, 0), (5, 5), (6, 5), (19, 5), (20, 10), (21, 10), (49, 10), (50, 15), (51, 15)],
)
def test_workflow_success_in_bands(count, points):
    """5, 20 and 50 successful runs; the count stops at 50."""
    events = [*runs(count), product_event("login")]

    assert (points, min(count, 50)) == earned("workflow_success", events)


@pytest.mark.parametrize(("count", "points"), [(1, 2.14), (6, 12.84), (7, 14.98), (8, 15), (9, 15)])
def test_feature_adoption_one_by_one(count, points):
    """2.14 for each feature, up to 15; the count stops at 8."""
    assert (points, min(count, 8)) == earned("feature_adoption", features(count), LINEAR)


@pytest.mark.parametrize(("count", "points"), [(1, 0.3), (49, 14.7), (50, 15), (51, 15)])
def test_workflow_success_one_by_one(count, points):
    """0.3 for each run, up to 15; the count stops at 50."""
    assert (points, min(count, 50)) == earned("workflow_success", runs(count), LINEAR)


@pytest.mark.parametrize(
    ("properties", "count"),
    [
        ({"feature": "A_b"}, 1),
        ({"feature": " a-B "}, 1),
        ({"feature_name": "a b"}, 1),
        ({"feature": "a b", "feature_name": "c"}, 1),
        ({"feature": True, "feature_name": "a b"}, 1),
        ({"feature": 5}, 2),
        ({"feature": "c"}, 2),
        ({"feature": " "}, 1),
        ({"feature": 5.5}, 1),
        ({}, 1),
    ],
)
def test_a_feature_is_told_apart_by_its_word(properties, count):
    """Words are compared; the first known name counts; without one the event is activity only."""
    events = [product_event("feature_used", feature="a b"), product_event("Feature-Used", **properties)]

    assert count == earned("feature_adoption", events)[1]


@pytest.mark.parametrize(
    ("name", "properties", "count"),
    [
        ("workflow_completed", {"run_id": "r1"}, 1),
        ("workflow_success", {"run_id": "r1", "status": "SUCCESS"}, 1),
        ("workflow_success", {"run_id": "r2", "status": None}, 2),
        ("workflow_success", {"run_id": "r2", "status": " "}, 2),
        ("workflow_success", {"run_id": 7}, 2),
        ("workflow_success", {}, 2),
        ("workflow_success", {"run_id": 5.5}, 2),
        ("workflow_completed", {"run_id": "r2", "status": "failed"}, 1),
        ("workflow_completed", {"run_id": "r2", "status": 1}, 1),
        ("workflow_failed", {"run_id": "r2"}, 1),
        ("workflow_failure", {"run_id": "r2"}, 1),
    ],
)
def test_a_run_counts_once_and_only_where_it_succeeded(name, properties, count):
    """Distinct by run id, else by event id; a status that is given must be success."""
    events = [
        product_event("workflow_completed", run_id="r1"),
        product_event(name, event_id="r1", **properties),
    ]

    assert count == earned("workflow_success", events)[1]


def test_a_failed_run_is_no_first_success():
    """The first success is the earliest run that succeeded."""
    events = [
        product_event("trial_created"),
        product_event("workflow_completed", status="failed", occurred_at_ms=JAN_5_MS + 1_000),
        product_event("workflow_failed", occurred_at_ms=JAN_5_MS + 1_000),
        product_event("workflow_completed", status="success", occurred_at_ms=JAN_5_MS + 3_600_000),
    ]

    assert (10, 3600) == earned("time_to_first_value", events)


@both
@pytest.mark.parametrize(
    ("level", "points", "shown"),
    [
        ("none", 0, "none"),
        ("basic", 5, "basic"),
        (" Advanced ", 10, "advanced"),
        ("expert", 5, "basic"),
        (None, 5, "basic"),
        (2, 5, "basic"),
    ],
)
def test_compliance(pack, level, points, shown):
    """The latest level counts; a value outside the list does not replace a known one."""
    events = [
        product_event("compliance_level_changed", level="basic"),
        product_event("compliance_level_changed", event_id="e2", level=level),
    ]

    assert (points, shown) == earned("compliance", events, pack)


@both
@pytest.mark.parametrize(
    ("elapsed_ms", "points", "shown"),
    [
        (-1, 0, -0.01),
        (0, 15, 0),
        (3_599_999, 15, 3599.99),
        (3_600_000, 10, 3600),
        (3_600_001, 10, 3600),
        (86_399_999, 10, 86399.99),
        (86_400_000, 5, 86400),
        (604_799_999, 5, 604799.99),
        (604_800_000, 0, 604800),
    ],
)
def test_time_to_first_value(pack, elapsed_ms, points, shown):
    """Half-open bands: an hour is no longer within the hour; before the trial earns nothing."""
    assert (points, shown) == earned("time_to_first_value", first_success_after(elapsed_ms), pack)


@both
@pytest.mark.parametrize("events", [[product_event("trial_created")], runs(1)])
def test_a_time_that_is_not_known_earns_nothing(pack, events):
    """With only one end of the span there is no span."""
    assert (0, None) == earned("time_to_first_value", events, pack)


@both
@pytest.mark.parametrize(
    ("post_count", "request_count", "points"),
    [(1, 0, 2), (0, 1, 5), (2, 1, 9), (4, 0, 8), (5, 0, 10), (6, 0, 10), (0, 2, 10), (3, 1, 10), (0, 3, 10)],
)
def test_community(pack, post_count, request_count, points):
    """2 points a post and 5 a request, up to 10; 5 posts and 2 requests are shown at most."""
    events = [*posts(post_count), *requests(request_count)]
    shown = {"community_posts": min(post_count, 5), "feature_requests": min(request_count, 2)}

    assert (points, shown) == earned("community", events, pack)


@pytest.mark.parametrize(
    ("name", "properties", "shown"),
    [
        ("community_post", {"post_id": "p1"}, (1, 0)),
        ("community_post", {"post_id": "p1", "kind": "Forum-Post"}, (1, 0)),
        ("community_post", {}, (1, 0)),
        ("community_post", {"post_id": "p1", "kind": "feature_request"}, (0, 1)),
        ("community_post", {"post_id": "q1", "kind": "feature_request"}, (0, 1)),
        ("community_post", {"post_id": "p1", "kind": "rant"}, (0, 0)),
        ("community_post", {"post_id": "p1", "kind": 5}, (0, 0)),
        ("feature_requested", {"request_id": "q1"}, (0, 1)),
        ("feature_requested", {}, (0, 1)),
    ],
)
def test_posts_and_requests_are_told_apart(name, properties, shown):
    """The kind decides; a request is the same by either event; an unknown kind is nothing."""
    events = [product_event(name, **properties), product_event(name, **properties)]
    counts = earned("community", events)[1]

    assert shown == (counts["community_posts"], counts["feature_requests"])


def test_a_request_is_the_same_by_either_event():
    """A community post of kind feature_request and a feature_requested of one id are one request."""
    events = [*posts(1, "feature_request"), product_event("feature_requested", request_id="p0")]

    assert 5 == earned("community", events)[0]


@both
def test_documentation(pack):
    """A tutorial counts, with or without its id."""
    assert (5, True) == earned("documentation", [product_event("tutorial_completed")], pack)
    assert (0, False) == earned("documentation", [product_event("tutorial_started")], pack)


@both
@pytest.mark.parametrize(
    ("properties", "points", "shown"),
    [
        ({"team_size": 0}, 0, 0),
        ({"team_size": 1}, 0, 1),
        ({"team_size": 2}, 5, 2),
        ({"team_size": 3}, 5, 3),
        ({"team_size": 5}, 5, 5),
        ({"team_size": 6}, 10, 6),
        ({"team_size": 7.0}, 10, 7),
        ({"employees": 6}, 10, 6),
        ({"team_size": "6", "employees": 2}, 5, 2),
        ({"team_size": 5.5}, 0, None),
        ({"team_size": -6}, 0, None),
        ({"team_size": True}, 0, None),
    ],
)
def test_team_size(pack, properties, points, shown):
    """2 to 5 people, and 6 or more; what is no whole number from 0 is unknown."""
    assert (points, shown) == earned("team_size", profile(**properties), pack)


@both
@pytest.mark.parametrize(
    ("properties", "points", "shown"),
    [
        ({"company_revenue_usd": 0}, 0, 0),
        ({"company_revenue_usd": 0.001}, 5, 0.01),
        ({"company_revenue_usd": 1}, 5, 1),
        ({"company_revenue_usd": 9_999_999.99}, 5, 9_999_999.99),
        ({"company_revenue_usd": 10_000_000}, 10, 10_000_000),
        ({"company_revenue_usd": 10_000_001}, 10, 10_000_001),
        ({"company_revenue": "$10M\u2013$100M"}, 10, 10_000_000),
        ({"company_revenue": "<1M"}, 5, 0.01),
        ({"company_revenue_usd": "10M+", "company_revenue": "1M-10M"}, 5, 1_000_000),
        ({"company_revenue_usd": -1}, 0, None),
        ({"company_revenue": "a lot"}, 0, None),
    ],
)
def test_company_revenue(pack, properties, points, shown):
    """Above 0, and from 10 million; bands by their lower bound, in company_revenue only."""
    assert (points, shown) == earned("company_revenue", profile(**properties), pack)


TECH = ("tech", "technology", "software", "saas", "devtools", "edtech", "cybersecurity")
REGULATED = (
    "finance", "financial services", "fintech", "banking", "insurance", "healthcare", "health care", "healthtech",
    "enterprise",
)  # fmt: skip


@both
@pytest.mark.parametrize(
    ("industry", "points"),
    [*((text, 5) for text in TECH), *((text, 10) for text in REGULATED), ("retail", 0), ("tech 2", 0)],
)
def test_industry(pack, industry, points):
    """Every word of the contract, however it is spelt; others are known and earn nothing."""
    spelt = industry.upper().replace(" ", "_")

    assert (points, {"industry": industry, "segment": None}) == earned("industry", profile(industry=spelt), pack)


@both
@pytest.mark.parametrize(
    ("industry", "segment", "points"),
    [
        (None, "Enterprise", 10),
        ("saas", "enterprise", 10),
        ("saas", "smb", 5),
        ("finance", "smb", 10),
        (None, "finance", 0),
        (None, "smb", 0),
    ],
)
def test_the_greater_of_industry_and_segment_counts(pack, industry, segment, points):
    """They do not add up."""
    shown = {"industry": industry, "segment": segment.casefold()}

    assert (points, shown) == earned("industry", profile(industry=industry, segment=segment), pack)


@pytest.mark.parametrize(
    "name",
    ["profile_completed", "profile_updated", "team_size_changed", "identify", "group", "Profile Completed"],
)
def test_every_profile_event_carries_every_fact(name):
    """The facts of a profile come with any of five events."""
    facts = {"team_size": 6, "company_revenue_usd": 10**7, "industry": "finance"}
    state = lead_after([product_event(name, **facts)], BANDED)

    assert 3_000 == sum(state.pack.points)


def test_each_fact_of_a_profile_is_the_latest_on_its_own():
    """A later profile replaces what it knows, and nothing else."""
    events = [
        product_event("profile_updated", team_size=6, industry="finance"),
        product_event("profile_updated", event_id="e0", team_size=1, industry="retail"),
        product_event("profile_updated", event_id="e2", industry="saas", team_size="many"),
    ]

    assert ((10, 6), 5) == (earned("team_size", events), earned("industry", events)[0])
