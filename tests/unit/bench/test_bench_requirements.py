"""The benchmark's own environment is pinned like the project's."""

import re
from pathlib import Path

PINS = Path(__file__).parents[2] / "bench" / "requirements-bench.txt"


def test_every_line_pins_a_version_by_hash():
    """Nothing but `name==version` with hashes: no address, no index, no option."""
    lines = [" ".join(line.split()) for line in PINS.read_text().replace("\\\n", " ").splitlines() if line.strip()]
    pinned = re.compile(r"[A-Za-z0-9._-]+==\S+(?: ; .+)?(?: --hash=sha256:[0-9a-f]{64})+")

    assert [] == [line for line in lines if not pinned.fullmatch(line)]
