"""The dashboards ask Prometheus for what there is. (No Grafana draws them here.)"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from deploy.grafana.source.files import DASHBOARDS, rendered
from tests.deploy.queries import plain, unknown_in

GRAFANA = Path(__file__).parents[2] / "deploy" / "grafana"
BOARDS = {path.stem: json.loads(path.read_text()) for path in sorted(GRAFANA.glob("*.json"))}
PANELS = [(uid, panel) for uid, board in BOARDS.items() for panel in board["panels"] if panel["type"] != "row"]
QUERIES = [(f"{uid}: {panel['title']}", target["expr"]) for uid, panel in PANELS for target in panel["targets"]]


def test_the_files_are_what_their_source_says():
    """
    `make dashboards` was run after the last edit, and nothing else lies there.
    """
    files = {path: path.read_text() for path in GRAFANA.glob("*.json")}

    assert files == rendered()


def test_three_dashboards_with_fixed_names():
    """
    Links and bookmarks live by the uid; the data source is named by its own, and cannot be edited away.
    """
    source = yaml.safe_load((GRAFANA / "provisioning" / "datasources" / "pql.yml").read_text())["datasources"][0]
    asked = {panel["datasource"]["uid"] for _, panel in PANELS}

    assert {"pql-pipeline", "pql-sinks", "pql-scoring"} == {board["uid"] for board in BOARDS.values()}
    assert ({source["uid"]}, {False}) == (asked, {board["editable"] for board in BOARDS.values()})


@pytest.mark.parametrize("query", [pytest.param(query, id=title) for title, query in QUERIES])
def test_a_query_asks_for_what_there_is(query):
    """
    It parses, and each metric and each label in it exists.
    """
    assert [] == unknown_in(query)


def test_legends_name_labels_that_the_query_leaves():
    """
    A legend of a label that was summed away would be empty.
    """
    lost = []
    for uid, panel in PANELS:
        for target in panel["targets"]:
            grouped = set(re.split(r", *", " , ".join(re.findall(r"by \(([^)]*)\)", target["expr"]))))
            grouped = {name.strip() for name in grouped} | {"instance", "sink"}
            named = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            lost += [(uid, panel["title"], name) for name in named - grouped]

    assert [] == lost


@pytest.mark.parametrize(("uid", "panel"), PANELS, ids=[f"{uid}-{panel['title']}" for uid, panel in PANELS])
def test_a_panel_explains_itself(uid, panel):
    """
    A title, a sentence, a unit, and the data source by name; ids do not meet.
    """
    ids = [other["id"] for other in BOARDS[uid]["panels"]]

    assert panel["title"]
    assert panel["description"].endswith((".", "?"))
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert len(ids) == len(set(ids))


def test_panels_do_not_overlap():
    """
    Each cell of the grid belongs to one panel, and no row is wider than the screen.
    """
    for board in BOARDS.values():
        cells = [
            (x, y)
            for panel in board["panels"]
            for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
            for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
        ]

        assert len(cells) == len(set(cells))
        assert 24 > max(x for x, _ in cells)


def test_quantiles_of_seconds_are_shown_in_seconds():
    """
    A histogram's unit is its metric's.
    """
    wrong = [
        panel["title"]
        for _, panel in PANELS
        for target in panel["targets"]
        if target["expr"].startswith("histogram_quantile") and panel["fieldConfig"]["defaults"]["unit"] != "s"
    ]

    assert [] == wrong


def test_promtool_takes_every_query(promtool, tmp_path):
    """
    Prometheus' own parser agrees with ours, types included.
    """
    rules = [{"record": f"check:query{at}", "expr": plain(query)} for at, (_, query) in enumerate(QUERIES)]
    path = tmp_path / "queries.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    done = promtool("check", "rules", path)

    assert 0 == done.returncode, done.stdout + done.stderr


def test_links_lead_to_the_others():
    """
    From each dashboard the two others are one click away.
    """
    uids = {dashboard.uid for dashboard in DASHBOARDS}

    assert [uids - {uid} for uid in BOARDS] == [
        {link["url"].removeprefix("/d/") for link in board["links"]} for board in BOARDS.values()
    ]
