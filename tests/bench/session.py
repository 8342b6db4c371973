"""A broker with inputs on it, and the one way in which every contender is run against them."""

from __future__ import annotations

import itertools
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from pql_stream.ops.brokers.local import LocalKafka
from pql_stream.stream.names import Topics
from tests.bench.check import Expected, check, expected_of
from tests.bench.cluster import BROKER_SETTINGS, Cluster
from tests.bench.cores import Cores, held_to
from tests.bench.lineup import Contender, Place
from tests.bench.load import Load, feed
from tests.bench.measure import DidNotFinish, measure
from tests.bench.processes import MeasuredProcess
from tests.bench.results import Case, Run

START_S_MAX = 60.0


def say(line: str) -> None:
    """Progress, on stderr."""
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - a program's own output


@dataclass(frozen=True, slots=True)
class Input:
    """A topic full of events, and what they must come to."""

    load: Load
    partitions: int
    prefix: str
    expected: Expected

    @property
    def topics(self) -> Topics:
        """All topics of this input."""
        return Topics.under(self.prefix)


class Session:
    """One broker, from `opened` to the end of its block."""

    def __init__(self, cluster: Cluster, cores: Cores, directory: Path) -> None:
        self.cluster = cluster
        self.cores = cores
        self.directory = directory
        self._numbers = itertools.count(1)

    @classmethod
    @contextmanager
    def opened(cls, directory: Path) -> Iterator[Session]:
        """Everything but the workers runs on the broker's cores: this process, its threads, the broker."""
        cores = Cores.of_this_machine()
        with held_to(cores.broker), LocalKafka(directory / "kafka", settings=BROKER_SETTINGS) as broker:
            yield cls(Cluster(broker.bootstrap), cores, directory)

    def place(self, prefix: str, partitions: int) -> Place:
        """Where the next run reads and writes: a number and a directory that no other run has."""
        run = f"run{next(self._numbers)}"
        directory = self.directory / run
        directory.mkdir()
        return Place(
            bootstrap=self.cluster.bootstrap, prefix=prefix, run=run, partitions=partitions, directory=directory
        )

    @contextmanager
    def input(self, load: Load, partitions: int = 4) -> Iterator[Input]:
        """*load* on a topic of so many *partitions*, and its expectation; deleted afterwards."""
        prefix = f"{load.slug}-{partitions}-"
        activity = Topics.under(prefix).activity
        self.cluster.make_topics(prefix, partitions, inputs=True)
        try:
            say(f"feeding {load.events:,} events of {load.leads:,} leads ({load.stream}), and recomputing them")
            feed(self.cluster.bootstrap, activity, load)
            expected = expected_of(self.cluster, activity)
            if expected.events != load.events:
                raise RuntimeError(f"{activity} has {expected.events} of {load.events} events")
            yield Input(load, partitions, prefix, expected)
        finally:
            self.cluster.delete_topics(prefix)

    @contextmanager
    def started(self, contender: Contender, place: Place, workers: int = 1) -> Iterator[list[MeasuredProcess]]:
        """*contender* with fresh outputs, ended with the block; each worker on a core of its own, if there is one."""
        activity = place.topics.activity
        self.cluster.delete_topics(place.prefix, keep=activity)
        self.cluster.make_topics(place.prefix, place.partitions, inputs=False)
        self.cluster.delete_group(contender.group(place))
        with ExitStack() as stack:
            processes = []
            for number in range(workers):
                own = replace(place, directory=place.directory / f"worker{number}")
                own.directory.mkdir()
                launch = contender.launch(own)
                log = place.directory / f"worker{number}.log"
                process = MeasuredProcess(launch.command, launch.environment, log, self.cores.worker(number))
                processes.append(stack.enter_context(process))
            yield processes
        shutil.rmtree(place.directory, ignore_errors=True)

    def run(self, contender: Contender, given: Input, workers: int = 1) -> Run:
        """One measured and checked run."""
        load = given.load
        case = Case(
            contender=contender.name,
            stream=load.stream,
            leads=load.leads,
            events=load.events,
            event_bytes=load.event_bytes,
            partitions=given.partitions,
            workers=workers,
        )
        place = self.place(given.prefix, given.partitions)
        positions = self.cluster.positions(given.topics.activity, contender.group(place))
        seconds_max = START_S_MAX + load.events / contender.events_per_s_min
        try:
            with self.started(contender, place, workers) as processes:
                throughput = measure(processes, positions, load.events, seconds_max=seconds_max)
        except DidNotFinish as exc:
            return Run(case=case, failed=str(exc))
        finally:
            positions.close()
        # After its end: what a contender commits before it is written must show.
        return Run(case=case, throughput=throughput, checked=check(self.cluster, given.topics, given.expected))
