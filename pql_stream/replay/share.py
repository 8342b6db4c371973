"""One process's part of a replay: it reads all of the source and scores its own leads."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from pql_stream.core.packs import compile_pack
from pql_stream.core.transition import Step
from pql_stream.replay.checkpoint import Checkpoint
from pql_stream.replay.cut import ALL
from pql_stream.replay.job import Job
from pql_stream.replay.parts import Parts
from pql_stream.replay.replayer import Rejected, Replayer, decode
from pql_stream.replay.rows import Rows
from pql_stream.replay.shares import Share
from pql_stream.replay.source import Position, Recorded
from pql_stream.replay.states import States
from pql_stream.wire.lead_scan import lead_id_of

GoesOn = Callable[[int, int], bool]
"""Told of the bytes and the records that are read so far, it says whether to go on."""

Numbered = Iterable[tuple[int, Recorded]]
"""Records with their numbers in the source."""

_RECORDS_PER_STATE_MIN = 4
"""A checkpoint writes every state that changed: with so many records to each, it costs a small part of the scoring."""
_SCORES_PER_LOOK = 10_000
_GC_THRESHOLD = 50_000, 20, 50
"""As of a worker: events make no cycles, and at Python's own pace looking for some takes a fifth of the time."""


class Stopped(Exception):
    """`GoesOn` said no; a checkpoint has what was done."""


class ShareReplay:
    """What is known of the leads of *share*, and the parts that it writes, in *directory*."""

    def __init__(self, job: Job, share: Share, directory: Path) -> None:
        """
        Takes up what an interrupted replay left in *directory*.

        Raises:
            StoreError: the disk fails.
            InvalidState: it is damaged.
        """
        self._job, self._share = job, share
        self._cut = None if job.cut == ALL else job.cut
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
        self._records, self._left_out = self._done.records, self._done.left_out

    def run(self, goes_on: GoesOn) -> Checkpoint:
        """
        Read to the end, and write the scores; what is to be told of it.

        Raises:
            Stopped: *goes_on* said no.
            PqlError: the source cannot be read, or the disk fails.
        """
        for chunk in self._job.source.read(self._position):
            self._take(chunk.records)
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

    def _take(self, records: Sequence[Recorded]) -> None:
        write = self._parts.write
        numbered = enumerate(records, self._records)
        outcomes = self._all(numbered) if self._share.is_all else self._own(numbered)
        for number, outcome in outcomes:
            if isinstance(outcome, Rejected) or outcome.change is not None:
                write(outcome, number)

    def _all(self, numbered: Numbered) -> Iterator[tuple[int, Step | Rejected]]:
        """What comes of the records, where there is no other share."""
        handle = self._replayer.handle if self._cut is None else self._handle_cut
        for number, record in numbered:
            outcome = handle(record)
            if outcome is not None:
                yield number, outcome

    def _own(self, numbered: Numbered) -> Iterator[tuple[int, Step | Rejected]]:
        """What comes of the records that are this share's. Most others are passed over without being decoded."""
        share, has_lead = self._share, self._share.has_lead
        handle = self._replayer.handle if self._cut is None else self._handle_cut
        for number, record in numbered:
            lead_id = lead_id_of(record.value, record.headers)
            if lead_id is None:
                decoded = decode(record)
                own = share.has_record(number) if isinstance(decoded, Rejected) else has_lead(decoded.lead_id)
            else:
                own = has_lead(lead_id)
            if own and (outcome := handle(record)) is not None:
                yield number, outcome

    def _handle_cut(self, record: Recorded) -> Step | Rejected | None:
        """As the replayer handles *record*; None if the cut leaves it out."""
        decoded = decode(record)
        if self._cut is not None and self._cut.leaves_out(record, decoded):
            self._left_out += 1
            return None
        return decoded if isinstance(decoded, Rejected) else self._replayer.advance(record, decoded)

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
        for count, (lead_id, state) in enumerate(self._states.in_order()):
            self._parts.write_score(lead_id, state, self._pack)
            if count % _SCORES_PER_LOOK == 0 and not goes_on(self._job.source.bytes_total or 0, self._records):
                raise Stopped
        self._parts.sync()


def run_share(job: Job, share: Share, directory: Path, goes_on: GoesOn) -> Checkpoint:
    """
    All of one share, from where it was: see `ShareReplay.run`.

    Raises:
        Stopped: *goes_on* said no.
        PqlError: the source cannot be read, or the disk fails.
    """
    replay = ShareReplay(job, share, directory)
    thresholds = gc.get_threshold()
    gc.set_threshold(*_GC_THRESHOLD)
    try:
        return replay.run(goes_on)
    finally:
        gc.set_threshold(*thresholds)
        replay.close()
