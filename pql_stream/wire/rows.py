"""
Rows of the lead table: LeadState <-> bytes, as msgpack.

Version 3 is the array
    [3, pack, pack version, first seen ms, last seen ms, account,
     features, points, moved by, sequence, announced]
where *account* is null or [ms, event id, account id]; *features* (their values are in `core.features`) and
*points* are in the pack's order; a rule's *moved by* is the bytes of an `EncodedRef`.
Version 4 is for rows that several packs share, or that lack some events of a feature:
    [4, pack, pack version, first seen ms, last seen ms, account, feature ids, incomplete, features, packs]
where the pack is the live one; *feature ids* are eight bytes (`core.lineups`) for each of *features*; *incomplete* has
a bit for each of them, from the lowest of the last byte; and *packs* are arrays
    [pack, pack version, points, moved by, sequence, announced],
the live one first. It says of itself what it holds, so that any packs can go on with it. A pack that scores alone
goes on writing version 3. Equal states have equal bytes. (Versions 1 and 2 had these layouts, and references as
arrays.)

Where leads are many a row is read and written for nearly every event. So the layout is what the codec
makes of the core's own values, in one go and checked on the way, with nothing rebuilt in Python: a third
of the time. The price: names and topic of a reference are written for each rule, and not once.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from types import GenericAlias
from typing import Any, Literal

import msgspec

from pql_stream.core.features import FeatureKind, FeatureValue
from pql_stream.core.packs import CompiledPack
from pql_stream.core.refs import EncodedRef
from pql_stream.core.states import LeadState, PackState, Stamped
from pql_stream.core.values import Number
from pql_stream.errors import InvalidState

ROW_VERSION = 3
SHARED_ROW_VERSION = 4

_Row = tuple[
    int,
    str,
    int,
    int,
    int,
    Stamped | None,
    tuple[FeatureValue, ...],
    tuple[int, ...],
    tuple[EncodedRef, ...],
    int,
    int,
]

VALUE_TYPES: dict[FeatureKind, Any] = {
    "distinct": bytes | int,
    "distinct_days": bytes | int,
    "earliest": int | None,
    "latest_time": int | None,
    "latest": tuple[int, str, Number | str] | None,
    "flag": bool | None,
    "maximum": Number | None,
    "minimum": Number | None,
}
"""What a feature's value may be; the table of `core.features` as types."""


class _Head(msgspec.Struct, array_like=True):
    """What a row begins with. What stands behind it is skipped."""

    version: int
    pack: str
    pack_version: int


_encode = msgspec.msgpack.Encoder().encode
_decode_head = msgspec.msgpack.Decoder(_Head).decode
_decode_any = msgspec.msgpack.Decoder().decode
DECODE_ERRORS = (msgspec.DecodeError, ValueError, RecursionError)
"""What the decoder raises: bad UTF-8 and endless nesting are no DecodeError to it."""


@lru_cache(maxsize=8)  # a program has a pack or two, and to make a decoder takes as long as reading a hundred rows
def _decoder_of(pack: CompiledPack) -> Callable[[bytes], _Row]:
    """Reads the rows that *pack* makes; any other row is an error to it."""
    exactly: Any = Literal
    rules = len(pack.rules)
    row = (
        exactly[ROW_VERSION],
        exactly[pack.name],
        exactly[pack.version],
        int,
        int,
        tuple[int, str, str] | None,
        GenericAlias(tuple, tuple(VALUE_TYPES[feature.kind] for feature in pack.pack.features)),
        GenericAlias(tuple, (int,) * rules),
        GenericAlias(tuple, (EncodedRef,) * rules),
        int,
        int,
    )
    decoder: msgspec.msgpack.Decoder[_Row] = msgspec.msgpack.Decoder(GenericAlias(tuple, row))
    return decoder.decode


def dump_state(state: LeadState, pack: CompiledPack) -> bytes:
    """The row of *state*, which was made by *pack*."""
    scored = state.pack
    return _encode(
        (
            ROW_VERSION,
            pack.name,
            pack.version,
            state.first_seen_at_ms,
            state.last_seen_at_ms,
            state.account,
            state.features,
            scored.points,
            scored.moved_by,
            scored.sequence,
            scored.announced,
        )
    )


def load_state(row: bytes, pack: CompiledPack) -> LeadState:
    """
    The state in *row*.

    Raises:
        InvalidState: the row is of a version this program does not know, was made by another pack, or
            is no row at all. Going on would score the lead wrongly, so the worker stops.
    """
    try:
        return read_state(row, pack)
    except DECODE_ERRORS as exc:
        raise _why_not(row, pack) from exc


def read_state(row: bytes, pack: CompiledPack) -> LeadState:
    """As `load_state`; raises one of `DECODE_ERRORS` for what is no row that *pack* makes."""
    fields = _decoder_of(pack)(row)
    _, _, _, first, last, account, features, points, moved_by, sequence, announced = fields
    return LeadState(first, last, account, features, PackState(points, moved_by, sequence, announced))


def row_identity(row: bytes) -> tuple[str, int]:
    """
    Name and version of the pack that made *row*; of several, the one that was live.

    Raises:
        InvalidState: the row is of a version this program does not know, or is no row at all.
    """
    try:
        head = _decode_head(row)
    except DECODE_ERRORS as exc:
        raise _not_this_version(row) from exc
    if head.version not in {ROW_VERSION, SHARED_ROW_VERSION}:
        raise _not_this_version(row)
    return head.pack, head.pack_version


def _why_not(row: bytes, pack: CompiledPack) -> InvalidState:
    """Why *row* is none that *pack* makes. Asked late: nearly every row is one."""
    try:
        name, version = row_identity(row)
    except InvalidState as exc:
        return exc
    if (name, version) == (pack.name, pack.version):
        # A pack that was edited under its old version, or a row that was damaged.
        return unreadable("its fields do not fit")
    return InvalidState(
        f"the state was built with pack {name} version {version}, not {pack.name} version {pack.version}",
        why="features and points of another pack, or version, do not fit this one",
        what_to_do="set PQL_PACK to the pack of the state, or rebuild the state by replaying the topic",
    )


def _not_this_version(row: bytes) -> InvalidState:
    try:
        version = _decode_any(row)[0]
    except (*DECODE_ERRORS, LookupError, TypeError):
        return unreadable("it is no row of the lead table")
    if version in {ROW_VERSION, SHARED_ROW_VERSION} or version.__class__ is not int:
        return unreadable("its fields do not fit")
    age, by = ("older", "an older") if version < ROW_VERSION else ("newer", "a newer")
    return InvalidState(
        f"a row of the lead table has version {version}; this program reads {ROW_VERSION} and {SHARED_ROW_VERSION}",
        why=f"the state was written by {by} pql-stream",
        what_to_do=f"run the {age} version again, or rebuild the state by replay with this one",
    )


def unreadable(why: str) -> InvalidState:
    """What is raised for a row that nobody can read."""
    return InvalidState(
        "a row of the lead table cannot be read",
        why=why,
        what_to_do="check that changelog topic and state directory are ours; then rebuild by replay",
    )
