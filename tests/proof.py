"""Marks the further cases of what a quicker case of the same test shows already: `make proof` has them."""

from typing import Any

import pytest


def proof(value: Any) -> Any:
    """*value* as a parameter that `make test` leaves out."""
    return pytest.param(value, marks=pytest.mark.proof)
