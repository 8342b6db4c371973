"""One simulated trial: its plan, and the activities of each of its visits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any
from uuid import UUID

from pql_stream.testing.simulation.forms import GROUP, IDENTIFY, Activity
from pql_stream.testing.simulation.personas import HOUR_S, Persona, Range, persona_of

SECOND_MS = 1000
DAY_MS = 24 * HOUR_S * SECOND_MS

DEFAULT_START_MS = 1_767_571_200_000
"""2026-01-05T00:00:00Z, a Monday. Fixed, so that the output is the same on every day."""
EARLIEST_START_MS = 946_684_800_000
"""2000-01-01: earlier events would be refused as `bad_time` (CONTRACT.md 2)."""
DAYS_MAX = 366

_VISIT_LASTS_AT_MOST_MS = 3 * HOUR_S * SECOND_MS
"""Every visit is over by then: 50 minutes to a success, then 40 activities 3 minutes apart, at most."""

_FEATURES = (
    "editor", "dashboard", "alerts", "webhooks", "api_keys", "templates", "scheduler", "approvals",
    "audit_log", "sso", "exports", "versions", "variables", "integrations", "comments", "usage_report",
)  # fmt: skip
_FIRST_NAMES = (
    "Ada",
    "Bram",
    "Chen",
    "Dina",
    "Emeka",
    "Freya",
    "Goran",
    "Hana",
    "Ivo",
    "Joana",
    "Kofi",
    "Lin",
)
_LAST_NAMES = (
    "Abara",
    "Becker",
    "Costa",
    "Dahl",
    "Endo",
    "Farkas",
    "Greco",
    "Horvat",
    "Ito",
    "Jansen",
    "Kaya",
)
_TUTORIALS = ("first-workflow", "connect-your-data", "invite-your-team", "going-live")

Extra = tuple[str, dict[str, Any]]
"""Name and properties of something that is not a run or a use of a feature."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What to simulate: *leads* trials within *days* days from *start_ms*, by *seed*."""

    leads: int
    seed: int
    days: int
    start_ms: int

    def __post_init__(self) -> None:
        if self.leads < 1:
            raise ValueError(f"leads: {self.leads}, but at least 1 is needed")
        if not 1 <= self.days <= DAYS_MAX:
            raise ValueError(f"days: {self.days}, not within 1 and {DAYS_MAX}")
        if self.start_ms < EARLIEST_START_MS:
            raise ValueError(f"start_ms: {self.start_ms}, before 2000-01-01")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """
    One lead's plan: all that is settled before its first visit.

    *visits_ms* are the starts of its visits, ascending. *first_success_ms* lies in visit
    *first_success_visit*; successful *runs* belong to that one and those after it. *extras* has a
    tuple for each visit; those of *steps* stand for a level or a size that replaces an earlier one,
    so they come first in their visit and keep their order.
    """

    number: int
    user_id: str
    is_anonymous: bool
    account_id: str | None
    visits_ms: tuple[int, ...]
    first_success_ms: int
    first_success_visit: int
    features: tuple[str, ...]
    runs: int
    failed_runs: int
    introduction: tuple[Extra, ...]
    steps: tuple[tuple[Extra, ...], ...]
    extras: tuple[tuple[Extra, ...], ...]


def plan_trial(scenario: Scenario, number: int) -> Trial:
    """
    The trial of lead *number* (from 0).

    Trials start within the first half of the time, in the order of their numbers, so that each has
    the other half to unfold and the next one is known without planning them all.
    """
    rng = Random(f"{scenario.seed}/lead/{number}")  # noqa: S311 - a simulation, not a secret
    persona = persona_of(scenario.seed, number)
    window_ms = scenario.days * DAY_MS
    start_ms = scenario.start_ms + (number * 1000 + rng.randrange(1000)) * (window_ms // 2) // (scenario.leads * 1000)
    end_ms = min(scenario.start_ms + window_ms, start_ms + _draw(rng, persona.lasts_days) * DAY_MS)
    end_ms -= _VISIT_LASTS_AT_MOST_MS
    # A trial of a day has no room for "four days later": the first success waits at most half of it.
    first_success_ms = min(
        start_ms + _draw(rng, persona.first_success_s) * SECOND_MS + rng.randrange(SECOND_MS),
        start_ms + (end_ms - start_ms) // 2,
    )
    is_quick = first_success_ms < start_ms + HOUR_S * SECOND_MS
    visits_ms = _visit_starts(rng, persona, start_ms, first_success_ms, end_ms)
    is_anonymous = rng.randrange(100) < persona.anonymous_percent
    team_size = 0 if is_anonymous else _draw(rng, persona.team_size)
    return Trial(
        number=number,
        user_id=f"device-{rng.getrandbits(48):012x}" if is_anonymous else f"user-{number + 1:05d}",
        is_anonymous=is_anonymous,
        account_id=None if is_anonymous else _company(number),
        visits_ms=visits_ms,
        first_success_ms=first_success_ms,
        first_success_visit=0 if is_quick or len(visits_ms) == 1 else 1,
        features=tuple(rng.sample(_FEATURES, _draw(rng, persona.features))),
        runs=_draw(rng, persona.runs),
        failed_runs=_draw(rng, persona.failed_runs),
        introduction=() if is_anonymous else _introduction(rng, persona, number, team_size),
        steps=_steps(rng, persona, len(visits_ms), team_size),
        extras=_extras(rng, persona, len(visits_ms), number),
    )


def visit_activities(scenario: Scenario, trial: Trial, visit: int) -> Iterator[Activity]:
    """What the lead does in visit *visit* (from 0); not quite in the order of time."""
    rng = Random(f"{scenario.seed}/lead/{trial.number}/visit/{visit}")  # noqa: S311 - a simulation, not a secret

    def act(at_ms: int, extra: Extra) -> Activity:
        name, properties = extra
        return Activity(
            event_id=str(UUID(int=rng.getrandbits(128), version=4)),
            at_ms=at_ms,
            user_id=trial.user_id,
            is_anonymous=trial.is_anonymous,
            account_id=trial.account_id,
            name=name,
            properties=properties,
        )

    at_ms = trial.visits_ms[visit]
    for extra in _opening(trial, visit):
        yield act(at_ms, extra)
        at_ms += rng.randrange(4 * SECOND_MS, 20 * SECOND_MS)
    work = [*_work(rng, trial, visit), *trial.extras[visit]]
    rng.shuffle(work)
    runs = [("workflow_completed", _run(trial, visit, run)) for run in range(_runs_in(trial, visit))]
    if runs and visit == trial.first_success_visit:
        yield act(trial.first_success_ms, runs.pop(0))
        at_ms = max(at_ms, trial.first_success_ms + _pause_ms(rng))
    for extra in _mixed(rng, work, runs):
        yield act(at_ms, extra)
        at_ms += _pause_ms(rng)


def _visit_starts(rng: Random, persona: Persona, start_ms: int, first_success_ms: int, end_ms: int) -> tuple[int, ...]:
    """The start, the visit of the first success where that is a later one, then the rest, well apart."""
    visits = _draw(rng, persona.visits)
    starts = [start_ms]
    if visits > 1 and first_success_ms >= start_ms + HOUR_S * SECOND_MS:
        starts.append(first_success_ms)
    left = visits - len(starts)
    if left > 0:
        room_ms = (end_ms - starts[-1]) // left
        first_ms = starts[-1]
        starts += [first_ms + part * room_ms + rng.randrange(room_ms // 2, room_ms) for part in range(left)]
    return tuple(starts)


def _introduction(rng: Random, persona: Persona, number: int, team_size: int) -> tuple[Extra, ...]:
    """Who they are, and whatever they say about their company: facts about a team may grow later."""
    first, last = rng.choice(_FIRST_NAMES), rng.choice(_LAST_NAMES)
    # Nobody's: names in .example are never given to anybody (RFC 2606).
    person = {
        "first_name": first,
        "last_name": last,
        "email": f"{first}.{last}@{_company(number)}.example".lower(),
        "company": f"Company {number + 1}",
    }
    if not persona.revenue and not team_size:
        return ((IDENTIFY, person),)
    facts: dict[str, Any] = {"industry": rng.choice(persona.industries)}
    if team_size:
        facts["employees"] = (team_size + 1) // 2
    if persona.revenue:
        revenue = rng.choice(persona.revenue)
        facts["company_revenue" if isinstance(revenue, str) else "company_revenue_usd"] = revenue
    if persona.segment is not None:
        facts["segment"] = persona.segment
    return ((IDENTIFY, person), (GROUP, facts))


def _steps(rng: Random, persona: Persona, visits: int, team_size: int) -> tuple[tuple[Extra, ...], ...]:
    """Levels, sizes and the conversion, visit by visit; none in the first, which has the introduction."""
    steps: list[list[Extra]] = [[] for _ in range(visits)]
    if visits > 1:
        places = sorted(rng.sample(range(1, visits), len(persona.compliance)))
        for place, level in zip(places, persona.compliance, strict=True):
            steps[place].append(("compliance_level_changed", {"level": level}))
        if team_size:
            steps[rng.randrange(1, visits)].append(("team_size_changed", {"team_size": team_size}))
        if rng.randrange(100) < persona.converted_percent:
            steps[-1].append(("trial_converted", {}))
    return tuple(map(tuple, steps))


def _extras(rng: Random, persona: Persona, visits: int, number: int) -> tuple[tuple[Extra, ...], ...]:
    """Posts, requests and tutorials, each in a visit of its own choice."""
    posts = [
        ("community_post", {"post_id": f"post-{number + 1}-{post}", "kind": "forum_post"})
        for post in range(_draw(rng, persona.posts))
    ]
    requests = [
        ("feature_requested", {"request_id": f"request-{number + 1}-{request}"})
        for request in range(_draw(rng, persona.requests))
    ]
    tutorials = [
        ("tutorial_completed", {"tutorial_id": tutorial})
        for tutorial in rng.sample(_TUTORIALS, _draw(rng, persona.tutorials))
    ]
    extras: list[list[Extra]] = [[] for _ in range(visits)]
    for extra in (*posts, *requests, *tutorials):
        extras[rng.randrange(visits)].append(extra)
    return tuple(map(tuple, extras))


def _opening(trial: Trial, visit: int) -> Iterator[Extra]:
    if visit == 0:
        yield ("trial_created", {})
        yield from trial.introduction
    yield from trial.steps[visit]


def _work(rng: Random, trial: Trial, visit: int) -> Iterator[Extra]:
    """Features met for the first time, some met before, and the runs that fail."""
    visits = len(trial.visits_ms)
    known, met = (len(trial.features) * place // visits for place in (visit, visit + 1))
    for feature in trial.features[known:met]:
        yield ("feature_used", {"feature": feature})
    for _ in range(rng.randrange(3) if met else 0):
        yield ("feature_used", {"feature": rng.choice(trial.features[:met])})
    for failure in range(_share(trial.failed_runs, visit, visits)):
        yield ("workflow_failed", {"run_id": f"run-{trial.number + 1}-{visit}-f{failure}"})


def _runs_in(trial: Trial, visit: int) -> int:
    first = trial.first_success_visit
    return _share(trial.runs, visit - first, len(trial.visits_ms) - first) if visit >= first else 0


def _run(trial: Trial, visit: int, run: int) -> dict[str, Any]:
    return {"run_id": f"run-{trial.number + 1}-{visit}-{run}", "status": "success"}


def _mixed(rng: Random, work: list[Extra], runs: list[Extra]) -> Iterator[Extra]:
    """Runs come in bursts between the other things."""
    while work or runs:
        burst = rng.randrange(2, 7)
        yield from (*work[:1], *runs[:burst])
        work, runs = work[1:], runs[burst:]


def _pause_ms(rng: Random) -> int:
    """Seconds within a burst; now and then a minute or two to think."""
    is_thinking = rng.randrange(12) == 0
    return (
        rng.randrange(30 * SECOND_MS, 180 * SECOND_MS) if is_thinking else rng.randrange(2 * SECOND_MS, 25 * SECOND_MS)
    )


def _share(total: int, part: int, parts: int) -> int:
    """How much of *total* falls to *part* (from 0) of *parts* near-equal ones."""
    return total * (part + 1) // parts - total * part // parts


def _draw(rng: Random, bounds: Range) -> int:
    return rng.randint(*bounds)


def _company(number: int) -> str:
    return f"company-{number + 1:05d}"
