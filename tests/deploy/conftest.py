"""The tools that judge what is deployed beside the workers."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable

import pytest

from tests.prometheus_tools import ToolMissing, find_tool

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def _tool(name: str) -> Run:
    """Skip without the tool at home; fail in CI, where a skipped test would be a hole."""
    try:
        program = find_tool(name)
    except ToolMissing as exc:
        if os.environ.get("CI"):
            pytest.fail(str(exc))
        pytest.skip(str(exc))

    def run(*arguments: object, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [program, *map(str, arguments)], input=stdin, capture_output=True, text=True, check=False, timeout=60
        )

    return run


@pytest.fixture(scope="session")
def promtool() -> Run:
    """Runs promtool with some arguments."""
    return _tool("promtool")


@pytest.fixture(scope="session")
def amtool() -> Run:
    """Runs amtool with some arguments."""
    return _tool("amtool")
