"""Record headers, as Kafka has them."""

from __future__ import annotations

from collections.abc import Sequence

Headers = Sequence[tuple[str, bytes | None]]
"""Names and values in order; a name may come twice, and a value may be null."""
