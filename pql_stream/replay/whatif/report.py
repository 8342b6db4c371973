"""What a comparison has to say, for whoever prints it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pql_stream.core.packs import ModelPack
from pql_stream.core.routes import Action, Route
from pql_stream.replay.whatif.comparing import Comparison, Tally
from pql_stream.replay.whatif.gates import Gate, Limit, gates_of
from pql_stream.replay.whatif.leads import ChangedLeads
from pql_stream.replay.whatif.totals import Both, Totals, totals_of


@dataclass(frozen=True, slots=True)
class Routes:
    """
    The routes that were asked. *path* is the settings file; None for the examples that stand in where there is none.

    *problems_then*: what the settings file would be refused for if the candidate were live.
    """

    routes: tuple[Route, ...]
    path: Path | None
    problems_then: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RouteTotal:
    """What goes one route: *deliveries* of so many *leads*."""

    route: Route
    deliveries: Both
    leads: Both


@dataclass(frozen=True, slots=True)
class Report:
    """
    Everything that is told, in words in which *today* is the live pack, and *then* the candidate.

    *changes* and *qualifications* are the records that each would publish. *routes* is None where none were asked.
    """

    today: ModelPack
    then: ModelPack
    tally: Tally
    totals: Totals
    changes: Both
    qualifications: Both
    routes: Routes | None
    route_totals: tuple[RouteTotal, ...]
    gates: tuple[Gate, ...]
    leads: ChangedLeads

    @property
    def label_today(self) -> str:
        """As in every output: `today (pql-100 v1)`."""
        return f"today ({called(self.today)})"

    @property
    def label_then(self) -> str:
        """As in every output: `then (pql-100-linear v1)`."""
        return f"then ({called(self.then)})"

    @property
    def no_difference(self) -> bool:
        """Do both packs give every lead the same points, and say the same of it?"""
        sent_alike = all(not one.deliveries.difference for one in self.route_totals)
        return (
            not self.totals.changed
            and not any(rule.leads_more or rule.leads_less for rule in self.totals.rules)
            and not self.changes.difference
            and sent_alike
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """What whoever reads the numbers should know."""
        return tuple(_notes(self))

    def sent(self, action: Action) -> Both:
        """The deliveries of one kind, by all routes."""
        of_kind = [one.deliveries for one in self.route_totals if one.route.action == action]
        return Both(sum(one.today for one in of_kind), sum(one.then for one in of_kind))


def called(pack: ModelPack) -> str:
    """`pql-100 v1`."""
    return f"{pack.name} v{pack.version}"


def report_of(
    comparison: Comparison,
    routes: Routes | None,
    *,
    max_changed: Limit | None = None,
    max_new_qualified: Limit | None = None,
) -> Report:
    """What *comparison*, which has all its records, has to say; *routes* are those that it was made with."""
    today, then = comparison.today, comparison.then
    totals = totals_of(comparison)
    return Report(
        today=today.pack.pack,
        then=then.pack.pack,
        tally=comparison.tally,
        totals=totals,
        changes=Both(today.changes, then.changes),
        qualifications=Both(sum(today.qualifications), sum(then.qualifications)),
        routes=routes,
        route_totals=tuple(
            RouteTotal(
                route,
                Both(today.deliveries[place], then.deliveries[place]),
                Both(totals.today_routed[place], totals.then_routed[place]),
            )
            for place, route in enumerate(comparison.routes)
        ),
        gates=gates_of(totals, max_changed=max_changed, max_new_qualified=max_new_qualified),
        leads=ChangedLeads(comparison),
    )


def _notes(report: Report) -> Iterable[str]:
    today, then = report.today, report.then
    if today != then and called(today) == called(then):
        yield f"both packs are called {called(today)} and differ: raise the candidate's version before it goes live"
    if report.routes is None:
        return
    for problem in report.routes.problems_then:
        yield f"with {called(then)} live the settings file would be refused: {problem}"
