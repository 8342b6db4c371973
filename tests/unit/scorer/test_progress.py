"""What the lag of a partition is told to be."""

from __future__ import annotations

from pql_stream.stream.metrics import PartitionId
from pql_stream.stream.progress import Position, ProgressReporter

HERE, THERE = PartitionId("product-activity", 0), PartitionId("product-activity", 1)


class Meter:
    """Keeps what it was told last."""

    def __init__(self):
        self.progress = {}

    def assigned(self, partitions, at_s):
        self.progress = {}

    def progressed(self, progress):
        self.progress = progress


class World:
    def __init__(self):
        self.now_s = 100.0
        self.meter = Meter()
        self.reporter = ProgressReporter(self.meter, lambda: self.now_s)

    def report(self, **positions):
        self.reporter.report({HERE if name == "here" else THERE: at for name, at in positions.items()})
        return self.meter.progress


def test_a_first_batch_that_never_ends_gets_older():
    """
    A worker that stalls from its start has done no record yet: its lag counts from when the partition came.
    """
    world = World()
    world.report(here=Position(None, 5))
    world.now_s += 50

    assert 100.0 == world.report(here=Position(None, 5))[HERE].record_at_s


def test_a_partition_that_comes_back_has_no_age_from_before():
    """
    What others did with it meanwhile is not known here; an old record of ours would be a lag of days.
    """
    world = World()
    world.report(here=Position(1, 1))
    world.reporter.batch_done(HERE, 90_000)
    before = world.report(here=Position(2, 3))[HERE].record_at_s
    world.report(there=Position(1, 1))
    world.now_s += 1_000

    assert (90.0, 1_100.0) == (before, world.report(here=Position(9, 12))[HERE].record_at_s)


def test_waiting_is_handed_on():
    """
    Whether a partition waits on purpose is the transport's to say.
    """
    world = World()

    assert world.report(here=Position(1, 5, waiting=True))[HERE].waiting
