"""
Rows of the lead table: LeadState <-> bytes, as msgpack.

Version 1 is the array
    [1, pack, pack version, first seen ms, last seen ms, account,
     features, points, moved by, sequence, announced, topics]
where *account* is null or [ms, event id, account id]; *features* and *points* are in the pack's order; a
distinct set is its members as 8 big-endian bytes each, rising; a rule's *moved by* is null or
[event id, index into topics, partition, offset]. Equal states have equal bytes.
"""

from __future__ import annotations

from struct import error as struct_error
from struct import pack as pack_struct
from struct import unpack as unpack_struct
from typing import Any

import msgspec

from pql_stream.core.changes import EventRef
from pql_stream.core.features import FeatureValue
from pql_stream.core.packs import CompiledPack
from pql_stream.core.transition import LeadState, PackState
from pql_stream.errors import InvalidState

ROW_VERSION = 1

_Ref = tuple[str, int, int, int]
_Row = tuple[
    int,
    str,
    int,
    int,
    int,
    tuple[int, str, str] | None,
    list[Any],
    tuple[int, ...],
    list[_Ref | None],
    int,
    int,
    list[str],
]

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Row).decode
_decode_any = msgspec.msgpack.Decoder().decode
_DECODE_ERRORS = (msgspec.DecodeError, ValueError, RecursionError)
"""What the decoder raises: bad UTF-8 and endless nesting are no DecodeError to it."""


def dump_state(state: LeadState, pack: CompiledPack) -> bytes:
    """The row of *state*, which was made by *pack*."""
    topics: dict[str, int] = {}
    scored = state.pack
    return _encode(
        (
            ROW_VERSION,
            pack.name,
            pack.version,
            state.first_seen_at_ms,
            state.last_seen_at_ms,
            state.account,
            [_dump_feature(value) for value in state.features],
            scored.points,
            [_dump_ref(ref, topics) for ref in scored.moved_by],
            scored.sequence,
            scored.announced,
            list(topics),
        )
    )


def row_identity(row: bytes) -> tuple[str, int]:
    """
    Name and version of the pack that made *row*.

    Raises:
        InvalidState: the row is of a version this program does not know, or is no row at all.
    """
    fields = _decode_row(row)
    return fields[1], fields[2]


def load_state(row: bytes, pack: CompiledPack) -> LeadState:
    """
    The state in *row*.

    Raises:
        InvalidState: the row is of a version this program does not know, was made by another pack, or
            is no row at all. Going on would score the lead wrongly, so the worker stops.
    """
    fields = _decode_row(row)
    try:
        return _load(fields, pack)
    except (LookupError, ValueError, struct_error) as exc:
        raise _unreadable("its fields do not fit") from exc


def _decode_row(row: bytes) -> _Row:
    try:
        fields: _Row = _decode(row)
    except _DECODE_ERRORS as exc:
        raise _not_this_version(row) from exc
    if fields[0] != ROW_VERSION:
        raise _not_this_version(row)
    return fields


def _load(fields: _Row, pack: CompiledPack) -> LeadState:
    _, name, version, first, last, account, features, points, moved_by, sequence, announced, topics = fields
    if name != pack.name or version != pack.version:
        raise InvalidState(
            f"the state was built with pack {name} version {version}, not {pack.name} version {pack.version}",
            why="features and points of another pack, or version, do not fit this one",
            what_to_do="set PQL_PACK to the pack of the state, or rebuild the state by replaying the topic",
        )
    # A pack that was edited under its old version, or a row cut short.
    if (len(features), len(points), len(moved_by)) != (
        len(pack.features_unset),
        len(pack.rules),
        len(pack.rules),
    ):
        raise ValueError("not the number of features, or rules, that the pack has")
    return LeadState(
        first,
        last,
        account,
        tuple([_load_feature(value) for value in features]),
        PackState(points, tuple([_load_ref(ref, topics) for ref in moved_by]), sequence, announced),
    )


def _dump_feature(value: FeatureValue) -> Any:  # noqa: ANN401 - a msgpack value
    if value.__class__ is frozenset:
        return pack_struct(f">{len(value)}Q", *sorted(value))
    return value


def _load_feature(value: Any) -> FeatureValue:  # noqa: ANN401 - a msgpack value
    if value.__class__ is bytes:
        return frozenset(unpack_struct(f">{len(value) // 8}Q", value))
    return tuple(value) if value.__class__ is list else value


def _dump_ref(ref: EventRef | None, topics: dict[str, int]) -> tuple[str, int, int, int] | None:
    if ref is None:
        return None
    return ref.event_id, topics.setdefault(ref.topic, len(topics)), ref.partition, ref.offset


def _load_ref(ref: _Ref | None, topics: list[str]) -> EventRef | None:
    return None if ref is None else EventRef(ref[0], topics[ref[1]], ref[2], ref[3])


def _not_this_version(row: bytes) -> InvalidState:
    try:
        version = _decode_any(row)[0]
    except (*_DECODE_ERRORS, LookupError, TypeError):
        return _unreadable("it is no row of the lead table")
    if version == ROW_VERSION or version.__class__ is not int:
        return _unreadable("its fields do not fit")
    return InvalidState(
        f"a row of the lead table has version {version}; this program reads version {ROW_VERSION}",
        why="the state was written by a newer pql-stream",
        what_to_do="run the newer version again, or rebuild the state by replay with this one",
    )


def _unreadable(why: str) -> InvalidState:
    return InvalidState(
        "a row of the lead table cannot be read",
        why=why,
        what_to_do="check that changelog topic and state directory are ours; then rebuild by replay",
    )
