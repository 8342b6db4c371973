"""
Scores by recomputation: everything a lead ever did is read again for every answer.

No folds, no limits, no early ends. The final score of a lead is a function of the set of its events
(contract, section 7), so a set of events is the argument; only `changes` knows an order, that of arrival.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from tests.oracle.decode import Event
from tests.oracle.facts import Known, Said, facts_of, known_of_facts

Number = int | float

# --- points and inputs of the rules (section 4, R20); points in hundredths would do, decimals are plainer ---


@dataclass(frozen=True)
class Rule:
    name: str
    group: str
    points_max: int
    points: Callable[[Known], Decimal]
    input: Callable[[Known], Any]


@dataclass(frozen=True)
class Pack:
    name: str
    version: int
    rules: tuple[Rule, ...]


def _at_least(value: int, *bands: tuple[int, int]) -> Decimal:
    return Decimal(max([0, *(points for bound, points in bands if value >= bound)]))


def _compliance_points(known: Known) -> Decimal:
    return Decimal({"basic": 5, "advanced": 10}.get(known.level or "", 0))


def _first_value_points(known: Known) -> Decimal:
    elapsed_ms = known.to_first_value_ms
    if elapsed_ms is None or elapsed_ms < 0:
        return Decimal(0)
    if elapsed_ms < 3_600_000:
        return Decimal(15)
    if elapsed_ms < 86_400_000:
        return Decimal(10)
    return Decimal(5) if elapsed_ms < 604_800_000 else Decimal(0)


def _first_value_input(known: Known) -> Number | None:
    elapsed_ms = known.to_first_value_ms
    return None if elapsed_ms is None else as_number(Decimal(elapsed_ms) / 1000)


def _team_size_points(known: Known) -> Decimal:
    return _at_least(known.team_size or 0, (2, 5), (6, 10))


def _revenue_points(known: Known) -> Decimal:
    if known.revenue is None or known.revenue <= 0:
        return Decimal(0)
    return Decimal(5) if known.revenue < 10_000_000 else Decimal(10)


TECH = {"tech", "technology", "software", "saas", "devtools", "edtech", "cybersecurity"}
REGULATED = {
    "finance",
    "financial services",
    "fintech",
    "banking",
    "insurance",
    "healthcare",
    "health care",
    "healthtech",
    "enterprise",
}


def _industry_points(known: Known) -> Decimal:
    of_industry = 10 if known.industry in REGULATED else 5 if known.industry in TECH else 0
    of_segment = 10 if known.segment == "enterprise" else 0
    return Decimal(max(of_industry, of_segment))


SHARED_RULES = (
    Rule("compliance", "usage", 10, _compliance_points, lambda known: known.level),
    Rule("time_to_first_value", "engagement", 15, _first_value_points, _first_value_input),
    Rule(
        "community",
        "engagement",
        10,
        lambda known: Decimal(min(10, 2 * known.posts + 5 * known.requests)),
        lambda known: {"posts": min(5, known.posts), "requests": min(2, known.requests)},
    ),
    Rule(
        "documentation",
        "engagement",
        5,
        lambda known: Decimal(5 if known.tutorial else 0),
        lambda known: known.tutorial,
    ),
    Rule("team_size", "business", 10, _team_size_points, lambda known: known.team_size),
    Rule("company_revenue", "business", 10, _revenue_points, lambda known: as_number(known.revenue)),
    Rule(
        "industry",
        "business",
        10,
        _industry_points,
        lambda known: {"industry": known.industry, "segment": known.segment},
    ),
)

PQL_100 = Pack(
    "pql-100",
    1,
    (
        Rule(
            "feature_adoption",
            "usage",
            15,
            lambda known: _at_least(known.features, (3, 5), (5, 10), (7, 15)),
            lambda known: min(7, known.features),
        ),
        Rule(
            "workflow_success",
            "usage",
            15,
            lambda known: _at_least(known.runs, (5, 5), (20, 10), (50, 15)),
            lambda known: min(50, known.runs),
        ),
        *SHARED_RULES,
    ),
)

PQL_100_LINEAR = Pack(
    "pql-100-linear",
    1,
    (
        Rule(
            "feature_adoption",
            "usage",
            15,
            lambda known: min(Decimal(15), Decimal("2.14") * known.features),
            lambda known: min(8, known.features),
        ),
        Rule(
            "workflow_success",
            "usage",
            15,
            lambda known: min(Decimal(15), Decimal("0.3") * known.runs),
            lambda known: min(50, known.runs),
        ),
        *SHARED_RULES,
    ),
)

TIERS = (("platinum", 95), ("gold", 85), ("silver", 75), ("bronze", 60), ("unqualified", 0))
TIER_RANK = {tier: rank for rank, (tier, _) in enumerate(reversed(TIERS))}
HANDOFF = {
    "unqualified": None,
    "bronze": "delayed",
    "silver": "standard",
    "gold": "standard",
    "platinum": "immediate",
}
SALES_READY = ("silver", "gold", "platinum")


def tier_of(score: Decimal) -> str:
    return next(tier for tier, from_ in TIERS if score >= from_)


def as_number(value: Decimal | Fraction | None) -> Number | None:
    """
    *value* as JSON shows it: whole, or with two decimals that are cut and not rounded (R20).

    Cut downwards, also below zero: cut towards zero, -0.005 s would show as 0, a band it is not in.
    """
    if value is None:
        return None
    hundredths = (Fraction(value) * 100).__floor__()
    return hundredths // 100 if hundredths % 100 == 0 else hundredths / 100


def iso_of(at_ms: int) -> str:
    """`2026-01-05T10:00:00.000Z`."""
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at_ms)
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at_ms % 1000:03d}Z"


# --- answers, shaped as sections 5, 6 and 8 have them ---


@dataclass
class _Lead:
    """The events of one lead as they arrived, and what was said about it so far."""

    lead_id: str
    pack: Pack
    said: Said = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    moved_by: dict[str, dict[str, Any] | None] = field(default_factory=dict)
    points: dict[str, Decimal] = field(default_factory=dict)
    known: Known = field(default_factory=lambda: known_of_facts([]))
    sequence: int = 0
    announced: str = "unqualified"

    def __post_init__(self) -> None:
        self.points = {rule.name: Decimal(0) for rule in self.pack.rules}
        self.moved_by = {rule.name: None for rule in self.pack.rules}

    @property
    def score(self) -> Decimal:
        return sum(self.points.values(), Decimal(0))

    def groups(self) -> dict[str, Number | None]:
        names = dict.fromkeys(rule.group for rule in self.pack.rules)
        return {
            group: as_number(
                sum((self.points[rule.name] for rule in self.pack.rules if rule.group == group), Decimal(0))
            )
            for group in names
        }


@dataclass
class Replayed:
    """All that a stream of events makes, in the order of arrival; `scores` is sorted by lead id."""

    changes: list[dict[str, Any]]
    qualifications: list[dict[str, Any]]
    scores: list[dict[str, Any]]


def score(events: Iterable[Event], pack: Pack = PQL_100) -> list[dict[str, Any]]:
    """
    The final score of every lead of *events*, whatever their order, sorted by lead id.

    As `pql-stream score --json` has it, without what depends on the order (`moved_by`).
    """
    by_lead: dict[str, list[Event]] = {}
    for event in events:
        by_lead.setdefault(event.lead_id, []).append(event)
    scores = []
    for lead_id in sorted(by_lead):
        lead = _Lead(lead_id, pack)
        lead.said = [(event, facts_of(event)) for event in by_lead[lead_id]]
        lead.known = known_of_facts(lead.said)
        lead.points = {rule.name: rule.points(lead.known) for rule in pack.rules}
        scores.append(_score_record(lead, with_moved_by=False))
    return scores


def changes(events: Iterable[Event], pack: Pack = PQL_100) -> list[dict[str, Any]]:
    """The records of `score-changed` for *events* in order of arrival."""
    return replay(events, pack).changes


def qualifications(events: Iterable[Event], pack: Pack = PQL_100) -> list[dict[str, Any]]:
    """The records of `pql-qualified` for *events* in order of arrival."""
    return replay(events, pack).qualifications


def replay(events: Iterable[Event], pack: Pack = PQL_100) -> Replayed:
    """
    After every event everything about its lead from the beginning; quadratic in the events of a lead.

    Left out of the records is what the contract leaves opaque: `change_id`, `qualification_id`, `reasons`.
    A qualification names its change by `change_sequence` instead.
    """
    leads: dict[str, _Lead] = {}
    made = Replayed([], [], [])
    for event in events:
        lead = leads.setdefault(event.lead_id, _Lead(event.lead_id, pack))
        change = _arrive(lead, event)
        if change is not None:
            made.changes.append(change)
            qualification = _announce(lead, change)
            if qualification is not None:
                made.qualifications.append(qualification)
    made.scores = [_score_record(leads[lead_id], with_moved_by=True) for lead_id in sorted(leads)]
    return made


def _arrive(lead: _Lead, event: Event) -> dict[str, Any] | None:
    # A repeat of the very same event adds nothing to a set. Not recomputing it saves the time of a hot
    # lead that is replayed; what is compared is the whole event, so nothing is left to trust.
    identity = repr(event_identity(event))
    if identity in lead.seen:
        return None
    lead.seen.add(identity)
    lead.said.append((event, facts_of(event)))
    lead.known = known_of_facts(lead.said)
    before, after = lead.points, {rule.name: rule.points(lead.known) for rule in lead.pack.rules}
    if before == after:
        return None
    cause = _cause_of(event)
    score_before = lead.score
    lead.points = after
    lead.sequence += 1
    lead.moved_by |= {name: cause for name in after if after[name] != before[name]}
    return _change_record(lead, event, before, score_before)


def event_identity(event: Event) -> tuple[Any, ...]:
    """All that equality of events looks at; not their place."""
    return (
        event.event_id,
        event.lead_id,
        event.account_id,
        event.name,
        event.occurred_at_ms,
        event.properties,
    )


def _cause_of(event: Event) -> dict[str, Any]:
    topic, partition, offset = event.place or (None, None, None)
    return {"event_id": event.event_id, "topic": topic, "partition": partition, "offset": offset}


def _contributions(lead: _Lead, before: dict[str, Decimal] | None) -> list[dict[str, Any]]:
    contributions = []
    for rule in lead.pack.rules:
        contribution: dict[str, Any] = {
            "rule": rule.name,
            "group": rule.group,
            "points": as_number(lead.points[rule.name]),
            "points_max": rule.points_max,
            "input": rule.input(lead.known),
        }
        if before is not None:
            contribution["points_before"] = as_number(before[rule.name])
        contributions.append(contribution)
    return contributions


def _change_record(lead: _Lead, event: Event, before: dict[str, Decimal], score_before: Decimal) -> dict[str, Any]:
    return {
        "schema": "score-changed/1",
        "mode": "live",
        "lead_id": lead.lead_id,
        "account_id": lead.known.account_id,
        "pack": lead.pack.name,
        "pack_version": lead.pack.version,
        "sequence": lead.sequence,
        "occurred_at": iso_of(event.occurred_at_ms),
        "score_before": as_number(score_before),
        "score_after": as_number(lead.score),
        "tier_before": tier_of(score_before),
        "tier_after": tier_of(lead.score),
        "groups": lead.groups(),
        "contributions": [
            contribution | {"moved_by": lead.moved_by[contribution["rule"]]}
            for contribution in _contributions(lead, before)
        ],
        "cause": _cause_of(event) | {"event": event.name.strip()},
    }


def _announce(lead: _Lead, change: dict[str, Any]) -> dict[str, Any] | None:
    tier = change["tier_after"]
    if TIER_RANK[tier] <= TIER_RANK[lead.announced]:
        return None
    tier_before, lead.announced = lead.announced, tier
    return {
        "schema": "pql-qualified/1",
        "mode": "live",
        "lead_id": lead.lead_id,
        "account_id": lead.known.account_id,
        "pack": lead.pack.name,
        "pack_version": lead.pack.version,
        "tier": tier,
        "tier_before": tier_before,
        "score": change["score_after"],
        "sales_ready": tier in SALES_READY,
        "handoff": HANDOFF[tier],
        "occurred_at": change["occurred_at"],
        "change_sequence": change["sequence"],
        "profile": {
            "team_size": lead.known.team_size,
            "industry": lead.known.industry,
            "segment": lead.known.segment,
            "company_revenue_usd": as_number(lead.known.revenue),
        },
    }


def _score_record(lead: _Lead, *, with_moved_by: bool) -> dict[str, Any]:
    contributions = _contributions(lead, None)
    if with_moved_by:
        contributions = [c | {"moved_by": lead.moved_by[c["rule"]]} for c in contributions]
    times_ms = [event.occurred_at_ms for event, _ in lead.said]
    return {
        "lead_id": lead.lead_id,
        "account_id": lead.known.account_id,
        "pack": lead.pack.name,
        "pack_version": lead.pack.version,
        "score": as_number(lead.score),
        "tier": tier_of(lead.score),
        "groups": lead.groups(),
        "contributions": contributions,
        "first_seen_at": iso_of(min(times_ms)),
        "last_seen_at": iso_of(max(times_ms)),
    }
