"""Where alerts go."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

PROMETHEUS = Path(__file__).parents[2] / "deploy" / "prometheus"
CONFIG = PROMETHEUS / "alertmanager.yml"


def alerts() -> set[tuple[str, str]]:
    groups = [group for path in PROMETHEUS.glob("*.rules.yml") for group in yaml.safe_load(path.read_text())["groups"]]
    return {
        (rule["alert"], rule["labels"]["severity"]) for group in groups for rule in group["rules"] if "alert" in rule
    }


def test_amtool_takes_the_configuration(amtool):
    """
    Routes, receivers and inhibitions fit together.
    """
    done = amtool("check-config", CONFIG)

    assert 0 == done.returncode, done.stderr


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        (("alertname=PqlLag", "severity=page"), "page"),
        (("alertname=PqlBreakerOpen", "severity=ticket", "sink=chat"), "ticket"),
        (("alertname=SomethingNew",), "ticket"),
    ],
    ids=["page", "ticket", "neither"],
)
def test_pages_wake_somebody_and_tickets_do_not(amtool, labels, receiver):
    """
    The severity alone decides; what has none is looked at by day.
    """
    done = amtool("config", "routes", "test", f"--config.file={CONFIG}", *labels)

    assert (0, receiver) == (done.returncode, done.stdout.strip())


def test_inhibitions_name_alerts_that_there_are():
    """
    A word that no alert bears would hide nothing, unnoticed.
    """
    names = {name for name, _ in alerts()}
    rules = yaml.safe_load(CONFIG.read_text())["inhibit_rules"]
    matchers = [text for rule in rules for text in (*rule["source_matchers"], *rule["target_matchers"])]
    patterns = [text.split('"')[1].replace("(", "|").replace(")", "") for text in matchers]
    heads = [(pattern.split("|")[0], pattern.split("|")[1:]) for pattern in patterns]
    named = {
        name
        for head, ends in heads
        for name in ([head] if not ends else [f"{head}{end}" for end in ends] if head not in names else [head, *ends])
    }

    assert set() == named - names
