"""
A replay from its beginning, or from where it was interrupted, to its files: all of them or none.

Every process reads all of the source and scores its own share of the leads (`shares`, `share`, `processes`). A lead's
events are in one process, in their order, so its changes are the same however many there are; and the parts that the
processes write are merged by the number of the record that made each line (`parts`). So the files have the same bytes.

States that do not fit into memory lie in a RocksDB of each process (`states`, `rows`). Now and then a process stores,
in one durable step, its changed states, its position in the source and the lengths of its parts (`checkpoint`). After a
crash it reads from there, with the states of there, and what its parts had beyond it is cut off: as if it had not been.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress

from pql_stream.errors import Interrupted, InvalidInput
from pql_stream.replay.checkpoint import Checkpoint
from pql_stream.replay.job import Job, Replayed
from pql_stream.replay.parquet import load_pyarrow, parquet_name, write_parquet
from pql_stream.replay.parts import NAMES, merge_parts
from pql_stream.replay.processes import run_shares
from pql_stream.replay.share import GoesOn, Stopped, run_share
from pql_stream.replay.shares import Share
from pql_stream.replay.workspace import Say, Workspace


def replay(job: Job, goes_on: GoesOn, say: Say) -> Replayed:
    """
    Do *job*. *goes_on* hears how far it is, and can stop it; *say* hears of what was there of an interrupted one.

    Raises:
        InvalidInput: the source cannot be read, or the directory not be written.
        InvalidSettings: Parquet is wanted, and pyarrow is not installed.
        Interrupted: *goes_on* stopped it.
        PqlError: the disk, the cluster or a process failed; the same job, started again, goes on.
    """
    try:
        with Workspace.held(job.out) as workspace:
            try:
                return _replayed(job, workspace, goes_on, say)
            except Stopped as exc:
                raise _interrupted(job, workspace) from exc
            finally:
                if workspace.directory.exists() and not _is_kept(job, workspace):
                    with suppress(OSError):
                        workspace.remove()
    except OSError as exc:
        raise InvalidInput(
            f"cannot write to {job.out}",
            why=exc.strerror or str(exc),
            what_to_do="see that there is space, and the right to write; then run the same command again",
        ) from exc


def _replayed(job: Job, workspace: Workspace, goes_on: GoesOn, say: Say) -> Replayed:
    if job.parquet:
        load_pyarrow()  # not found out at the end
    job.source.check()
    workspace.begin(job, say)
    try:
        replayed = workspace.finished or _made(job, workspace, goes_on)
    except InvalidInput:
        # It would fail again, at the same place.
        workspace.remove()
        raise
    in_columns = tuple(map(parquet_name, NAMES))
    if job.parquet:
        workspace.finish(replayed, (*NAMES, *in_columns))
    else:
        workspace.finish(replayed, NAMES, stale=in_columns)
    return replayed


def _made(job: Job, workspace: Workspace, goes_on: GoesOn) -> Replayed:
    """The files, whole, where *workspace* wants them."""
    if workspace.shares == 1:
        done = [run_share(job, Share(0, 1), workspace.share(0), goes_on)]
    else:
        done = run_shares(job, workspace, goes_on)
        workspace.files.mkdir(exist_ok=True)
        for name in NAMES:
            if not goes_on(job.source.bytes_total or 0, done[0].records):
                raise Stopped
            parts = [workspace.share(index) / name for index in range(workspace.shares)]
            merge_parts(parts, workspace.files / name)
    if job.parquet:
        write_parquet(workspace.files, job.pack)
    return _account(done)


def _account(done: list[Checkpoint]) -> Replayed:
    counts: Counter[str] = Counter()
    for share in done:
        counts.update(share.counts)
    return Replayed(done[0].records, sum(share.left_out for share in done), {name: counts[name] for name in NAMES})


def _is_kept(job: Job, workspace: Workspace) -> bool:
    """Whether there is something that a replay can go on from."""
    return workspace.has_progress and not job.source.is_read_once


def _interrupted(job: Job, workspace: Workspace) -> Interrupted:
    if _is_kept(job, workspace):
        return Interrupted(
            "the replay was interrupted",
            why=f"what is done is kept in {workspace.directory}",
            what_to_do="run the same command again to go on from there; to give it up, delete that directory",
        )
    return Interrupted(
        "the replay was interrupted",
        why="nothing is kept: what comes through a pipe is gone, and other events were too few yet to store anything",
        what_to_do="start it again",
    )
