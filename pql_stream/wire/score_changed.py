"""The record of `score-changed`, version 1 (CONTRACT.md 5)."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal

import msgspec

from pql_stream.core.changes import ANNOUNCED_BACKFILL, BACKFILL, LIVE, EventRef, Mode, ScoreChange
from pql_stream.core.packs import CompiledPack
from pql_stream.core.rules import RuleInput
from pql_stream.core.scoring import CompiledRule
from pql_stream.core.values import Number
from pql_stream.wire.numbers import decimal, rfc3339

SCHEMA = "score-changed/1"


# The record as the codec wants it; `change_models` has it as readers see it. Most of a record is names and points,
# and those are the same for all leads that make the same step: each run of such fields is written once, remembered,
# and copied. The codec takes a Raw as it is, so under the name of its first field it holds the whole run. That takes
# less than half the time of a record with a value for each field. What a lead or a producer says is always written
# by the codec.
class _MovedBy(msgspec.Struct, gc=False):
    event_id: str
    topic: str
    partition: int
    offset: int


class _Contribution(msgspec.Struct, gc=False):
    rule: msgspec.Raw  # to points_max
    input: RuleInput
    moved_by: _MovedBy | None


class _Cause(msgspec.Struct, gc=False):
    event_id: str
    event: str
    topic: str
    partition: int
    offset: int


class _ScoreChanged(msgspec.Struct, gc=False):
    change_id: str
    schema: msgspec.Raw  # and mode
    lead_id: str
    account_id: str | None
    pack: msgspec.Raw  # and pack_version
    sequence: int
    occurred_at: str
    score_before: msgspec.Raw  # to groups
    contributions: list[_Contribution]
    cause: _Cause
    announce: Literal[True] | msgspec.UnsetType


_encode = msgspec.json.Encoder().encode


def _run(**fields: Any) -> msgspec.Raw:  # noqa: ANN401 - JSON values
    """*fields* one behind the other, without the name of the first."""
    return msgspec.Raw(_encode(fields).partition(b":")[2][:-1])


_Points = tuple[int, ...]
_SAID_MAX = 4_096
"""Pairs of points that are remembered, in some megabytes; then the memory starts afresh."""


class _Said(dict[tuple[_Points, _Points], tuple[msgspec.Raw, tuple[msgspec.Raw, ...]]]):
    """By the points before and after a change of *pack*: the run from the scores to the groups, and each rule's."""

    def __init__(self, pack: CompiledPack) -> None:
        self._pack = pack
        self.pack = _run(pack=pack.name, pack_version=pack.version)

    def __missing__(self, points: tuple[_Points, _Points]) -> tuple[msgspec.Raw, tuple[msgspec.Raw, ...]]:
        if len(self) >= _SAID_MAX:
            self.clear()
        rules = tuple(map(_rule, self._pack.rules, *points))
        said = self[points] = self._scores(*points), rules
        return said

    def _scores(self, before: _Points, after: _Points) -> msgspec.Raw:
        pack = self._pack
        return _run(
            score_before=decimal(sum(before)),
            score_after=decimal(sum(after)),
            tier_before=pack.tier_of(sum(before)).name,
            tier_after=pack.tier_of(sum(after)).name,
            groups=groups_fields(pack.group_points(after)),
        )


@lru_cache(maxsize=_SAID_MAX)  # few of each rule: a pair of points that is new has them already
def _rule(rule: CompiledRule, points_before: int, points: int) -> msgspec.Raw:
    return _run(
        rule=rule.name,
        group=rule.group,
        points=decimal(points),
        points_before=decimal(points_before),
        points_max=decimal(rule.points_max),
    )


_said_of = lru_cache(maxsize=8)(_Said)  # a program has a pack or two
_MODES: dict[Mode, tuple[msgspec.Raw, Literal[True] | msgspec.UnsetType]] = {
    LIVE: (_run(schema=SCHEMA, mode=LIVE.name), msgspec.UNSET),
    BACKFILL: (_run(schema=SCHEMA, mode=BACKFILL.name), msgspec.UNSET),
    ANNOUNCED_BACKFILL: (_run(schema=SCHEMA, mode=ANNOUNCED_BACKFILL.name), True),
}
"""Schema and mode, and what a record says of its announcement: what happens now is announced anyway."""


def encode_score_changed(change: ScoreChange, mode: Mode = LIVE) -> bytes:
    """*change* as a record; *mode* is that of the event that made it."""
    said, cause = _said_of(change.pack), change.cause
    schema, announce = _MODES[mode]
    scores, rules = said[change.points_before, change.points]
    moved_by = [
        None if ref is None else _MovedBy(ref.event_id, ref.topic, ref.partition, ref.offset) for ref in change.moved_by
    ]
    return _encode(
        _ScoreChanged(
            change.change_id,
            schema,
            change.lead_id,
            change.account_id,
            said.pack,
            change.sequence,
            rfc3339(change.occurred_at_ms),
            scores,
            list(map(_Contribution, rules, change.inputs, moved_by)),
            _Cause(cause.event_id, change.cause_event, cause.topic, cause.partition, cause.offset),
            announce,
        )
    )


def groups_fields(groups: dict[str, int]) -> dict[str, Number]:
    """Group -> its points as a decimal."""
    return {group: decimal(points) for group, points in groups.items()}


def moved_by_fields(ref: EventRef | None) -> dict[str, Any] | None:
    """The JSON object of an event reference."""
    if ref is None:
        return None
    return {"event_id": ref.event_id, "topic": ref.topic, "partition": ref.partition, "offset": ref.offset}
