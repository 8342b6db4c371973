"""The comparison as one JSON object: everything, and every lead that changes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from pql_stream.core.packs import ModelPack
from pql_stream.core.rules import HUNDREDTHS
from pql_stream.core.values import Number
from pql_stream.ops.cli.plain import plain
from pql_stream.replay.whatif.gates import Gate
from pql_stream.replay.whatif.leads import LeadDifference, Outcome
from pql_stream.replay.whatif.report import Report, Routes, RouteTotal
from pql_stream.replay.whatif.totals import BIN_POINTS, BINS, Both, RuleTotal, Totals
from pql_stream.wire.numbers import decimal

SCHEMA = "whatif/1"


def json_chunks(report: Report) -> Iterator[bytes]:
    """The bytes of the object, piece by piece: there may be millions of leads, and they come last."""
    yield orjson.dumps(_fields(report))[:-1] + b',"changed_leads":['
    for place, lead in enumerate(report.leads.all()):
        yield (b",\n" if place else b"\n") + orjson.dumps(_lead(lead))
    yield b"]}\n"


def _fields(report: Report) -> dict[str, Any]:
    totals = report.totals
    by_tier_today, by_tier_then = totals.tiers()
    return {
        "schema": SCHEMA,
        "today": _pack(report.today, by_tier_today, report.changes.today, report.qualifications.today),
        "then": _pack(report.then, by_tier_then, report.changes.then, report.qualifications.then),
        "no_difference": report.no_difference,
        "records": {
            "accepted": report.tally.accepted,
            "skipped": report.tally.skipped,
            "rejected": dict(sorted(report.tally.rejected.items())),
        },
        "leads": _leads(totals),
        "matrix": [
            {"today": tier.name, "then": dict(zip((to.name for to in report.then.tiers), row, strict=True))}
            for tier, row in zip(report.today.tiers, totals.matrix, strict=True)
        ],
        "scores": [
            {
                "from": place * BIN_POINTS,
                "to": (place + 1) * BIN_POINTS,
                "today": totals.today_bins[place],
                "then": totals.then_bins[place],
            }
            for place in range(BINS)
        ],
        "rules": [_rule(rule) for rule in totals.rules],
        "routes": None if report.routes is None else _routes(report.routes, report.route_totals),
        "gates": [_gate(gate) for gate in report.gates],
        "notes": report.notes,
    }


def _pack(pack: ModelPack, leads: Sequence[int], changes: int, qualifications: int) -> dict[str, Any]:
    return {
        "pack": pack.name,
        "pack_version": pack.version,
        "title": pack.title,
        "score_changes": changes,
        "qualifications": qualifications,
        "tiers": [
            {
                "tier": tier.name,
                "from": decimal(tier.score_from),
                "handoff": tier.handoff,
                "sales_ready": tier.sales_ready,
                "leads": count,
            }
            for tier, count in zip(pack.tiers, leads, strict=True)
        ],
    }


def _leads(totals: Totals) -> dict[str, Any]:
    return {
        "total": totals.leads,
        "changed": totals.changed,
        "changed_percent": percent(totals.changed, totals.leads),
        "changed_in": {
            change: totals.changes[change] for change in ("tier", "handoff", "sales_ready", "qualifications")
        },
        "tier_risen": totals.tier["risen"],
        "tier_fallen": totals.tier["fallen"],
        "tier_other": totals.tier["other"],
        "newly_qualified": totals.newly_qualified,
        "no_longer_qualified": totals.no_longer_qualified,
        "newly_told_to_sales": totals.told_sales["risen"],
        "no_longer_told_to_sales": totals.told_sales["fallen"],
        "scores_differ": totals.scores_differ,
    }


def percent(count: int, total: int) -> float:
    """*count* of *total*, with two decimals; 0 of nothing."""
    return round(100 * count / total, 2) if total else 0.0


def _rule(total: RuleTotal) -> dict[str, Any]:
    return {
        "rule": total.rule.rule,
        "in_today": total.rule.today is not None,
        "in_then": total.rule.then is not None,
        "leads_more": total.leads_more,
        "leads_less": total.leads_less,
        "points_more": total.points_more / HUNDREDTHS,
        "points_less": total.points_less / HUNDREDTHS,
        "changed_leads": total.leads_changed,
    }


def _routes(routes: Routes, totals: Sequence[RouteTotal]) -> dict[str, Any]:
    return {
        "from": "examples" if routes.path is None else plain(str(routes.path)),
        "coalescing_counted": False,
        "routes": [
            {
                "route": one.route.name,
                "of": one.route.of,
                "sink": one.route.sink,
                "action": one.route.action,
                "deliveries": _both(one.deliveries),
                "leads": _both(one.leads),
            }
            for one in totals
        ],
    }


def _both(both: Both) -> dict[str, int]:
    return {"today": both.today, "then": both.then}


def _gate(gate: Gate) -> dict[str, Any]:
    return {"gate": gate.name, "limit": gate.limit.text, "leads": gate.leads, "passed": gate.passed}


def _lead(lead: LeadDifference) -> dict[str, Any]:
    return {
        "lead_id": lead.lead_id,
        "account_id": lead.account_id,
        "changed": lead.verdict.changes,
        "today": _outcome(lead.today),
        "then": _outcome(lead.then),
        "rules": [
            {
                "rule": rule.rule,
                "points_today": _decimal(rule.today),
                "points_then": _decimal(rule.then),
                "difference": rule.difference / HUNDREDTHS,
                "reason": rule.reason,
            }
            for rule in lead.rules
        ],
        "bounds": [
            {"tier": bound.tier, "from_today": _decimal(bound.today), "from_then": _decimal(bound.then)}
            for bound in lead.bounds
        ],
    }


def _decimal(hundredths: int | None) -> Number | None:
    return None if hundredths is None else decimal(hundredths)


def _outcome(outcome: Outcome) -> dict[str, Any]:
    return {
        "score": decimal(outcome.score),
        "tier": outcome.tier.name,
        "handoff": outcome.tier.handoff,
        "sales_ready": outcome.tier.sales_ready,
        "qualified": outcome.announced,
    }
