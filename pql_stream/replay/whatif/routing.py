"""Which routes take what one event published, by the very records that the stream would write."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from pql_stream.core.routes import CANARY_LEAD_ID, RecordKind, Route
from pql_stream.core.states import Step
from pql_stream.wire.deliveries import fields_of
from pql_stream.wire.pql_qualified import encode_pql_qualified
from pql_stream.wire.score_changed import encode_score_changed

CHANGED: RecordKind = "score-changed"
QUALIFIED: RecordKind = "pql-qualified"


class RouteMatcher:
    """*routes*, asked of step after step; a route is known by its place among them."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._of_changes = _OfOneKind(CHANGED, routes)
        self._of_qualified = _OfOneKind(QUALIFIED, routes)

    def taken(self, step: Step) -> tuple[int, ...]:
        """The places of the routes that take a record of *step*: a delivery for each."""
        change, qualification = step.change, step.qualification
        if change is None or change.lead_id == CANARY_LEAD_ID:
            return ()
        taken: list[int] = []
        # To write a record and read it again costs more than scoring, so only where somebody asks for it.
        if self._of_changes.routes:
            taken += self._of_changes.takers(encode_score_changed(change))
        if qualification is not None and self._of_qualified.routes:
            taken += self._of_qualified.takers(encode_pql_qualified(qualification))
        return tuple(taken)


class _OfOneKind:
    """Those of the routes that take records of *kind*, with their places."""

    def __init__(self, kind: RecordKind, routes: Sequence[Route]) -> None:
        self.routes = [(place, route) for place, route in enumerate(routes) if route.of == kind]
        self._kind = kind
        self._asks_inside = any("." in asked.path for _, route in self.routes for asked in route.where)

    def takers(self, record: bytes) -> list[int]:
        fields = orjson.loads(record)
        if self._asks_inside:
            # Most routes ask for fields at the top only, and to make paths of all others takes twice as long.
            fields = fields_of(fields)
        return [place for place, route in self.routes if route.takes(self._kind, fields)]
