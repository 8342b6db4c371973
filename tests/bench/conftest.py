"""Benchmarks (`bench_*.py`) run where they are asked for by their directory: `make bench`, never `pytest tests`."""

from __future__ import annotations

from pathlib import Path

import pytest

_HERE = Path(__file__).parent


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    asked_for = _HERE in {(parent.config.invocation_params.dir / arg).resolve() for arg in parent.config.args}
    # A file that is named by itself is collected by pytest anyway.
    if not asked_for or not file_path.match("bench_*.py") or parent.session.isinitpath(file_path):
        return None
    return pytest.Module.from_parent(parent, path=file_path)
