"""Writes the dashboards' files."""

from __future__ import annotations

from deploy.grafana.source.files import rendered

for path, text in rendered().items():
    path.write_text(text, encoding="utf-8")
