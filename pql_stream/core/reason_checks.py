"""What is wrong with the sentence that says what a rule's points are for."""

from __future__ import annotations

from collections.abc import Collection
from string import Formatter

from pql_stream.core.problems import Path, Problem, shown
from pql_stream.core.rules import AtLeastRule, Band, BelowRule, FlagRule, GreatestRule, LinearRule, Rule


def reason_problems(path: Path, rule: Rule) -> list[Problem]:
    """Every problem of the sentences of *rule*, which is at *path*; those of a `greatest` are its parts'."""
    if isinstance(rule, GreatestRule):
        return []
    allowed = _allowed(rule)
    problems = _template_problems((*path, "reason"), rule.reason, allowed)
    bands: tuple[Band, ...] = rule.bands if isinstance(rule, AtLeastRule | BelowRule) else ()
    for place, band in enumerate(bands):
        if band.reason:
            problems += _template_problems((*path, "bands", place, "reason"), band.reason, allowed)
    return problems


def _allowed(rule: Rule) -> tuple[str, ...]:
    """What may stand between braces. A name of digits alone would be taken for a place in a list."""
    if isinstance(rule, FlagRule):
        return ()
    if isinstance(rule, LinearRule) and len(rule.points_each) > 1:
        return tuple(name for name, _ in rule.points_each if not name.isdigit())
    return ("input",)


def _template_problems(path: Path, template: str, allowed: Collection[str]) -> list[Problem]:
    if not template.strip():
        return [Problem(path, "a salesperson reads this: write a sentence")]
    if not allowed:
        # The sentence of a flag is shown as it stands, there is nothing to fill in.
        return [Problem(path, "a flag has no input to show: write no braces")] if set(template) & {*"{}"} else []
    choices = " or ".join(f"{{{name}}}" for name in allowed)
    try:
        parts = list(Formatter().parse(template))
    except ValueError:
        return [Problem(path, f"a brace without its pair: write {choices}, and {{{{ or }}}} for a brace itself")]
    problems = []
    for _, field, spec, conversion in parts:
        if field is None:
            continue
        if field not in allowed:
            problems.append(Problem(path, f"{shown('{' + field + '}')} is not known here: write {choices}"))
        elif spec or conversion:
            problems.append(Problem(path, f"formats are not taken: write plain {{{field}}}"))
    return problems
