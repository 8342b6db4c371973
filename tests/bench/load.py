"""
The input of a run: seeded native events of about the size that is asked for, made fast, and fed to a topic.

An event is a head of its own (id, lead, account, time) and a body out of a pool that was encoded once. The
streams:

- `steady`: every lead is set up by five events; then one event in twenty changes a score. Needs at least ten
  events a lead, so that the second half, which counts, has no set-up in it.
- `hot`: as steady, and one event in twenty is of one lead.
- `cold`: lead after lead, each new at first, and changed by every event.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import orjson
from confluent_kafka import KafkaError, Producer

from pql_stream.wire.numbers import rfc3339
from tests.bench.facts import FEATURES, Facts, loud_facts, quiet_facts, set_up_facts, surroundings

Stream = Literal["steady", "cold", "hot"]
STREAMS: tuple[Stream, ...] = ("steady", "cold", "hot")

START_MS = 1_767_607_200_000
"""2026-01-05T10:00:00Z: fixed, so that the same seed gives the same bytes."""
STEP_MS = 20
"""Between two events: a run spans hours, and no event is ahead of the clock of who runs it."""
SET_UP_EVENTS = 5
EVENTS_A_LEAD_MIN = 2 * SET_UP_EVENTS
LOUD_EVERY = 20
HOT_EVERY = 20
LOUD_TURNS = 24
"""After so many changes of one lead the cycle of `loud_facts` begins anew."""
POOL = 4_096
QUIET_FEATURES = FEATURES[:2]
"""Too few to earn anything: every lead meets them again and again, and only loud events move its score."""
LEAN_BELOW_BYTES = 250
"""Smaller events than this go without an account and without what scoring ignores."""
_SECOND_MS = 1_000
_ID_FACTOR = 0x9E37_79B9_7F4A_7C15
"""Odd, so that numbers times it, cut to 64 bits, are all different."""
_ID_MASK = 2**64 - 1
_QUEUED_MAX = 500_000

Keyed = tuple[bytes, bytes]
"""Key (the lead id) and value of a record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Which events: *events* of *leads*, of about *event_bytes* each."""

    stream: Stream
    leads: int
    events: int
    event_bytes: int = 300
    seed: int = 7

    def __post_init__(self) -> None:
        if self.stream != "cold" and self.events < EVENTS_A_LEAD_MIN * self.leads:
            raise ValueError(f"a {self.stream} stream of {self.leads} leads needs {EVENTS_A_LEAD_MIN} events for each")

    @property
    def slug(self) -> str:
        """A name for topics."""
        return f"{self.stream}-{self.leads}-{self.events}-{self.event_bytes}"


def lead_id(lead: int) -> bytes:
    """The id of lead number *lead*."""
    return b"user-%07d" % lead


def keyed_events(load: Load) -> Iterator[Keyed]:
    """The events of *load*, in order."""
    lean = load.event_bytes < LEAN_BELOW_BYTES
    second, until_ms = b"", 0
    for number, (lead, body) in enumerate(_bodies(load, lean=lean)):
        at_ms = START_MS + number * STEP_MS
        if at_ms >= until_ms:
            second, until_ms = rfc3339(at_ms)[:20].encode(), at_ms - at_ms % _SECOND_MS + _SECOND_MS
        key = lead_id(lead)
        id_ = number * _ID_FACTOR & _ID_MASK
        if lean:
            yield key, _LEAN_HEAD % (id_, key, at_ms, body)
        else:
            yield key, _HEAD % (id_, load.seed, key, lead // 4, second, at_ms % _SECOND_MS, body)


_HEAD = b'{"event_id":"%016x%08x","user_id":"%b","account_id":"company-%06d","occurred_at":"%b%03dZ",%b'
_LEAN_HEAD = b'{"event_id":"%016x","user_id":"%b","occurred_at":%d,%b'


def _bodies(load: Load, *, lean: bool) -> Iterator[tuple[int, bytes]]:
    rng = random.Random(load.seed)
    loud = [_body(rng, load, loud_facts(turn), lean=lean) for turn in range(LOUD_TURNS)]
    if load.stream == "cold":
        for number in range(load.events):
            yield number % load.leads, loud[number // load.leads % LOUD_TURNS]
        return
    for facts in set_up_facts():
        body = _body(rng, load, facts, lean=lean)
        for lead in range(load.leads):
            yield lead, body
    quiet = [_body(rng, load, quiet_facts(rng, number, QUIET_FEATURES), lean=lean) for number in range(POOL)]
    turns = bytearray(load.leads)
    for number in range(SET_UP_EVENTS * load.leads, load.events):
        lead = int(rng.random() * load.leads)
        if number % LOUD_EVERY == 0:
            yield lead, loud[turns[lead]]
            turns[lead] = (turns[lead] + 1) % LOUD_TURNS
        else:
            is_hot = load.stream == "hot" and number % HOT_EVERY == 1
            yield 0 if is_hot else lead, quiet[number % POOL]


def _body(rng: random.Random, load: Load, facts: Facts, *, lean: bool) -> bytes:
    """What follows the time, padded so that the whole event has about the size that is asked for."""
    name, stated = facts
    properties: dict[str, Any] = dict(stated) if lean else surroundings(rng) | stated
    body = orjson.dumps({"event": name, "properties": properties})
    head = _LEAN_HEAD % (0, lead_id(0), START_MS, b"") if lean else _HEAD % (0, 0, lead_id(0), 0, b"-" * 20, 0, b"")
    missing = load.event_bytes - len(head) - len(body) - len(b',"note":""')
    if missing > 0:
        body = orjson.dumps({"event": name, "properties": properties | {"note": "x" * missing}})
    return body[1:]


def feed(bootstrap: str, topic: str, load: Load) -> int:
    """
    Write *load* to *topic*, partitioned as Kafka's default does it; the bytes of all values.

    Raises:
        RuntimeError: the broker did not take every record.
    """
    refused: list[str] = []

    def answered(error: KafkaError | None, _message: object) -> None:
        if error is not None:
            refused.append(error.str())

    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "partitioner": "murmur2_random",
            "enable.idempotence": True,
            "linger.ms": 20,
            "batch.size": 500_000,
            "queue.buffering.max.messages": _QUEUED_MAX * 2,
            "queue.buffering.max.kbytes": 512 * 1024,
            # Millions of callbacks would cost more than the producing; errors are enough.
            "delivery.report.only.error": True,
            "on_delivery": answered,
            "log_level": 0,
        }
    )
    producer.list_topics(topic, timeout=10)  # what is produced before the metadata is known may be reordered
    size = 0
    for number, (key, value) in enumerate(keyed_events(load)):
        size += len(value)
        while True:
            try:
                producer.produce(topic, value, key)
            except BufferError:
                producer.poll(0.05)
            else:
                break
        if number % 10_000 == 0:
            producer.poll(0)
    left = producer.flush(60)
    if left or refused:
        raise RuntimeError(f"{left + len(refused)} records were not taken: {refused[:1]}")
    return size
