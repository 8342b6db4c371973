"""One partition of everything, in memory: sources, score-changed, rows, commits; and workers that end badly."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import orjson

from pql_stream.core.packs import compile_pack
from pql_stream.core.states import LeadState
from pql_stream.errors import StreamLost
from pql_stream.stream.at_least_once import AtLeastOnce
from pql_stream.stream.changes_log import ChangesLog
from pql_stream.stream.leads import Leads
from pql_stream.stream.metrics import NoMeter
from pql_stream.stream.names import Topics
from pql_stream.stream.outbox import Outbox
from pql_stream.stream.pipeline import Pipeline
from pql_stream.stream.profiles import Profiles
from pql_stream.stream.roles import Roles
from pql_stream.stream.scorer import Scorer
from pql_stream.stream.slices import Ports
from pql_stream.testing.builders import JAN_5_MS, Record, native_json
from pql_stream.wire.headers import ANNOUNCE
from pql_stream.wire.packs import load_pack
from pql_stream.wire.records import OutRecord
from pql_stream.wire.rekeyed import Origin, rekeyed_headers
from pql_stream.wire.rows import load_state

TOPICS = Topics.under("")
PACK = compile_pack(load_pack("pql-100"))


class Crash(Exception):
    """The end of a life."""


class Logged(NamedTuple):
    """A record of score-changed."""

    offset: int
    key: bytes | None
    value: bytes | None


class Batch(NamedTuple):
    """Records of one source, and the offset behind them."""

    topic: str
    records: Sequence[Record]
    end: int
    partition: int = 0


@dataclass
class World:
    """
    What outlives a worker. After *effects_left* effects the worker's life ends.

    What it was sending then is written, lost, or *late*: written in front of some later write. *gone* are
    the offsets of score-changed that were compacted; *reads* counts those that were asked for.
    """

    sources: dict[str, list[Record]] = field(default_factory=lambda: {topic: [] for topic in TOPICS.sources})
    topics: defaultdict[str, list[OutRecord]] = field(default_factory=lambda: defaultdict(list))
    rows: dict[bytes, bytes] = field(default_factory=dict)
    term: int = 0
    committed: dict[str, int] = field(default_factory=lambda: dict.fromkeys(TOPICS.sources, 0))
    notes: dict[str, str] = field(default_factory=dict)
    done: dict[str, int] = field(default_factory=dict)
    effects_left: int = 1_000_000
    rng: random.Random = field(default_factory=random.Random)
    late: list[OutRecord] = field(default_factory=list)
    came_late: bool = False
    gone: set[int] = field(default_factory=set)
    leased: bool = True
    reads: int = 0
    topic: str = TOPICS.score_changed

    # --- sources

    def event(self, name: str, lead_id: str, number: int, *, home: bool = True, **given: object) -> None:
        """An event of *lead_id*, on the partition it belongs to, or by way of the re-keyed topic."""
        value = native_json(name, lead_id, event_id=f"e{number}", occurred_at_ms=JAN_5_MS + number, **given)
        topic = TOPICS.activity if home else TOPICS.activity_rekeyed
        offset = len(self.sources[topic])
        headers = [] if home else rekeyed_headers([], Origin(TOPICS.activity, 1, number, JAN_5_MS))
        self.sources[topic].append(Record(topic, 0, offset, JAN_5_MS, lead_id.encode(), value, headers))

    def filled_in(self, name: str, lead_id: str, number: int, *, announce: bool = False, **given: object) -> None:
        """An event of *lead_id* that is filled in, on the partition it belongs to."""
        value = native_json(name, lead_id, event_id=f"e{number}", occurred_at_ms=JAN_5_MS + number, **given)
        topic, headers = TOPICS.activity_backfill, [ANNOUNCE] if announce else []
        offset = len(self.sources[topic])
        self.sources[topic].append(Record(topic, 0, offset, JAN_5_MS, lead_id.encode(), value, headers))

    # --- effects

    def _effect(self) -> bool:
        """This effect happens; False when the life ends with it."""
        self.effects_left -= 1
        return self.effects_left > 0

    async def confirm_lease(self) -> None:
        """As the lease does."""
        if not self.leased:
            raise StreamLost("no lease")

    async def send(self, topic: str, partition: int, records: Sequence[OutRecord]) -> list[tuple[int, int]]:
        """Append; what is late comes first, perhaps."""
        log = self.topics[topic]
        if topic == self.topic and self.late and self.rng.random() < 0.5:
            self.arrive()
        alive = self._effect()
        if not alive and topic == self.topic:
            fate = self.rng.choice(("lost", "late", "written"))
            if fate == "late":
                self.late += records
            if fate != "written":
                raise Crash
        first = len(log)
        log += records
        if not alive:
            raise Crash
        return [(first, len(log) - 1)]

    def arrive(self) -> None:
        """What was late is written now."""
        self.came_late |= bool(self.late)
        self.topics[self.topic] += self.late
        self.late = []

    def get_many(self, partition: int, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        """Stored rows."""
        return {key: self.rows[key] for key in keys if key in self.rows}

    async def write_many(self, partition: int, items: Sequence[tuple[bytes, bytes | None]]) -> None:
        """Store rows; all or, when the life ends here, perhaps none."""
        if not self._effect() and self.rng.random() < 0.5:
            raise Crash
        self.rows |= {key: value for key, value in items if value is not None}
        if self.effects_left <= 0:
            raise Crash

    # --- score-changed, as ChangesLog asks for it

    async def end_offsets(self, partitions: Collection[int]) -> dict[int, int]:
        """The length."""
        return {partition: len(self.topics[self.topic]) for partition in partitions}

    async def first_offset(self, partition: int) -> int:
        """Nothing was deleted."""
        return 0

    async def read(self, partition: int, first: int, end: int) -> AsyncIterator[list[Logged]]:
        """Three at a time."""
        self.reads += end - first
        log = self.topics[self.topic]
        for start in range(first, end, 3):
            there = [at for at in range(start, min(start + 3, end)) if at not in self.gone]
            yield [Logged(at, log[at].key, log[at].value) for at in there]

    async def source_ends(self, partition: int) -> dict[str, int]:
        """The lengths."""
        return {topic: len(records) for topic, records in self.sources.items()}

    def sources_done(self, partition: int) -> Mapping[str, int]:
        """Of the life that is lived."""
        return self.done

    # --- a life

    async def live(self) -> None:
        """A worker from its last commit to the end of the sources, in some order of them."""
        worker = Worker(self)
        while batch := self._next_batch():
            await worker.handle(batch, self._more)
            if self.rng.random() < 0.5:
                worker.commit()
        self.arrive()
        await worker.changes_log.check()
        worker.commit()

    def _next_batch(self) -> Batch | None:
        waiting = [topic for topic, records in self.sources.items() if self.done[topic] < len(records)]
        if not waiting:
            return None
        topic = self.rng.choice(waiting)
        start = self.done[topic]
        end = min(start + self.rng.randint(1, 4), len(self.sources[topic]))
        return Batch(topic, self.sources[topic][start:end], end)

    def _more(self, topic: str, end: int) -> Sequence[Record]:
        """What has come meanwhile: sometimes nothing."""
        return self.sources[topic][end : end + self.rng.randint(0, 3)]

    # --- afterwards

    def changes_of(self, lead_id: str) -> list[bytes]:
        """Every change of the lead that was ever written."""
        return [record.value or b"" for record in self.topics[self.topic] if record.key == lead_id.encode()]

    def state_of(self, lead_id: str) -> LeadState:
        """Its stored row."""
        return load_state(self.rows[lead_id.encode()], PACK)


class Contacts:
    """A table of contact data that forgets: nothing here asks for it."""

    def get_many(self, partition: int, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        """Nothing is known."""
        return {}

    async def write_many(self, partition: int, items: Sequence[tuple[bytes, bytes | None]]) -> None:
        """Drop it."""


class Worker:
    """One life, batch by batch; it owns the partition from the last commit on."""

    def __init__(self, world: World) -> None:
        self._world = world
        roles = Roles.alone(PACK)
        leads = Leads(world, roles, 100)
        self.changes_log = log = ChangesLog(
            world, world, leads, roles, world.confirm_lease, forwarded_to=TOPICS.activity_rekeyed
        )
        log.own(0, list(world.notes.values()))
        outbox = Outbox(TOPICS, writer=log, compressing=log, dead_letter_partitions=1)
        profiles = Profiles(Contacts())
        guarantee = AtLeastOnce(TOPICS, outbox, leads, profiles, confirm_lease=world.confirm_lease, clock=lambda: 0.0)
        ports = Ports(leads, profiles, NoMeter(), lambda: 0.0, lambda _bug: None)
        self._pipeline = Pipeline(Scorer(roles, TOPICS, 1), ports, guarantee, slice_records=2)
        world.done = dict(world.committed)

    async def handle(
        self, batch: Batch, more: Callable[[str, int], Sequence[Record]] = lambda _topic, _end: ()
    ) -> None:
        """One batch, as the app does; *more* has what lies behind an offset of a topic and belongs to it too."""
        end = batch.end

        def grown() -> Sequence[Record]:
            nonlocal end
            records = more(batch.topic, end)
            end += len(records)
            return records

        async with self.changes_log.batch(0, lambda: {batch.topic: end}) as ahead:
            await self._pipeline.handle(batch, ahead, grown)
        self._world.done[batch.topic] = end

    async def read(self, topic: str) -> None:
        """All that waits in *topic*, as one batch."""
        records = self._world.sources[topic]
        await self.handle(Batch(topic, records[self._world.done[topic] :], len(records)))

    def commit(self) -> None:
        """What is done."""
        for topic, offset in self._world.done.items():
            if offset != self._world.committed[topic]:
                self._world.committed[topic] = offset
                self._world.notes[topic] = self.changes_log.note(0)


def told_once(changes: Sequence[bytes]) -> list[bytes]:
    """What is left for who drops repeats by id."""
    first: dict[str, bytes] = {}
    for change in changes:
        first.setdefault(orjson.loads(change)["change_id"], change)
    return list(first.values())


def points_in(change: bytes) -> tuple[int, ...]:
    """The points of a record, in the pack's order."""
    parts = {part["rule"]: part["points"] for part in orjson.loads(change)["contributions"]}
    return tuple(round(parts[rule.name] * 100) for rule in PACK.rules)
