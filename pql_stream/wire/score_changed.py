"""The record of `score-changed`, version 1 (CONTRACT.md 5)."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec

from pql_stream.core.changes import ANNOUNCED_BACKFILL, BACKFILL, LIVE, Mode, ScoreChange
from pql_stream.core.packs import CompiledPack
from pql_stream.core.scoring import CompiledRule
from pql_stream.core.values import Number
from pql_stream.wire.numbers import decimal, rfc3339

SCHEMA = "score-changed/1"


# The record as a template; `change_models` has it as readers see it. Most of a record is names and points, and those
# are the same for all leads that make the same step: they are written once for it, and remembered. The rest is filled
# in, which takes half the time of a codec. What a lead or a producer says is always written by the codec.
class _Cause(msgspec.Struct, gc=False):
    event_id: str
    event: str
    topic: str
    partition: int
    offset: int


_encode = msgspec.json.Encoder().encode
_Points = tuple[int, ...]
_TEMPLATES_MAX = 4_096
"""Pairs of points whose templates are remembered, in some megabytes; then the memory starts afresh."""


class _Templates(dict[tuple[_Points, _Points], bytes]):
    """By the points before and after a change of *pack*: its record, with a ``%b`` or ``%d`` where leads differ."""

    def __init__(self, pack: CompiledPack) -> None:
        self._pack = pack
        self._inputs = pack.contributions_json.templates

    def __missing__(self, points: tuple[_Points, _Points]) -> bytes:
        if len(self) >= _TEMPLATES_MAX:
            self.clear()
        pack = self._pack
        before, after = map(sum, points)
        template = self[points] = b"".join(
            (
                b'{"change_id":"%b","schema":',
                _said(SCHEMA),
                b',"mode":"%b","lead_id":%b,"account_id":%b,',
                _fields(pack=pack.name, pack_version=pack.version),
                b',"sequence":%d,"occurred_at":"%b",',
                _fields(
                    score_before=decimal(before),
                    score_after=decimal(after),
                    tier_before=pack.tier_of(before).name,
                    tier_after=pack.tier_of(after).name,
                    groups=groups_fields(pack.group_points(points[1])),
                ),
                b',"contributions":[',
                b",".join(map(_contribution, pack.rules, self._inputs, *points)),
                b'],"cause":%b%b}',
            )
        )
        return template


@lru_cache(maxsize=_TEMPLATES_MAX)  # few of each rule: a pair of points that is new has them already
def _contribution(rule: CompiledRule, shown: bytes, points_before: int, points: int) -> bytes:
    fields = _fields(
        rule=rule.name,
        group=rule.group,
        points=decimal(points),
        points_before=decimal(points_before),
        points_max=decimal(rule.points_max),
    )
    return b'{%b,"input":%b,"moved_by":%%b}' % (fields, shown)


def _fields(**fields: Any) -> bytes:  # noqa: ANN401 - JSON values
    """*fields* one behind the other, for a template."""
    return _said(fields)[1:-1]


def _said(value: object) -> bytes:
    """*value* as it is, for a template."""
    return _encode(value).replace(b"%", b"%%")


_templates_of = lru_cache(maxsize=8)(_Templates)  # a program has a pack or two
_MODES: dict[Mode, tuple[bytes, bytes]] = {
    LIVE: (b"live", b""),
    BACKFILL: (b"backfill", b""),
    ANNOUNCED_BACKFILL: (b"backfill", b',"announce":true'),
}
"""The mode, and what a record says of its announcement: what happens now is announced anyway."""


def encode_score_changed(change: ScoreChange, mode: Mode = LIVE) -> bytes:
    """*change* as a record; *mode* is that of the event that made it."""
    pack, cause = change.pack, change.cause
    name, announce = _MODES[mode]
    return _templates_of(pack)[change.points_before, change.points] % (
        change.change_id.encode(),  # hex, of our own
        name,
        _encode(change.lead_id),
        _encode(change.account_id),
        change.sequence,
        rfc3339(change.occurred_at_ms).encode(),
        *pack.contributions_json.parts(change.features, change.moved_by),
        _encode(_Cause(cause.event_id, change.cause_event, cause.topic, cause.partition, cause.offset)),
        announce,
    )


def groups_fields(groups: dict[str, int]) -> dict[str, Number]:
    """Group -> its points as a decimal."""
    return {group: decimal(points) for group, points in groups.items()}
