"""The comparison as one page of HTML that needs nothing but a browser: no server, no network, no script."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple

import jinja2

from pql_stream.errors import InvalidInput
from pql_stream.ops.cli.plain import plain
from pql_stream.ops.whatif.charts import WIDTH, differing_rules, route_chart, rule_chart, score_chart
from pql_stream.ops.whatif.words import (
    COALESCING,
    COUNTED,
    SENT,
    bound_sentence,
    counted,
    gate_sentence,
    headline,
    points,
    share,
    signed,
    signed_points,
    why_moved,
)
from pql_stream.replay.whatif.leads import LeadDifference
from pql_stream.replay.whatif.report import Report
from pql_stream.replay.whatif.totals import BIN_POINTS
from pql_stream.replay.whatif.verdicts import Judge, Move, Standing

PAGE_LEADS = 100
"""So many leads are on the page, unless told otherwise."""

_HEAT_LEAST, _HEAT_MOST = 14, 48
_TEMPLATE = "page.html.jinja"


def page(report: Report, leads: Sequence[LeadDifference]) -> str:
    """The page of *report*, with *leads*: those that change, or the first of them."""
    charts = {"scores": score_chart(report), "rules": rule_chart(report), "routes": route_chart(report)}
    return _template().render(
        report=report,
        totals=report.totals,
        leads=leads,
        charts=charts,
        differing=differing_rules(report),
        tiers=report.totals.tiers(),
        matrix=list(_matrix(report)),
        width=WIDTH,
        bin_points=BIN_POINTS,
    )


def write_page(path: Path, text: str) -> None:
    """
    Write *text*, a page, to *path*, which takes its name when all of it is there. A pipe or a device is written to.

    Raises:
        InvalidInput: it cannot be written.
    """
    is_in_place = is_written_through(path)
    target = path if is_in_place else path.with_name(f".{path.name}.partial")
    try:
        target.write_text(text, encoding="utf-8")
        if not is_in_place:
            target.replace(path)
    except OSError as exc:
        if not is_in_place:
            with suppress(OSError):
                target.unlink(missing_ok=True)
        raise InvalidInput(
            f"cannot write {path}", why=exc.strerror or str(exc), what_to_do="name another --html file"
        ) from exc


def is_written_through(path: Path) -> bool:
    """Is *path* there, and something that a file must not take the place of: a pipe, a device, `/dev/stdout`?"""
    return path.exists() and not path.is_file()


class Cell(NamedTuple):
    """Leads of one tier today and one then; *heat* is how strongly the cell is coloured, in percent."""

    leads: int
    kind: Move
    heat: int


class Row(NamedTuple):
    """A tier of today, how many *leads* it has, and where these are then."""

    name: str
    leads: int
    cells: list[Cell]


def _matrix(report: Report) -> Iterator[Row]:
    """The best tiers first, in rows and in columns."""
    judge = Judge(report.today.tiers, report.then.tiers)
    for place, row in reversed(list(enumerate(report.totals.matrix))):
        cells = [
            Cell(count, judge.verdict(Standing(place, 0), Standing(to, 0)).tier, _heat(count, sum(row)))
            for to, count in enumerate(row)
        ]
        yield Row(report.today.tiers[place].name, sum(row), cells[::-1])


def _heat(count: int, total: int) -> int:
    """By the share of the row; what is there is seen, and never so strong that it could not be read."""
    return round(_HEAT_LEAST + (_HEAT_MOST - _HEAT_LEAST) * count / total) if count else 0


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "counted": counted,
        "plain": plain,
        "points": points,
        "share": share,
        "signed": signed,
        "signed_points": signed_points,
    }
    environment.globals |= {
        "COALESCING": COALESCING,
        "COUNTED": COUNTED,
        "SENT": SENT,
        "bound_sentence": bound_sentence,
        "gate_sentence": gate_sentence,
        "headline": headline,
        "why_moved": why_moved,
    }
    return environment.get_template(_TEMPLATE)
