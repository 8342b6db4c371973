"""The canary: a change on every trip, whatever came before; and nobody counts it or hears of it."""

from __future__ import annotations

import asyncio
import threading

import msgspec
import pytest
from confluent_kafka import Consumer, Producer
from hypothesis import given
from hypothesis import strategies as st

from pql_stream.core.packs import compile_pack
from pql_stream.core.routes import CANARY_LEAD_ID, Condition, Route
from pql_stream.core.transition import advance
from pql_stream.errors import BrokerError, InvalidSettings
from pql_stream.ops.canary import Canary, CanaryTrip, canary_events, canary_partition, check_pack
from pql_stream.wire.events import decode_event
from pql_stream.wire.packs import load_pack
from pql_stream.wire.score_changed import encode_score_changed

PACK = compile_pack(load_pack("pql-100"))
TOPICS = {"product-activity": 2, "score-changed": 2}


@given(st.lists(st.integers(0, 3), max_size=8))
def test_the_second_event_of_every_trip_makes_a_change(dropped):
    """
    Also when earlier trips came through in part only: a worker was killed between the two events.
    """
    state = None
    for trip, drop in enumerate([*dropped, 0]):
        steps = []
        for number, (_, value) in enumerate(canary_events(f"trip{trip}", 1_700_000_000_000 + 60_000 * trip)):
            if drop & (1 << number):
                continue
            steps.append(advance(state, decode_event(value, "product-activity", 0, 0), PACK))
            state = steps[-1].state

    assert steps[-1].change is not None
    assert canary_events(f"trip{trip}", 0)[-1][0] == steps[-1].change.cause.event_id


@pytest.mark.parametrize("pack", ["pql-100", "pql-100-linear"])
def test_shipped_packs_can_have_one(pack):
    """
    They give points for the compliance level.
    """
    check_pack(compile_pack(load_pack(pack)))


def test_a_pack_without_levels_is_refused():
    """
    A canary that can never come back would page for nothing.
    """
    pack = load_pack("pql-100")
    rules = tuple(rule for rule in pack.rules if rule.name != "compliance")

    with pytest.raises(InvalidSettings) as caught:
        check_pack(compile_pack(msgspec.structs.replace(pack, rules=rules)))

    assert "PQL_CANARY_EVERY_S" in caught.value.what_to_do


@pytest.mark.parametrize("kind", ["score-changed", "pql-qualified"])
def test_no_route_takes_the_canary(kind):
    """
    Not even one that asks for it by name.
    """
    everything = Route("all", kind, "crm", "post")
    by_name = Route("name", kind, "crm", "post", (Condition("lead_id", one_of=(CANARY_LEAD_ID,)),))
    record = {"mode": "live", "lead_id": CANARY_LEAD_ID}

    assert [False, False, True] == [
        everything.takes(kind, record),
        by_name.takes(kind, record),
        everything.takes(kind, record | {"lead_id": "u1"}),
    ]


class ScorerThread:
    """Scores what comes in on an embedded broker, as a worker would, until it is stopped."""

    def __init__(self, bootstrap):
        self._config = {"bootstrap.servers": bootstrap, "group.id": "scorer", "auto.offset.reset": "earliest"}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def _run(self):
        consumer, producer, state = Consumer(self._config), Producer(self._config | {"linger.ms": 0}), None
        consumer.subscribe(["product-activity"])
        while not self._stop.is_set():
            message = consumer.poll(0.1)
            if message is None or message.error():
                continue
            step = advance(
                state, decode_event(message.value(), "product-activity", message.partition(), message.offset()), PACK
            )
            state = step.state
            if step.change is not None:
                producer.produce("score-changed", b"noise", b"u1", message.partition())
                producer.produce("score-changed", encode_score_changed(step.change), message.key(), message.partition())
                producer.flush(10)
        consumer.close()


def test_a_trip_comes_back_through_the_broker(embedded_kafka):
    """
    Twice, among the changes of others; the seconds are those of the whole way.
    """
    broker = embedded_kafka(TOPICS)
    trip = CanaryTrip({"bootstrap.servers": broker.bootstrap}, "", canary_partition(2))
    with ScorerThread(broker.bootstrap):
        seconds = [trip.go(), trip.go()]

    assert [True, True] == [second > 0 for second in seconds]


def test_a_trip_that_does_not_come_back_is_lost(embedded_kafka):
    """
    Nobody scores: it says so when its time is over.
    """
    broker = embedded_kafka(TOPICS)

    with pytest.raises(BrokerError) as caught:
        CanaryTrip({"bootstrap.servers": broker.bootstrap}, "", canary_partition(2), read_s_max=0.5).go()

    assert "the canary was lost" == caught.value.what


class Meter:
    def __init__(self):
        self.told = []

    def returned(self, seconds):
        self.told.append(seconds)

    def lost(self):
        self.told.append("lost")


async def test_what_became_of_it_is_told():
    """
    Seconds, or that it was lost.
    """
    outcomes = iter([0.5, BrokerError("lost")])

    def trip():
        outcome = next(outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    meter = Meter()
    bird = Canary(trip, meter, every_s=60, is_ours=lambda: True, stop=asyncio.Event())
    await bird.send()
    await bird.send()

    assert [0.5, "lost"] == meter.told
