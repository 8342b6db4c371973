"""
A record's schema may change only so that nobody who relied on the released one is let down.

`schemas/released/` has the schemas of the last release. What has to change otherwise becomes a new version of the
record, beside the old one.
"""

import copy
from pathlib import Path

import orjson
import pytest

from pql_stream.wire.schemas import RECORDS, schema_bytes
from tests.release.schema_inclusion import beyond

RELEASED = Path(__file__).parents[2] / "schemas" / "released"
NATIVE, CHANGED, QUALIFIED = "product-activity-native.v1.json", "score-changed.v1.json", "pql-qualified.v1.json"
DELIVERY, PROFILES = "delivery.v1.json", "lead-profiles.v1.json"
SHADOW, CONTROL = "pql-shadow-diff.v1.json", "pql-control.v1.json"

READ = {NATIVE}
"""Others write it, we read it: what was taken must be taken."""
WRITTEN = {CHANGED, QUALIFIED, SHADOW}
"""We write it, others read it: what is written must be what they were promised."""
# Of one version by a worker, of another by the next: during an upgrade, and whatever lies on the topic before it.
OURS = {DELIVERY, PROFILES, CONTROL}


def broken_promises(name, released, current):
    """What whoever relied on *released* meets under *current*, a sentence each."""
    found = []
    if name in READ:
        found += [f"was taken, {what}" for what in beyond(released, current)]
    if name in WRITTEN | OURS:
        found += [f"is written now, {what}" for what in beyond(current, released)]
    if name in OURS:
        found += [f"lies on the topic, {what}" for what in beyond(released, current, closed=True)]
    return found


def current_of(name):
    return orjson.loads(schema_bytes(name))


def released_of(name):
    return orjson.loads((RELEASED / name).read_bytes())


def test_every_record_has_a_side():
    """A new record has to say who writes and who reads it."""
    assert set(RECORDS) == READ | WRITTEN | OURS


def test_no_released_record_is_gone():
    """A version that was released stays as long as somebody may read it."""
    released = {path.name for path in RELEASED.iterdir()}

    assert released
    assert set() == released - set(RECORDS)


@pytest.mark.parametrize("name", sorted(path.name for path in RELEASED.iterdir()))
def test_released_records_keep_their_promises(name):
    """Nothing that was taken is refused, and nothing is written that was not promised."""
    assert [] == broken_promises(name, released_of(name), current_of(name))


def edited(schema, path, value):
    """*schema* with *value* at *path*; None takes away what is there."""
    new = copy.deepcopy(schema)
    *outer, last = path
    part = new
    for step in outer:
        part = part[step]
    if value is None:
        part.pop(last)
    else:
        part[last] = value
    return new


def without(names, name):
    return [other for other in names if other != name]


def required(name, *, less=None, more=None):
    names = current_of(name)["required"]
    return [*without(names, less), *([more] if more else [])]


MOVED_BY = ["$defs", "ContributionRecord", "properties", "moved_by"]
BREAKING = {
    "a field that may be missing": (CHANGED, ["required"], required(CHANGED, less="cause")),
    "a field that nobody describes": (CHANGED, ["properties", "cause"], None),
    "null where there was none": (CHANGED, ["properties", "tier_after"], {"type": ["string", "null"]}),
    "another type": (CHANGED, ["properties", "sequence"], {"type": "string"}),
    "a wider number": (CHANGED, ["properties", "sequence", "type"], "number"),
    "a lower bound": (CHANGED, ["properties", "sequence", "minimum"], 0),
    "no bound": (CHANGED, ["properties", "score_after", "maximum"], None),
    "a new mode": (CHANGED, ["properties", "mode", "enum"], ["live", "backfill", "shadow"]),
    "another version": (QUALIFIED, ["properties", "schema", "const"], "pql-qualified/2"),
    "reasons of another form": (QUALIFIED, ["properties", "reasons", "items"], {"type": "object"}),
    "time without its format": (QUALIFIED, ["properties", "occurred_at", "format"], None),
    "a part that may be null": (CHANGED, ["$defs", "CauseRecord", "properties", "event"], {"type": ["string", "null"]}),
    "a part of a part that is gone": (CHANGED, ["$defs", "MovedByRecord", "required"], ["event_id"]),
    "groups that are text": (CHANGED, ["properties", "groups", "additionalProperties"], {"type": "string"}),
    "input that must have more": (NATIVE, ["required"], required(NATIVE, more="account_id")),
    "input that may no longer be null": (NATIVE, ["properties", "properties"], {"type": "object"}),
    "input with less room": (NATIVE, ["properties", "event", "maxLength"], 100),
    "input of one way less": (NATIVE, ["anyOf"], current_of(NATIVE)["anyOf"][:1]),
    "input with another pattern": (NATIVE, ["properties", "event", "pattern"], "^[a-z_]+$"),
    "input whose open fields are closed": (NATIVE, ["additionalProperties"], False),
    "input that was open by a name": (NATIVE, ["properties", "session"], {"type": "string"}),
    "input with a rule nobody knows": (NATIVE, ["maxProperties"], 10),
    "a new field that rows on the topic lack": (PROFILES, ["required"], required(PROFILES, more="city")),
    "an action that an older worker does not know": (
        DELIVERY,
        ["properties", "action", "enum"],
        ["upsert", "task", "message", "mail", "post", "call"],
    ),
    "an action less, and deliveries of it wait": (DELIVERY, ["properties", "action", "enum"], ["upsert", "task"]),
}


@pytest.mark.parametrize(("name", "path", "value"), BREAKING.values(), ids=BREAKING)
def test_a_breaking_edit_is_found(name, path, value):
    """Each of these would let somebody down, and is told as one thing, with its place."""
    current = current_of(name)
    changed = edited(current, path, value)

    assert changed != current
    assert broken_promises(name, current, changed)


FINE = {
    "a new field": (CHANGED, ["properties", "added"], {"type": "string"}),
    "a new field that is always there": (CHANGED, ["required"], required(CHANGED, more="added")),
    "other words": (CHANGED, ["properties", "sequence", "description"], "counts"),
    "a mode less": (CHANGED, ["properties", "mode"], {"const": "live"}),
    "a narrower bound": (CHANGED, ["properties", "score_after", "maximum"], 99),
    "a contribution that was always moved": (CHANGED, MOVED_BY, {"$ref": "#/$defs/MovedByRecord"}),
    "a cause that says more": (CHANGED, [*MOVED_BY, "anyOf"], [{"$ref": "#/$defs/CauseRecord"}, {"type": "null"}]),
    "input with more room": (NATIVE, ["properties", "event", "maxLength"], 512),
    "input that needs less": (NATIVE, ["required"], required(NATIVE, less="event_id")),
    "input of one way more": (NATIVE, ["anyOf"], [*current_of(NATIVE)["anyOf"], {"required": ["device_id"]}]),
    "input of any pattern": (NATIVE, ["properties", "event", "pattern"], None),
    "a new field that may be missing": (PROFILES, ["properties", "city"], {"type": ["string", "null"]}),
}


@pytest.mark.parametrize(("name", "path", "value"), FINE.values(), ids=FINE)
def test_a_harmless_edit_passes(name, path, value):
    """Each of these leaves everybody with what they relied on."""
    current = current_of(name)
    changed = edited(current, path, value)

    assert changed != current
    assert [] == broken_promises(name, current, changed)
