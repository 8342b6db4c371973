"""
The canary: a lead that is nobody, whose change makes the whole way from the input topic to `score-changed`.

It finds what no number of a worker can tell: that events which come in do not come out. Nobody hears of it: no route
takes the canary (`core.routes`), and no number of leads counts it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import uuid4

import orjson
import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer, TopicPartition

from pql_stream.core.packs import CompiledPack
from pql_stream.core.routes import CANARY_LEAD_ID
from pql_stream.core.transition import advance
from pql_stream.errors import BrokerError, InvalidSettings, PqlError
from pql_stream.ops.interruptible import unless_stopped
from pql_stream.ops.topics.reading import reading, watermarks
from pql_stream.stream.names import PRODUCT_ACTIVITY, SCORE_CHANGED, prefixed
from pql_stream.stream.partitioner import partition_of
from pql_stream.wire.events import decode_event

TRIP_S_MAX = 30.0
"""A canary that takes longer is lost: the objective of scoring is 5 s."""

_KEY = CANARY_LEAD_ID.encode()
_LEVELS = ("basic", "advanced")

log = structlog.stdlib.get_logger(__name__)


class CanaryMeter(Protocol):
    """Takes what became of the canary. Never raises, never waits."""

    def returned(self, seconds: float) -> None:
        """Its change was read so long after its event was written."""

    def lost(self) -> None:
        """It was not read in `TRIP_S_MAX`."""


def canary_events(trip_id: str, now_ms: int) -> tuple[tuple[str, bytes], ...]:
    """
    Id and bytes of the two events of a trip: whatever came before, the second one makes a change.

    A level that is set once more changes nothing, and after a restart nobody knows which one was the last. An edge (a
    qualification) happens once and a count saturates, so levels it is.
    """
    return tuple(
        (
            f"{trip_id}-{level}",
            orjson.dumps(
                {
                    "event_id": f"{trip_id}-{level}",
                    "user_id": CANARY_LEAD_ID,
                    "event": "compliance_level_changed",
                    "occurred_at": now_ms + later_ms,  # the latest counts, so they must differ
                    "properties": {"level": level},
                }
            ),
        )
        for later_ms, level in enumerate(_LEVELS)
    )


def check_pack(pack: CompiledPack) -> None:
    """
    See that a canary can be told by its score.

    Raises:
        InvalidSettings: *pack* gives the same points for every level.
    """
    state, change = None, None
    for _, value in canary_events("canary", 1_700_000_000_000):
        step = advance(state, decode_event(value, PRODUCT_ACTIVITY, 0, 0), pack)
        state, change = step.state, step.change
    if change is None:
        raise InvalidSettings(
            "the canary cannot be used with this pack",
            why=f"{pack.name} gives the same points for every compliance level, so nothing comes out",
            what_to_do="take PQL_CANARY_EVERY_S away",
        )


@dataclass(frozen=True, slots=True)
class CanaryTrip:
    """
    One way through the cluster that *client_config* (librdkafka's names) leads to. Blocks.

    *read_s_max*: how long its change is looked for, once the event is written.
    """

    client_config: Mapping[str, Any]
    prefix: str
    partition: int
    read_s_max: float = TRIP_S_MAX

    def go(self) -> float:
        """
        Seconds from writing the event until its change could be read.

        Raises:
            BrokerError: it could not be written, or was not read in *read_s_max*.
        """
        changes = TopicPartition(prefixed(SCORE_CHANGED, self.prefix), self.partition)
        with reading(self.client_config, changes.topic) as consumer:
            # Only what comes from here on: a partition may hold millions of changes.
            _, end = watermarks(consumer, changes)
            consumer.assign([TopicPartition(changes.topic, changes.partition, end)])
            started_at_s = time.monotonic()
            event_id = self._write()
            written_at_s = time.monotonic()
            while time.monotonic() - written_at_s < self.read_s_max:
                if _is_of(consumer.poll(1.0), event_id):
                    return time.monotonic() - started_at_s
        raise BrokerError(
            "the canary was lost",
            why=f"its change was not on {changes.topic} within {self.read_s_max:.0f} s of its event",
        )

    def _write(self) -> str:
        """The id of the event that makes a change; both are acknowledged."""
        topic = prefixed(PRODUCT_ACTIVITY, self.prefix)
        refused: list[KafkaError] = []

        def answered(error: KafkaError | None, _message: Message) -> None:
            if error is not None:
                refused.append(error)

        producer = Producer(
            {
                **self.client_config,
                "enable.idempotence": True,
                "message.timeout.ms": int(TRIP_S_MAX * 1000),
                "log_level": 0,
            }
        )
        events = canary_events(f"canary-{uuid4().hex}", int(time.time() * 1000))
        for _, value in events:
            producer.produce(topic, value, _KEY, self.partition, on_delivery=answered)
        left = producer.flush(TRIP_S_MAX)
        if refused or left:
            why = refused[0].str() if refused else f"no answer in {TRIP_S_MAX:.0f} s"
            raise BrokerError(f"the canary could not be written to {topic}", why=why)
        return events[-1][0]


def _is_of(message: Message | None, event_id: str) -> bool:
    """Is this the change that the event made?"""
    if message is None:
        return False
    error = message.error()
    if error is not None:
        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - the client's public name
            return False
        raise KafkaException(error)
    # Most of what passes here is of real leads: look at the key before the rest.
    if message.key() != _KEY or not message.value():
        return False
    return bool(orjson.loads(message.value() or b"")["cause"]["event_id"] == event_id)


class Canary:
    """Sends one canary each *every_s*, as long as *is_ours* says that it is this worker's to do."""

    def __init__(
        self,
        trip: Callable[[], float],
        meter: CanaryMeter,
        *,
        every_s: float,
        is_ours: Callable[[], bool],
        stop: asyncio.Event,
    ) -> None:
        self._trip = trip
        self._meter = meter
        self._every_s = every_s
        self._is_ours = is_ours
        self._stop = stop

    async def run(self) -> None:
        """For ever."""
        while True:
            await asyncio.sleep(self._every_s)
            if self._is_ours():
                await self.send()

    async def send(self) -> None:
        """Send one, and tell what became of it."""
        try:
            seconds = await unless_stopped(self._trip, self._stop)
        except PqlError as exc:
            self._meter.lost()
            log.warning("canary_lost", what=exc.what, why=exc.why)
        else:
            if seconds is not None:
                self._meter.returned(seconds)


def canary_partition(partitions: int) -> int:
    """Where the canary's events belong."""
    return partition_of(_KEY, partitions)
