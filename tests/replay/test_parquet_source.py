"""Parquet files as a source of a replay."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import orjson
import pyarrow as pa
import pytest
from pyarrow import parquet

from pql_stream.errors import InvalidInput
from pql_stream.ops.replaying.file_sources import file_source
from pql_stream.replay.source import Recorded, Source
from pql_stream.replay.sources.parquet import BATCH_ROWS, ParquetRows, is_parquet
from pql_stream.wire.events import decode_event

JAN_5_MS = 1_767_607_200_000
NATIVE = {
    "event_id": ["e1", "e2"],
    "user_id": ["u1", None],
    "anonymous_id": [None, "a1"],
    "event": ["feature_used", "login"],
    "occurred_at": pa.array([JAN_5_MS * 1_000_000 + 1_999_999] * 2, pa.timestamp("ns", "Europe/Berlin")),
}


def written(path: Path, columns: dict[str, object], **options: object) -> str:
    parquet.write_table(pa.table(columns), path, **options)
    return str(path)


def records_of(source: Source, since: object = None) -> list[Recorded]:
    return [record for chunk in source.read(since) for record in chunk.records]


def lines(paths):
    """Stands for what reads JSON lines: not called where all files are Parquet."""
    raise AssertionError(paths)


def decoded(record: Recorded):
    return decode_event(record.value, record.topic, record.partition, record.offset)


@pytest.mark.parametrize(
    "kind",
    [pa.string(), pa.large_string(), pa.binary(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())],
    ids=str,
)
def test_a_column_value_has_the_event_as_json(tmp_path, kind):
    """
    Text or bytes, as they are; the offset is the row from 1, and a row without a value is none.
    """
    values = pa.array(['{"event_id":"\u00e9"}', None, "no json", ""]).cast(kind)
    path = written(tmp_path / "events", {"other": [1, 2, 3, 4], "value": values})
    source = file_source([path], lines)
    source.check()

    assert [
        Recorded("events", 0, 1, '{"event_id":"\u00e9"}'.encode()),
        Recorded("events", 0, 3, b"no json"),
    ] == records_of(source)


@pytest.mark.parametrize(
    "properties",
    [
        [{"feature": "f", "size": 5}, None],
        pa.array([[("feature", "f"), ("size", "5")], []], pa.map_(pa.string(), pa.string())),
        ['{"feature":"f","size":5}', " "],
    ],
    ids=["struct", "map", "json"],
)
def test_a_column_for_each_field_makes_native_events(tmp_path, properties):
    """
    Properties are a struct, a map or a text of JSON; a time is cut to milliseconds; a null is absent.
    """
    path = written(tmp_path / "events.parquet", NATIVE | {"properties": properties})
    first, second = (decoded(record) for record in records_of(file_source([path], lines)))

    assert ("e1", "u1", "feature_used", JAN_5_MS + 1) == (
        first.event_id,
        first.lead_id,
        first.name,
        first.occurred_at_ms,
    )
    assert ("f", 5) == (first.properties["feature"], int(first.properties["size"]))
    assert ("anon:a1", {}, "events.parquet", 2) == (second.lead_id, second.properties, second.topic, second.offset)


def test_values_that_json_lacks_are_what_they_mean(tmp_path):
    """
    Decimals are numbers, times in properties are texts, and further columns are further fields.
    """
    counts = pa.array([[(1, 2.5)], None], pa.map_(pa.int64(), pa.float64()))
    nested = pa.array([{"revenue": Decimal("10.50"), "seats": Decimal("7.00"), "at": JAN_5_MS * 1_000_000 + 7}] * 2)
    kind = pa.struct(
        [("revenue", pa.decimal128(9, 2)), ("seats", pa.decimal128(9, 2)), ("at", pa.timestamp("ns", "UTC"))]
    )
    received = pa.array([JAN_5_MS, None], pa.timestamp("ms", "UTC"))
    times = [JAN_5_MS, JAN_5_MS]
    columns = NATIVE | {"occurred_at": times, "received_at": received, "raw": [b"\xff", b""], "counts": counts}
    path = written(tmp_path / "events", columns | {"properties": nested.cast(kind)})
    fields = orjson.loads(records_of(ParquetRows(path))[0].value)

    assert {"revenue": 10.5, "seats": 7, "at": "2026-01-05T10:00:00+00:00"} == fields["properties"]
    assert {"1": 2.5} == fields["counts"]
    assert (JAN_5_MS, JAN_5_MS, r"\xff") == (fields["occurred_at"], fields["received_at"], fields["raw"])


def test_reading_goes_on_where_it_was(tmp_path):
    """
    Over row groups and batches: from each chunk's end come the same chunks as without an interruption. Rows without
    a value are none.
    """
    rows = 3 * BATCH_ROWS
    values = [(None, b"")[number % 2] if number % 7 == 0 else b"%d" % number for number in range(rows)]
    path = written(tmp_path / "events", {"value": values}, row_group_size=BATCH_ROWS + 500)
    source = ParquetRows(path)
    chunks = list(source.read())

    assert [number + 1 for number in range(rows) if number % 7] == [one.offset for one in records_of(source)]
    assert len(chunks) > 4
    assert source.bytes_total == chunks[-1].bytes_read
    for place, chunk in enumerate(chunks):
        assert chunks[place + 1 :] == list(source.read(chunk.after))


def test_files_of_several_kinds_are_one_source(tmp_path):
    """
    In the order in which they are named; a position, and a fingerprint, is of all of them.
    """
    first, second = (
        written(tmp_path / name, {"value": [f"{name}1", f"{name}2"]}, row_group_size=1) for name in ("a", "c")
    )
    (tmp_path / "b").write_bytes(b"{}\n")

    class Lines:
        """As much of a source of lines as it takes."""

        bytes_total = 3
        is_read_once = False

        def __init__(self, paths):
            assert [str(tmp_path / "b")] == paths

        def fingerprint(self):
            return "b"

        def check(self):
            pass

        def read(self, since=None):
            yield from ParquetRows(second).read(since)

    source = file_source([first, str(tmp_path / "b"), second], Lines)
    source.check()
    chunks = list(source.read())

    assert [b"a1", b"a2", b"c1", b"c2", b"c1", b"c2"] == [one.value for one in records_of(source)]
    assert source.bytes_total == chunks[-1].bytes_read
    assert not source.is_read_once
    assert [chunks[place + 1 :] for place in range(6)] == [list(source.read(chunk.after)) for chunk in chunks]
    assert source.fingerprint() == file_source([first, str(tmp_path / "b"), second], Lines).fingerprint()
    assert source.fingerprint() != file_source([second, str(tmp_path / "b"), second], Lines).fingerprint()


@pytest.mark.parametrize(
    ("columns", "why"),
    [
        ({"value": [1.5], "x": [1]}, "event_id, event, occurred_at, user_id or anonymous_id are missing; it has value"),
        ({name: NATIVE[name] for name in NATIVE if name != "event"}, ": event is missing; it has event_id"),
        (NATIVE | {"occurred_at": pa.array([1, 2], pa.timestamp("us"))}, "no time zone"),
    ],
    ids=["a number", "a field too few", "local times"],
)
def test_rows_that_are_no_events_are_refused(tmp_path, columns, why):
    """
    Before anything is read: what is missing, and what there is.
    """
    path = written(tmp_path / "events", columns)
    with pytest.raises(InvalidInput) as refused:
        ParquetRows(path).check()

    assert why in refused.value.why


def test_a_damaged_file_is_told(tmp_path):
    """
    Cut, spoilt, gone, or called .parquet and something else: each an error of three lines.
    """
    whole = Path(written(tmp_path / "whole", {"value": ["{}"] * 1_000})).read_bytes()
    for name, content in {
        "cut": whole[:-9],
        "short": whole[:4],
        "spoilt": whole[:40] + b"\0" * 60 + whole[100:],
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InvalidInput, match=f"cannot read .*{name}"):
            records_of(ParquetRows(str(tmp_path / name)))
    summed = {"write_page_checksum": True, "use_dictionary": False, "compression": "none"}
    one_bit = bytearray(Path(written(tmp_path / "one bit", {"value": ["{}"] * 1_000}, **summed)).read_bytes())
    one_bit[one_bit.index(b"{}") + 600] ^= 1
    (tmp_path / "one bit").write_bytes(one_bit)
    with pytest.raises(InvalidInput, match="one bit"):
        records_of(ParquetRows(str(tmp_path / "one bit")))
    (tmp_path / "lines.parquet").write_bytes(b"{}\n")

    with pytest.raises(InvalidInput, match=r"lines\.parquet"):
        is_parquet(str(tmp_path / "lines.parquet"))
    with pytest.raises(InvalidInput, match="gone"):
        ParquetRows(str(tmp_path / "gone"))
    assert [False, False] == [is_parquet(str(tmp_path / "gone")), is_parquet(str(tmp_path))]


def test_without_pyarrow_it_is_told_how_to_get_it(tmp_path):
    """
    It is optional: whoever has no Parquet files never needs it.
    """
    path = written(tmp_path / "events", {"value": ["{}"]})
    program = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from pql_stream.errors import InvalidInput\n"
        "from pql_stream.replay.sources.parquet import ParquetRows\n"
        f"try: ParquetRows({path!r}).check()\n"
        "except InvalidInput as exc: print(exc.what_to_do)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert "install it: pip install 'pql-stream[parquet]'" == done.stdout.strip()
