"""The scorer: records and rows in, what to send and to store out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import orjson
import pytest

from pql_stream.core.packs import CompiledPack, compile_pack
from pql_stream.core.profiles import LeadProfile
from pql_stream.core.states import LeadState
from pql_stream.errors import InvalidState
from pql_stream.stream.effects import Effects
from pql_stream.stream.names import Topics
from pql_stream.stream.partitioner import partition_of
from pql_stream.stream.roles import Roles
from pql_stream.stream.scorer import Scorer
from pql_stream.testing.builders import JAN_5_MS, Record, native_json
from pql_stream.wire.packs import load_pack

TOPICS = Topics.under("")
PARTITIONS = 4


@pytest.fixture(scope="module")
def pack() -> CompiledPack:
    return compile_pack(load_pack("pql-100"))


@pytest.fixture
def scorer(pack) -> Scorer:
    return Scorer(Roles.alone(pack), TOPICS, PARTITIONS)


def home(lead_id: str) -> int:
    return partition_of(lead_id.encode(), PARTITIONS)


def record(value, *, lead_id="u1", offset=0, topic=TOPICS.activity, partition=None, headers=()) -> Record:
    at = home(lead_id) if partition is None else partition
    return Record(topic, at, offset, JAN_5_MS, lead_id.encode(), value, headers)


class Batch(NamedTuple):
    topic: str
    partition: int
    records: Sequence[Record]


def handle(scorer: Scorer, records, states=None) -> Effects:
    """One batch, of leads in *states*; all *records* are of one partition of one topic."""
    (place,) = {(record.topic, record.partition) for record in records}
    return scorer.score(Batch(*place, records), (states or {}).get)


def bodies(records) -> list[dict]:
    return [orjson.loads(record.value) for record in records]


def tutorials(*lead_ids: str) -> list[Record]:
    return [
        record(native_json("tutorial_completed", lead, event_id=f"e{i}"), lead_id=lead, offset=i)
        for i, lead in enumerate(lead_ids)
    ]


def test_a_change_is_sent_and_its_row_stored(scorer):
    """One event that moves one rule gives one change, keyed by lead, and one state."""
    effects = handle(scorer, tutorials("u1"))

    assert [b"u1"] == [change.key for change in effects.changes]
    assert [5] == [body["score_after"] for body in bodies(effects.changes)]
    assert ["u1"] == list(effects.states)


def test_changes_come_in_the_order_of_the_events(scorer):
    """Leads that interleave keep the order of the batch."""
    first, second = "u1", next(f"u{i}" for i in range(2, 99) if home(f"u{i}") == home("u1"))

    effects = handle(scorer, tutorials(first, second))

    assert [first, second] == [body["lead_id"] for body in bodies(effects.changes)]


def test_a_repeated_batch_on_the_states_it_made_changes_nothing(scorer):
    """Records that are read again after their states were stored neither send nor store."""
    batch = tutorials("u1")
    states = handle(scorer, batch).states

    again = handle(scorer, batch, states)

    assert ([], {}) == (again.changes, again.states)


def test_a_repeated_batch_on_the_states_before_it_sends_the_same_bytes(scorer):
    """A crash before the states were stored repeats the outputs, byte for byte."""
    batch = tutorials("u1", "u1")

    assert handle(scorer, batch).changes == handle(scorer, batch).changes


def test_splitting_a_batch_changes_no_output(scorer):
    """The changes written are the same however the records were batched."""
    values = [
        native_json("feature_used", event_id=f"e{i}", feature=f"f{i}", occurred_at_ms=JAN_5_MS + i) for i in range(8)
    ]
    batch = [record(value, offset=i) for i, value in enumerate(values)]
    whole = handle(scorer, batch)
    states: dict[str, LeadState] = {}
    singly = []
    for one in batch:
        effects = handle(scorer, [one], states)
        states |= effects.states
        singly += effects.changes

    assert (whole.changes, whole.states) == (singly, states)


def test_a_misplaced_record_is_forwarded_with_its_origin(scorer):
    """An event on a partition that is not its lead's goes to the re-keyed topic, bytes and headers kept."""
    value = native_json("tutorial_completed")
    elsewhere = (home("u1") + 1) % PARTITIONS

    effects = handle(scorer, [record(value, partition=elsewhere, offset=7, headers=[("trace", b"t")])])

    assert ([], {}) == (effects.changes, effects.states)
    (forwarded,) = effects.rekeyed[home("u1")]
    assert (b"u1", value) == (forwarded.key, forwarded.value)
    assert [
        ("trace", b"t"),
        ("pql-origin-topic", b"product-activity"),
        ("pql-origin-partition", b"%d" % elsewhere),
        ("pql-origin-offset", b"7"),
        ("pql-origin-timestamp", b"%d" % JAN_5_MS),
    ] == forwarded.headers


def test_a_rekeyed_record_names_its_origin_as_the_cause(scorer):
    """What arrives by the re-keyed topic is caused by the producer's own record."""
    elsewhere = (home("u1") + 1) % PARTITIONS
    (forwarded,) = handle(scorer, [record(native_json("tutorial_completed"), partition=elsewhere, offset=7)]).rekeyed[
        home("u1")
    ]

    effects = handle(
        scorer, [record(forwarded.value, topic=TOPICS.activity_rekeyed, offset=99, headers=forwarded.headers)]
    )

    assert [
        {
            "event_id": "e1",
            "event": "tutorial_completed",
            "topic": "product-activity",
            "partition": elsewhere,
            "offset": 7,
        }
    ] == [body["cause"] for body in bodies(effects.changes)]


def test_origin_headers_count_on_the_rekeyed_topic_only(scorer):
    """A producer cannot claim another origin for its record."""
    headers = [
        ("pql-origin-topic", b"x"),
        ("pql-origin-partition", b"1"),
        ("pql-origin-offset", b"1"),
        ("pql-origin-timestamp", b"1"),
    ]

    effects = handle(scorer, [record(native_json("tutorial_completed"), offset=5, headers=headers)])

    assert [("product-activity", 5)] == [(b["cause"]["topic"], b["cause"]["offset"]) for b in bodies(effects.changes)]


def test_a_record_is_never_forwarded_twice(scorer):
    """On the re-keyed topic an event counts where it lies, origin or not."""
    elsewhere = (home("u1") + 1) % PARTITIONS

    effects = handle(
        scorer,
        [record(native_json("tutorial_completed"), topic=TOPICS.activity_rekeyed, partition=elsewhere)],
    )

    assert ({}, 1) == (effects.rekeyed, len(effects.changes))


def test_a_lead_with_a_state_is_at_home(scorer):
    """Where a lead has a state no key is hashed: its events count there."""
    states = handle(scorer, tutorials("u1")).states
    elsewhere = (home("u1") + 1) % PARTITIONS

    effects = handle(
        scorer, [record(native_json("feature_used", event_id="e2", feature="f1"), partition=elsewhere)], states
    )

    assert ({}, 1) == (effects.rekeyed, len(effects.states))


def test_a_bad_record_is_dead_lettered_untouched(scorer):
    """Bytes, key and own headers are kept; the reason and the place are added (R26)."""
    effects = handle(scorer, [record(b'{"event_id": 5.5}', offset=3, headers=[("trace", b"t")])])

    (dead,) = effects.dead_letters
    assert (b"u1", b'{"event_id": 5.5}') == (dead.key, dead.value)
    headers = dict(dead.headers)
    assert (b"bad_type", b"t", b"3", b"1") == (
        headers["pql-dlq-reason"],
        headers["trace"],
        headers["pql-dlq-original-offset"],
        headers["pql-dlq-version"],
    )
    assert headers["pql-dlq-detail"].startswith(b"event_id")


@pytest.mark.parametrize("value", [None, b""], ids=["null", "zero bytes"])
def test_a_tombstone_is_skipped(scorer, value):
    """R25: an empty value is no event and no fault; it is counted."""
    effects = handle(scorer, [record(value)])

    assert (1, [], {}) == (effects.counts["live"].skipped, effects.dead_letters, effects.states)


class PackWithABug(CompiledPack):
    """Fails on one event name, as a mistake in a fold would."""

    def plan(self, event_name):
        if event_name == "boom":
            raise ZeroDivisionError(f"secret@{event_name}.com")
        return super().plan(event_name)


def test_a_bug_of_ours_costs_one_record():
    """When our own code raises, the record is dead-lettered as internal_error and the batch goes on."""
    scorer = Scorer(Roles.alone(PackWithABug(load_pack("pql-100"))), TOPICS, PARTITIONS)

    effects = handle(scorer, [record(native_json("boom")), *tutorials("u1")])

    assert [b"internal_error"] == [dict(dead.headers)["pql-dlq-reason"] for dead in effects.dead_letters]
    assert 1 == len(effects.changes)
    assert "ZeroDivisionError" in effects.bugs[0]
    assert "secret@boom" not in effects.bugs[0]


def test_every_record_of_a_batch_is_accounted_for(scorer):
    """Accepted, rejected, re-keyed and skipped add up to what was read."""
    stranger = next(f"u{i}" for i in range(2, 99) if home(f"u{i}") != home("u1"))
    batch = [
        *tutorials("u1"),
        record(b"x", offset=1),
        record(None, offset=2),
        record(native_json("a", stranger, event_id="e9"), offset=3),
        record(native_json("unheard of", event_id="e4"), offset=4),
    ]

    counts = handle(scorer, batch).counts["live"]

    assert (5, 2, 1, 1, 1) == (
        len(batch),
        counts.accepted.total(),
        counts.rejected.total(),
        counts.rekeyed,
        counts.skipped,
    )


def test_a_state_that_cannot_be_had_stops_the_worker(scorer):
    """What goes wrong with the table is no fault of the record, and makes no dead letter of it."""

    def known(_lead_id):
        raise InvalidState("of a later version", why="", what_to_do="")

    with pytest.raises(InvalidState):
        scorer.score(Batch(TOPICS.activity, home("u1"), tutorials("u1")), known)


def test_headers_without_a_value_are_carried_along(scorer):
    """Kafka allows null as a header's value; a record that has one is dead-lettered, or forwarded, with it."""
    elsewhere = (home("u1") + 1) % PARTITIONS
    headers = [("trace", None), ("ce_specversion", None), ("pql-origin-topic", None)]

    dead = handle(scorer, [record(b"x", headers=headers)]).dead_letters
    forwarded = handle(scorer, [record(native_json("a"), partition=elsewhere, headers=headers)]).rekeyed[home("u1")]
    scored = handle(scorer, [record(native_json("b"), topic=TOPICS.activity_rekeyed, headers=headers)])

    assert headers == list(dead[0].headers)[:3]
    assert headers == list(forwarded[0].headers)[:3]
    assert 1 == scored.counts["live"].accepted["b"]


def identify(offset: int = 0, lead_id: str = "u1", **given) -> Record:
    return record(
        native_json("identify", lead_id, **{"event_id": f"p{offset}"} | given), lead_id=lead_id, offset=offset
    )


def score_contacts(scorer: Scorer, records, known=None) -> Effects:
    """One batch, of leads whose contact data is *known*."""
    return scorer.score(Batch(TOPICS.activity, records[0].partition, records), {}.get, {}, (known or {}).get)


def test_contact_data_of_a_batch_is_folded_onto_what_is_known(scorer):
    """Field by field, and once a lead, however many events speak of it."""
    known = score_contacts(scorer, [identify(phone="1", email="old@acme.example")]).profiles
    at = JAN_5_MS + 1
    batch = [identify(1, email="new@acme.example", occurred_at_ms=at), identify(2, title="CTO", occurred_at_ms=at)]

    profiles = score_contacts(scorer, batch, known).profiles

    assert {"u1": LeadProfile("u1", email="new@acme.example", phone="1", title="CTO")} == {
        lead_id: state.of(lead_id) for lead_id, state in profiles.items()
    }


def test_contact_data_that_says_nothing_new_is_not_stored(scorer):
    """A batch that is read again after its rows were stored stores none."""
    batch = [identify(email="ada@acme.example"), identify(1, team_size=5)]
    known = score_contacts(scorer, batch).profiles

    assert {} == score_contacts(scorer, batch, known).profiles


def test_contact_data_is_asked_for_where_an_event_has_some(scorer):
    """Events of other names, and those that say nothing of it, cost no look into the second table."""

    def known(_lead_id):
        raise AssertionError("it was asked")

    batch = [
        record(native_json("feature_used", feature="f", email="ada@acme.example")),
        record(native_json("identify", event_id="e2", team_size=9)),
    ]
    effects = scorer.score(Batch(TOPICS.activity, home("u1"), batch), {}.get, {}, known)

    assert ({}, 2) == (effects.profiles, effects.counts["live"].accepted.total())


def test_contact_data_that_cannot_be_had_stops_the_worker(scorer):
    """A row of a later version is no fault of the record, and makes no dead letter of it."""

    def known(_lead_id):
        raise InvalidState("of a later version", why="", what_to_do="")

    with pytest.raises(InvalidState):
        scorer.score(Batch(TOPICS.activity, home("u1"), [identify(email="a@b.example")]), {}.get, {}, known)


def test_a_misplaced_record_leaves_its_contact_data_to_its_own_partition(scorer):
    """It is forwarded, and counts where it arrives."""
    elsewhere = (home("u1") + 1) % PARTITIONS
    value = native_json("identify", email="ada@acme.example")

    effects = handle(scorer, [record(value, partition=elsewhere)])
    forwarded = handle(scorer, [record(value, topic=TOPICS.activity_rekeyed)])

    assert ({}, ["u1"]) == (effects.profiles, list(forwarded.profiles))


def test_a_record_that_is_refused_leaves_no_contact_data():
    """A bug of ours in scoring costs the whole record, and nothing of it is kept."""

    class Broken(CompiledPack):
        def plan(self, event_name):
            raise ZeroDivisionError(event_name)

    scorer = Scorer(Roles.alone(Broken(load_pack("pql-100"))), TOPICS, PARTITIONS)
    effects = handle(scorer, [identify(email="ada@acme.example")])

    assert ({}, 1) == (effects.profiles, len(effects.dead_letters))


def test_no_output_has_contact_data(scorer):
    """What is told of a score names the lead and no address, also where the same event changed both."""
    effects = handle(scorer, [identify(email="ada@acme.example", phone="0123456", team_size=9, industry="finance")])

    assert 1 == len(effects.changes)
    assert not [told for told in effects.changes if b"ada@" in (told.value or b"") or b"0123456" in (told.value or b"")]
