"""What the events of a benchmark say: quiet ones, which earn nothing new, and loud ones, which move a rule."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

Facts = tuple[str, dict[str, Any]]
"""(event name, the properties that scoring looks at)"""

FEATURES = ("report_builder", "dashboards", "api_access", "alerting", "sso")
STATED = {"team_size": 12, "industry": "finance", "segment": "mid_market", "company_revenue_usd": 45_000_000}


def surroundings(rng: random.Random) -> dict[str, Any]:
    """What a product sends along with every event, whether anybody scores it or not."""
    return {
        "plan": rng.choice(("trial", "team")),
        "source": rng.choice(("web", "desktop", "api")),
        "app_version": f"4.{rng.randrange(20)}.{rng.randrange(10)}",
        "duration_ms": rng.randrange(20_000),
    }


def quiet_facts(rng: random.Random, number: int, features: Sequence[str] = FEATURES) -> Facts:
    """What earns nothing new: mostly people look around; they use what they used, and run one run more."""
    name = rng.choices(
        ("page_viewed", "feature_used", "workflow_completed", "workflow_failed", "identify"), (55, 25, 8, 4, 8)
    )[0]
    properties: dict[str, dict[str, Any]] = {
        "page_viewed": {"path": f"/app/{rng.choice(features)}"},
        "feature_used": {"feature": rng.choice(features)},
        "workflow_completed": {"run_id": f"run-{number}", "status": "success"},
        "workflow_failed": {"run_id": f"run-{number}", "error_code": 504},
        "identify": {"segment": STATED["segment"], "job_role": "engineer"},
    }
    return name, properties[name]


def loud_facts(turn: int) -> Facts:
    """What moves a rule each time: turn for turn another level, team, revenue or industry."""
    step = turn // 4
    kinds: tuple[Facts, ...] = (
        ("compliance_level_changed", {"level": ("basic", "none", "advanced")[step % 3]}),
        ("team_size_changed", {"team_size": (4, 1, 25)[step % 3]}),
        ("profile_updated", {"company_revenue": ("1M-10M", "$10M+")[step % 2]}),
        ("identify", {"industry": ("saas", "retail", "finance")[step % 3]}),
    )
    return kinds[turn % len(kinds)]


def set_up_facts() -> tuple[Facts, ...]:
    """The first events of a lead: its trial, its profile, and what it did at once."""
    return (
        ("trial_created", {}),
        ("identify", STATED),
        ("tutorial_completed", {}),
        ("compliance_level_changed", {"level": "advanced"}),
        ("workflow_completed", {"run_id": "run-first", "status": "success"}),
    )
