"""The files of a replay as Parquet: the same records, in columns that have types."""

import sys
from datetime import UTC, datetime

import orjson
import pyarrow as pa
import pytest
from pyarrow import parquet

from pql_stream.errors import InvalidSettings
from pql_stream.replay.engine import replay
from pql_stream.replay.parquet import parquet_name
from pql_stream.replay.parts import CHANGES, NAMES, QUALIFICATIONS, SCORES
from tests.replay.replays import files_in, in_memory, job_of, on_and_on, population, say_nothing

TIMES = {"occurred_at", "first_seen_at", "last_seen_at"}


@pytest.fixture(scope="module")
def events(tmp_path_factory):
    path = tmp_path_factory.mktemp("events") / "events.jsonl"
    path.write_bytes(population(1))
    return path


@pytest.fixture(scope="module", params=[1, 2])
def written(request, events, tmp_path_factory):
    """A replay's directory, of one process or of two."""
    out = tmp_path_factory.mktemp("out")
    replay(job_of(events, out=out, parquet=True, processes=request.param), on_and_on, say_nothing)
    return out


def as_record(row: dict) -> dict:
    """A row as the line of JSON that it is made of."""
    record = {}
    for name, value in row.items():
        if name in TIMES:
            record[name] = value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        elif name == "profile":
            record[name] = orjson.loads(value)
        elif name == "contributions":
            record[name] = [part | {"input": orjson.loads(part["input"])} for part in value]
        else:
            record[name] = value
    return record


@pytest.mark.parametrize("name", NAMES)
def test_parquet_has_the_same_records(events, written, tmp_path, name):
    """Row by row what the lines say, in their order; and the lines are there as without it."""
    rows = parquet.read_table(written / parquet_name(name)).to_pylist()
    lines = [orjson.loads(line) for line in (written / name).read_bytes().splitlines()]
    if name == "rejected.jsonl":
        lines = [line | {"partition": None} for line in lines]

    assert lines == [as_record(row) for row in rows]
    assert in_memory(events, out=tmp_path)[name] == (written / name).read_bytes()
    assert {*NAMES, *map(parquet_name, NAMES)} == set(files_in(written))


def test_columns_have_types(written):
    """Times are times, points are numbers, groups are structs: nothing has to be parsed again."""
    schema = parquet.read_schema(written / parquet_name(CHANGES))
    changes = parquet.read_table(written / parquet_name(QUALIFICATIONS))

    assert pa.timestamp("ms", tz="UTC") == schema.field("occurred_at").type
    assert pa.float64() == schema.field("score_after").type
    assert ["usage", "engagement", "business"] == [field.name for field in schema.field("groups").type]
    assert changes["occurred_at"][0].as_py() > datetime(2026, 1, 1, tzinfo=UTC)
    assert pa.bool_() == changes.schema.field("sales_ready").type


def test_a_replay_without_any_record(tmp_path):
    """No rows, and still all files with all columns."""
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"")
    replay(job_of(path, out=tmp_path / "out", parquet=True), on_and_on, say_nothing)
    table = parquet.read_table(tmp_path / "out" / parquet_name(SCORES))

    assert (0, "lead_id") == (table.num_rows, table.column_names[0])


def test_without_pyarrow_it_is_refused_before_anything_is_read(events, tmp_path, monkeypatch):
    """It is an extra: what to install is said at once, not after hours."""
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)

    with pytest.raises(InvalidSettings, match="Parquet needs pyarrow") as caught:
        replay(job_of(events, out=tmp_path / "out", parquet=True), on_and_on, say_nothing)

    assert "pip install 'pql-stream[parquet]'" == caught.value.what_to_do
    assert {} == files_in(tmp_path / "out")


def test_a_replay_without_parquet_leaves_none_of_an_earlier_one(events, tmp_path):
    """
    The columns of other events, beside the lines of these, would pass for the same result.
    """
    replay(job_of(events, out=tmp_path, parquet=True), on_and_on, say_nothing)
    (tmp_path / "mine.parquet").write_bytes(b"")

    replay(job_of(events, out=tmp_path), on_and_on, say_nothing)

    assert {*NAMES, "mine.parquet"} == set(files_in(tmp_path))
