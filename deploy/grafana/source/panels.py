"""
What a dashboard is made of, and how it becomes Grafana's JSON.

A panel is a title, a sentence for whoever does not know it, a unit, and queries with their legends. Rows fill 24
columns from left to right.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Unit = Literal["short", "s", "percentunit", "cps", "none", "dtdurations"]
"""Grafana's words: a count, seconds, a share, a number a second, no unit, a span of time."""

DATA_SOURCE = {"type": "prometheus", "uid": "pql-prometheus"}
COLUMNS = 24
RATE = "$__rate_interval"


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """*queries*: PromQL and its legend. *bounds*: from where on it is yellow, and red. *states*: words for values."""

    title: str
    says: str
    unit: Unit
    queries: tuple[tuple[str, str], ...]
    kind: Literal["timeseries", "stat", "table"] = "timeseries"
    bounds: tuple[float, float] | None = None
    states: tuple[str, ...] = ()
    stacked: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """Panels beside each other, under a heading."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """*variable*: a label that the reader may choose values of, and the metric whose values there are."""

    uid: str
    title: str
    says: str
    rows: tuple[Row, ...]
    variable: tuple[str, str] | None = None


def as_grafana(dashboard: Dashboard, others: Sequence[Dashboard]) -> dict[str, Any]:
    """*dashboard* in Grafana's form (schema version 39: Grafana 10 and later), with links to *others*."""
    return {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "description": dashboard.says,
        "tags": ["pql-stream"],
        "schemaVersion": 39,
        "editable": False,
        "graphTooltip": 1,
        "time": {"from": "now-6h", "to": "now"},
        "refresh": "30s",
        "templating": {"list": [] if dashboard.variable is None else [_variable(*dashboard.variable)]},
        "links": [{"type": "link", "title": one.title, "url": f"/d/{one.uid}", "keepTime": True} for one in others],
        "panels": list(_panels(dashboard.rows)),
    }


def _variable(label: str, metric: str) -> dict[str, Any]:
    query = f"label_values({metric}, {label})"
    return {
        "name": label,
        "type": "query",
        "datasource": DATA_SOURCE,
        "query": {"query": query, "refId": label},
        "definition": query,
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": ["All"], "value": ["$__all"]},
    }


def _panels(rows: Sequence[Row]) -> Iterator[dict[str, Any]]:
    number = y = 0
    for row in rows:
        number += 1
        yield {
            "id": number,
            "type": "row",
            "title": row.title,
            "collapsed": False,
            "panels": [],
            "gridPos": {"x": 0, "y": y, "w": COLUMNS, "h": 1},
        }
        height = 4 if all(panel.kind == "stat" for panel in row.panels) else 8
        width = COLUMNS // len(row.panels)
        for at, panel in enumerate(row.panels):
            number += 1
            yield {"id": number, **_panel(panel), "gridPos": {"x": at * width, "y": y + 1, "w": width, "h": height}}
        y += 1 + height


def _panel(panel: Panel) -> dict[str, Any]:
    is_table = panel.kind == "table"
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.says,
        "datasource": DATA_SOURCE,
        "fieldConfig": {"defaults": _defaults(panel), "overrides": []},
        "options": {"tooltip": {"mode": "multi", "sort": "desc"}} if panel.kind == "timeseries" else {},
        "transformations": [{"id": "labelsToFields", "options": {}}, {"id": "merge", "options": {}}]
        if is_table
        else [],
        "targets": [
            {
                "refId": "ABCDEFGH"[at],
                "datasource": DATA_SOURCE,
                "expr": query,
                "legendFormat": legend,
                "instant": panel.kind != "timeseries",
                "range": panel.kind == "timeseries",
                **({"format": "table"} if is_table else {}),
            }
            for at, (query, legend) in enumerate(panel.queries)
        ],
    }


def _defaults(panel: Panel) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if panel.bounds is not None:
        steps += [{"color": color, "value": at} for color, at in zip(("yellow", "red"), panel.bounds, strict=True)]
    words = {str(value): {"text": text, "index": value} for value, text in enumerate(panel.states)}
    return {
        "unit": panel.unit,
        "thresholds": {"mode": "absolute", "steps": steps},
        "mappings": [{"type": "value", "options": words}] if words else [],
        "custom": {"stacking": {"mode": "normal"}, "fillOpacity": 20} if panel.stacked else {},
    }
