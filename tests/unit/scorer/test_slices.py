"""What is scored while something is on its way, what waits for it, and what a batch takes in meanwhile."""

from __future__ import annotations

import asyncio
import gc
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import orjson
import pytest

from pql_stream.core.packs import compile_pack
from pql_stream.core.profiles import LeadProfile
from pql_stream.errors import InvalidState
from pql_stream.stream.effects import Effects
from pql_stream.stream.metrics import NoMeter
from pql_stream.stream.names import Topics
from pql_stream.stream.roles import Roles
from pql_stream.stream.scorer import Scorer
from pql_stream.stream.slices import GROWS_S, Ports, Slices, send_in_turn
from pql_stream.testing.builders import JAN_5_MS, Record, native_json
from pql_stream.wire.packs import load_pack

TOPICS = Topics.under("")
PACK = compile_pack(load_pack("pql-100"))


class Nothing:
    """A table without a row. It can be read *readable* times."""

    def __init__(self, readable: int = 100) -> None:
        self._readable = readable

    def of(self, partition: int, expected: object = ()):
        self._readable -= 1
        if self._readable < 0:
            raise InvalidState("a row of another version")
        return lambda _lead_id: None


class CountingMeter(NoMeter):
    """Counts the records that are acknowledged."""

    def __init__(self) -> None:
        self.acknowledged = 0

    def records_done(self, report) -> None:
        self.acknowledged += sum(sum(part.accepted.values()) for part in report.modes.values())


@dataclass
class Batch:
    records: Sequence[Record]
    topic: str = TOPICS.activity
    partition: int = 0


def posted(number: int) -> Record:
    """The lead writes the post of this number: a change of its score, for the first five."""
    value = native_json("community_post", "u1", event_id=f"e{number}", post_id=f"p{number}")
    return Record(TOPICS.activity, 0, number, JAN_5_MS, b"u1", value)


class Trial:
    """Slices of two records, a clock, what has come meanwhile, and what was sent."""

    def __init__(self, *records: Record, readable: int = 100) -> None:
        self.now_s = 0.0
        self.waiting: deque[list[Record]] = deque()
        self.meter = CountingMeter()
        self.bugs: list[str] = []
        ports = Ports(Nothing(readable), Nothing(), self.meter, lambda: self.now_s, self.bugs.append)
        scorer = Scorer(Roles.alone(PACK), TOPICS, 1)
        self.slices = Slices(scorer, ports, Batch(records), {}, self._more, records_max=2)
        self.sent: list[list[str]] = []

    def _more(self) -> list[Record]:
        return self.waiting.popleft() if self.waiting else []

    async def send(self, effects: Effects) -> None:
        self.sent.append(causes(effects))


def causes(effects: Effects) -> list[str]:
    """The events that led to changes."""
    return [orjson.loads(change.value)["cause"]["event_id"] for change in effects.changes]


async def test_whole_slices_are_scored_while_one_is_on_its_way():
    """The broker has acknowledged nothing yet, and two slices of a long batch are scored; the half one is not."""
    trial = Trial(*map(posted, range(5)))
    answered = asyncio.Event()

    async def send(effects: Effects) -> None:
        await answered.wait()
        await trial.send(effects)

    working = asyncio.ensure_future(send_in_turn(trial.slices, send))
    for _ in range(10):
        await asyncio.sleep(0)

    assert (4, []) == (trial.slices.count, trial.sent)

    answered.set()
    await working

    assert [["e0", "e1"], ["e2", "e3"], ["e4"]] == trial.sent


async def test_a_lead_goes_on_from_where_the_slice_before_left_it():
    """Its row is not written yet; the sequence goes on all the same."""
    trial = Trial(*map(posted, range(4)))
    changes = []

    async def send(effects: Effects) -> None:
        changes.extend(orjson.loads(change.value) for change in effects.changes)

    await send_in_turn(trial.slices, send)

    assert [1, 2, 3, 4] == [change["sequence"] for change in changes]
    assert [change["score_after"] for change in changes[:-1]] == [change["score_before"] for change in changes[1:]]
    assert 4 == trial.slices.states["u1"].pack.sequence


async def test_contact_data_goes_on_from_the_slice_before():
    """What two events of two slices say of a lead is known together."""
    said = ({"email": "ada@example.com"}, {}, {"firstName": "Ada"})
    values = [native_json("identify", "u1", event_id=f"e{number}", **some) for number, some in enumerate(said)]
    trial = Trial(*(Record(TOPICS.activity, 0, at, JAN_5_MS, b"u1", value) for at, value in enumerate(values)))

    await send_in_turn(trial.slices, trial.send)

    known = trial.slices.profiles["u1"].of("u1")

    assert LeadProfile("u1", email="ada@example.com", first_name="Ada") == known


async def test_a_batch_takes_in_what_comes_while_it_is_at_work():
    """It ends when nothing more has come by the time that all is sent."""
    trial = Trial(posted(0))
    trial.waiting.extend([[], [posted(1)], [posted(2), posted(3), posted(4)], []])

    await send_in_turn(trial.slices, trial.send)

    assert [["e0"], ["e1"], ["e2", "e3"], ["e4"]] == trial.sent
    assert 5 == trial.slices.count


async def test_a_batch_takes_in_nothing_more_after_its_time():
    """Others want their turn, and the offset its commit."""
    trial = Trial(posted(0))
    trial.waiting.append([posted(1)])
    trial.now_s = GROWS_S

    await send_in_turn(trial.slices, trial.send)

    assert ([["e0"]], 1) == (trial.sent, len(trial.waiting))


async def test_what_comes_first_is_done_before_the_next_slice_is_scored():
    """And does not wait for what is on its way."""
    trial = Trial(*map(posted, range(4)))
    counts: list[tuple[int, list[list[str]]]] = []

    async def first(_effects: Effects) -> None:
        await asyncio.sleep(0)
        counts.append((trial.slices.count, list(trial.sent)))

    async def send(effects: Effects) -> None:
        for _ in range(5):
            await asyncio.sleep(0)
        await trial.send(effects)

    await send_in_turn(trial.slices, send, first)

    assert [(2, []), (4, [])] == counts
    assert [["e0", "e1"], ["e2", "e3"]] == trial.sent


async def test_nothing_is_sent_behind_what_could_not_be_sent():
    """A change behind a lost one would be out of order."""
    trial = Trial(*map(posted, range(6)))

    async def send(effects: Effects) -> None:
        if causes(effects)[0] == "e2":
            raise ConnectionError("gone")
        await trial.send(effects)

    with pytest.raises(ConnectionError):
        await send_in_turn(trial.slices, send)

    assert [["e0", "e1"]] == trial.sent


@pytest.mark.parametrize("arrives", [True, False])
async def test_nothing_is_begun_when_scoring_fails(arrives):
    """A row that cannot be read ends the batch; what is on its way arrives or not, and nobody is told of it."""
    trial = Trial(*map(posted, range(6)), readable=2)
    answered = asyncio.Event()
    begun: list[str] = []
    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(context))

    async def send(effects: Effects) -> None:
        begun.extend(causes(effects))
        await answered.wait()
        if not arrives:
            raise ConnectionError("gone")

    with pytest.raises(InvalidState):
        await send_in_turn(trial.slices, send)
    answered.set()
    for _ in range(10):
        await asyncio.sleep(0)
    gc.collect()

    assert (["e0", "e1"], []) == (begun, told)


async def test_records_count_when_they_are_acknowledged():
    """Not when they are scored: the latency of an event ends there."""
    trial = Trial(*map(posted, range(2)))
    effects = trial.slices.score_next(whole=False)

    assert 0 == trial.meter.acknowledged

    trial.slices.acknowledged(effects)

    assert 2 == trial.meter.acknowledged
