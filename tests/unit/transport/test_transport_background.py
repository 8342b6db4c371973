"""When a batch of the background may go."""

from __future__ import annotations

import pytest
from faust.types import TP

from pql_stream.stream.transport.background import BYTES_MAX, RECORDS_MAX, Background
from pql_stream.stream.transport.batch import Track
from pql_stream.stream.transport.chunks import Chunk
from pql_stream.testing.builders import Record

LIVE, OLD = "live", "old"


class World:
    """Tracks of two topics, and a clock."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.background = Background([OLD], lambda: self.now_s)
        self.tracks: dict[TP, Track] = {}

    def hold(self, topic: str, partition: int, records: int = 1) -> Track:
        """Let *records* wait there."""
        at = TP(topic, partition)
        track = self.tracks.setdefault(at, Track(at, 1, None, lambda: None))
        track.hold.add(Chunk([Record(topic, partition, n, 1, None, b"v") for n in range(records)], records))
        return track

    def background_batch(self, track: Track, took_s: float) -> None:
        """A batch of one record goes out, and is done after so long."""
        assert self.ready() == track.tp
        batch = track.next_batch(1, 100, 1)
        assert batch is not None
        self.now_s += took_s
        batch.done()

    def ready(self) -> TP | None:
        return self.background.ready(self.tracks)


def out(track: Track) -> None:
    """All that *track* holds goes out as one batch."""
    assert track.next_batch(10_000, 10_000_000, 1) is not None


def test_the_background_is_fetched_when_the_others_leave_room():
    """Little at a time, also for the live partition of the same poll; without it, what is live has the whole room."""
    world = World()
    live, old = world.hold(LIVE, 0).tp, world.hold(OLD, 0).tp

    assert ([live, old], BYTES_MAX) == world.background.to_fetch([live, old], 10 * BYTES_MAX, world.tracks)
    assert ([live], 10 * BYTES_MAX) == world.background.to_fetch([live], 10 * BYTES_MAX, world.tracks)

    world.hold(LIVE, 1, RECORDS_MAX)

    assert ([live], 10 * BYTES_MAX) == world.background.to_fetch([live, old], 10 * BYTES_MAX, world.tracks)


def test_an_idle_worker_reads_the_background():
    """Nothing live waits or is at work."""
    world = World()
    world.hold(OLD, 0)

    assert TP(OLD, 0) == world.ready()


@pytest.mark.parametrize("partition", [0, 1], ids=["of its partition", "of another one"])
def test_live_records_go_first(partition):
    """Held or at work: each step of the live batch would stand in line behind the next of the background."""
    world = World()
    old = world.hold(OLD, 0, 2)
    world.background_batch(old, 0.01)
    live = world.hold(LIVE, partition)
    held = world.ready()
    out(live)

    assert [None, None] == [held, world.ready()]


def test_a_backlog_of_live_records_comes_first_everywhere():
    """While the worker is behind on what happens now, history is neither handed out nor fetched."""
    world = World()
    world.hold(OLD, 0)
    world.hold(LIVE, 1, RECORDS_MAX - 1)
    before = world.ready(), world.background.may_fetch(world.tracks)
    world.hold(LIVE, 1, 1)
    world.now_s += 1_000

    assert (TP(OLD, 0), True) == before
    assert (None, False) == (world.ready(), world.background.may_fetch(world.tracks))


@pytest.mark.parametrize("took_s", [0.01, 2.0], ids=["fast", "slow"])
def test_a_worker_that_is_never_idle_gives_way_once_in_a_while(took_s):
    """It has three times as long for itself as the batch before has taken."""
    world = World()
    out(world.hold(LIVE, 0))
    world.background_batch(world.hold(OLD, 0, 2), took_s)
    at_once = world.ready()
    world.now_s += 2.9 * took_s
    later = world.ready()
    world.now_s += 0.2 * took_s

    assert (None, None, TP(OLD, 0)) == (at_once, later, world.ready())


def test_an_idle_worker_takes_no_rest():
    """There is nobody to leave time to."""
    world = World()
    world.background_batch(world.hold(OLD, 0, 2), 5.0)

    assert TP(OLD, 0) == world.ready()


def test_one_batch_is_out_at_a_time_and_all_partitions_have_their_turn():
    """Who has waited longest is next."""
    world = World()
    tracks = {partition: world.hold(OLD, partition, 5) for partition in range(3)}
    turns: list[int] = []
    for _ in range(6):
        at = world.ready()
        assert at is not None
        batch = tracks[at.partition].next_batch(1, 100, 1)
        assert batch is not None
        assert world.ready() is None
        world.now_s += 1
        turns.append(batch.partition)
        batch.done()

    assert [0, 1, 2, 0, 1, 2] == turns
