"""
Who tries the product, and how far each gets.

The ranges are narrow enough that a persona lands in the same tier of `pql-100` whatever the chance of
the day (the sums are beside each), so that a simulation shows every tier and a test can rely on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

MINUTE_S = 60
HOUR_S = 60 * MINUTE_S
DAY_S = 24 * HOUR_S

Range = tuple[int, int]
"""Least and most, both possible."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Persona:
    """
    One kind of trial user; a draw for each lead settles its numbers.

    *lasts_days* is the time from the first to the last visit, *first_success_s* from the start of the
    trial to the first successful run, *team_size* the final one (0: never told). *compliance* are the
    levels in the order in which they are reached, *revenue* what the company says of itself: a number
    of dollars a year, or a band as text. The last two are percentages of such leads.
    """

    name: str
    visits: Range
    lasts_days: Range
    features: Range
    runs: Range
    failed_runs: Range
    first_success_s: Range
    posts: Range = (0, 0)
    requests: Range = (0, 0)
    tutorials: Range = (0, 0)
    compliance: tuple[str, ...] = ()
    team_size: Range = (0, 0)
    revenue: tuple[int | str, ...] = ()
    industries: tuple[str, ...] = ("retail", "education", "media", "logistics")
    segment: str | None = None
    anonymous_percent: int = 0
    converted_percent: int = 0


# At most: features 5, and that is all.
TOURIST = Persona(
    name="tourist",
    visits=(1, 1),
    lasts_days=(1, 1),
    features=(1, 3),
    runs=(0, 0),
    failed_runs=(0, 2),
    first_success_s=(0, 0),
    anonymous_percent=50,
)
# At most: features 10, runs 5, first value 10, community 2, documentation 5, team 5,
# industry 5 = 42.
EXPLORER = Persona(
    name="explorer",
    visits=(2, 4),
    lasts_days=(2, 9),
    features=(3, 6),
    runs=(2, 15),
    failed_runs=(1, 4),
    first_success_s=(3 * HOUR_S, 4 * DAY_S),
    posts=(0, 1),
    tutorials=(0, 2),
    team_size=(1, 5),
    industries=("retail", "SaaS", "edtech", "media"),
    anonymous_percent=20,
    converted_percent=2,
)
# features 15, runs 10, compliance 5, first value 10, community 2-4, documentation 5,
# team 10, revenue 5, industry 5 = 67-69: bronze.
BUILDER = Persona(
    name="builder",
    visits=(4, 6),
    lasts_days=(4, 10),
    features=(7, 10),
    runs=(22, 45),
    failed_runs=(3, 8),
    first_success_s=(2 * HOUR_S, 8 * HOUR_S),
    posts=(1, 2),
    tutorials=(1, 3),
    compliance=("basic",),
    team_size=(6, 20),
    revenue=(600_000, 2_500_000, "1M-10M"),
    industries=("SaaS", "devtools", "Technology"),
    converted_percent=20,
)
# features 15, runs 15, compliance 5, first value 10, community 7-9, documentation 5,
# team 10, revenue 5, industry 5 = 77-79: silver.
TEAM_LEAD = Persona(
    name="team lead",
    visits=(5, 8),
    lasts_days=(5, 10),
    features=(8, 12),
    runs=(52, 80),
    failed_runs=(4, 10),
    first_success_s=(2 * HOUR_S, 8 * HOUR_S),
    posts=(1, 2),
    requests=(1, 1),
    tutorials=(1, 3),
    compliance=("basic",),
    team_size=(8, 60),
    revenue=(3_000_000, 8_000_000, "$1M-$10M"),
    industries=("SaaS", "cybersecurity", "software"),
    converted_percent=40,
)
# features 15, runs 15, compliance 10, first value 15, community 6-8, documentation 5,
# team 10, revenue 5, industry 5 = 86-88: gold.
CHAMPION = Persona(
    name="champion",
    visits=(5, 9),
    lasts_days=(5, 11),
    features=(9, 14),
    runs=(55, 85),
    failed_runs=(2, 8),
    first_success_s=(8 * MINUTE_S, 50 * MINUTE_S),
    posts=(3, 4),
    tutorials=(1, 4),
    compliance=("basic", "advanced"),
    team_size=(10, 80),
    revenue=(4_000_000, 9_500_000, "1M-10M"),
    industries=("SaaS", "devtools", "edtech"),
    converted_percent=60,
)
# As the champion, with community 9-10, revenue 10 and industry 10 = 99-100: platinum.
ENTERPRISE_CHAMPION = Persona(
    name="enterprise champion",
    visits=(6, 9),
    lasts_days=(6, 12),
    features=(10, 16),
    runs=(60, 90),
    failed_runs=(2, 8),
    first_success_s=(8 * MINUTE_S, 40 * MINUTE_S),
    posts=(2, 4),
    requests=(1, 2),
    tutorials=(2, 4),
    compliance=("basic", "advanced"),
    team_size=(40, 900),
    revenue=(25_000_000, 480_000_000, "$10M–$100M", "100M+"),  # noqa: RUF001 - the contract's band has this dash
    industries=("Financial Services", "healthcare", "insurance", "manufacturing"),
    segment="enterprise",
    converted_percent=70,
)

DECK = (TOURIST,) * 6 + (EXPLORER,) * 5 + (BUILDER,) * 4 + (TEAM_LEAD,) * 2 + (CHAMPION,) * 2 + (ENTERPRISE_CHAMPION,)
"""Twenty leads in a row are these, shuffled: drawing each lead by itself could leave a tier empty."""


def persona_of(seed: int, number: int) -> Persona:
    """The persona of lead *number* (from 0)."""
    deck, place = divmod(number, len(DECK))
    shuffled = Random(f"{seed}/deck/{deck}").sample(DECK, len(DECK))  # noqa: S311 - a simulation, not a secret
    return shuffled[place]
