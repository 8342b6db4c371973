"""What the terminal's report and the page both say, in the same words."""

from __future__ import annotations

from pql_stream.core.routes import Action
from pql_stream.core.rules import HUNDREDTHS
from pql_stream.ops.cli.plain import plain
from pql_stream.replay.whatif.gates import Gate, GateName
from pql_stream.replay.whatif.leads import BoundDifference, LeadDifference, RuleDifference
from pql_stream.replay.whatif.report import Report
from pql_stream.replay.whatif.totals import Both
from pql_stream.replay.whatif.verdicts import Move

SENT: dict[Action, str] = {
    "upsert": "contact updates",
    "task": "tasks",
    "message": "messages",
    "mail": "mails",
    "post": "posts",
}
"""What a route of each action sends, in the order in which it is told."""

COALESCING = "Contact updates that wait are merged into the last one; that is not counted, so fewer are sent."
COUNTED = "Each pack scores the same events from the first of them on, as if it had always been live:"
_GATES: dict[GateName, tuple[str, str, str]] = {
    "max_changed": ("--max-changed", "changes", "change"),
    "max_new_qualified": ("--max-new-qualified", "newly qualifies", "newly qualify"),
}


def points(hundredths: int | None) -> str:
    """`14.98`, `15`; a dash where the pack has no such rule."""
    return "-" if hundredths is None else f"{hundredths / HUNDREDTHS:,.2f}".removesuffix("0").removesuffix(".0")


def signed(number: int) -> str:
    """`+3`, `-3`, `0`."""
    return f"{number:+,}" if number else "0"


def signed_points(hundredths: int) -> str:
    """`+2.1`, `-5`, `0`."""
    return f"{'+' if hundredths > 0 else '-'}{points(abs(hundredths))}" if hundredths else "0"


def share(count: int, total: int) -> str:
    """`7.86%`; what is there is never 0%, and what is not all never 100%."""
    if count in {0, total}:
        return "100%" if count else "0%"
    shown = min(max(100 * count / total, 0.01), 99.99)
    return f"{shown:.2f}".rstrip("0").rstrip(".") + "%"


def counted(number: int, singular: str) -> str:
    """`1 lead`, `2 leads`."""
    return f"{number:,} {singular}{'' if number == 1 else 's'}"


def gate_sentence(gate: Gate, leads: int) -> str:
    """Why a gate is passed, or not, in one line."""
    flag, one, many = _GATES[gate.name]
    if not leads:
        return f"{flag} {gate.limit.text}: there is not one lead to hold it against"
    held = f"{gate.leads:,} of {counted(leads, 'lead')} {one if gate.leads == 1 else many} ({share(gate.leads, leads)})"
    return f"{flag} {gate.limit.text}: {held}"


def bound_sentence(bound: BoundDifference) -> str:
    """`silver from 66, today 75`."""
    if bound.then is None:
        return f"no {plain(bound.tier)} any more"
    if bound.today is None:
        return f"{plain(bound.tier)} is new, from {points(bound.then)}"
    return f"{plain(bound.tier)} from {points(bound.then)}, today {points(bound.today)}"


def why_moved(lead: LeadDifference) -> str:
    """What there is to say of a lead that changes where neither rules nor where tiers begin differ."""
    if "tier" in lead.verdict.changes or lead.today.tier != lead.then.tier:
        return "the same points; the tier is handed off otherwise"
    return "the same in the end; on the way other tiers were reached"


def rule_sentence(rule: RuleDifference) -> str:
    """`workflow_success 10 -> 14.1`."""
    return f"{plain(rule.rule)} {points(rule.today)} → {points(rule.then)}"


def no_difference(report: Report) -> str:
    """That nobody is treated otherwise."""
    sides = f"{report.label_today} and {report.label_then}"
    return f"No difference: {sides} say the same of {counted(report.totals.leads, 'lead')}."


def headline(report: Report) -> str:
    """How many leads change, in one sentence."""
    totals = report.totals
    if not totals.leads:
        return "There is no lead in these events, and nothing to compare."
    if report.no_difference:
        return no_difference(report)
    if not totals.changed:
        told = counted(totals.scores_differ, "score")
        return (
            f"Nobody changes: {told} of {counted(totals.leads, 'lead')} differ, and no tier, hand-off or qualification."
        )
    verb = "changes" if totals.changed == 1 else "change"
    return f"{totals.changed:,} of {counted(totals.leads, 'lead')} {verb} ({share(totals.changed, totals.leads)})."


def facts(report: Report) -> tuple[str, ...]:
    """The numbers that stand for the rest, a line each."""
    totals = report.totals
    tiers = ", ".join(
        f"{totals.tier[move]:,} {word}" for move, word in _TIER_MOVES.items() if totals.tier[move] or move != "other"
    )
    of_leads = (
        f"by tier: {tiers}; by hand-off class: {totals.changes['handoff']:,}",
        f"newly qualified: {totals.newly_qualified:,}, no longer: {totals.no_longer_qualified:,}",
        f"newly told to sales: {totals.told_sales['risen']:,}, no longer: {totals.told_sales['fallen']:,}",
    )
    return (
        *(of_leads if totals.changed else ()),
        f"qualifications: {_both(report.qualifications)}; score changes: {_both(report.changes)}",
    )


_TIER_MOVES: dict[Move, str] = {"risen": "higher", "fallen": "lower", "other": "in a tier that the other pack lacks"}


def _both(both: Both) -> str:
    return f"{both.today:,} today, {both.then:,} then"
