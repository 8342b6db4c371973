"""Tests that fetch packages: without a network at home they skip, and in CI they fail."""

import os
import subprocess

import pytest

OFFLINE = (
    "Failed to establish a new connection",
    "Temporary failure in name resolution",
    "Name or service not known",
    "dns error",
    "ENOTFOUND",
    "EAI_AGAIN",
)


def skip_if_offline(done: subprocess.CompletedProcess[str]) -> None:
    """Skip where *done* failed because no package index can be reached; not in CI."""
    output = done.stdout + done.stderr
    if done.returncode and not os.environ.get("CI") and any(sign in output for sign in OFFLINE):
        pytest.skip("the package index cannot be reached")
