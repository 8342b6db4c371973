"""
What the ledger writes into Redis: keys and rows, as bytes.

No personal data is in them: a lead, an owner or a limiter's bucket stands there as a hash, since somebody's lead id
may be an e-mail address.

A row is 20 bytes and the detail; `lua/rows.lua` writes it:

- 4 bits: version, 1
- 1 bit: in doubt
- 3 bits: the state's place in `STATES`
- 1 byte: how many repeats of it were noted
- 4 bytes: copy
- 6 bytes: when it was claimed, in ms
- 8 bytes: hash of the owner who claimed it last; zeros if it was never claimed
- the rest: detail, in UTF-8
"""

from __future__ import annotations

import struct
from hashlib import blake2b
from typing import get_args

from pql_stream.delivery.ledger import Row, State

STATES: tuple[State, ...] = ("pending", "sending", "delivered", "superseded", "unknown", "refused", "parked")
assert set(STATES) == set(get_args(State))  # noqa: S101 - a new state needs a number here and in rows.lua

DETAIL_BYTES_MAX = 100
"""A code; what is longer is cut."""

_HEAD = struct.Struct(">BBI6s8s")
_ID_BYTES = 16
# Before an id that is none of ours: how many bytes to leave out. Two of them where one would make it 16 bytes long.
_PLAIN, _PLAIN_LONGER = b"\x01", b"\x02\x00"


def hash_of(text: str, size: int) -> bytes:
    """*size* bytes that stand for *text*."""
    return blake2b(text.encode(errors="surrogatepass"), digest_size=size).digest()


def pack_id(delivery_id: str) -> bytes:
    """A delivery's id in Redis: 16 bytes for one of ours, a few more than it has for any other."""
    try:
        packed = bytes.fromhex(delivery_id)
    except ValueError:
        packed = b""
    if len(packed) == _ID_BYTES and packed.hex() == delivery_id:
        return packed
    plain = delivery_id.encode(errors="surrogatepass")
    return (_PLAIN_LONGER if len(plain) == _ID_BYTES - 1 else _PLAIN) + plain


def unpack_id(packed: bytes) -> str:
    """The id that `pack_id` packed."""
    return packed.hex() if len(packed) == _ID_BYTES else packed[packed[0] :].decode(errors="surrogatepass")


def cut_detail(detail: str) -> bytes:
    """*detail* as it goes into a row."""
    return detail.encode(errors="replace")[:DETAIL_BYTES_MAX].decode(errors="ignore").encode()


def unpack_row(packed: bytes, owner: str) -> Row:
    """The row that a script wrote; *owner* is the name behind its hash."""
    head, _, copy, at_ms, _ = _HEAD.unpack_from(packed)
    return Row(
        state=STATES[head % 8],
        owner=owner,
        claimed_at_ms=int.from_bytes(at_ms),
        copy=copy,
        in_doubt=bool(head & 8),
        detail=packed[_HEAD.size :].decode(),
    )
