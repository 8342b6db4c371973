"""
Rows of the lead table that several packs share, or that other packs have made (`wire.rows` has the layouts).

The ordinary case is read and written in one go, as in `rows`. A row of other packs, or roles, is taken apart piece by
piece into an `OldState`: once a lead, after somebody changed the settings, or which pack is live.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from types import GenericAlias
from typing import Any, Literal

import msgspec

from pql_stream.core.lineups import FEATURE_ID_BYTES, Lineup, Roster, feature_id
from pql_stream.core.packs import CompiledPack, PackId
from pql_stream.core.refs import EncodedRef
from pql_stream.core.shadows import OldState, adopt
from pql_stream.core.states import LeadState, PackState
from pql_stream.errors import InvalidState
from pql_stream.wire.rows import (
    DECODE_ERRORS,
    ROW_VERSION,
    SHARED_ROW_VERSION,
    VALUE_TYPES,
    dump_state,
    load_state,
    read_state,
    row_identity,
    unreadable,
)

_SharedRow = tuple[int, str, int, int, int, Any, bytes, bytes, tuple[Any, ...], tuple[tuple[Any, ...], ...]]

_encode = msgspec.msgpack.Encoder().encode
_PACK = tuple[str, int, tuple[int, ...], tuple[EncodedRef, ...], int, int]
_decode_apart = msgspec.msgpack.Decoder(
    tuple[
        Literal[SHARED_ROW_VERSION],  # type: ignore[valid-type]  # a constant, as the codec takes it
        str,
        int,
        int,
        int,
        tuple[int, str, str] | None,
        bytes,
        bytes,
        list[msgspec.Raw],
        list[_PACK],
    ]
).decode


def dump_lead(state: LeadState, lineup: Lineup) -> bytes:
    """The row of *state*, which was made by *lineup*."""
    if not lineup.shadows and not state.incomplete:
        return dump_state(state, lineup.live)
    live = lineup.live
    scored = zip(lineup.packs, (state.pack, *state.shadows), strict=True)
    return _encode(
        (
            SHARED_ROW_VERSION,
            live.name,
            live.version,
            state.first_seen_at_ms,
            state.last_seen_at_ms,
            state.account,
            lineup.layout,
            _bits(state.incomplete),
            state.features,
            [(pack.name, pack.version, own.points, own.moved_by, own.sequence, own.announced) for pack, own in scored],
        )
    )


def _bits(incomplete: int) -> bytes:
    return incomplete.to_bytes((incomplete.bit_length() + 7) // 8)


def load_lead(row: bytes, lineup: Lineup) -> LeadState:
    """
    The state in *row*, for *lineup* to go on with; `Adopted` where other packs or roles have made it.

    Raises:
        InvalidState: this program does not know the row's version, *lineup* lacks the pack that was live when it was
            made, or it is no row at all.
    """
    try:
        state = _shared_state(row, lineup) if lineup.shadows else read_state(row, lineup.live)
    except DECODE_ERRORS:
        state = None
    if state is None and not lineup.shadows:
        # Alone, and with a feature that was not kept from the beginning.
        with suppress(*DECODE_ERRORS):
            state = _shared_state(row, lineup)
    return state if state is not None else adopt(old_state(row, lineup.roster), lineup)


def _shared_state(row: bytes, lineup: Lineup) -> LeadState | None:
    """The state, None where other features make it up."""
    _, _, _, first, last, account, layout, incomplete, features, packs = _decoder_of(lineup)(row)
    if layout != lineup.layout:
        return None
    live, *shadows = [PackState(*own[2:]) for own in packs]
    return LeadState(first, last, account, features, live, int.from_bytes(incomplete), tuple(shadows))


@lru_cache(maxsize=8)  # a worker has as many as packs
def _decoder_of(lineup: Lineup) -> Callable[[bytes], _SharedRow]:
    """Reads the rows that *lineup* makes. Of `layout` the length is checked by the number of features."""
    exactly: Any = Literal
    live = lineup.live
    row = (
        exactly[SHARED_ROW_VERSION],
        exactly[live.name],
        exactly[live.version],
        int,
        int,
        tuple[int, str, str] | None,
        bytes,
        bytes,
        GenericAlias(tuple, tuple(_value_types(lineup.roster)[at] for at in lineup.feature_ids)),
        GenericAlias(tuple, tuple(_pack_type(pack) for pack in lineup.packs)),
    )
    decoder: msgspec.msgpack.Decoder[_SharedRow] = msgspec.msgpack.Decoder(GenericAlias(tuple, row))
    return decoder.decode


def _pack_type(pack: CompiledPack) -> Any:  # noqa: ANN401 - a type
    exactly: Any = Literal
    rules = len(pack.rules)
    points, moved_by = (GenericAlias(tuple, (one,) * rules) for one in (int, EncodedRef))
    return GenericAlias(tuple, (exactly[pack.name], exactly[pack.version], points, moved_by, int, int))


@lru_cache(maxsize=8)
def _value_types(roster: Roster) -> dict[bytes, Any]:
    """What may lie in a slot, by `feature_id`."""
    packs = [roster.pack(at) for at in roster.ids]
    features = [feature for pack in packs if pack is not None for feature in pack.pack.features]
    return {feature_id(feature): VALUE_TYPES[feature.kind] for feature in features}


# --- rows of other packs


def old_state(row: bytes, roster: Roster) -> OldState:
    """
    What *row* says, as far as *roster* can understand it: packs and features that it lacks are left out.

    Raises:
        InvalidState: as `load_lead`.
    """
    made_by = PackId(*row_identity(row))
    live = roster.pack(made_by)
    if live is None:
        have = ", ".join(map(str, roster.ids))
        raise InvalidState(
            f"a row was made while {made_by} was live, and this worker has only {have}",
            why="without that pack nobody can tell what its points and its announced tier mean",
            what_to_do=f"name {made_by.name} in PQL_SHADOW_PACKS (or PQL_PACK): leads that had no event since it was "
            "live still have such rows",
        )
    if _version_of(row) == ROW_VERSION:
        state = load_state(row, live)
        features = dict(zip(_own_ids(live), state.features, strict=True))
        first, last, account = state.first_seen_at_ms, state.last_seen_at_ms, state.account
        return OldState(first, last, account, features, frozenset(), {live.id: state.pack})
    return _taken_apart(row, roster)


def _taken_apart(row: bytes, roster: Roster) -> OldState:
    try:
        _, _, _, first, last, account, layout, bits, raw, scored = _decode_apart(row)
        ids = [layout[at : at + FEATURE_ID_BYTES] for at in range(0, len(layout), FEATURE_ID_BYTES)]
        types = _value_types(roster)
        features = {
            at: msgspec.msgpack.decode(value, type=types[at]) for at, value in zip(ids, raw, strict=True) if at in types
        }
    except DECODE_ERRORS as exc:
        raise unreadable("its fields do not fit") from exc
    incomplete = int.from_bytes(bits)
    packs: dict[PackId, PackState] = {}
    for name, version, points, moved_by, sequence, announced in scored:
        pack = roster.pack(PackId(name, version))
        if pack is None:
            continue
        state = packs[pack.id] = PackState(points, moved_by, sequence, announced)
        if not len(state.points) == len(state.moved_by) == len(pack.rules) or state.announced >= len(pack.tiers):
            # A pack that was edited under its old version.
            raise unreadable("its fields do not fit")
    if next(iter(packs), None) != PackId(*row_identity(row)):
        raise unreadable("the pack that was live is not the first")
    missing = frozenset(at for slot, at in enumerate(ids) if incomplete >> slot & 1)
    return OldState(first, last, account, features, missing, packs)


def _version_of(row: bytes) -> int:
    return _decode_version(row).version


class _Version(msgspec.Struct, array_like=True):
    version: int


_decode_version = msgspec.msgpack.Decoder(_Version).decode


@lru_cache(maxsize=8)
def _own_ids(pack: CompiledPack) -> tuple[bytes, ...]:
    """What lies in the slots of a row that *pack* made alone."""
    return tuple(feature_id(feature) for feature in pack.pack.features)
