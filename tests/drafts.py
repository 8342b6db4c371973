"""JSON Schema's validator, imported when it is asked for: it takes two seconds, and all processes of a run collect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator


def validator_of(schema: Mapping[str, Any]) -> Draft202012Validator:
    """What validates by *schema*, of the dialect 2020-12."""
    from jsonschema import Draft202012Validator

    return Draft202012Validator(schema)
