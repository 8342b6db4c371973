"""Another pack goes live on a real broker, while events flow and a worker is killed in the middle of it."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from score_bench import MOSTLY_AT_LEAST_ONCE, ScoreBench, bench_on

from pql_stream.core.packs import compile_pack
from pql_stream.core.transition import advance
from pql_stream.ops.control import ask
from pql_stream.testing.builders import native_json
from pql_stream.wire.control import PackRef, SwitchRequest
from pql_stream.wire.events import decode_event
from pql_stream.wire.packs import load_pack
from tests.oracle.murmur2 import partition_of_lead
from tests.oracle.render import Record
from tests.proof import proof

pytestmark = pytest.mark.system

PARTITIONS = 4
AT_MS = 1_767_571_200_000
OLD, NEW = "pql-100", "pql-100-linear"
PACKS = {name: compile_pack(load_pack(name)) for name in (OLD, NEW)}
LEADS = [f"u{number}" for number in range(40)]


@pytest.fixture
def bench(request, kafka, topic_prefix, tmp_path: Path) -> Iterator[ScoreBench]:
    """Topics of four partitions, and no worker yet; the test says which guarantee it is of."""
    with bench_on(kafka, topic_prefix, tmp_path, partitions=PARTITIONS, guarantee=request.param) as made:
        yield made


def events(seed: int, count: int) -> list[tuple[int, Record]]:
    """Events that move some rule under both packs, nearly always; every lead's on its own partition."""
    rng, made = random.Random(seed), []
    for number in range(seed * 100_000, seed * 100_000 + count):
        lead_id = rng.choice(LEADS)
        name, given = rng.choice(
            [
                ("feature_used", {"feature": f"f{rng.randrange(12)}"}),
                ("compliance_level_changed", {"level": rng.choice(["none", "basic", "advanced"])}),
                ("identify", {"team_size": rng.choice([1, 3, 8]), "industry": "finance"}),
                ("workflow_completed", {"run_id": f"r{number}"}),
                ("feature_requested", {"request_id": f"q{rng.randrange(5)}"}),
                ("trial_created", {}),
            ]
        )
        value = native_json(name, lead_id, event_id=f"e{number}", occurred_at_ms=AT_MS + number, **given)
        made.append((partition_of_lead(lead_id, PARTITIONS), Record(value, (), lead_id.encode(), AT_MS + number)))
    return made


def by_lead(bench: ScoreBench, topic: str, own_id: str) -> dict[str, list[dict]]:
    """The records of each lead, without repeats, in order."""
    found: dict[str, dict[str, dict]] = defaultdict(dict)
    (records,) = bench.read(topic)
    for record in records:
        said = json.loads(record.value or b"")
        found[said["lead_id"]].setdefault(said[own_id], said)
    return {lead_id: list(of_lead.values()) for lead_id, of_lead in found.items()}


def recomputed(bench: ScoreBench, pack: str) -> dict[str, float]:
    """The scores of all events under one pack alone."""
    states: dict = {}
    (records,) = bench.read(bench.topics.activity)
    for record in records:
        event = decode_event(record.value or b"", record.topic, record.partition, record.offset)
        states[event.lead_id] = advance(states.get(event.lead_id), event, PACKS[pack]).state
    return {lead_id: sum(state.pack.points) / 100 for lead_id, state in states.items()}


def faults(bench: ScoreBench, order: list[str]) -> list[str]:
    """What is wrong with the changes and qualifications of any lead, if the packs were live in this *order*."""
    found, scores = [], recomputed(bench, order[-1])
    for lead_id, told in by_lead(bench, bench.topics.score_changed, "change_id").items():
        packs = [one["pack"] for one in told]
        turns = [packs[0], *(b for a, b in pairwise(packs) if a != b)]
        # A lead without a change under some pack has fewer turns.
        found += [f"{lead_id}: turns {turns}"] if not is_part_of(turns, order) else []
        causes = [one["cause"]["event_id"] for one in told]
        found += [f"{lead_id}: an event moved twice"] if len(set(causes)) != len(causes) else []
        for pack in PACKS:
            numbers = [one["sequence"] for one in told if one["pack"] == pack]
            found += [f"{lead_id}: gap {numbers}"] if numbers != list(range(1, len(numbers) + 1)) else []
        if packs[-1] == order[-1] and told[-1]["score_after"] != scores[lead_id]:
            found.append(f"{lead_id}: {told[-1]['score_after']}, not {scores[lead_id]}")
    for lead_id, told in by_lead(bench, bench.topics.qualified, "qualification_id").items():
        tiers = [one["tier"] for one in told]
        found += [f"{lead_id}: {tiers}"] if len(set(tiers)) != len(tiers) else []
    return found


def is_part_of(turns: list[str], order: list[str]) -> bool:
    """Are *turns* some of *order*, in that order?"""
    left = iter(order)
    return all(turn in left for turn in turns)


def live_packs(bench: ScoreBench) -> list[str | None]:
    """As `cutover --status` shows it."""
    shown = json.loads(bench.run("cutover", "--status", "--json").stdout)
    return [row["pack"] for row in shown["partitions"]]


@pytest.mark.parametrize("bench", MOSTLY_AT_LEAST_ONCE, indirect=True)
def test_cut_over_and_back_while_events_flow_and_a_worker_is_killed(bench, proxy):
    """
    It dies while its cast is on the way, and the other one's partitions are over. In the end the new pack is live
    everywhere, whatever PQL_PACK says; each lead's changes are the old pack's and then the new one's, without gap or
    overlap; final scores are those of a recomputation, and no tier is announced twice. Then it is rolled back; and a
    worker that does not have the live pack does not start.
    """
    killed = bench.start("a", PQL_SHADOW_PACKS=NEW, KAFKA_BOOTSTRAP_SERVERS=proxy.bootstrap)
    other = bench.start("b", PQL_SHADOW_PACKS=NEW)
    bench.feed(events(1, 1500))
    bench.wait_ready(killed, other)
    bench.wait_for(lambda: None not in live_packs(bench))
    with proxy.held(bench.topics.control):
        # The first half of the command, whose other half then never comes.
        pack = PackRef(pack=NEW, version=1)
        request = SwitchRequest(request_id="r", pack=pack, announce="none", asked_at="2026-01-05T10:00:00.000Z")
        ask({"bootstrap.servers": bench.bootstrap}, bench.prefix, request)
        for part in range(2, 6):
            bench.feed(events(part, 400))
        bench.wait_for(lambda: proxy.stands(bench.topics.control) and NEW in live_packs(bench))
        between = live_packs(bench)
        killed.kill()
        proxy.cut()
    again = bench.start("a", PQL_SHADOW_PACKS=NEW)
    asked = bench.run("cutover", NEW, "--json", PQL_SHADOW_PACKS=NEW)
    bench.feed(events(8, 800))
    bench.wait_all_committed()
    over, forward = live_packs(bench), faults(bench, [OLD, NEW])
    differences = by_lead(bench, bench.topics.shadow_diff, "difference_id")
    back = bench.run("rollback", PQL_SHADOW_PACKS=NEW)
    bench.feed(events(9, 800))
    bench.wait_all_committed()
    twice = bench.run("rollback", PQL_SHADOW_PACKS=NEW)
    for worker in (again, other):
        worker.stop()
    alone = bench.start("c", PQL_PACK=NEW)

    assert {OLD, NEW} == set(between)
    assert 0 == asked.returncode, asked.stderr
    assert json.loads(asked.stdout)["done"]
    assert [NEW] * PARTITIONS == over
    assert [] == forward
    assert differences
    assert (0, 0) == (back.returncode, twice.returncode), back.stderr + twice.stderr
    assert [OLD] * PARTITIONS == live_packs(bench)
    assert [] == faults(bench, [OLD, NEW, OLD])
    assert 1 == bench.wait_ended(alone)
    assert "pql-100 version 1 is live on partition 0" in alone.log()


@pytest.mark.parametrize("bench", ["exactly_once", proof("at_least_once")], indirect=True)
def test_a_pack_that_came_later_is_filled_before_it_goes_live(bench):
    """
    A cut-over to it is refused with the number of leads that it knows only in part; filled from the input topics it
    scores as if it had always been there, and nothing that is published changed. Then it goes live, and `explain` and
    the metrics say so.
    """
    first = bench.start("a")
    bench.feed(events(1, 1200))
    bench.wait_ready(first)
    bench.wait_all_committed()
    first.stop()
    worker = bench.start("a", PQL_SHADOW_PACKS=NEW)
    bench.feed(events(2, 300))
    bench.wait_ready(worker)
    bench.wait_all_committed()
    ends = bench.ends(bench.topics.score_changed)
    refused = bench.run("cutover", NEW, PQL_SHADOW_PACKS=NEW)
    filled = bench.run("shadow", "fill", NEW, "--json", PQL_SHADOW_PACKS=NEW)
    after = bench.ends(bench.topics.score_changed)
    over = bench.run("cutover", NEW, "--announce", "new", PQL_SHADOW_PACKS=NEW)
    bench.feed(events(3, 600))
    bench.wait_all_committed()
    shown = json.loads(bench.run("explain", "u1", "--json", PQL_SHADOW_PACKS=NEW).stdout)
    doctor = bench.run("doctor", PQL_SHADOW_PACKS=NEW)

    assert (1, f"{len(LEADS)} of {len(LEADS)} leads") == (
        refused.returncode,
        refused.stderr.split("events of ")[1][:14],
    )
    assert {
        "pack": NEW,
        "pack_version": 1,
        "leads": len(LEADS),
        "incomplete": 0,
        "losing": 0,
        "complete_after": None,
    } == json.loads(filled.stdout)
    assert after == ends
    assert 0 == over.returncode, over.stderr
    assert [] == faults(bench, [OLD, NEW])
    assert (NEW, recomputed(bench, NEW)["u1"]) == (shown["pack"], shown["score"])
    assert f'pql_pack_role{{pack="{NEW}",partition="0",role="live",version="1"}} 1.0' in worker.get("/metrics")[1]
    assert "live is pql-100-linear version 1" in doctor.stdout + doctor.stderr
