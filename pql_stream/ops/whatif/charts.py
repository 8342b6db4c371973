"""Where the bars of the page's charts lie, in the units of their drawings; the template draws them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from pql_stream.core.packs import ModelPack
from pql_stream.core.rules import HUNDREDTHS
from pql_stream.ops.cli.plain import plain
from pql_stream.ops.whatif.words import signed_points
from pql_stream.replay.whatif.report import Report
from pql_stream.replay.whatif.totals import BIN_POINTS, BINS, RuleTotal

SideName = Literal["today", "then"]
Kind = Literal["today", "then", "more", "less"]
LineKind = Literal["", "today", "then"]

WIDTH = 560
_LABEL_WIDTH = 160
_LABEL_CHARS_MAX = 22
_NUMBER_WIDTH = 64
_ROW = 44
_MARK_ROW = 16
_TIER_CHARS_MAX, _CHAR_WIDTH = 12, 7
_SEEN = 1.5
"""What is not nothing is at least so long."""


class Bar(NamedTuple):
    """A rectangle; *text* is what it says when it is pointed at."""

    kind: Kind
    x: float
    y: float
    width: float
    height: float
    text: str


class Label(NamedTuple):
    """A text at a place, and which way it is *anchor*ed there."""

    x: float
    y: float
    text: str
    anchor: Literal["start", "middle", "end"] = "start"
    kind: LineKind = ""


class Line(NamedTuple):
    """A straight line; *kind* as of bars, "" for the grid's."""

    x1: float
    y1: float
    x2: float
    y2: float
    kind: LineKind = ""


@dataclass(frozen=True, slots=True)
class Chart:
    """One drawing, `WIDTH` wide. *lines* lie under the bars."""

    height: float
    lines: tuple[Line, ...]
    bars: tuple[Bar, ...]
    labels: tuple[Label, ...]


# --- leads by score

_BOTTOM, _LEFT, _RIGHT, _PLOT_HEIGHT = 28, 52, 26, 300


def score_chart(report: Report) -> Chart:
    """Two bars for every five points, and a line where each tier begins."""
    totals = report.totals
    most, step = _scale(max(*totals.today_bins, *totals.then_bins))
    marks = _tier_marks(report)
    top = _MARK_ROW * (1 + max((mark.row for mark in marks), default=0)) + 8
    floor = top + _PLOT_HEIGHT

    def y(count: float) -> float:
        return round(floor - _PLOT_HEIGHT * count / most, 2)

    group = (WIDTH - _LEFT - _RIGHT) / BINS
    half = group / 2 - 2
    sides: tuple[tuple[SideName, str, list[int]], ...] = (
        ("today", report.label_today, totals.today_bins),
        ("then", report.label_then, totals.then_bins),
    )
    bars = tuple(
        Bar(
            side,
            round(_LEFT + place * group + 2 + (half if side == "then" else 0), 2),
            floor - _length(floor - y(count), count),
            round(half, 2),
            _length(floor - y(count), count),
            f"{place * BIN_POINTS} to {(place + 1) * BIN_POINTS} points, {label}: {count:,}",
        )
        for side, label, bins in sides
        for place, count in enumerate(bins)
        if count
    )
    grid = range(0, most + 1, step)
    return Chart(
        floor + _BOTTOM,
        (
            *(Line(_LEFT, y(count), WIDTH - _RIGHT, y(count)) for count in grid),
            *(Line(mark.x, _MARK_ROW * (mark.row + 1), mark.x, floor, mark.kind) for mark in marks),
        ),
        bars,
        (
            *(Label(_LEFT - 8, y(count) + 4, f"{count:,}", "end") for count in grid),
            *(Label(_x(at), floor + 19, str(at), "middle") for at in range(0, 101, 10)),
            *(Label(mark.x, _MARK_ROW * (mark.row + 1) - 4, mark.name, "middle", mark.kind) for mark in marks),
        ),
    )


def _x(at: float) -> float:
    return round(_LEFT + (WIDTH - _LEFT - _RIGHT) * at / 100, 2)


class _TierMark(NamedTuple):
    """The beginning of a tier: where, and in which row above the bars its name stands."""

    x: float
    name: str
    row: int
    kind: LineKind


def _tier_marks(report: Report) -> list[_TierMark]:
    """Where tiers begin: once where both packs agree, else those of today above those of then."""
    today, then = (_floors(pack) for pack in (report.today, report.then))
    if today == then:
        return list(_in_rows(today, 0, ""))
    marks = list(_in_rows(today, 0, "today"))
    return marks + list(_in_rows(then, 1 + max((mark.row for mark in marks), default=0), "then"))


def _floors(pack: ModelPack) -> list[tuple[str, float]]:
    return [(plain(tier.name), tier.score_from / HUNDREDTHS) for tier in pack.tiers if tier.score_from]


def _in_rows(floors: Iterable[tuple[str, float]], first_row: int, kind: LineKind) -> Iterator[_TierMark]:
    """Each in the first row in which it does not touch the one before."""
    ends: list[float] = []
    for name, at in floors:
        x, shown = _x(at), _short(name, _TIER_CHARS_MAX)
        half = len(shown) * _CHAR_WIDTH / 2
        row = next((row for row, end in enumerate(ends) if end < x - half), len(ends))
        ends[row : row + 1] = [x + half + _CHAR_WIDTH]
        yield _TierMark(x, shown, first_row + row, kind)


def _scale(most: int) -> tuple[int, int]:
    """A round number that is not under *most*, and a round step towards it: at most five of them."""
    step, factors = 1, (2, 2.5, 2)
    place = 0
    while step * 5 < most:
        step = int(step * factors[place % 3])
        place += 1
    return step * -(-most // step) or step, step


def _length(length: float, count: float) -> float:
    return round(max(length, _SEEN), 2) if count else 0


# --- rows of bars


def route_chart(report: Report) -> Chart:
    """Two bars for each route: its deliveries today, and then."""
    most = max((max(one.deliveries) for one in report.route_totals), default=0) or 1
    room = WIDTH - _LABEL_WIDTH - _NUMBER_WIDTH
    bars: list[Bar] = []
    labels: list[Label] = []
    for row, one in enumerate(report.route_totals):
        top = row * _ROW + 4
        labels.append(Label(_LABEL_WIDTH - 10, top + 21, _short(one.route.name), "end"))
        sides: tuple[tuple[SideName, str, int], ...] = (
            ("today", report.label_today, one.deliveries.today),
            ("then", report.label_then, one.deliveries.then),
        )
        for side, label, count in sides:
            y = top + (17 if side == "then" else 0)
            length = _length(room * count / most, count)
            bars.append(Bar(side, _LABEL_WIDTH, y, length, 15, f"{one.route.name}, {label}: {count:,}"))
            labels.append(Label(_LABEL_WIDTH + length + 6, y + 12, f"{count:,}"))
    return _rows(len(report.route_totals), bars, labels)


def rule_chart(report: Report) -> Chart:
    """For each rule that differs the points that all leads together gain to the right, and lose to the left."""
    differ = differing_rules(report)
    middle = _LABEL_WIDTH + (WIDTH - _LABEL_WIDTH) / 2
    room = (WIDTH - _LABEL_WIDTH) / 2 - _NUMBER_WIDTH - 20
    most = max((max(rule.points_more, rule.points_less) for rule in differ), default=0) or 1
    bars: list[Bar] = []
    labels: list[Label] = []
    for row, rule in enumerate(differ):
        y = row * _ROW + 10
        name = plain(rule.rule.rule)
        labels.append(Label(_LABEL_WIDTH - 10, y + 15, _short(name), "end"))
        if rule.points_more:
            length = _length(room * rule.points_more / most, 1)
            bars.append(Bar("more", middle, y, length, 20, f"{name}: {rule.leads_more:,} leads have more"))
            labels.append(Label(middle + length + 6, y + 15, signed_points(rule.points_more)))
        if rule.points_less:
            length = _length(room * rule.points_less / most, 1)
            bars.append(Bar("less", middle - length, y, length, 20, f"{name}: {rule.leads_less:,} leads have less"))
            labels.append(Label(middle - length - 6, y + 15, signed_points(-rule.points_less), "end"))
    chart = _rows(len(differ), bars, labels)
    return Chart(chart.height, (Line(middle, 0, middle, chart.height),), chart.bars, chart.labels)


def differing_rules(report: Report) -> list[RuleTotal]:
    """The rules that give some lead other points, those that move most first."""
    differ = [rule for rule in report.totals.rules if rule.leads_more or rule.leads_less]
    return sorted(differ, key=lambda rule: -(rule.points_more + rule.points_less))


def _rows(count: int, bars: Iterable[Bar], labels: Iterable[Label]) -> Chart:
    return Chart(count * _ROW, (), tuple(bars), tuple(labels))


def _short(text: str, chars_max: int = _LABEL_CHARS_MAX) -> str:
    return text if len(text) <= chars_max else text[: chars_max - 1] + "…"
