"""What a fake destination does wrong, and when: a script, one step a request."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

FaultKind = Literal[
    "status", "hang_before", "hang_after", "close_before", "close_after", "half_answer", "garbage", "huge", "no_op"
]
"""
*status*: answer with it and accept nothing. *hang*, *close*: no answer, before or after the effect. *half_answer*:
the effect, and an answer that breaks off. *garbage*, *huge*: the effect, and an answer of noise, or of many
megabytes. *no_op*: a friendly answer without an effect.
"""


@dataclass(frozen=True, slots=True)
class Fault:
    """One step of a script. *status*, *headers* and *body* are of kind "status"; "no_op" has a *body* too, or "{}"."""

    kind: FaultKind
    status: int = 503
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


class FaultScript:
    """
    Faults to come, in order; None is a request that goes well. An empty script does nothing wrong.

    *hanging* is set once a request hangs, *hung_up* once the client of such a request has closed its connection.
    """

    def __init__(self) -> None:
        self._steps: deque[Fault | None] = deque()
        self.always: Fault | None = None
        """What happens when the script is over."""
        self.hanging = asyncio.Event()
        self.hung_up = asyncio.Event()

    def then(self, *steps: Fault | None) -> None:
        """Add *steps*."""
        self._steps.extend(steps)

    def next(self) -> Fault | None:
        """What happens to the request that came just now."""
        return self._steps.popleft() if self._steps else self.always
