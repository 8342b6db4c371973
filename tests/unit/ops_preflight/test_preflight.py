"""What a worker looks at before it starts: partition counts, the pack of the state, the state directory."""

import dataclasses
import json

import msgspec
import pytest

from pql_stream.core.packs import PackId, compile_pack
from pql_stream.errors import BrokerError, InvalidState
from pql_stream.ops.changelog import PlacedRow
from pql_stream.ops.preflight import (
    STATE_FILE,
    ClusterShape,
    StateIdentity,
    check_places,
    check_row,
    claim_state,
    shape_of,
)
from pql_stream.replay.replayer import Replayer
from pql_stream.replay.source import Recorded
from pql_stream.stream.names import CO_PARTITIONED, TOPICS
from pql_stream.stream.partitioner import partition_of
from pql_stream.wire.packs import load_pack
from pql_stream.wire.rows import dump_state, row_identity

CHANGELOG = "pql-score-leads-changelog"
IDENTITY = StateIdentity("pql-score", 12)
EVENT = b'{"event_id": "e1", "user_id": "u1", "event": "feature_used", "occurred_at": "2026-01-05T10:00:00Z"}'


def reading(prefix="", **changed):
    """Partition counts as a cluster tells them: 12 each, unless *changed* (underscores for dashes)."""
    counts = dict.fromkeys(TOPICS, 12) | {name.replace("_", "-"): count for name, count in changed.items()}
    return {f"{prefix}{name}": count for name, count in counts.items() if count}


def row_of(pack_name):
    """The row of a lead that was scored by a shipped pack."""
    pack = compile_pack(load_pack(pack_name))
    replayer = Replayer(pack)
    replayer.handle(Recorded("events.jsonl", 0, 1, EVENT))
    return dump_state(replayer.states["u1"], pack)


def test_topics_that_fit_together_give_the_shape():
    """The dead-letter topic is keyed by nothing, so its partitions are its own."""
    shape = shape_of(reading("blue-", product_activity_dlq=3), "blue-")

    assert ClusterShape(12, 3) == shape


@pytest.mark.parametrize("name", sorted(CO_PARTITIONED - {"product-activity"}))
def test_another_number_of_partitions_is_refused(name):
    """A topic keyed by lead that differs from product-activity is named, with both counts."""
    with pytest.raises(BrokerError) as caught:
        shape_of(reading(**{name.replace("-", "_"): 11}), "")

    assert f"product-activity has 12 partitions, but {name} has 11" == caught.value.what


def test_missing_topics_are_all_named_with_their_prefix():
    """What is not there is listed under the name it would have, with the command that makes it."""
    with pytest.raises(BrokerError) as caught:
        shape_of(reading("blue-", score_changed=0, pql_qualified=0), "blue-")

    assert "topics are missing: blue-pql-qualified, blue-score-changed" == caught.value.what
    assert "pql-stream topics apply" in caught.value.what_to_do


def test_topics_of_another_prefix_do_not_count():
    """A cluster shared under prefixes: the neighbour's topics are not ours."""
    with pytest.raises(BrokerError, match="topics are missing"):
        shape_of(reading("green-"), "blue-")


def test_a_row_tells_which_pack_made_it():
    """Name and version stand in the row itself, readable without the pack."""
    assert ("pql-100-linear", 1) == row_identity(row_of("pql-100-linear"))


def test_state_of_our_pack_is_fine():
    """A row that our pack has made says nothing."""
    assert check_row(row_of("pql-100"), CHANGELOG, [PackId("other", 2), PackId("pql-100", 1)]) is None


def placed(leads, partitions):
    """Rows of so many leads, on the partitions that a changelog of so many has for them."""
    keys = [f"u{number}".encode() for number in range(leads)]
    return [PlacedRow(key, b"row", partition_of(key, partitions)) for key in keys]


@pytest.mark.parametrize("leads", [0, 1, 500])
def test_leads_on_their_partitions_are_fine(leads):
    """A new cluster has no lead; an old one has them where its number of partitions puts them."""
    assert check_places(placed(leads, 12), CHANGELOG, 12) is None


@pytest.mark.parametrize(("before", "now"), [(3, 4), (6, 12), (1, 12), (12, 13), (12, 24)])
def test_state_of_another_number_of_partitions_is_refused(before, now):
    """All topics were given more partitions alike: the leads' rows lie where their events come no more."""
    with pytest.raises(InvalidState) as caught:
        check_places(placed(100, before), CHANGELOG, now)

    assert f"the state on the cluster was not built with {now} partitions" == caught.value.what
    assert CHANGELOG in caught.value.why
    assert "replay" in caught.value.what_to_do


@pytest.mark.parametrize(("leads", "strays"), [(0, 3), (100, 20)])
def test_strange_leads_do_not_stop_a_worker(leads, strays):
    """Somebody wrote into the re-keyed topic by hand: a few leads on partitions that are not theirs mean nothing."""
    away = [PlacedRow(f"s{n}".encode(), b"row", (partition_of(f"s{n}".encode(), 12) + 1) % 12) for n in range(strays)]

    assert check_places(placed(leads, 12) + away, CHANGELOG, 12) is None


@pytest.mark.parametrize("pack", [PackId("pql-100-linear", 1), PackId("pql-100", 2)], ids=["pack", "version"])
def test_state_of_another_pack_or_version_is_refused(pack):
    """Both packs are named, and the topic whose row says so."""
    with pytest.raises(InvalidState) as caught:
        check_row(row_of("pql-100"), CHANGELOG, [pack])

    assert f"the state on the cluster was built with pack pql-100 version 1, not {pack}" == caught.value.what
    assert CHANGELOG in caught.value.why
    assert "PQL_PACK" in caught.value.what_to_do


@pytest.mark.parametrize(
    "row",
    [b"hello", *(msgspec.msgpack.encode([version, "pql-100", 1]) for version in (1, 2, 5))],
    ids=["no row", "earlier version", "earlier version, shared", "later version"],
)
def test_rows_that_this_version_cannot_read_are_refused(row):
    """Somebody else's records, or rows of another version, stop the worker before it starts."""
    with pytest.raises(InvalidState):
        check_row(row, CHANGELOG, [PackId("pql-100", 1)])


def test_a_state_directory_is_claimed_once_and_found_again(tmp_path):
    """The directory is made, says whose it is, and the same worker may come back."""
    claim_state(tmp_path / "new" / "state", IDENTITY)
    claim_state(tmp_path / "new" / "state", IDENTITY)
    written = json.loads((tmp_path / "new" / "state" / STATE_FILE).read_bytes())

    assert dataclasses.asdict(IDENTITY) == written


@pytest.mark.parametrize(
    ("field", "value"),
    [("app_id", "blue-pql-score"), ("partitions", 6)],
)
def test_state_of_another_worker_is_refused_and_left_alone(tmp_path, field, value):
    """The one thing that differs is named with both values, and the claim stays as it was."""
    claim_state(tmp_path, dataclasses.replace(IDENTITY, **{field: value}))
    with pytest.raises(InvalidState) as caught:
        claim_state(tmp_path, IDENTITY)
    written = json.loads((tmp_path / STATE_FILE).read_bytes())

    assert f"{field} was {value}, is {getattr(IDENTITY, field)}" == caught.value.why
    assert value == written[field]


def test_a_claim_of_an_earlier_version_is_ours(tmp_path):
    """It named the pack too, which may have changed its role since."""
    before = {**dataclasses.asdict(IDENTITY), "pack": "pql-100", "pack_version": 1}
    (tmp_path / STATE_FILE).write_text(json.dumps(before))
    claim_state(tmp_path, IDENTITY)

    assert before == json.loads((tmp_path / STATE_FILE).read_bytes())


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[]", b"12"], ids=["empty", "cut", "bytes", "list", "number"])
def test_a_claim_that_cannot_be_read_is_refused_and_left_alone(tmp_path, content):
    """A file that we did not write is somebody's: it is neither taken for ours nor written over."""
    path = tmp_path / STATE_FILE
    path.write_bytes(content)
    with pytest.raises(InvalidState) as caught:
        claim_state(tmp_path, IDENTITY)

    assert f"{path} cannot be read" == caught.value.what
    assert content == path.read_bytes()


def test_a_state_directory_that_cannot_be_made_is_refused(tmp_path):
    """A file lies where the directory should be: the reason is the operating system's."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InvalidState) as caught:
        claim_state(tmp_path / "file" / "state", IDENTITY)

    assert "Not a directory" == caught.value.why
    assert "PQL_DATA_DIR" in caught.value.what_to_do


def test_topics_of_sinks_are_looked_at_too():
    """A sink whose topic is missing, or has other partitions, is told as any other topic is."""
    of_sink = ("delivery-crm", "delivery-crm-parked", "delivery-crm-dlq")
    present = reading("p-") | {f"p-{name}": 12 for name in of_sink}

    assert ClusterShape(12, 12) == shape_of(present, "p-", of_sink)
    with pytest.raises(BrokerError, match="a topic is missing: p-delivery-crm-parked"):
        shape_of({name: count for name, count in present.items() if name != "p-delivery-crm-parked"}, "p-", of_sink)
    with pytest.raises(BrokerError) as caught:
        shape_of(present | {"p-delivery-crm-dlq": 3}, "p-", of_sink)
    assert "product-activity has 12 partitions, but delivery-crm-dlq has 3" == caught.value.what
