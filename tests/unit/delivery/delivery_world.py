"""A sink that plays a script, the topics around it, and workers that read them, crash and are started again."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

import msgspec

from pql_stream.core.profiles import LeadProfile
from pql_stream.core.routes import Action
from pql_stream.delivery.breaker import Breaker, BreakerSettings
from pql_stream.delivery.deliverer import Deliverer, Handled
from pql_stream.delivery.ledger import Grant, Known, MemoryLedger, Ref, Repeats, Settlement
from pql_stream.delivery.limits import Limiter, MemoryLimiter, Rate
from pql_stream.delivery.outcomes import Delivered, LaterReason, Outcome, Unknown
from pql_stream.delivery.outlet import Outlet
from pql_stream.delivery.ports import DeliveryReport, Ports, SinkState, SinkTopics, Stop
from pql_stream.delivery.settings import DeliverySettings
from pql_stream.delivery.sink import Item, Traits
from pql_stream.delivery.switch import Switch
from pql_stream.errors import InvalidState, LedgerAway
from pql_stream.testing.builders import JAN_5_MS, Record
from pql_stream.wire.deliveries import Delivery, decode_delivery, encode_delivery
from pql_stream.wire.records import OutRecord

SINK = "crm"
TOPICS = SinkTopics("delivery-crm", "delivery-crm-parked", "delivery-crm-dlq")
REPEATABLE: frozenset[Action] = frozenset({"upsert", "task"})
QUIET = Traits(batch_max=1, repeatable=REPEATABLE, needs_profile=False, rate=1_000, rate_period_s=1.0)


class Crash(BaseException):
    """kill -9, as far as one process can play it."""


class Batch(NamedTuple):
    """Records of one partition."""

    topic: str
    records: Sequence[Record]
    generation_id: int = 1
    partition: int = 0


def delivery(number: int, lead_id: str = "u1", action: Action = "task", **fields: Any) -> Delivery:
    """The delivery d<number>; it is the lead's change of that sequence."""
    given = {
        "record": {"sequence": number, "pack": "p", "pack_version": 1},
        "decided_at_ms": JAN_5_MS + number,
        **fields,
    }
    return Delivery(
        delivery_id=f"d{number}",
        lead_id=lead_id,
        action=action,
        sink=given.pop("sink", SINK),
        route="r",
        of="score-changed",
        options={},
        **given,
    )


def record(one: Delivery, offset: int, topic: str = TOPICS.deliveries) -> Record:
    return Record(topic, 0, offset, one.decided_at_ms, one.lead_id.encode(), encode_delivery(one), [("h", b"1")])


class Effect(NamedTuple):
    """Something that the destination did."""

    delivery_id: str
    lead_id: str
    is_repeat: bool


Step = Outcome | Literal["lost", "bug", "too few"]
"""What the sink answers; *lost*: it is done, and the answer never comes."""


@dataclass
class ScriptedSink:
    """Answers an item as *script* says, step by step, or *always* does; `Delivered()` when neither says anything."""

    traits: Traits
    effect: Callable[[], None]
    script: dict[str, deque[Step]] = field(default_factory=dict)
    always: Callable[[Item], Step | None] = lambda item: None
    channels: dict[str, str] = field(default_factory=dict)
    looks: bool = False
    seconds: float = 0.1
    health: Outcome | Literal["bug"] = field(default_factory=Delivered)
    calls: list[list[str]] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    done: set[str] = field(default_factory=set)
    hanging: set[str] = field(default_factory=set)
    at_once: int = 0
    at_once_max: int = 0

    def calls_of(self, items: Sequence[Item]) -> int:
        return len(items)

    def channel_of(self, item: Item) -> str:
        channel = self.channels.get(item.delivery.lead_id, "")
        if channel == "bug":
            raise KeyError(item.delivery.lead_id)
        return channel

    async def deliver(self, items: Sequence[Item]) -> list[Outcome]:
        self.effect()
        self.calls.append([item.delivery.delivery_id for item in items])
        self.at_once += 1
        self.at_once_max = max(self.at_once, self.at_once_max)
        try:
            outcomes = [self._one(item) for item in items]
            await asyncio.sleep(self.seconds)
            if self.hanging.intersection(item.delivery.delivery_id for item in items):
                await asyncio.sleep(1_000_000.0)
        finally:
            self.at_once -= 1
        self.effect()
        if "bug" in outcomes:
            raise ZeroDivisionError(items[0].delivery.lead_id)
        if "too few" in outcomes:
            return []
        return [outcome for outcome in outcomes if not isinstance(outcome, str)]

    def _one(self, item: Item) -> Outcome | Literal["bug", "too few"]:
        one = item.delivery
        steps = self.script.get(one.delivery_id)
        step: Step = self.always(item) or (steps.popleft() if steps else Delivered())
        if step in ("bug", "too few"):
            return step
        if isinstance(step, Delivered) or step == "lost":
            was_there = one.delivery_id in self.done
            if was_there and self.looks and item.is_repeat:
                return Delivered(was_there=True)
            if not (was_there and one.action in self.traits.repeatable):
                self.effects.append(Effect(one.delivery_id, one.lead_id, item.is_repeat))
                self.done.add(one.delivery_id)
        return Unknown("no answer") if step == "lost" else step

    async def check(self) -> Outcome:
        """Well, or as *health* says."""
        await asyncio.sleep(self.seconds)
        if self.health == "bug":
            raise ZeroDivisionError
        return self.health

    async def close(self) -> None:
        pass


@dataclass
class Meter:
    """Adds everything up."""

    outcomes: Counter[str] = field(default_factory=Counter)
    dead_letters: Counter[str] = field(default_factory=Counter)
    delivered_s: list[float] = field(default_factory=list)
    parked: int = 0
    superseded: int = 0
    repeated: int = 0
    standing: list[tuple[SinkState, int | None]] = field(default_factory=list)

    def reported(self, sink: str, report: DeliveryReport) -> None:
        self.outcomes.update(report.outcomes)
        self.dead_letters.update(report.dead_letters)
        self.delivered_s += report.delivered_s
        self.parked += report.parked
        self.superseded += report.superseded
        self.repeated += report.repeated

    def stands(self, sink: str, state: SinkState, oldest_pending_at_ms: int | None) -> None:
        if self.standing[-1:] != [(state, oldest_pending_at_ms)]:
            self.standing.append((state, oldest_pending_at_ms))


@dataclass
class Alerts:
    """What was told."""

    told: list[tuple[str, LaterReason | Literal["disabled", "enabled"] | None]] = field(default_factory=list)

    def paused(self, sink: str, reason: LaterReason, for_s: float, detail: str) -> None:
        self.told.append((sink, reason))

    def resumed(self, sink: str) -> None:
        self.told.append((sink, None))

    def disabled(self, sink: str) -> None:
        self.told.append((sink, "disabled"))

    def enabled(self, sink: str) -> None:
        self.told.append((sink, "enabled"))


@dataclass
class Group:
    """What one worker knows of its group: until *out_at_s* it is a member, and hears so each second."""

    now_s: Callable[[], float]
    out_at_s: float = float("inf")
    back_at_s: float = float("inf")

    @property
    def is_good(self) -> bool:
        return self.now_s() < self.out_at_s or self.now_s() >= self.back_at_s

    @property
    def confirmations(self) -> int:
        now_s = self.now_s()
        return int(min(now_s, self.out_at_s) + max(now_s - self.back_at_s, 0.0))


class WorldLedger:
    """A ledger that outlives workers; `away` says when it does not answer."""

    def __init__(self, effect: Callable[[], None]) -> None:
        self.inner = MemoryLedger()
        self.effect = effect
        self.away: Callable[[], bool] = lambda: False
        self.owners: list[str] = []

    async def take_over(self, partition: str, owner: str) -> None:
        self.owners.append(owner)
        await self._made(lambda: self.inner.take_over(partition, owner))

    async def look_up(self, refs: Sequence[Ref]) -> list[Known]:
        return await self._made(lambda: self.inner.look_up(refs))

    async def claim(
        self, partition: str, owner: str, refs: Sequence[Ref], *, at_ms: int, note_repeats: Sequence[bool]
    ) -> list[Grant]:
        return await self._made(
            lambda: self.inner.claim(partition, owner, refs, at_ms=at_ms, note_repeats=note_repeats)
        )

    async def settle(self, partition: str, owner: str, settlements: Sequence[Settlement]) -> None:
        await self._made(lambda: self.inner.settle(partition, owner, settlements))

    async def park(self, partition: str, owner: str, refs: Sequence[Ref]) -> None:
        await self._made(lambda: self.inner.park(partition, owner, refs))

    async def repeats(self) -> Repeats:
        return await self.inner.repeats()

    async def disable(self, endpoint: str, at_ms: int) -> None:
        await self._made(lambda: self.inner.disable(endpoint, at_ms))

    async def disabled_at_ms(self, endpoint: str) -> int | None:
        return await self._made(lambda: self.inner.disabled_at_ms(endpoint))

    async def enable(self, endpoint: str) -> bool:
        return await self._made(lambda: self.inner.enable(endpoint))

    async def _made(self, call: Callable[[], Awaitable[Any]]) -> Any:
        self.effect()
        await asyncio.sleep(0)
        if self.away():
            raise LedgerAway("no answer")
        answer = await call()
        self.effect()
        return answer


class World:
    """
    One sink and one partition of its topics.

    `effects_left`: so many effects, before and after which a worker may die, it lives. Time is the loop's.
    """

    def __init__(self, traits: Traits = QUIET, settings: DeliverySettings | None = None, seed: int = 0) -> None:
        self.effects_left = 1_000_000_000
        self.settings = settings or DeliverySettings()
        self.breaker_settings = BreakerSettings()
        self.finish_s = 10_000.0
        self.ledger = WorldLedger(self.effect)
        self.sink = ScriptedSink(traits, self.effect)
        self.meter = Meter()
        self.alerts = Alerts()
        self.profiles: dict[str, LeadProfile | Literal["erased", "bug", "unreadable"]] = {}
        self.bugs: list[str] = []
        self.main: list[Record] = []
        self.parked: list[Record] = []
        self.dead: list[OutRecord] = []
        self.chance = random.Random(seed).random
        self.limiter: Limiter | None = None
        self.lives = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._before_s = 0.0

    # --- ports

    def effect(self) -> None:
        """Something is about to happen, or has just happened, that outlives the worker."""
        self.effects_left -= 1
        if self.effects_left < 0:
            raise Crash

    async def send(self, topic: str, partition: int, records: Sequence[OutRecord]) -> None:
        self.effect()
        for out in records:
            if topic == TOPICS.dead_letters:
                self.dead.append(out)
            else:
                at = len(self.parked)
                self.parked.append(Record(topic, partition, at, self.time_ms(), out.key, out.value, out.headers))
        self.effect()

    def of(self, partition: int, lead_id: str) -> LeadProfile | Literal["erased"] | None:
        profile = self.profiles.get(lead_id)
        if profile == "bug":
            raise KeyError(lead_id)
        if profile == "unreadable":
            raise InvalidState("a row of version 9")
        return profile

    def time_ms(self) -> int:
        return JAN_5_MS + 10_000 + round(self.now_s() * 1000)

    def now_s(self) -> float:
        """The time of all loops that this world has lived in."""
        return self._before_s + self._loop.time() if self._loop else 0.0

    # --- workers

    def deliverer(self) -> Deliverer:
        """A worker that was just started."""
        self.lives += 1
        if self._loop is not asyncio.get_running_loop():
            self._before_s = self.now_s()
            self._loop = asyncio.get_running_loop()
        traits = self.sink.traits
        self.group = Group(self.now_s)
        ports = Ports(
            ledger=self.ledger,
            entitlement=self.group,
            limiter=self.limiter or MemoryLimiter(Rate(traits.rate, traits.rate_period_s), self.now_s),
            outputs=self,
            profiles=self,
            meter=self.meter,
            log_bug=self.bugs.append,
            monotonic_s=self.now_s,
            time_ms=self.time_ms,
            sleep=asyncio.sleep,
            chance=self.chance,
        )
        self.breaker = Breaker(SINK, self.breaker_settings, self.alerts, self.now_s, self.chance)
        self.outlet = Outlet(
            name=SINK,
            sink=self.sink,
            topics=TOPICS,
            owner=f"w{self.lives}",
            finish_s=self.finish_s,
            settings=self.settings,
            breaker=self.breaker,
            switch=Switch(SINK, traits.endpoint, self.ledger, self.alerts, self.time_ms),
            ports=ports,
        )
        return Deliverer(self.outlet)

    def add(self, *deliveries: Delivery) -> None:
        """Records of `delivery-crm`."""
        for one in deliveries:
            self.main.append(record(one, len(self.main)))

    async def handle(self, *deliveries: Delivery, stop: Stop | None = None) -> Handled:
        """A new worker handles one batch."""
        self.add(*deliveries)
        batch = Batch(TOPICS.deliveries, self.main[len(self.main) - len(deliveries) :])
        return await self.deliverer().handle(batch, stop or asyncio.Event())

    async def read(self) -> Handled:
        """A new worker handles all of the sink's topic as one batch."""
        return await self.deliverer().handle(Batch(TOPICS.deliveries, list(self.main)), asyncio.Event())

    async def read_parked(self) -> Handled:
        """A new worker handles everything that is parked, and what is parked meanwhile is left."""
        return await self.deliverer().handle(Batch(TOPICS.parked, list(self.parked)), asyncio.Event())

    def states(self, *numbers: int) -> list[str]:
        return list(self.ledger.inner.states(f"d{number}" for number in numbers))

    def delivered(self) -> list[str]:
        """What the destination did, in order."""
        return [effect.delivery_id for effect in self.sink.effects]

    def copies(self) -> list[Delivery]:
        """What was parked, in order."""
        return [decode_delivery(one.value or b"") for one in self.parked]

    def dead_letters(self) -> list[tuple[str, str]]:
        """Delivery id and reason of each."""
        return [
            (msgspec.json.decode(one.value or b"")["delivery_id"], dict(one.headers)["pql-dlq-reason"].decode())
            for one in self.dead
        ]


@dataclass
class Consumer:
    """Where a group is in both topics."""

    batch_max: int = 100
    committed: dict[str, int] = field(default_factory=lambda: {TOPICS.deliveries: 0, TOPICS.parked: 0})

    async def live(self, world: World, stop: Stop) -> bool:
        """One worker's life, until everything is read and done, or *stop*; whether all is done."""
        deliverer = world.deliverer()
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._read(world, deliverer, topic, log, stop))
                for topic, log in ((TOPICS.deliveries, world.main), (TOPICS.parked, world.parked))
            ]
        return all(task.result() for task in tasks) and self.is_done(world)

    def is_done(self, world: World) -> bool:
        return self.committed == {TOPICS.deliveries: len(world.main), TOPICS.parked: len(world.parked)}

    async def _read(self, world: World, deliverer: Deliverer, topic: str, log: list[Record], stop: Stop) -> bool:
        while not self.is_done(world):
            at = self.committed[topic]
            if at == len(log):
                await asyncio.sleep(20.0)  # due times are a minute away
                if stop.is_set():
                    return False
                continue
            records = log[at : at + self.batch_max]
            if await deliverer.handle(Batch(topic, records, world.lives), stop) == "gave_way":
                return False
            world.effect()
            self.committed[topic] = at + len(records)
        return True


def with_traits(**fields: Any) -> Traits:
    """`QUIET` with other *fields*."""
    return replace(QUIET, **fields)
