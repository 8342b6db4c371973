"""What a PromQL query asks for, held against what there is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import promql_parser
import yaml

from tests.deploy.whole_page import whole_page

PROMETHEUS = Path(__file__).parents[2] / "deploy" / "prometheus"
TARGET_LABELS = frozenset({"job", "instance"})
"""What Prometheus itself adds."""
FOREIGN = {"up": TARGET_LABELS}
"""Prometheus' own metric of whether a target answers."""


def plain(query: str) -> str:
    """*query* with Grafana's variables filled in."""
    return query.replace("$__rate_interval", "5m").replace("$sink", ".*")


@cache
def known() -> dict[str, frozenset[str]]:
    """The series that there are, with their labels: those of a worker, and those that are recorded."""
    page, _ = whole_page()
    samples = [sample for family in page.registry.collect() for sample in family.samples]
    labels: dict[str, frozenset[str]] = {}
    for sample in samples:
        labels[sample.name] = labels.get(sample.name, TARGET_LABELS) | sample.labels.keys()
    return labels | FOREIGN | recorded()


@cache
def recorded() -> dict[str, frozenset[str]]:
    """The rules that record, with the labels that their series have."""
    rules = [
        rule
        for path in sorted(PROMETHEUS.glob("*.rules.yml"))
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
        if "record" in rule
    ]
    return {
        rule["record"]: frozenset(re.split(r", *", grouped[1]))
        if (grouped := re.search(r"by \(([^)]*)\)", rule["expr"]))
        else frozenset()
        for rule in rules
    }


def metrics_in(query: str) -> set[str]:
    """The names of all series that *query* asks for."""
    return {selector.name for selector in _selectors(promql_parser.parse(plain(query)))}


def unknown_in(query: str) -> list[str]:
    """What *query* asks for that there is not: metrics, and labels of metrics."""
    found = []
    for selector in _selectors(promql_parser.parse(plain(query))):
        labels = known().get(selector.name)
        if labels is None:
            found.append(str(selector.name))
        else:
            asked = [matcher.name for matcher in selector.matchers.matchers]
            found += [f"{selector.name}{{{name}}}" for name in asked if name not in labels]
    grouped = [
        name for words in re.findall(r"(?:by|on|group_left) \(([^)]*)\)", query) for name in re.split(r", *", words)
    ]
    here = frozenset().union(*(known().get(name, frozenset()) for name in metrics_in(query)))
    return found + [name for name in grouped if name and name not in here]


def _selectors(node: Any) -> Iterator[Any]:
    """Every vector selector below *node*."""
    if isinstance(node, promql_parser.VectorSelector):
        yield node
        return
    for name in ("expr", "lhs", "rhs", "vector_selector", "param"):
        inner = getattr(node, name, None)
        if inner is not None and not isinstance(inner, str | float):
            yield from _selectors(inner)
    for inner in getattr(node, "args", None) or ():
        yield from _selectors(inner)
