"""Names of sinks and of routes: they become parts of topics, metrics and ids."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

SINK_CHARS_MAX = 32
"""With `delivery-` and `-parked` a topic name that has room for the longest PQL_TOPIC_PREFIX."""

_NAME = re.compile(r"[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*")
_ROUTE_CHARS_MAX = 100
# `delivery-crm-dlq` would be two topics in one.
_ENDS = ("-parked", "-dlq")


def check_sink_name(name: str) -> str:
    """Letters, digits and '-': what follows `delivery-` in a topic name, and cannot be mistaken."""
    if not _NAME.fullmatch(name):
        raise ValueError("names of sinks take letters, digits and '-' between them: they become topic names")
    if len(name) > SINK_CHARS_MAX:
        raise ValueError(f"names of sinks have at most {SINK_CHARS_MAX} characters: they become topic names")
    if name.endswith(_ENDS):
        raise ValueError(f"names of sinks do not end in {' or '.join(_ENDS)}: topics of another sink do")
    return name


def _check_route_name(name: str) -> str:
    if not _NAME.fullmatch(name) or len(name) > _ROUTE_CHARS_MAX:
        raise ValueError(f"names of routes take up to {_ROUTE_CHARS_MAX} letters, digits and '-' between them")
    return name


Name = Annotated[str, AfterValidator(_check_route_name)]
