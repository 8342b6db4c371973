"""The fields that records are said to have, against records that scoring makes."""

import orjson
import pytest

from pql_stream.core.changes import ANNOUNCED_BACKFILL
from pql_stream.core.packs import compile_pack
from pql_stream.core.transition import advance
from pql_stream.replay.replayer import Replayer
from pql_stream.replay.source import Recorded
from pql_stream.testing.builders import product_event
from pql_stream.testing.simulation import simulate
from pql_stream.wire.deliveries import fields_of
from pql_stream.wire.packs import load_pack
from pql_stream.wire.pql_qualified import encode_pql_qualified
from pql_stream.wire.record_fields import KnownField, known_fields
from pql_stream.wire.score_changed import encode_score_changed
from tests.unit.core.every_kind import every_kind

TYPES = {"text": str, "number": int | float, "flag": bool, "any": object}


def records_of(steps):
    """kind -> the records of *steps*."""
    return {
        "score-changed": [
            orjson.loads(encode_score_changed(step.change, ANNOUNCED_BACKFILL)) for step in steps if step.change
        ],
        "pql-qualified": [
            orjson.loads(encode_pql_qualified(step.qualification, ANNOUNCED_BACKFILL))
            for step in steps
            if step.qualification
        ],
    }


def simulated(name):
    """A shipped pack, and what 40 simulated leads make of it."""
    pack = compile_pack(load_pack(name))
    replayer = Replayer(pack)
    return pack, [
        replayer.handle(Recorded("f", 0, number, event.value)) for number, event in enumerate(simulate(40), start=1)
    ]


def of_every_kind():
    """A pack with every kind of rule, and a few events."""
    pack, steps, state = every_kind(), [], None
    for event in (
        product_event("measured", load=11, event_id="e1"),
        product_event("paid", event_id="e2"),
        product_event("told", level="high", size=10, event_id="e3"),
    ):
        steps.append(advance(state, event, pack))
        state = steps[-1].state
    return pack, steps


@pytest.mark.parametrize("kind", ["score-changed", "pql-qualified"])
@pytest.mark.parametrize(
    "made",
    [lambda: simulated("pql-100"), lambda: simulated("pql-100-linear"), of_every_kind],
    ids=["pql-100", "pql-100-linear", "every kind of rule"],
)
def test_records_have_the_known_fields_and_no_other(made, kind):
    """
    Every record of an announced backfill, which says most, has all of them, with values of their type, and among the
    words where they are few.
    """
    pack, steps = made()
    known = known_fields(kind, pack.pack)
    records = records_of(steps)[kind]

    assert records
    for record in records:
        fields = fields_of(record)
        assert sorted(known) == sorted(fields)
        for path, value in fields.items():
            if value is not None:
                assert isinstance(value, TYPES[known[path].holds]), path
                assert not known[path].words or value in known[path].words, path


def test_words_of_tiers_hand_offs_and_features_are_known():
    """
    What can be misspelt in a route is known from the pack.
    """
    pack = load_pack("pql-100")
    changed, qualified = known_fields("score-changed", pack), known_fields("pql-qualified", pack)

    assert KnownField("text", ("unqualified", "bronze", "silver", "gold", "platinum")) == changed["tier_after"]
    assert KnownField("text", ("delayed", "standard", "immediate")) == qualified["handoff"]
    assert KnownField("text", ("advanced", "basic", "none")) == changed["input.compliance"]
    assert KnownField("flag") == qualified["sales_ready"]
    assert "contributions" not in changed
