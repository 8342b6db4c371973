"""The comparison for people at a terminal; plain text where there is none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from rich.console import RenderableType
from rich.table import Column, Table
from rich.text import Text

from pql_stream.core.packs import Tier
from pql_stream.ops.cli.console import PlainConsole
from pql_stream.ops.cli.plain import plain
from pql_stream.ops.whatif.words import (
    COALESCING,
    SENT,
    bound_sentence,
    counted,
    facts,
    gate_sentence,
    headline,
    points,
    rule_sentence,
    signed,
    signed_points,
    why_moved,
)
from pql_stream.replay.whatif.leads import LeadDifference
from pql_stream.replay.whatif.report import Report
from pql_stream.replay.whatif.totals import BIN_POINTS, Both
from pql_stream.replay.whatif.verdicts import Move

_BAR_CELLS = 30
_ID_CELLS_MAX = 36
_RULES_OF_LEAD_MAX = 4
_TODAY, _THEN, _GOOD, _BAD, _QUIET = "cyan", "magenta", "green", "yellow", "dim"
_STYLES: dict[Move, str] = {"risen": _GOOD, "fallen": _BAD, "other": "bold", "same": ""}
_PARTS = " ▏▎▍▌▋▊▉█"
"""A cell of a bar, from nothing to whole."""


def print_report(report: Report, leads: Sequence[LeadDifference]) -> None:
    """*report* on stdout, with *leads* one by one: those that change, or the first of them."""
    console = PlainConsole()
    blocks = not console.encoding.lower().startswith("utf")
    for part in _parts(report, leads, ascii_only=blocks):
        console.print(part)


def _parts(report: Report, leads: Sequence[LeadDifference], *, ascii_only: bool) -> Iterator[RenderableType]:
    yield from _head(report)
    if not report.no_difference:
        title = f"Leads by tier: {report.label_today} down, {report.label_then} across"
        yield from _titled(title, _matrix(report))
        yield from _titled("Leads by score", _scores(report, ascii_only=ascii_only))
        if (rules := _rules(report)) is not None:
            yield from _titled("Rules that give other points", rules)
        if report.routes is not None:
            yield from _titled(_routes_title(report), _routes(report), Text(COALESCING, style=_QUIET))
        if leads:
            shown = (
                ""
                if len(leads) == report.totals.changed
                else f"; the first {len(leads):,} of {report.totals.changed:,}"
            )
            yield from _titled(f"Leads that change, today → then, what matters most first{shown}", _leads(leads))
    yield from _foot(report)


def _titled(title: str, *parts: RenderableType) -> Iterator[RenderableType]:
    yield Text()
    yield Text(title, style="bold")
    yield from parts


def _head(report: Report) -> Iterator[Text]:
    yield Text.assemble(
        (report.label_today, f"bold {_TODAY}"), " against ", (report.label_then, f"bold {_THEN}"),
        f", each over the same {counted(report.tally.accepted, 'event')}",
    )  # fmt: skip
    yield Text()
    yield Text(headline(report), style="bold")
    if not report.no_difference:
        for fact in facts(report):
            yield Text(f"  {fact}")


def _foot(report: Report) -> Iterator[Text]:
    if report.gates or report.notes:
        yield Text()
    for gate in report.gates:
        said = ("passed", _GOOD) if gate.passed else ("NOT passed", f"bold {_BAD}")
        yield Text.assemble("gate ", said, f"  {gate_sentence(gate, report.totals.leads)}")
    for note in report.notes:
        yield Text(f"note: {plain(note)}", style=_BAD)


def _table(*columns: Column) -> Table:
    return Table(*columns, box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")


def _matrix(report: Report) -> Table:
    """A row for each tier of today and a column for each of then, the best first."""
    totals = report.totals
    of_today, of_then = totals.tiers()
    table = _table(
        Column("", style=_TODAY),
        *(Column(plain(tier.name), justify="right", header_style=_THEN) for tier in reversed(report.then.tiers)),
        Column("all", justify="right", header_style=_QUIET, style=_QUIET),
    )
    for tier, row, count in reversed(list(zip(report.today.tiers, totals.matrix, of_today, strict=True))):
        cells = [_cell(number, tier, to) for number, to in zip(row, report.then.tiers, strict=True)]
        table.add_row(plain(tier.name), *reversed(cells), f"{count:,}")
    table.add_row("all", *(f"{count:,}" for count in reversed(of_then)), f"{totals.leads:,}", style=_QUIET)
    return table


def _cell(number: int, today: Tier, then: Tier) -> Text:
    if not number:
        return Text("·", style=_QUIET)
    return Text(f"{number:,}", style="" if today.name == then.name else "bold")


def _scores(report: Report, *, ascii_only: bool) -> Table:
    """Two bars a line, the highest scores first."""
    totals = report.totals
    most = max(1, *totals.today_bins, *totals.then_bins)
    table = _table(
        Column("points", justify="right", no_wrap=True),
        Column("leads", justify="right", style=_TODAY, header_style=_TODAY),
        Column(report.label_today, style=_TODAY, header_style=_TODAY, width=_BAR_CELLS, no_wrap=True),
        Column("leads", justify="right", style=_THEN, header_style=_THEN),
        Column(report.label_then, style=_THEN, header_style=_THEN, width=_BAR_CELLS, no_wrap=True),
    )
    places = [place for place, pair in enumerate(zip(totals.today_bins, totals.then_bins, strict=True)) if any(pair)]
    for place in range(max(places, default=-1), -1, -1):
        today, then = totals.today_bins[place], totals.then_bins[place]
        bars = (bar(count / most, _BAR_CELLS, ascii_only=ascii_only) for count in (today, then))
        shown = f"{place * BIN_POINTS}-{(place + 1) * BIN_POINTS}"
        table.add_row(shown, f"{today:,}", next(bars), f"{then:,}", next(bars))
    return table


def bar(part: float, cells: int, *, ascii_only: bool) -> str:
    """A bar over *part* (0 to 1) of *cells*; what is not nothing is seen."""
    if not part:
        return ""
    if ascii_only:
        return "#" * max(1, round(part * cells))
    whole, eighths = divmod(max(1, round(part * cells * 8)), 8)
    return "█" * whole + _PARTS[eighths].strip()


def _rules(report: Report) -> Table | None:
    differ = [rule for rule in report.totals.rules if rule.leads_more or rule.leads_less]
    if not differ:
        return None
    table = _table(
        Column("rule"),
        Column("leads with more", justify="right"),
        Column("with less", justify="right"),
        Column("points in all", justify="right"),
        Column("of leads that change", justify="right"),
        Column(""),
    )
    for rule in sorted(differ, key=lambda rule: -(rule.points_more + rule.points_less)):
        only = "" if rule.rule.today is not None else f"only in {report.label_then}"
        only = only if rule.rule.then is not None else f"only in {report.label_today}"
        table.add_row(
            plain(rule.rule.rule),
            f"{rule.leads_more:,}",
            f"{rule.leads_less:,}",
            signed_points(rule.points),
            f"{rule.leads_changed:,}",
            Text(only, style=_QUIET),
        )
    return table


def _routes_title(report: Report) -> str:
    assert report.routes is not None, "whoever has a title has routes"  # noqa: S101 - our own mistake
    path = report.routes.path
    told = "example routes, for there is no settings file" if path is None else f"the routes of {plain(str(path))}"
    return f"What would be sent, by {told}"


def _routes(report: Report) -> Table:
    table = _table(
        Column("route"),
        Column("to"),
        Column(""),
        Column(report.label_today, justify="right", style=_TODAY, header_style=_TODAY),
        Column(report.label_then, justify="right", style=_THEN, header_style=_THEN),
        Column("difference", justify="right"),
        Column("leads, today → then", justify="right"),
    )
    for one in report.route_totals:
        route = one.route
        table.add_row(route.name, route.sink, SENT[route.action], *_both(one.deliveries), _arrow(one.leads))
    used = dict.fromkeys(one.route.action for one in report.route_totals)
    if len(used) < len(report.route_totals):
        for action in (action for action in SENT if action in used):
            table.add_row("all", "", SENT[action], *_both(report.sent(action)), "", style=_QUIET)
    return table


def _both(both: Both) -> tuple[str, str, Text]:
    difference = both.difference
    style = _GOOD if difference > 0 else _BAD if difference < 0 else _QUIET
    return f"{both.today:,}", f"{both.then:,}", Text(signed(difference), style=style)


def _arrow(both: Both) -> str:
    return f"{both.today:,} → {both.then:,}"


def _leads(leads: Iterable[LeadDifference]) -> Table:
    table = _table(
        Column("lead", max_width=_ID_CELLS_MAX, no_wrap=True, overflow="ellipsis"),
        Column("tier"),
        Column("points", justify="right", no_wrap=True),
        Column("", justify="right", no_wrap=True),
        Column("because of"),
    )
    for lead in leads:
        difference = lead.then.score - lead.today.score
        table.add_row(
            plain(lead.lead_id),
            Text(_tiers(lead), style=_STYLES[lead.verdict.tier]),
            f"{points(lead.today.score)} → {points(lead.then.score)}",
            signed_points(difference),
            _because(lead),
        )
    return table


def _tiers(lead: LeadDifference) -> str:
    if lead.today.tier.name != lead.then.tier.name:
        return f"{lead.today.tier.name} → {lead.then.tier.name}"
    if lead.today.announced == lead.then.announced:
        return f"{lead.then.tier.name}, hand-off {lead.today.tier.handoff} → {lead.then.tier.handoff}"
    told = (", ".join(names) or "nothing" for names in (lead.today.announced, lead.then.announced))
    return f"{lead.then.tier.name}; qualified: {' → '.join(told)}"


def _because(lead: LeadDifference) -> str:
    more = len(lead.rules) - _RULES_OF_LEAD_MAX
    rules = map(rule_sentence, lead.rules[:_RULES_OF_LEAD_MAX])
    told = chain(map(bound_sentence, lead.bounds), rules, [f"{more} rules more"] if more > 0 else [])
    return "; ".join(told) or why_moved(lead)
