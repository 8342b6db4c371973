"""
Which process scores which lead. Every process reads everything, and each record is one process's own.

To find out whose a record is takes a tenth of the time that scoring it does, and it is the same for every process. So
one finds it out for a chunk, and tells the others on a board in shared memory. Nobody waits for that: who finds nothing
there, or nothing whole, looks for itself. What is on the board is a function of the records, so it does not matter who
wrote it, or when.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from struct import Struct
from typing import NamedTuple
from zlib import crc32

from pql_stream.replay.source import Chunk, Records
from pql_stream.wire.lead_scan import lead_ids_of

SHARES_MAX = 255
UNTOLD = 255
"""In place of a share: only decoding tells whose the record is, or that it is no event."""

_SLOTS = 512
"""Two seconds or so: as far as one process may be ahead of another and still be of use to it."""
_RECORDS_MAX = 8_192
"""Of a chunk on the board; whose records a longer one has is found out by each process."""
_HEAD = Struct("<QII")
"""Number of the first record, how many records, checksum: two processes may write at once."""
_SLOT_BYTES = _HEAD.size + _RECORDS_MAX
BOARD_BYTES = _SLOTS * _SLOT_BYTES
_LEADS_MAX = 100_000
"""Of each process; some 15 MB."""
_AHEAD = 8
"""So many chunks a process is ahead with what it has to tell, so that it is there when the others need it."""


@dataclass(frozen=True, slots=True)
class Share:
    """The part *index* of *count* of the leads, by a hash of the lead id."""

    index: int
    count: int

    @property
    def is_all(self) -> bool:
        """Whether there is no other."""
        return self.count == 1

    def has_lead(self, lead_id: str) -> bool:
        """Whether the lead is in this part."""
        return _share_of(lead_id, self.count) == self.index

    def has_record(self, number: int) -> bool:
        """Whether record *number*, which names no lead, is told of by this part."""
        return number % self.count == self.index


class Board:
    """What the processes of a replay tell each other, in *memory* that they share, of `BOARD_BYTES`."""

    def __init__(self, memory: memoryview) -> None:
        self._memory = memory

    def tell(self, place: int, first: int, owners: bytes) -> None:
        """The chunk *place*, whose first record is number *first*, has records of *owners*."""
        if len(owners) <= _RECORDS_MAX:
            start = place % _SLOTS * _SLOT_BYTES
            told = _HEAD.pack(first, len(owners), crc32(owners, first)) + owners
            self._memory[start : start + len(told)] = told

    def told(self, place: int, first: int, count: int) -> bytes | None:
        """What was told of the *count* records from *first* on; None if nobody has, or it is not whole."""
        start = place % _SLOTS * _SLOT_BYTES
        head, end = start + _HEAD.size, start + _HEAD.size + count
        owners = bytes(self._memory[head:end])
        is_it = _HEAD.unpack(self._memory[start:head]) == (first, count, crc32(owners, first))
        return owners if is_it and count <= _RECORDS_MAX else None


class OwnersOf:
    """Finds out the share of each record's lead, of *count* shares; remembers those of *leads_max* leads."""

    def __init__(self, count: int, leads_max: int = _LEADS_MAX) -> None:
        self._shares = _Remembered(count, leads_max)

    def __call__(self, records: Records) -> bytes:
        """One byte for each: a share, or `UNTOLD`."""
        return bytes(map(self._shares.__getitem__, lead_ids_of(records.values, records.headers)))


class _Remembered(dict[str | None, int]):
    """Shares of leads that were asked for lately: most leads come again, and then it is one look-up."""

    def __init__(self, count: int, leads_max: int) -> None:
        super().__init__()
        self._count = count
        self._leads_max = leads_max

    def __missing__(self, lead_id: str | None) -> int:
        if lead_id is None:
            return UNTOLD
        if len(self) >= self._leads_max:
            self.clear()
        share = self[lead_id] = _share_of(lead_id, self._count)
        return share


class Marked(NamedTuple):
    """A chunk; *first* is the number of its first record, and *owners* has the share of each."""

    first: int
    chunk: Chunk
    owners: bytes


def marked(chunks: Iterable[Chunk], share: Share, board: Board, place: int, first: int) -> Iterator[Marked]:
    """*chunks*, of which the first is number *place*, and its first record number *first*."""
    owners_of = OwnersOf(share.count)
    for number, begin, chunk, owners in _ahead(enumerate(chunks, place), share, board, first, owners_of):
        known = owners or board.told(number, begin, len(chunk.records))
        if known is None:
            known = owners_of(chunk.records)
            board.tell(number, begin, known)
        yield Marked(begin, chunk, known)


def _ahead(
    numbered: Iterable[tuple[int, Chunk]], share: Share, board: Board, first: int, owners_of: OwnersOf
) -> Iterator[tuple[int, int, Chunk, bytes | None]]:
    """Number and what `marked` yields, but for what other shares are to find out; some chunks after it was told."""
    window: deque[tuple[int, int, Chunk, bytes | None]] = deque()
    for number, chunk in numbered:
        owners = None
        if number % share.count == share.index:
            owners = owners_of(chunk.records)
            board.tell(number, first, owners)
        window.append((number, first, chunk, owners))
        first += len(chunk.records)
        if len(window) > _AHEAD:
            yield window.popleft()
    yield from window


def candidates(share: Share) -> bytes:
    """A table for `bytes.translate`: not zero for what of `Marked.owners` may be of *share*."""
    return bytes([owner in {share.index, UNTOLD} for owner in range(256)])


IS_UNTOLD = bytes([owner == UNTOLD for owner in range(256)])
"""A table, as of `candidates`, for what nobody could tell."""


def _share_of(lead_id: str, count: int) -> int:
    return crc32(lead_id.encode()) % count
