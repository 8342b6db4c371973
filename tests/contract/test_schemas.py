"""The JSON Schemas that are checked in: they are those of the models, and our records are valid by them."""

import copy
import re
import runpy
import sys
from pathlib import Path

import orjson
import pytest
from msgspec import structs

from pql_stream.core.changes import ANNOUNCED_BACKFILL, BACKFILL, LIVE
from pql_stream.core.lineups import Roster
from pql_stream.core.packs import compile_pack
from pql_stream.core.profiles import PROFILE_FIELDS, ProfileState, fold_profile
from pql_stream.core.routes import Action, RecordKind, Route
from pql_stream.core.shadows import advance_all
from pql_stream.core.transition import advance
from pql_stream.errors import InvalidEvent
from pql_stream.testing.builders import JAN_5_MS, native_json, product_event
from pql_stream.testing.simulation import DEFAULT_START_MS, simulate
from pql_stream.wire import schemas
from pql_stream.wire.control import (
    CastAnswer,
    CheckRequest,
    FillRequest,
    PackRef,
    ReportAnswer,
    SwitchRequest,
    decode_control,
    encode_control,
)
from pql_stream.wire.deliveries import encode_delivery, route_record
from pql_stream.wire.events import decode_event
from pql_stream.wire.lead_profiles import dump_profile
from pql_stream.wire.packs import load_pack, shipped_packs
from pql_stream.wire.pql_qualified import encode_pql_qualified
from pql_stream.wire.schemas import RECORDS, write_schemas
from pql_stream.wire.score_changed import encode_score_changed
from pql_stream.wire.shadow_diff import encode_shadow_diff
from tests.drafts import validator_of

SCHEMAS = Path(__file__).parents[2] / "schemas"
NATIVE, CHANGED, QUALIFIED = "product-activity-native.v1.json", "score-changed.v1.json", "pql-qualified.v1.json"
PROFILES, DELIVERY = "lead-profiles.v1.json", "delivery.v1.json"
SHADOW, CONTROL = "pql-shadow-diff.v1.json", "pql-control.v1.json"
WRITTEN = [CHANGED, QUALIFIED, PROFILES, DELIVERY, SHADOW]


def validator(name: str):
    return validator_of(orjson.loads((SCHEMAS / name).read_bytes()))


def is_valid(name: str, record: object) -> bool:
    return validator(name).is_valid(record)


def native_records() -> list[bytes]:
    """Native events of simulated trial users."""
    return [event.value for event in simulate(leads=16, seed=1, days=14, start_ms=DEFAULT_START_MS, form="native")]


def profile_records() -> list[dict]:
    """Contact data of the same users; of the last one everything is known."""
    profiles: dict[str, ProfileState] = {}
    for offset, value in enumerate(native_records()):
        event = decode_event(value, "product-activity", 0, offset)
        if (profile := fold_profile(profiles.get(event.lead_id), event)) is not None:
            profiles[event.lead_id] = profile
    texts = {name: name for name in PROFILE_FIELDS if name not in {"email", "consent"}}
    whole = product_event("identify", email="ada@acme.example", consent=False, **texts)
    profiles["ada"] = fold_profile(None, whole)
    return [orjson.loads(dump_profile(lead_id, profile)) for lead_id, profile in profiles.items()]


def delivery_records(published: dict[str, list[dict]]) -> list[dict]:
    """A delivery of each published record; the last one was parked."""
    kinds: dict[str, tuple[RecordKind, Action]] = {
        CHANGED: ("score-changed", "upsert"),
        QUALIFIED: ("pql-qualified", "task"),
    }
    made = [
        route_record(Route(name="r", of=kind, sink="crm", action=action), kind, record, decided_at_ms=JAN_5_MS)
        for name, (kind, action) in kinds.items()
        for record in published[name]
    ]
    at = {"first_failed_at_ms": 1, "parked_at_ms": 2, "due_at_ms": 3, "not_before_ms": 4, "place": 5, "parks": 1}
    return [orjson.loads(encode_delivery(delivery)) for delivery in [*made, structs.replace(made[-1], **at)]]


@pytest.fixture(scope="module")
def made() -> dict[str, list[dict]]:
    """Records of simulated events, by their schema, under every shipped pack."""
    records: dict[str, list[dict]] = {CHANGED: [], QUALIFIED: [], PROFILES: profile_records()}
    for name in shipped_packs():
        pack, states = compile_pack(load_pack(name)), {}
        for offset, value in enumerate(native_records()):
            event = decode_event(value, "product-activity", 0, offset)
            step = advance(states.get(event.lead_id), event, pack)
            states[event.lead_id] = step.state
            for mode in (LIVE, BACKFILL, ANNOUNCED_BACKFILL):
                if step.change:
                    records[CHANGED].append(orjson.loads(encode_score_changed(step.change, mode)))
                if step.qualification:
                    records[QUALIFIED].append(orjson.loads(encode_pql_qualified(step.qualification, mode)))
    return records | {DELIVERY: delivery_records(records), SHADOW: shadow_records(), CONTROL: control_records()}


def shadow_records() -> list[dict]:
    """Where the shipped packs differ, for simulated events."""
    lineup, states, records = Roster([load_pack(name) for name in shipped_packs()]).first, {}, []
    for offset, value in enumerate(native_records()):
        event = decode_event(value, "product-activity", 0, offset)
        step = advance_all(states.get(event.lead_id), event, lineup)
        states[event.lead_id] = step.state
        records += [orjson.loads(encode_shadow_diff(difference, "live")) for difference in step.differences]
    return records


def control_records() -> list[dict]:
    """One of each kind."""
    pack, at = PackRef(pack="pql-100", version=1), "2026-01-05T10:00:00.000Z"
    asked = {"request_id": "r1", "pack": pack, "asked_at": at}
    made = [
        SwitchRequest(**asked, announce="none"),
        CheckRequest(**asked),
        FillRequest(**asked),
        ReportAnswer(request_id="r1", partition=0, able=False, why="no"),
        CastAnswer(
            request_id="r1", partition=0, number=1, live=pack, before=pack, offsets={"score-changed": 7}, cast_at=at
        ),
    ]
    assert made == [decode_control(encode_control(record)) for record in made]
    return [orjson.loads(encode_control(record)) for record in made]


# --- the files ---


def test_the_schemas_are_those_of_the_models(tmp_path):
    """What is checked in is what `python -m pql_stream.wire.schemas schemas` writes, byte for byte, and no more."""
    write_schemas(tmp_path)

    written = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert written == {path.name: path.read_text() for path in SCHEMAS.glob("*.v*.json")}


def test_the_command_writes_them(tmp_path, monkeypatch):
    """The command of the module writes every schema to the directory that it is given."""
    monkeypatch.setattr(sys, "argv", ["schemas.py", str(tmp_path)])
    runpy.run_path(schemas.__file__, run_name="__main__")

    assert set(RECORDS) == {path.name for path in tmp_path.iterdir()}


@pytest.mark.parametrize("name", RECORDS)
def test_schemas_are_schemas_of_2020_12(name):
    """Each names its dialect and its own file, and is valid by the dialect; its keys are sorted."""
    content = (SCHEMAS / name).read_bytes()
    schema = orjson.loads(content)
    validator_of(schema).check_schema(schema)

    assert ("https://json-schema.org/draft/2020-12/schema", name) == (schema["$schema"], schema["$id"])
    assert content == orjson.dumps(
        schema, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE
    )


# --- the records we write ---


def test_the_records_that_are_written_are_valid(made):
    """Every change and qualification of simulated trials, under every shipped pack, is valid by its schema."""
    for name, records in made.items():
        assert records
        valid = validator(name)
        for record in records:
            valid.validate(record)


@pytest.mark.parametrize("name", WRITTEN)
def test_the_schema_names_every_field(made, name):
    """No field is written that its schema does not describe, and all are required but for what announces a backfill."""
    schema = validator(name).schema
    optional = {"announce"} & set(schema["properties"])

    assert set(schema["properties"]) - optional == set(made[name][0]) == set(schema["required"])
    assert optional == {field for record in made[name] for field in record} - set(made[name][0])


@pytest.mark.parametrize("name", [CHANGED, QUALIFIED])
def test_a_record_says_its_mode(made, name):
    """Live or backfill, and of a backfill whether it is announced: by a field that no other record has."""
    modes = {(record["mode"], record.get("announce")) for record in made[name]}

    assert {("live", None), ("backfill", None), ("backfill", True)} == modes
    assert not is_valid(name, made[name][0] | {"mode": "replay"})


@pytest.mark.parametrize("name", WRITTEN)
def test_a_record_without_a_field_is_refused(made, name):
    """Each field is needed, but for what announces a backfill: a record that lacks any one is invalid."""
    record = made[name][-1]

    for field in record.keys() - {"announce"}:
        assert not is_valid(name, {key: value for key, value in record.items() if key != field}), field


@pytest.mark.parametrize("name", WRITTEN)
def test_a_record_with_a_field_of_a_wrong_type_is_refused(made, name):
    """Each field has a type: a record in which any one is a list of a list is invalid."""
    record = made[name][-1]

    for field in record:
        assert not is_valid(name, record | {field: [[None]]}), field


BROKEN = {
    "another version": (CHANGED, ["schema"], "score-changed/2"),
    "an unknown mode": (CHANGED, ["mode"], "dream"),
    "sequence 0": (CHANGED, ["sequence"], 0),
    "half a sequence": (CHANGED, ["sequence"], 1.5),
    "a score over 100": (CHANGED, ["score_after"], 100.5),
    "a negative score": (CHANGED, ["score_before"], -1),
    "a score as text": (CHANGED, ["score_after"], "60"),
    "a time as a number": (CHANGED, ["occurred_at"], JAN_5_MS),
    "a group as text": (CHANGED, ["groups", "usage"], "30"),
    "a group over 100": (CHANGED, ["groups", "usage"], 101),
    "negative points": (CHANGED, ["contributions", 0, "points"], -0.01),
    "a rule without a name": (CHANGED, ["contributions", 0, "rule"], None),
    "moved by a name": (CHANGED, ["contributions", 0, "moved_by"], "e1"),
    "an offset as text": (CHANGED, ["cause", "offset"], "123"),
    "a cause of nothing": (CHANGED, ["cause", "event"], None),
    "another record": (QUALIFIED, ["schema"], "score-changed/1"),
    "ready as text": (QUALIFIED, ["sales_ready"], "yes"),
    "a reason of a number": (QUALIFIED, ["reasons", 0], 15),
    "a qualification over 100": (QUALIFIED, ["score"], 101),
    "a profile as text": (QUALIFIED, ["profile"], "finance"),
    "no tier": (QUALIFIED, ["tier"], None),
    "another version of contact data": (PROFILES, ["schema"], "lead-profiles/2"),
    "an address of 255 characters": (PROFILES, ["email"], "a" * 255),
    "a name of 257 characters": (PROFILES, ["last_name"], "a" * 257),
    "consent as text": (PROFILES, ["consent"], "yes"),
    "said by a name": (PROFILES, ["said_by", "email"], "e1"),
    "another version of a delivery": (DELIVERY, ["schema"], "delivery/2"),
    "an action of nobody": (DELIVERY, ["action"], "call"),
    "a delivery of another topic": (DELIVERY, ["of"], "product-activity"),
    "parked less than never": (DELIVERY, ["parks"], -1),
}


@pytest.mark.parametrize(("name", "path", "value"), BROKEN.values(), ids=BROKEN)
def test_a_broken_record_is_refused(made, name, path, value):
    """One field changed for what it can never be makes a record invalid."""
    record = copy.deepcopy(made[name][-1])
    *outer, last = path
    part = record
    for step in outer:
        part = part[step]
    assert value != part[last]
    part[last] = value

    assert not is_valid(name, record)


@pytest.mark.parametrize("name", RECORDS)
def test_records_stay_open(made, name):
    """A field that a later version adds does not make a record invalid for readers of this one."""
    record = made[name][-1] if name in made else orjson.loads(native_json("anything"))

    assert is_valid(name, record | {"added_later": {"any": "thing"}})


# --- the examples of the contract's sections 5 and 6, with what they leave out as "…" filled in ---

CHANGED_EXAMPLE = b"""
{"change_id": "9f0c\xe2\x80\xa6", "schema": "score-changed/1", "mode": "live", "lead_id": "u1", "account_id": "acme",
 "pack": "pql-100", "pack_version": 1, "sequence": 7, "occurred_at": "2026-01-05T10:00:00.000Z",
 "score_before": 55, "score_after": 60, "tier_before": "unqualified", "tier_after": "bronze",
 "groups": {"usage": 30, "engagement": 15, "business": 15},
 "contributions": [{"rule": "feature_adoption", "group": "usage", "points": 10, "points_before": 5,
   "points_max": 15, "input": 5,
   "moved_by": {"event_id": "e42", "topic": "product-activity", "partition": 0, "offset": 123}}],
 "cause": {"event_id": "e42", "event": "feature_used", "topic": "product-activity", "partition": 0, "offset": 123}}
"""
QUALIFIED_EXAMPLE = b"""
{"qualification_id": "51ab\xe2\x80\xa6", "schema": "pql-qualified/1", "mode": "live", "lead_id": "u1",
 "account_id": "acme", "pack": "pql-100", "pack_version": 1, "tier": "silver", "tier_before": "unqualified",
 "score": 78, "sales_ready": true, "handoff": "standard", "occurred_at": "2026-01-05T10:00:00.000Z",
 "change_id": "9f0c\xe2\x80\xa6", "reasons": ["50 successful workflow runs (+15)"],
 "profile": {"team_size": 12, "industry": "finance", "segment": null, "company_revenue_usd": 20000000}}
"""


@pytest.mark.parametrize(
    ("name", "example"), [(CHANGED, CHANGED_EXAMPLE), (QUALIFIED, QUALIFIED_EXAMPLE)], ids=[CHANGED, QUALIFIED]
)
def test_the_contracts_examples_are_valid(made, name, example):
    """What the contract shows is valid, and has the fields of what is written, in that order."""
    record = orjson.loads(example)

    validator(name).validate(record)
    assert list(record) == list(made[name][0])


# --- the events we are sent ---


def test_simulated_native_events_are_valid():
    """What the simulator writes in our own form is what the schema asks for."""
    for value in native_records():
        validator(NATIVE).validate(orjson.loads(value))


EVENT = {
    "event_id": "e1",
    "user_id": "u1",
    "event": "feature_used",
    "occurred_at": "2026-01-05T10:00:00.000Z",
    "properties": {"feature": "reports"},
}
GOOD = {
    "as it is": {},
    "integer ids": {"event_id": 5, "user_id": -5, "account_id": 2**63 - 1},
    "anonymous": {"user_id": None, "anonymous_id": "a1"},
    "both ids": {"anonymous_id": 7},
    "no account": {"account_id": None},
    "milliseconds": {"occurred_at": JAN_5_MS},
    "an offset": {"occurred_at": "2026-01-05 12:00:00+02:00"},
    "many digits": {"occurred_at": "2026-01-05t10:00:00.123456789z"},
    "no properties": {"properties": None},
    "open properties": {"properties": {"any": [{"thing": None}]}},
    "an unknown name": {"event": "Ünknown!"},
    "more fields": {"trace": {"id": 1}},
    "the longest ids": {"event_id": "e" * 256, "user_id": "u" * 256, "account_id": "a" * 256, "event": "n" * 256},
    "a name that mentions anon": {"user_id": "xanon:1"},
}
BAD = {
    "no event id": {"event_id": None},
    "an empty event id": {"event_id": ""},
    "a blank event id": {"event_id": " \t"},
    "a long event id": {"event_id": "e" * 257},
    "an event id of 65 bits": {"event_id": 2**63},
    "an event id that is true": {"event_id": True},
    "half an event id": {"event_id": 5.5},
    "nobody": {"user_id": None},
    "nobody by any name": {"user_id": None, "anonymous_id": None},
    "a user in a list": {"user_id": ["u1"]},
    "a user by our prefix": {"user_id": " anon:1"},
    "a long account": {"account_id": "a" * 257},
    "an account in an object": {"account_id": {"id": 1}},
    "no name": {"event": None},
    "a blank name": {"event": " "},
    "a name that is a number": {"event": 5},
    "a long name": {"event": "n" * 257},
    "no time": {"occurred_at": None},
    "no offset": {"occurred_at": "2026-01-05T10:00:00"},
    "digits as a time": {"occurred_at": "1767607200000"},
    "a leap second": {"occurred_at": "2026-12-31T23:59:60Z"},
    "before 2000": {"occurred_at": "1999-12-31T23:59:59Z"},
    "seconds for milliseconds": {"occurred_at": JAN_5_MS // 1000},
    "a time too late": {"occurred_at": 253_402_300_800_000},
    "a time that is half a number": {"occurred_at": JAN_5_MS + 0.5},
    "properties in a list": {"properties": [1]},
    "properties as text": {"properties": "{}"},
}


def decodes(fields: dict) -> bool:
    try:
        decode_event(orjson.dumps(fields), "product-activity", 0, 0)
    except InvalidEvent:
        return False
    return True


@pytest.mark.parametrize("changes", GOOD.values(), ids=GOOD)
def test_what_the_schema_allows_is_accepted(changes):
    """A producer that keeps to the schema is not refused."""

    assert (True, True) == (is_valid(NATIVE, EVENT | changes), decodes(EVENT | changes))


@pytest.mark.parametrize("changes", BAD.values(), ids=BAD)
def test_what_is_refused_is_not_allowed_by_the_schema(changes):
    """What would go to the dead letters is found by the schema already."""

    assert (False, False) == (is_valid(NATIVE, EVENT | changes), decodes(EVENT | changes))


@pytest.mark.parametrize("field", ["event_id", "user_id", "event", "occurred_at"])
def test_a_native_event_needs_its_fields(field):
    """A field that is left out is refused like one that is null."""
    fields = {name: value for name, value in EVENT.items() if name != field}

    assert (False, False) == (is_valid(NATIVE, fields), decodes(fields))


def test_patterns_mean_the_same_in_every_language():
    """`\\d` and `\\w` are ASCII in some dialects and not in others, so the schema of what we are sent has none."""

    assert not re.search(r"\\\\[dDwW]", (SCHEMAS / NATIVE).read_text())
