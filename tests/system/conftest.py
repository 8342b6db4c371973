"""What several of these tests stand on."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator

import pytest
from score_proxy import HoldingProxy

from tests.prometheus_tools import ToolMissing, find_tool


@pytest.fixture
def proxy(kafka) -> Iterator[HoldingProxy]:
    """The road to the broker for a worker that is to be met between two of its steps."""
    with HoldingProxy(kafka.bootstrap) as made:
        yield made


@pytest.fixture(scope="session")
def promtool() -> Callable[[str], str]:
    """What `promtool check metrics` has to say of a page. Skip without it at home; fail in CI."""
    try:
        tool = find_tool("promtool")
    except ToolMissing as exc:
        if os.environ.get("CI"):
            pytest.fail(str(exc))
        pytest.skip(str(exc))

    def complaints(page: str) -> str:
        done = subprocess.run([tool, "check", "metrics"], input=page, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr + (f"exit code {done.returncode}" if done.returncode else "")

    return complaints
