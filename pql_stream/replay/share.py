"""One process's part of a replay: it reads all of the source and scores its own leads."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator
from itertools import compress, count, starmap
from pathlib import Path

from pql_stream.core.collector import GC_THRESHOLD
from pql_stream.core.packs import compile_pack
from pql_stream.core.states import Step
from pql_stream.replay.checkpoint import Checkpoint
from pql_stream.replay.cut import ALL
from pql_stream.replay.job import Job
from pql_stream.replay.parts import Parts
from pql_stream.replay.replayer import Rejected, Replayer, decode
from pql_stream.replay.rows import Rows
from pql_stream.replay.shares import BOARD_BYTES, IS_UNTOLD, UNTOLD, Board, Share, candidates, marked
from pql_stream.replay.source import Chunk, Fields, Position, Recorded, Records
from pql_stream.replay.states import States

GoesOn = Callable[[int, int], bool]
"""Told of the bytes and the records that are read so far, it says whether to go on."""

_RECORDS_PER_STATE_MIN = 4
"""A checkpoint writes every state that changed: with so many records to each, it costs a small part of the scoring."""
_SCORES_PER_LOOK = 10_000


class Stopped(Exception):
    """`GoesOn` said no; a checkpoint has what was done."""


class ShareReplay:
    """What is known of the leads of *share*, and the parts that it writes, in *directory*."""

    def __init__(self, job: Job, share: Share, directory: Path, board: Board) -> None:
        """
        Takes up what an interrupted replay left in *directory*.

        Raises:
            StoreError: the disk fails.
            InvalidState: it is damaged.
        """
        self._job, self._share, self._board = job, share, board
        self._pack = compile_pack(job.pack)
        self._states_directory = directory / "states"
        self._rows = Rows(self._states_directory) if self._states_directory.exists() else None
        stored = None if self._rows is None else self._rows.checkpoint()
        self._done = Checkpoint() if stored is None else Checkpoint.decoded(stored)
        self._states = States(self._pack, job.leads_kept, self._rows)
        self._replayer = Replayer(self._pack, self._states)
        self._parts = Parts(directory, keyed=not share.is_all)
        self._parts.cut(self._done.lengths, self._done.counts)
        self._position: Position | None = self._done.position
        self._chunks, self._records, self._left_out = self._done.chunks, self._done.records, self._done.left_out
        self._outcomes: Callable[[Iterable[Fields]], Iterator[Step | Rejected | None]] = (
            self._replayer.outcomes if job.cut == ALL else self._cut_outcomes
        )

    def run(self, goes_on: GoesOn) -> Checkpoint:
        """
        Read to the end, and write the scores; what is to be told of it.

        Raises:
            Stopped: *goes_on* said no.
            PqlError: the source cannot be read, or the disk fails.
        """
        for chunk in self._taken(self._job.source.read(self._position)):
            self._chunks += 1
            self._records += len(chunk.records)
            self._position = chunk.after
            if not goes_on(chunk.bytes_read, self._records):
                self._store()
                raise Stopped
            if self._is_due():
                self._store()
        self._write_scores(goes_on)
        return Checkpoint(records=self._records, left_out=self._left_out, counts=self._parts.counts)

    def close(self) -> None:
        """Let the files go."""
        self._parts.close()
        if self._rows is not None:
            self._rows.close()

    def _taken(self, chunks: Iterator[Chunk]) -> Iterator[Chunk]:
        """*chunks*, after taking in what of each is this share's. Others' records are passed over undecoded."""
        share = self._share
        if share.is_all:
            for chunk in chunks:
                self._take(count(self._records), chunk.records.fields())
                yield chunk
            return
        table = candidates(share)
        for first, chunk, owners in marked(chunks, share, self._board, self._chunks, self._records):
            mask = owners.translate(table)
            if UNTOLD in owners:
                mask = self._own(first, chunk.records, owners, mask)
            self._take(compress(count(first), mask), chunk.records.fields(mask))
            yield chunk

    def _own(self, first: int, records: Records, owners: bytes, mask: bytes) -> bytes:
        """*mask* without those of *owners* that only decoding tells, and that are another's."""
        own, untold = bytearray(mask), owners.translate(IS_UNTOLD)
        for place, fields in zip(compress(count(), untold), records.fields(untold), strict=True):
            own[place] = self._is_own(first + place, fields)
        return bytes(own)

    def _is_own(self, number: int, fields: Fields) -> bool:
        decoded = decode(Recorded(*fields))
        if isinstance(decoded, Rejected):
            return self._share.has_record(number)
        return self._share.has_lead(decoded.lead_id)

    def _take(self, numbers: Iterable[int], records: Iterable[Fields]) -> None:
        write = self._parts.write
        for number, outcome in zip(numbers, self._outcomes(records), strict=False):
            if outcome is None or (isinstance(outcome, Step) and outcome.change is None):
                continue
            write(outcome, number)

    def _cut_outcomes(self, records: Iterable[Fields]) -> Iterator[Step | Rejected | None]:
        """As the replayer's; None of a record that the cut leaves out."""
        for record in starmap(Recorded, records):
            decoded = decode(record)
            if self._job.cut.leaves_out(record, decoded):
                self._left_out += 1
                yield None
            else:
                yield decoded if isinstance(decoded, Rejected) else self._replayer.advance(record, decoded)

    def _is_due(self) -> bool:
        if self._states.is_full:
            return True
        if self._job.source.is_read_once:
            return False  # nobody can go on from there
        since = self._records - self._done.records
        return since >= max(self._job.checkpoint_records, _RECORDS_PER_STATE_MIN * len(self._states))

    def _store(self) -> None:
        """Make a checkpoint: the parts first, for they count only as far as it says."""
        self._done = Checkpoint(
            position=self._position,
            chunks=self._chunks,
            records=self._records,
            left_out=self._left_out,
            lengths=self._parts.sync(),
            counts=self._parts.counts,
        )
        if self._rows is None:
            self._rows = Rows(self._states_directory)
        self._states.store(self._rows, self._done.encoded())

    def _write_scores(self, goes_on: GoesOn) -> None:
        if self._rows is not None:
            self._store()
        for number, (lead_id, state) in enumerate(self._states.in_order()):
            self._parts.write_score(lead_id, state, self._pack)
            if number % _SCORES_PER_LOOK == 0 and not goes_on(self._job.source.bytes_total or 0, self._records):
                raise Stopped
        self._parts.sync()


def run_share(job: Job, share: Share, directory: Path, goes_on: GoesOn, board: Board | None = None) -> Checkpoint:
    """
    All of one share, from where it was: see `ShareReplay.run`. Without *board* the others tell it nothing.

    Raises:
        Stopped: *goes_on* said no.
        PqlError: the source cannot be read, or the disk fails.
    """
    replay = ShareReplay(job, share, directory, board or Board(memoryview(bytearray(BOARD_BYTES))))
    thresholds = gc.get_threshold()
    gc.set_threshold(*GC_THRESHOLD)
    try:
        return replay.run(goes_on)
    finally:
        gc.set_threshold(*thresholds)
        replay.close()
