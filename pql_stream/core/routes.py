"""
Routes: which published record goes to which sink, and as what. Data in, yes or no out.

A record is seen as its fields: dotted path -> scalar (`wire.deliveries.fields_of` makes them), so that a route may
ask about any field without the core knowing the record's form.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Literal

import msgspec

Scalar = str | int | float | bool | None
"""What a field of a record holds."""
Fields = Mapping[str, Scalar]
"""The fields of a published record by dotted path: `tier_after`, `groups.usage`, `input.team_size`."""

RecordKind = Literal["score-changed", "pql-qualified"]
"""The topics that deliveries come from."""
Action = Literal["upsert", "task", "message", "mail", "post"]
"""What a sink is asked to do: upsert a contact or lead, make a task, send a message or a mail, post the record."""


CANARY_LEAD_ID = "pql-canary"
"""A lead that is scored to see that scoring works; no route takes what is said of it."""


class Condition(msgspec.Struct, frozen=True):
    """
    One thing that must be true of the field at *path*. What is not given is not asked.

    *one_of*: it is one of these. *at_least* and *below*: it is a number in this half-open range. An absent field
    meets only `one_of` with None in it: unknown is no reason to write to somebody.
    """

    path: str
    one_of: tuple[Scalar, ...] = ()
    at_least: float | None = None
    below: float | None = None

    def holds(self, fields: Fields) -> bool:
        """Is it true of *fields*?"""
        value = fields.get(self.path)
        if self.one_of and not any(value == wanted and type(value) is type(wanted) for wanted in self.one_of):
            return False
        if self.at_least is None and self.below is None:
            return True
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return (self.at_least is None or value >= self.at_least) and (self.below is None or value < self.below)


class Route(msgspec.Struct, frozen=True):
    """
    Records of *of* that meet every condition of *where* go to *sink* as *action*.

    *options* are the sink's: a template, a channel, a field mapping. They travel with the delivery, so a change of
    the route does not change what was decided before it.
    """

    name: str
    of: RecordKind
    sink: str
    action: Action
    where: tuple[Condition, ...] = ()
    options: Mapping[str, str | Mapping[str, str]] = msgspec.field(default_factory=dict)

    def takes(self, kind: RecordKind, fields: Fields) -> bool:
        """Does a record of *kind* with *fields* go this way? Only of somebody who is there: a canary is no lead."""
        if kind != self.of or fields.get("lead_id") == CANARY_LEAD_ID or not is_told(fields):
            return False
        return all(one.holds(fields) for one in self.where)


def is_told(fields: Fields) -> bool:
    """
    Is anybody told of a record with *fields*?

    Of what happens now, yes. A backfill changes scores and tells nobody, unless whoever filled it in has said so.
    """
    mode = fields.get("mode")
    return mode == "live" or (mode == "backfill" and fields.get("announce") is True)


def delivery_id(route: Route, record_id: str) -> str:
    """128 bits over route, sink, action and the record's own id, as hex: the same on every repeat."""
    parts = (route.name, route.sink, route.action, record_id)
    return blake2b("".join(f"{len(part)}:{part}" for part in parts).encode(), digest_size=16).hexdigest()
