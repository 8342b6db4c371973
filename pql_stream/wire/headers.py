"""Record headers, as Kafka has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

Headers = Sequence[tuple[str, bytes | None]]
"""Names and values in order; a name may come twice, and a value may be null."""

REPAIR: Final = ("pql-repair", b"1")
"""
On the tombstones that a worker writes into its own changelog: they say that there is no row, or no more.

Who writes a tombstone without it to `lead-profiles` erases.
"""
