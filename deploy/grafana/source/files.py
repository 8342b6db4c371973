"""Which dashboards there are, and the files that Grafana reads."""

from __future__ import annotations

import json
from pathlib import Path

from deploy.grafana.source.panels import as_grafana
from deploy.grafana.source.pipeline import PIPELINE
from deploy.grafana.source.scoring import SCORING
from deploy.grafana.source.sinks import SINKS

DASHBOARDS = (PIPELINE, SINKS, SCORING)
DIRECTORY = Path(__file__).parents[1]


def rendered() -> dict[Path, str]:
    """The text of each dashboard's file."""
    return {
        DIRECTORY / f"{one.uid}.json": json.dumps(
            as_grafana(one, [other for other in DASHBOARDS if other is not one]), indent=2, ensure_ascii=False
        )
        + "\n"
        for one in DASHBOARDS
    }
