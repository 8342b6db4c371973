"""The alerts: as the runbooks' table says, each fired and each kept silent by Prometheus' own tool."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import pytest
import yaml

from pql_stream.ops.metrics.scoring import EVENT_TO_SCORE_BOUNDS_S
from tests.deploy.queries import metrics_in, recorded, unknown_in

DEPLOY = Path(__file__).parents[2] / "deploy"
PROMETHEUS = DEPLOY / "prometheus"
RULE_FILES = sorted(PROMETHEUS.glob("*.rules.yml"))
RUNBOOKS = (DEPLOY / "RUNBOOKS.md").read_text()


def rules() -> list[dict]:
    return [
        rule for path in RULE_FILES for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]
    ]


ALERTS = [rule for rule in rules() if "alert" in rule]
CASES = [case for path in sorted(PROMETHEUS.glob("*.test.yml")) for case in yaml.safe_load(path.read_text())["tests"]]


def minutes(text: str) -> int:
    """`15m`, `0s` or nothing at all, in minutes."""
    return int(text[:-1] or 0) if text.endswith("m") else 0


def table() -> dict[str, tuple[set[str], int]]:
    """The alerts that the runbooks list: how urgent each may be, and after how many minutes."""
    rows = re.findall(r"^\| \[(\w+)\]\(#(\w+)\) \| ([^|]+) \| ([^|]+) \|", RUNBOOKS, re.MULTILINE)
    assert all(name.lower() == anchor for name, anchor, _, _ in rows)
    return {
        name: (set(re.findall(r"page|ticket", urgent)), minutes(after.split()[0])) for name, _, urgent, after in rows
    }


def test_the_table_of_the_runbooks_is_what_prometheus_does():
    """
    The same alerts, as urgent, after the same time.
    """
    by_rules: dict[str, tuple[set[str], int]] = defaultdict(lambda: (set(), 0))
    for rule in ALERTS:
        severities, _ = by_rules[rule["alert"]]
        by_rules[rule["alert"]] = severities | {rule["labels"]["severity"]}, minutes(rule.get("for", ""))

    assert table() == by_rules


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: f"{rule['alert']}-{rule['labels']['severity']}")
def test_whoever_is_called_is_told_what_and_where_to_look(rule):
    """
    Each alert has a summary, a sentence or two, and a section of the runbooks that is there.
    """
    told = rule["annotations"]
    file, _, anchor = told["runbook_url"].partition("#")

    assert {"summary", "description", "runbook_url"} == told.keys()
    assert told["description"].endswith(".")
    assert "deploy/RUNBOOKS.md" == file
    assert f"\n## {rule['alert']}\n" in RUNBOOKS
    assert rule["alert"].lower() == anchor


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.get("alert") or rule["record"])
def test_rules_ask_for_what_there_is(rule):
    """
    Every metric of a rule is on a worker's page, or recorded by another rule, with the labels that are asked for.
    """
    assert [] == unknown_in(rule["expr"])


def test_what_is_recorded_is_used():
    """
    No rule is computed for nobody: an alert, another rule or a dashboard reads it.
    """
    asked = {name for rule in rules() for name in metrics_in(rule["expr"])}
    shown = "".join(path.read_text() for path in (DEPLOY / "grafana").glob("*.json"))

    assert [] == [name for name in recorded() if name not in asked and name not in shown]


def test_objectives_are_bounds_of_buckets():
    """
    A share of events under 5 s can only be told where 5 s is the bound of a bucket.
    """
    assert 5 in EVENT_TO_SCORE_BOUNDS_S


@pytest.mark.parametrize("alert", sorted({rule["alert"] for rule in ALERTS}))
def test_each_alert_has_a_case_that_fires_it_and_one_that_does_not(alert):
    """
    An alert that was never seen firing may be one that cannot.
    """
    asked = [one for case in CASES for one in case["promql_expr_test"] if f'alertname="{alert}"' in one["expr"]]

    assert {True, False} == {bool(one["exp_samples"]) for one in asked}


def test_each_severity_of_an_alert_is_fired():
    """
    Where a CRM pages and a chat does not, there is a case of both.
    """
    fired = {
        (re.search(r'alertname="(\w+)"', sample["labels"])[1], re.search(r'severity="(\w+)"', sample["labels"])[1])
        for case in CASES
        for one in case["promql_expr_test"]
        for sample in one["exp_samples"]
    }

    assert {(rule["alert"], rule["labels"]["severity"]) for rule in ALERTS} == fired


def test_promtool_takes_the_rules_and_the_configuration(promtool):
    """
    Every file parses, with its templates.
    """
    checked = promtool("check", "rules", *RULE_FILES)
    configured = promtool("check", "config", PROMETHEUS / "prometheus.yml")

    assert (0, 0) == (checked.returncode, configured.returncode), checked.stderr + configured.stderr


@pytest.mark.parametrize("path", sorted(PROMETHEUS.glob("*.test.yml")), ids=lambda path: path.name)
def test_alerts_fire_and_stay_silent(promtool, path):
    """
    Every case of the file comes out as it says.
    """
    done = promtool("test", "rules", path)

    assert 0 == done.returncode, done.stdout + done.stderr
