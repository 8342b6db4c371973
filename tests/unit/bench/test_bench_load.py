"""The benchmark's input: what it is made of, and that it does what each stream is for."""

from itertools import islice

import pytest

from pql_stream.core.packs import compile_pack
from pql_stream.core.transition import advance
from pql_stream.wire.events import decode_event
from pql_stream.wire.packs import load_pack
from tests.bench.backfilling import PAST_LEADS, past_events
from tests.bench.load import EVENTS_A_LEAD_MIN, LOUD_EVERY, SET_UP_EVENTS, Load, keyed_events
from tests.oracle.decode import Event, read_record

PACK = compile_pack(load_pack("pql-100"))
STEADY = Load(stream="steady", leads=100, events=4_000)
COLD = Load(stream="cold", leads=100, events=4_000)
HOT = Load(stream="hot", leads=100, events=4_000)


def moved(load):
    """For every event of *load*, whether it moved a score."""
    states = {}
    found = []
    for offset, (key, value) in enumerate(keyed_events(load)):
        step = advance(states.get(key), decode_event(value, "t", 0, offset), PACK)
        states[key] = step.state
        found.append(step.change is not None)
    return found


@pytest.mark.parametrize("load", [STEADY, COLD, HOT, Load(stream="cold", leads=9, events=90, event_bytes=100)])
def test_every_record_is_an_event_of_its_key(load):
    """The oracle takes every record as a native event of the lead that it is keyed by, each with an id of its own."""
    events = [(key, read_record(value)) for key, value in keyed_events(load)]

    assert all(isinstance(event, Event) and event.lead_id.encode() == key for key, event in events)
    assert load.events == len({event.event_id for _, event in events})


def test_the_same_seed_gives_the_same_bytes():
    """Two runs have the same input; another seed has another one."""
    other = Load(stream="steady", leads=100, events=4_000, seed=8)

    assert list(keyed_events(STEADY)) == list(keyed_events(STEADY))
    assert list(keyed_events(STEADY)) != list(keyed_events(other))


def test_a_short_input_is_the_beginning_of_a_long_one():
    """What slow contenders get is a piece of what the fast ones get."""
    long = Load(stream="steady", leads=100, events=8_000)

    assert list(keyed_events(STEADY)) == list(keyed_events(long))[: STEADY.events]


@pytest.mark.parametrize("load", [STEADY, HOT], ids=["steady", "hot"])
def test_one_event_in_twenty_is_loud(load):
    """Behind the set-up, hardly any event moves a score but the loud ones, and each of those does."""
    first = SET_UP_EVENTS * load.leads
    after = moved(load)[first:]
    loud = [number % LOUD_EVERY == 0 for number in range(first, load.events)]

    assert all(is_moved for is_moved, is_loud in zip(after, loud, strict=True) if is_loud)
    assert abs(sum(after) / len(after) - 1 / LOUD_EVERY) < 0.05


def test_every_cold_event_moves_a_score():
    """Each lead is new, or changed."""
    assert all(moved(COLD))


def test_the_hot_lead_has_a_twentieth_of_all_events():
    """One lead gets as many events as a busy customer's robot makes."""
    keys = [key for key, _ in keyed_events(HOT)][SET_UP_EVENTS * HOT.leads :]
    share = keys.count(b"user-0000000") / len(keys)

    assert 0.05 <= share < 0.08


@pytest.mark.parametrize("size", [300, 1_000, 10_000])
def test_events_have_the_size_that_is_asked_for(size):
    """The mean is right to a few per cent."""
    load = Load(stream="cold", leads=10, events=500, event_bytes=size)
    mean = sum(len(value) for _, value in keyed_events(load)) / load.events

    assert abs(mean - size) < 0.03 * size


def test_a_steady_stream_has_room_for_its_set_up():
    """The half that counts has no set-up in it, so too few events for the leads are refused."""
    with pytest.raises(ValueError, match="needs 10 events for each"):
        Load(stream="steady", leads=1_000, events=9_999)


def test_history_is_of_other_leads_and_events():
    """Whoever waits for the answer to a live event never takes one to the past for it."""
    live = [read_record(value) for _, value in keyed_events(COLD)]
    past = [(key, read_record(value)) for key, value in islice(past_events(EVENTS_A_LEAD_MIN * PAST_LEADS), 4_000)]

    assert all(isinstance(event, Event) and event.lead_id.encode() == key for key, event in past)
    assert {event.event_id for event in live}.isdisjoint(event.event_id for _, event in past)
    assert {event.lead_id for event in live}.isdisjoint(event.lead_id for _, event in past)
