"""What must never be in a log, looked for in the logs of the whole suite: the addresses and secrets of its fixtures."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

# Domains that are reserved for examples are in every fixture and nowhere else; secrets are those that fixtures use.
_PERSONAL = re.compile(
    rb"[\w.+-]+(?:@|%40)(?:[\w-]+\.)*(?:[\w-]+\.(?:example|invalid|test)|example\.(?:com|org|net))\b"
    rb"|whsec_[\w/+=]{8,}|xox[a-z]-[\w-]{4,}|pat-[\w-]{4,}|hunter2|Bearer [\w.-]{8,}|-----BEGIN [A-Z ]*PRIVATE KEY"
)
_LOGS = ("Captured log", "Captured stderr")
MARKER = "shows_personal_data"


def found_in(text: bytes) -> str | None:
    """The first address or secret in *text*."""
    match = _PERSONAL.search(text)
    return None if match is None else match[0].decode()


def found_in_logs(report: pytest.TestReport, directory: Path | None) -> str | None:
    """Where the logs of a test have one: what pytest has captured, and the files that workers wrote to *directory*."""
    for title, text in report.sections:
        if title.startswith(_LOGS) and (found := found_in(text.encode(errors="replace"))):
            return f"{title}: {found}"
    for path in sorted(directory.glob("*.log")) if directory is not None else ():
        if found := found_in(path.read_bytes()):
            return f"{path.name}: {found}"
    return None
