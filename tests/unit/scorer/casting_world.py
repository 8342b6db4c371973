"""One partition with several packs: the world of `published_world`, and a control topic that outlives a worker too."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field

import orjson
from msgspec.structs import replace
from published_world import TOPICS, Batch, Contacts, Crash, World

from pql_stream.core.lineups import Roster
from pql_stream.core.packs import PackId
from pql_stream.core.states import LeadState
from pql_stream.stream.at_least_once import AtLeastOnce
from pql_stream.stream.casting import Casting, Stage
from pql_stream.stream.changes_log import ChangesLog
from pql_stream.stream.control_log import ControlLog
from pql_stream.stream.filling import Filling, Stretch
from pql_stream.stream.leads import Leads
from pql_stream.stream.metrics import NoMeter
from pql_stream.stream.outbox import Outbox
from pql_stream.stream.pipeline import Pipeline
from pql_stream.stream.profiles import Profiles
from pql_stream.stream.published import Ahead
from pql_stream.stream.roles import Roles
from pql_stream.stream.scorer import Scorer
from pql_stream.stream.slices import Ports
from pql_stream.wire.control import Answer, CheckRequest, FillRequest, PackRef, Request, SwitchRequest, encode_control
from pql_stream.wire.packs import load_pack
from pql_stream.wire.shared_rows import load_lead

OLD, NEW = load_pack("pql-100"), load_pack("pql-100-linear")
OLD_ID, NEW_ID = PackId(OLD.name, OLD.version), PackId(NEW.name, NEW.version)
ROSTER = Roster((OLD, NEW))
AT = "2026-01-05T10:00:00.000Z"
LEADS = ("u1", "u2", "u3")
_TIERS = tuple(replace(tier, score_from=tier.score_from // 4) for tier in OLD.tiers)
LOWER = replace(OLD, name="lower", tiers=_TIERS)
"""As the old one, with tiers that begin at a quarter of the score: bronze is 15 points."""
LOWER_ID = PackId("lower", 1)
TWIN = replace(LOWER, name="twin")
"""As the lower one in all but its name."""
TWIN_ID = PackId("twin", 1)


def switch(pack: PackId, number: int = 1, announce: str = "none") -> SwitchRequest:
    """The request of this number."""
    return SwitchRequest(request_id=f"r{number}", pack=PackRef.of(pack), announce=announce, asked_at=AT)


def check(pack: PackId, number: int = 1) -> CheckRequest:
    """The question of this number."""
    return CheckRequest(request_id=f"c{number}", pack=PackRef.of(pack), asked_at=AT)


def fill(pack: PackId, number: int = 1) -> FillRequest:
    """The request of this number."""
    return FillRequest(request_id=f"f{number}", pack=PackRef.of(pack), asked_at=AT)


@dataclass
class CastingWorld(World):
    """A world whose workers have *roster*, and can be asked for another live pack."""

    roster: Roster = ROSTER
    control_log: list[bytes] = field(default_factory=list)
    topic_of_control: str = TOPICS.control
    gives_up: bool = False
    deleted: int = 0

    def ask(self, request: Request) -> None:
        """As a command does."""
        self.control_log.append(encode_control(request))

    def known(self) -> ControlLog:
        """What the control topic says."""
        log = ControlLog()
        for offset, value in enumerate(self.control_log):
            log.add(offset, value)
        return log

    async def write_answer(self, answer: Answer) -> None:
        """Append; the life may end before it, or behind it."""
        if not self._effect() and self.rng.random() < 0.5:
            raise Crash
        self.control_log.append(encode_control(answer))
        if self.effects_left <= 0:
            raise Crash

    def keys_of(self, _partition: int) -> Iterator[bytes]:
        """Of all rows."""
        return iter(list(self.rows))

    # --- history, as Filling asks for it

    async def stretches(self, _partition: int) -> list[Stretch]:
        """All of it, but for what was *deleted*."""
        return [
            Stretch(topic, self.deleted, len(records), records[self.deleted].timestamp if records else None)
            for topic, records in self.sources.items()
            if len(records) > self.deleted
        ]

    async def read(self, partition: int, first: int | Stretch, end: int = 0) -> AsyncIterator[list]:
        """Of a source two at a time; else as in `World`."""
        if isinstance(first, int):
            async for logged in super().read(partition, first, end):
                yield logged
            return
        for start in range(first.first, first.end, 2):
            yield self.sources[first.topic][start : start + 2]

    async def live(self) -> None:
        """As in `World`, and between any two batches the worker may look for what is asked."""
        worker = CastingWorker(self)
        while batch := self._next_batch():
            if self.rng.random() < 0.5:
                await worker.casting.step()
            await worker.handle(batch)
            if self.rng.random() < 0.5:
                worker.commit()
        self.arrive()
        await worker.casting.step()
        await worker.changes_log.check()
        await worker.casting.step()
        worker.commit()


class CastingWorker:
    """One life, batch by batch."""

    def __init__(self, world: CastingWorld) -> None:
        self._world = world
        self.topic = world.topic_of_control
        roles = Roles(world.roster)
        self.leads = leads = Leads(world, roles, 100)
        self.changes_log = changes = ChangesLog(
            world, world, leads, roles, world.confirm_lease, forwarded_to=TOPICS.activity_rekeyed
        )
        changes.own(0, list(world.notes.values()))
        outbox = Outbox(TOPICS, writer=changes, compressing=changes, dead_letter_partitions=1)
        profiles = Profiles(Contacts())
        guarantee = AtLeastOnce(TOPICS, outbox, leads, profiles, confirm_lease=world.confirm_lease, clock=lambda: 0.0)
        ports = Ports(leads, profiles, NoMeter(), lambda: 0.0, lambda _bug: None)
        scorer = Scorer(roles, TOPICS, 1)
        self._pipeline = Pipeline(scorer, ports, guarantee)
        stage = Stage(self, world, leads, guarantee, self, NoMeter(), lambda: 0.0)
        self.casting = Casting(roles, stage)
        self.filling = Filling(roles, stage, world, scorer)
        self.roles = roles
        world.done = dict(world.committed)

    # --- what casting asks for

    async def read(self) -> ControlLog:
        """All of it."""
        return self._world.known()

    async def write(self, answer: Answer) -> None:
        """One answer more."""
        await self._world.write_answer(answer)

    def owned(self) -> Collection[int]:
        """The one there is."""
        return [0]

    def turn(self, partition: int) -> AbstractAsyncContextManager[None]:
        """Batches come one at a time anyway."""
        return nullcontext()

    def settled(self, partition: int) -> AbstractAsyncContextManager[Mapping[str, Ahead]]:
        """As in the app."""
        return self.changes_log.batch(partition, dict)

    async def offsets(self, partition: int) -> Mapping[str, int]:
        """Of score-changed."""
        return await self._world.end_offsets([partition]) and {
            TOPICS.score_changed: len(self._world.topics[TOPICS.score_changed])
        }

    def gives_way(self) -> bool:
        """When the test says so."""
        return self._world.gives_up

    # --- batches

    async def handle(self, batch: Batch) -> None:
        """One batch, as the app does."""
        await self.casting.ready(0)
        async with self.changes_log.batch(0, lambda: {batch.topic: batch.end}) as ahead:
            await self._pipeline.handle(batch, ahead)
        self._world.done[batch.topic] = batch.end

    async def read_all(self) -> None:
        """All that waits, as one batch a topic."""
        for topic, records in self._world.sources.items():
            start = self._world.done[topic]
            if start < len(records):
                await self.handle(Batch(topic, records[start:], len(records)))

    def commit(self) -> None:
        """What is done."""
        for topic, offset in self._world.done.items():
            if offset != self._world.committed[topic]:
                self._world.committed[topic] = offset
                self._world.notes[topic] = self.changes_log.note(0)


# --- afterwards


def published(world: CastingWorld, topic: str = TOPICS.score_changed) -> list[dict]:
    """What is left of a topic for who drops repeats by id."""
    first: dict[str, dict] = {}
    for record in world.topics[topic]:
        said = orjson.loads(record.value or b"")
        first.setdefault(said.get("qualification_id", said["change_id"]), said)
    return list(first.values())


def use(world: CastingWorld, lead_id: str, features: int, first: int) -> None:
    """The lead uses so many features it has not used before."""
    for number in range(first, first + features):
        world.event("feature_used", lead_id, number, feature=f"f{number}")


def state_of(world: CastingWorld, lead_id: str, live: PackId) -> LeadState:
    """Its row, as a worker sees it on whose partition *live* is live."""
    return load_lead(world.rows[lead_id.encode()], world.roster.led_by(live))
