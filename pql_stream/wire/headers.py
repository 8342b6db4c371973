"""Record headers, as Kafka has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

Headers = Sequence[tuple[str, bytes | None]]
"""Names and values in order; a name may come twice, and a value may be null."""

OURS_PREFIX: Final = "pql-"
"""Before the name of every header that we add to a record."""

ANNOUNCE: Final = ("pql-announce", b"1")
"""On an event that is filled in: what it changes is told, as if it happened now (CONTRACT.md 5 and 6)."""

REPAIR: Final = ("pql-repair", b"1")
"""
On the tombstones that a worker writes into its own changelog: they say that there is no row, or no more.

Who writes a tombstone without it to `lead-profiles` erases.
"""
