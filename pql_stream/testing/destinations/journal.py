"""What a fake destination accepted, in order: effects, not requests."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Effect:
    """
    Something a customer would notice. *kind*: contact, task, message, mail, post. *delivery_id* is the id that came
    with it. *was_there*: the destination recognised a repeat, and nothing changed.
    """

    destination: str
    kind: str
    delivery_id: str
    lead_id: str
    content: dict[str, Any]
    was_there: bool = False


class Journal:
    """All effects, and the requests that caused them."""

    def __init__(self) -> None:
        self.effects: list[Effect] = []
        self.requests: list[tuple[str, str]] = []
        """(method, path) of every request, also of those that were refused."""

    def accept(self, effect: Effect) -> None:
        """Note *effect*."""
        self.effects.append(effect)

    def seen(self) -> Counter[str]:
        """Delivery id -> how often a customer noticed it: repeats that were recognised do not count."""
        return Counter(effect.delivery_id for effect in self.effects if not effect.was_there)
