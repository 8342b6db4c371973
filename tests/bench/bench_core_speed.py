"""
What decoding and scoring cost beside reading the JSON, which is the least that anybody could do; and
what rows and changes cost beside the codec alone, given the same content as plain tuples and dicts.

Ratios of one run, not times: both sides take turns, and the least of many rounds counts, so that the
noise of the machine falls out.
"""

from __future__ import annotations

import gc
import random
from collections.abc import Callable
from time import process_time
from typing import Any

import msgspec
import orjson
import pytest

from pql_stream.core.changes import ScoreChange
from pql_stream.core.packs import CompiledPack, compile_pack
from pql_stream.core.states import LeadState
from pql_stream.core.transition import advance
from pql_stream.testing.builders import JAN_5_MS
from pql_stream.wire.events import decode_event
from pql_stream.wire.numbers import rfc3339
from pql_stream.wire.packs import load_pack
from pql_stream.wire.rows import dump_state, load_state
from pql_stream.wire.score_changed import encode_score_changed
from tests.bench.facts import FEATURES, STATED, Facts, loud_facts, quiet_facts, surroundings

LEADS, EVENTS, ROUNDS = 400, 4_000, 25
QUIET_SHARE = 0.95
QUIET_RATIO_MAX, LOUD_RATIO_MAX = 4, 15
"""The requirements: where 95 % of the events change no rule, and where each one does."""
ROW_RATIO_MAX, CHANGE_RATIO_MAX = 2.5, 3
"""Our own: what makes a core value of a row, and back, is the codec; a change has to be put together first."""


def native(rng: random.Random, lead: int, number: int, facts: Facts) -> bytes:
    """An event of our own form: 250 to 300 bytes, 4 to 8 properties."""
    name, properties = facts
    return orjson.dumps(
        {
            "event_id": f"{rng.getrandbits(128):032x}",
            "user_id": f"user-{lead:05}",
            "account_id": f"company-{lead // 4:05}",
            "event": name,
            "occurred_at": rfc3339(JAN_5_MS + number * 137),
            "properties": surroundings(rng) | properties,
        }
    )


def segment(rng: random.Random, lead: int, number: int, facts: Facts) -> bytes:
    """The same by Segment's library for the browser, with its context: 800 to 1,000 bytes."""
    name, properties = facts
    is_identify = name == "identify"
    at = rfc3339(JAN_5_MS + number * 137)
    record: dict[str, Any] = {
        "type": "identify" if is_identify else "track",
        "messageId": f"ajs-next-{rng.getrandbits(128):032x}",
        "userId": f"user-{lead:05}",
        "anonymousId": f"{rng.getrandbits(128):032x}",
        "timestamp": at,
        "originalTimestamp": at,
        "sentAt": at,
        "channel": "client",
        "context": {
            "ip": "198.51.100.23",
            "locale": "en-GB",
            "timezone": "Europe/Berlin",
            "groupId": f"company-{lead // 4:05}",
            "library": {"name": "analytics.js", "version": "npm:next-1.70.0"},
            "page": {
                "path": "/app/reports",
                "referrer": "https://app.shop.example/home",
                "search": "",
                "title": "Reports",
                "url": "https://app.shop.example/app/reports",
            },
            "userAgent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        },
        "integrations": {},
        "traits" if is_identify else "properties": surroundings(rng) | properties,
    }
    return orjson.dumps(record if is_identify else record | {"event": name})


def encoded(rng: random.Random, lead: int, number: int, facts: Facts) -> bytes:
    """Half of a product's events come from its servers, half from the browser."""
    return (native if rng.random() < 0.5 else segment)(rng, lead, number, facts)


def prepared(rng: random.Random, pack: CompiledPack) -> dict[str, LeadState]:
    """
    Leads in the middle of their trial: five features, eight runs, a profile; nobody near a band's end.

    Their tier is announced: qualifications are rare beside changes, a handful in the life of a lead.
    """
    first = [
        ("trial_created", {}),
        ("identify", STATED),
        ("tutorial_completed", {}),
        ("compliance_level_changed", {"level": "advanced"}),
        *(("feature_used", {"feature": feature}) for feature in FEATURES),
        *(("workflow_completed", {"run_id": f"first-{run}"}) for run in range(8)),
    ]
    states: dict[str, LeadState] = {}
    for lead in range(LEADS):
        for number, facts in enumerate(first):
            event = decode_event(native(rng, lead, number - len(first), facts), "product-activity", 0, number)
            states[event.lead_id] = advance(states.get(event.lead_id), event, pack).state
    return states


def quiet_stream(rng: random.Random) -> list[bytes]:
    """Of every twenty events one moves a rule."""
    turns = dict.fromkeys(range(LEADS), 0)
    stream = []
    for number in range(EVENTS):
        lead = rng.randrange(LEADS)
        if number % round(1 / (1 - QUIET_SHARE)) == 0:
            stream.append(encoded(rng, lead, number, loud_facts(turns[lead])))
            turns[lead] += 1
        else:
            stream.append(encoded(rng, lead, number, quiet_facts(rng, number)))
    return stream


def loud_stream(rng: random.Random) -> list[bytes]:
    """Every event moves a rule."""
    return [encoded(rng, number % LEADS, number, loud_facts(number // LEADS)) for number in range(EVENTS)]


def read_json(stream: list[bytes]) -> None:
    for value in stream:
        orjson.loads(value)


def score(stream: list[bytes], states: dict[str, LeadState], pack: CompiledPack) -> int:
    """Decode and advance, as the worker does; how many events moved a rule."""
    states = dict(states)
    moved = 0
    for offset, value in enumerate(stream):
        event = decode_event(value, "product-activity", 0, offset, timestamp_ms=JAN_5_MS + 3_600_000)
        step = advance(states.get(event.lead_id), event, pack)
        states[event.lead_id] = step.state
        if step.change is not None:
            moved += 1
    return moved


def changes_of(stream: list[bytes], states: dict[str, LeadState], pack: CompiledPack) -> list[ScoreChange]:
    """The changes that a loud stream makes."""
    states = dict(states)
    changes = []
    for offset, value in enumerate(stream):
        event = decode_event(value, "product-activity", 0, offset)
        step = advance(states[event.lead_id], event, pack)
        states[event.lead_id] = step.state
        changes.append(step.change)
    return changes


def each(call: Callable[..., object], values: list[Any], *also: object) -> Callable[[], None]:
    def run() -> None:
        for value in values:
            call(value, *also)

    return run


def check(what: str, contender: str, count: int, *, contender_s: float, ours_s: float, ratio_max: float) -> None:
    """Say what *count* of each took, and that ours took at most *ratio_max* times as long."""
    print(  # noqa: T201 - the answer of a benchmark
        f"\n{what}: {contender} {contender_s / count * 1e6:.2f} us, ours {ours_s / count * 1e6:.2f} us, "
        f"ratio {ours_s / contender_s:.2f} (at most {ratio_max})"
    )
    assert ours_s / contender_s <= ratio_max


def least_s(*contenders: Callable[[], object]) -> list[float]:
    """The least CPU time of each, over rounds in which they take turns; without garbage collection, as timeit does."""
    least = [float("inf")] * len(contenders)
    gc.collect()
    gc.disable()
    try:
        for _ in range(ROUNDS):
            for place, contender in enumerate(contenders):
                started_s = process_time()
                contender()
                least[place] = min(least[place], process_time() - started_s)
    finally:
        gc.enable()
    return least


@pytest.mark.parametrize(
    ("make", "moved_share", "ratio_max"),
    [(quiet_stream, 1 - QUIET_SHARE, QUIET_RATIO_MAX), (loud_stream, 1, LOUD_RATIO_MAX)],
    ids=["95 % change no rule", "each changes a rule"],
)
def test_the_price_of_scoring(make, moved_share, ratio_max):
    """Decoding and scoring cost at most so many times as much as orjson.loads of the same events."""
    rng = random.Random(7)
    pack = compile_pack(load_pack("pql-100"))
    states, stream = prepared(rng, pack), make(rng)
    assert abs(score(stream, states, pack) - moved_share * EVENTS) <= 0.001 * EVENTS

    json_s, scored_s = least_s(lambda: read_json(stream), lambda: score(stream, states, pack))

    size = sum(map(len, stream)) / EVENTS
    what = f"{moved_share:.0%} of the events move a rule, {size:.0f} bytes each, decode + advance"
    check(what, "orjson.loads", EVENTS, contender_s=json_s, ours_s=scored_s, ratio_max=ratio_max)


def test_the_price_of_rows():
    """Loading and dumping a state costs at most so many times as much as the codec alone, with the same content."""
    pack = compile_pack(load_pack("pql-100"))
    rows = [dump_state(state, pack) for state in prepared(random.Random(7), pack).values()]
    # Made anew, so that the objects of each lie together, as those of a batch do.
    states, plain = [load_state(row, pack) for row in rows], [msgspec.msgpack.decode(row) for row in rows]
    assert rows == [dump_state(state, pack) for state in states]

    decode, encode = msgspec.msgpack.Decoder().decode, msgspec.msgpack.Encoder().encode
    decode_s, load_s, encode_s, dump_s = least_s(
        each(decode, rows), each(load_state, rows, pack), each(encode, plain), each(dump_state, states, pack)
    )

    size = sum(map(len, rows)) / LEADS
    what = f"rows of {size:.0f} bytes"
    check(f"{what}, load", "msgpack to lists", LEADS, contender_s=decode_s, ours_s=load_s, ratio_max=ROW_RATIO_MAX)
    check(f"{what}, dump", "msgpack of lists", LEADS, contender_s=encode_s, ours_s=dump_s, ratio_max=ROW_RATIO_MAX)


def test_the_price_of_a_change():
    """Encoding a change costs at most so many times as much as orjson.dumps of the same record made of dicts."""
    rng = random.Random(7)
    pack = compile_pack(load_pack("pql-100"))
    states = prepared(rng, pack)
    changes = changes_of(loud_stream(rng), states, pack)[-LEADS:]
    plain = [orjson.loads(encode_score_changed(change)) for change in changes]

    dumps_s, encode_s = least_s(each(orjson.dumps, plain), each(encode_score_changed, changes))

    size = sum(len(encode_score_changed(change)) for change in changes) / LEADS
    check(
        f"changes of {size:.0f} bytes",
        "orjson.dumps",
        LEADS,
        contender_s=dumps_s,
        ours_s=encode_s,
        ratio_max=CHANGE_RATIO_MAX,
    )
