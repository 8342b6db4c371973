"""Whose a record is: each process may find it out, and they tell each other; what is on the board is never trusted."""

import random
from itertools import compress

import pytest

from pql_stream.replay.shares import _SLOT_BYTES, BOARD_BYTES, UNTOLD, Board, OwnersOf, Share, candidates, marked
from pql_stream.replay.source import Chunk, Lines, Recorded
from pql_stream.testing.builders import native_json

COUNT = 3


def chunks_of(sizes: list[int]) -> list[Chunk]:
    """Chunks of so many records, every fifth of which names no lead."""
    chunks, number = [], 0
    for size in sizes:
        values = [b"{" if n % 5 == 0 else native_json("else", f"u{n}") for n in range(number, number + size)]
        records = Lines("f", range(number, number + size), values)
        number += size
        chunks.append(Chunk(records, number, 0))
    return chunks


OWNERS_OF = OwnersOf(COUNT)
CHUNKS = chunks_of([7, 0, 1, 30, 12] * 8)
EXPECTED = [OWNERS_OF(chunk.records) for chunk in CHUNKS]


@pytest.fixture
def memory() -> bytearray:
    return bytearray(BOARD_BYTES)


def found(memory: bytearray, index: int, chunks: list[Chunk] = CHUNKS) -> list[bytes]:
    marks = list(marked(chunks, Share(index, COUNT), Board(memoryview(memory)), 0, 0))
    assert chunks == [mark.chunk for mark in marks]
    assert [sum(len(chunk.records) for chunk in chunks[:n]) for n in range(len(chunks))] == [m.first for m in marks]
    return [mark.owners for mark in marks]


def test_owners_are_the_shares_of_the_leads():
    """Every lead has one share, whoever asks; where a record names none, nothing is said."""
    for chunk, owners in zip(CHUNKS, EXPECTED, strict=True):
        for record, owner in zip(chunk.records, owners, strict=True):
            shares = [index for index in range(COUNT) if Share(index, COUNT).has_lead(f"u{record.offset}")]

            assert (shares == [owner]) if record.offset % 5 else owner == UNTOLD


def test_a_share_looks_at_what_is_its_own_or_not_told():
    """All others are passed over."""
    table = candidates(Share(1, COUNT))

    assert [1] == [owner for owner in range(256) if table[owner] and owner != UNTOLD]
    assert table[UNTOLD]


@pytest.mark.parametrize("before", [[], [0], [1, 2], [2, 0, 1]], ids=str)
def test_whoever_was_there_before(memory, before):
    """Alone, behind others or among them, a share finds the same."""
    for index in before:
        found(memory, index)

    assert EXPECTED == found(memory, 1)


@pytest.mark.parametrize("seed", range(5))
def test_a_board_that_is_written_on_by_several(memory, seed):
    """Half a word of one and half of another: what is not whole is not believed."""
    rng = random.Random(seed)
    found(memory, 0)
    found(memory, 2)
    for _ in range(10_000):
        memory[rng.randrange(len(CHUNKS) * _SLOT_BYTES)] = rng.randrange(256)

    assert EXPECTED == found(memory, 1)


def test_what_another_told_is_used(memory):
    """It need not be found out twice: what is whole and of this very chunk is taken as it is."""
    place, told = 1, b"\x02" * 40
    chunks = chunks_of([7, 40])
    Board(memoryview(memory)).tell(place, 7, told)

    assert told == found(memory, 0, chunks)[1]
    assert [OWNERS_OF(chunk.records) for chunk in chunks_of([8, 40])] == found(memory, 0, chunks_of([8, 40]))


def test_a_chunk_of_more_records_than_the_board_takes(memory):
    """Each share finds out for itself, and nothing is written over the next chunk's place."""
    chunks = chunks_of([10_000, 3])
    expected = [OWNERS_OF(chunk.records) for chunk in chunks]

    assert [expected] * 3 == [found(memory, index, chunks) for index in (0, 1, 2)]


def test_more_leads_than_are_remembered():
    """What is forgotten is worked out again, and is the same."""
    forgetful = OwnersOf(COUNT, leads_max=2)

    assert EXPECTED == [forgetful(chunk.records) for chunk in CHUNKS]
    assert EXPECTED == [forgetful(chunk.records) for chunk in CHUNKS]


@pytest.mark.parametrize("mask", [b"\0\0\0", b"\1\0\2", b"\1\1\1"], ids=repr)
def test_records_that_are_asked_for_are_as_among_all(mask):
    """A mask picks records, and changes no number of them."""
    lines = Lines("f", [3, 5, 9], [b"a", b"b", b"c"])
    every = [Recorded("f", 0, 3, b"a"), Recorded("f", 0, 5, b"b"), Recorded("f", 0, 9, b"c")]

    assert every == list(lines) == list(lines.fields())
    assert list(compress(every, mask)) == list(lines.fields(mask))
