"""What several of these tests stand on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from score_proxy import HoldingProxy


@pytest.fixture
def proxy(kafka) -> Iterator[HoldingProxy]:
    """The road to the broker for a worker that is to be met between two of its steps."""
    with HoldingProxy(kafka.bootstrap) as made:
        yield made
