"""A replay as a whole: the same bytes in any number of processes, from any interruption, in any amount of memory."""

import itertools
import os
import random
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pql_stream.errors import Interrupted, InvalidInput
from pql_stream.replay import workspace
from pql_stream.replay.cut import Cut
from pql_stream.replay.engine import replay
from pql_stream.replay.job import Replayed
from pql_stream.replay.parts import CHANGES, NAMES, SCORES, merge_parts
from pql_stream.replay.share import Stopped, run_share
from pql_stream.replay.shares import Share
from pql_stream.replay.sources.compression import zstd
from pql_stream.replay.workspace import Workspace
from pql_stream.testing.builders import JAN_5_MS
from tests.replay.replays import Crash, after_chunks, files_in, in_memory, job_of, on_and_on, population, say_nothing

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def events(tmp_path_factory) -> tuple[Path, Path]:
    """Two files: the second goes on where the first ends, in another compression."""
    directory = tmp_path_factory.mktemp("events")
    content = population(1)
    middle = content.index(b"\n", len(content) // 2) + 1
    (directory / "one.jsonl").write_bytes(content[:middle])
    (directory / "two.zst").write_bytes(zstd.compress(content[middle:]))
    return directory / "one.jsonl", directory / "two.zst"


@pytest.fixture(scope="module")
def expected(events, tmp_path_factory) -> dict[str, bytes]:
    """What they replay to."""
    return in_memory(*events, out=tmp_path_factory.mktemp("expected"))


def children_of(pid: int) -> list[int]:
    with suppress(FileNotFoundError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def test_the_population_is_worth_it(expected):
    """Every file has something in it, and the leads are more than are kept in memory."""

    assert set(NAMES) == set(expected)
    assert all(content.count(b"\n") > 8 for content in expected.values())


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_any_number_of_processes_writes_the_same_bytes(events, expected, tmp_path, processes):
    """Each scores its own leads, and what they write is merged; only the four files are left."""
    replayed = replay(job_of(*events, out=tmp_path, processes=processes), on_and_on, say_nothing)

    assert expected == files_in(tmp_path)
    assert {name: content.count(b"\n") for name, content in expected.items()} == replayed.counts
    assert population(1).count(b"\n") == replayed.lines


@pytest.mark.parametrize("count", [2, 7])
def test_every_record_is_of_one_share(events, expected, tmp_path, count):
    """However many shares there are, together they write each line once; some have no lead at all."""
    job = job_of(*events, out=tmp_path)
    for index in range(count):
        (tmp_path / str(index)).mkdir()
        run_share(job, Share(index, count), tmp_path / str(index), on_and_on)
    for name in NAMES:
        merge_parts([tmp_path / str(index) / name for index in range(count)], tmp_path / name)

    assert expected == {name: (tmp_path / name).read_bytes() for name in NAMES}


@settings(max_examples=25, deadline=None)
@given(ends=st.lists(st.tuples(st.integers(1, 30), st.booleans()), max_size=6), count=st.sampled_from([1, 2]))
def test_any_interruptions_end_in_the_same_bytes(events, expected, tmp_path_factory, ends, count):
    """A share that is stopped or crashes behind any chunk, again and again, goes on as if nothing had been."""
    out = tmp_path_factory.mktemp("out")
    job = job_of(*events, out=out)
    for index in range(count):
        directory = out / str(index)
        directory.mkdir()
        for chunks, crash in ends:
            with suppress(Stopped, Crash):
                run_share(job, Share(index, count), directory, after_chunks(chunks, crash=crash))
        run_share(job, Share(index, count), directory, on_and_on)
    for name in NAMES:
        if count > 1:
            merge_parts([out / str(index) / name for index in range(count)], out / name)
        else:
            (out / "0" / name).replace(out / name)

    assert expected == {name: (out / name).read_bytes() for name in NAMES}


@pytest.mark.parametrize("processes", [1, 2])
def test_a_replay_that_is_stopped_goes_on(events, expected, tmp_path, processes):
    """It says how to go on and keeps what it has; the same again says that it goes on, and ends with the same bytes."""
    said = []
    with pytest.raises(Interrupted) as caught:
        replay(job_of(*events, out=tmp_path, processes=processes), after_chunks(5), say_nothing)
    kept = [path.name for path in tmp_path.iterdir()]
    replay(job_of(*events, out=tmp_path, processes=3), on_and_on, said.append)

    assert "run the same command again" in caught.value.what_to_do
    assert [workspace.NAME] == kept
    assert ["going on with the replay that was interrupted"] == said
    assert expected == files_in(tmp_path)


def test_what_is_done_is_not_done_again(events, tmp_path):
    """A replay that goes on reads from where it was."""
    first, second = [], []
    counted = after_chunks(5)

    def stopped(_bytes_read, records):
        first.append(records)
        return counted(0, 0)

    with pytest.raises(Interrupted):
        replay(job_of(*events, out=tmp_path), stopped, say_nothing)
    replay(job_of(*events, out=tmp_path), lambda _, records: bool(second.append(records)) or True, lambda _: None)

    assert first[-1] < second[0]
    assert population(1).count(b"\n") == second[-1]


def test_killed_at_any_moment(events, expected, tmp_path):
    """
    kill -9 again and again, of the replay or of one of its processes: the same command, run often enough, ends with
    the same bytes.
    """
    rng = random.Random(6)
    killed, ended = 0, None
    while ended != 0:
        command = [sys.executable, "-m", "tests.replay.replays", str(tmp_path / "out"), "2", *map(str, events)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, text=True) as process:
            steps = rng.randrange(6)
            if killed < 6 and sum(1 for _ in itertools.islice(process.stdout, steps)) == steps:
                victims = [process.pid, *children_of(process.pid)]
                with suppress(ProcessLookupError):
                    os.kill(rng.choice(victims), signal.SIGKILL)
                killed += 1
            process.stdout.read()
        ended = process.returncode

    # Whoever is to be killed may have ended a moment before, and the replay with it.
    assert killed > 0
    assert expected == files_in(tmp_path / "out")


def test_ctrl_c_is_for_the_first_process(events, expected, tmp_path):
    """A terminal sends it to all of them: whichever moment it comes at, none dies of it with a traceback."""
    command = [sys.executable, "-m", "tests.replay.replays", str(tmp_path), "2", *map(str, events)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT) as process:
        for _ in process.stdout:
            for child in children_of(process.pid):
                with suppress(ProcessLookupError):
                    os.kill(child, signal.SIGINT)
        stderr = process.stderr.read()

    assert (0, b"") == (process.returncode, stderr)
    assert expected == files_in(tmp_path)


def other_events(job: dict) -> None:
    path = Path(job["paths"][0])
    path.write_bytes(path.read_bytes() + b"{}\n")


def another_pack(job: dict) -> None:
    job["pack"] = "pql-100-linear"


def another_cut(job: dict) -> None:
    job["cut"] = Cut(at_ms=JAN_5_MS)


@pytest.mark.parametrize(
    ("change", "told"),
    [(other_events, "changed: events"), (another_pack, "changed: pack"), (another_cut, "changed: options")],
)
def test_something_else_begins_afresh(tmp_path, change, told):
    """Other events, another pack or other options: what was done is of no use, and that is said."""
    path = tmp_path / "events.jsonl"
    path.write_bytes(population(2))
    given = {"paths": [path]}
    with pytest.raises(Interrupted):
        replay(job_of(path, out=tmp_path / "out"), after_chunks(5), say_nothing)
    change(given)
    paths, said = given.pop("paths"), []
    replay(job_of(*paths, out=tmp_path / "out", **given), on_and_on, said.append)
    replay(job_of(*paths, out=tmp_path / "fresh", **given), on_and_on, say_nothing)

    assert 1 == len(said)
    assert told in said[0]
    assert "beginning afresh" in said[0]
    assert files_in(tmp_path / "fresh") == files_in(tmp_path / "out")


def test_a_pipe_that_is_stopped_leaves_nothing(tmp_path):
    """What came through it is gone, so there is nothing to go on from, however much was stored to bound the memory."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["sh", "-c", 'exec cat > "$0"', pipe], stdin=subprocess.PIPE) as feeder:
        job = job_of(pipe, out=tmp_path / "out")
        feed = threading.Thread(target=fed, args=(feeder, population(1)))
        feed.start()
        with pytest.raises(Interrupted) as caught:
            replay(job, after_chunks(20), say_nothing)
        feed.join()

    assert "nothing is kept" in caught.value.why
    assert {} == files_in(tmp_path / "out")


def fed(feeder: subprocess.Popen, content: bytes) -> None:
    with suppress(BrokenPipeError):
        feeder.communicate(content)


def test_what_was_there_is_replaced_at_the_end(events, tmp_path):
    """Until all is there the files of an earlier replay stay; other files are nobody's business."""
    (tmp_path / SCORES).write_bytes(b"old\n")
    (tmp_path / "notes").write_bytes(b"mine\n")
    seen = []

    def goes_on(_bytes_read, _records):
        seen.append((tmp_path / SCORES).read_bytes())
        return not (tmp_path / CHANGES).exists()

    replay(job_of(*events, out=tmp_path), goes_on, say_nothing)

    assert {b"old\n"} == set(seen)
    assert {*NAMES, "notes"} == {path.name for path in tmp_path.iterdir()}


@pytest.mark.parametrize("processes", [1, 2])
def test_a_source_that_cannot_be_read_to_its_end_leaves_nothing(tmp_path, processes):
    """It would fail at the same place again: nothing is kept to go on from, and what an earlier replay wrote stays."""
    path = tmp_path / "events.zst"
    path.write_bytes(zstd.compress(population(1))[:-20])
    out = tmp_path / "out"
    out.mkdir()
    (out / SCORES).write_bytes(b"old\n")

    with pytest.raises(InvalidInput, match="cannot read"):
        replay(job_of(path, out=out, processes=processes), on_and_on, say_nothing)

    assert {SCORES: b"old\n"} == files_in(out)


def test_a_crash_before_the_first_checkpoint_leaves_nothing(events, tmp_path):
    """There is nothing to go on from, so there is nothing to keep."""
    with pytest.raises(Crash):
        replay(
            job_of(*events, out=tmp_path, checkpoint_records=10**6, leads_kept=10**6),
            after_chunks(3, crash=True),
            say_nothing,
        )

    assert [] == list(tmp_path.iterdir())


def test_a_small_replay_keeps_its_states_in_memory(events, tmp_path):
    """No state touches the disk before there is something to lose."""
    seen = set()

    def goes_on(_bytes_read, _records):
        seen.update(path.name for path in (tmp_path / workspace.NAME).rglob("*"))
        return True

    replay(job_of(*events, out=tmp_path, checkpoint_records=10**6, leads_kept=10**6), goes_on, say_nothing)

    assert {"lock", "job.json", "share-0", *NAMES} == seen


def test_the_files_are_moved_once_they_are_whole(events, expected, tmp_path):
    """Killed between two of the moves, it has only the others left to move."""
    job = job_of(*events, out=tmp_path)
    with Workspace.held(tmp_path) as held:
        held.begin(job, say_nothing)
        checkpoint = run_share(job, Share(0, 1), held.share(0), on_and_on)
        blocked = tmp_path / NAMES[2]
        blocked.mkdir()
        with pytest.raises(IsADirectoryError):
            held.finish(Replayed(checkpoint.records, 0, checkpoint.counts), NAMES)
    blocked.rmdir()
    read = []
    replayed = replay(job, lambda *told: bool(read.append(told)) or True, lambda _: None)

    assert expected == files_in(tmp_path)
    assert ([], checkpoint.counts) == (read, replayed.counts)


def test_two_replays_into_one_directory(events, tmp_path):
    """The second is refused while the first is at work: what, why and what to do."""
    with Workspace.held(tmp_path), pytest.raises(InvalidInput, match="another replay writes to") as caught:
        Workspace.held(tmp_path, patience_s=0).__enter__()

    assert caught.value.why
    assert caught.value.what_to_do


def test_a_directory_that_cannot_be_made(events, tmp_path):
    """A file that stands in the way is named: what, why, what to do."""
    (tmp_path / "file").touch()

    with pytest.raises(InvalidInput, match="cannot write to") as caught:
        replay(job_of(*events, out=tmp_path / "file" / "out"), on_and_on, say_nothing)

    assert caught.value.why
    assert caught.value.what_to_do
