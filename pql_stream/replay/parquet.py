"""
The files of a replay as Parquet: the same records, in columns.

What has one type in every record has it here: times are timestamps, groups and contributions are structs. What a
rule looked at differs from rule to rule, and what a profile shows from pack to pack: they are JSON text.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Any

import orjson

from pql_stream.core.packs import ModelPack
from pql_stream.errors import InvalidSettings
from pql_stream.replay.parts import CHANGES, NAMES, QUALIFICATIONS, REJECTED, SCORES
from pql_stream.wire.times import parse_time_ms

_ROWS_AT_ONCE = 5_000
"""As Python objects; so many at once are some ten megabytes."""
_BATCHES_A_GROUP = 10
_TIMES = ("occurred_at", "first_seen_at", "last_seen_at")


def parquet_name(name: str) -> str:
    """What the file *name* is called as Parquet."""
    return f"{name.removesuffix('.jsonl')}.parquet"


def load_pyarrow() -> Any:  # noqa: ANN401 - a module
    """
    The library that writes Parquet, an extra of ours.

    Raises:
        InvalidSettings: it is not installed.
    """
    try:
        importlib.import_module("pyarrow.parquet")
    except ImportError as exc:
        raise InvalidSettings(
            "Parquet needs pyarrow",
            why=str(exc),
            what_to_do="pip install 'pql-stream[parquet]'",
        ) from exc
    return importlib.import_module("pyarrow")


def write_parquet(directory: Path, pack: ModelPack) -> None:
    """
    The files of JSON lines in *directory*, which *pack* made, once more.

    Raises:
        InvalidSettings: pyarrow is not installed.
    """
    arrow = load_pyarrow()
    for name, schema in _schemas(arrow, pack).items():
        with (
            (directory / name).open("rb") as lines,
            arrow.parquet.ParquetWriter(directory / parquet_name(name), schema, compression="zstd") as writer,
        ):
            while group := list(islice(_batches(lines, arrow, schema), _BATCHES_A_GROUP)):
                writer.write_table(arrow.Table.from_batches(group, schema))


def _batches(lines: IO[bytes], arrow: Any, schema: Any) -> Iterator[Any]:  # noqa: ANN401 - pyarrow has no types
    while rows := [_row(line) for line in islice(lines, _ROWS_AT_ONCE)]:
        yield arrow.RecordBatch.from_pylist(rows, schema)


def _row(line: bytes) -> dict[str, Any]:
    row: dict[str, Any] = orjson.loads(line)
    for name in _TIMES:
        if name in row:
            row[name] = parse_time_ms(row[name], name)
    for part in row.get("contributions", ()):
        part["input"] = orjson.dumps(part["input"]).decode()
    if "profile" in row:
        row["profile"] = orjson.dumps(row["profile"]).decode()
    return row


def _schemas(arrow: Any, pack: ModelPack) -> dict[str, Any]:  # noqa: ANN401 - as above
    """File -> its columns."""
    text, number, time = arrow.string(), arrow.float64(), arrow.timestamp("ms", tz="UTC")
    of_whom = [("lead_id", text), ("account_id", text), ("pack", text), ("pack_version", arrow.int32())]
    record = [("schema", text), ("mode", text), *of_whom]
    place = [("topic", text), ("partition", arrow.int32()), ("offset", arrow.int64())]
    groups = [("groups", arrow.struct([(group.name, number) for group in pack.groups]))]

    def contributions(*points: str) -> list[tuple[str, Any]]:
        rule = [("rule", text), ("group", text), *((name, number) for name in points), ("input", text)]
        moved_by = ("moved_by", arrow.struct([("event_id", text), *place]))
        return [("contributions", arrow.list_(arrow.struct([*rule, moved_by])))]

    columns = {
        CHANGES: [
            ("change_id", text), *record, ("sequence", arrow.int64()), ("occurred_at", time),
            ("score_before", number), ("score_after", number), ("tier_before", text), ("tier_after", text),
            *groups, *contributions("points", "points_before", "points_max"),
            ("cause", arrow.struct([("event_id", text), ("event", text), *place])),
        ],
        QUALIFICATIONS: [
            ("qualification_id", text), *record, ("tier", text), ("tier_before", text), ("score", number),
            ("sales_ready", arrow.bool_()), ("handoff", text), ("occurred_at", time), ("change_id", text),
            ("reasons", arrow.list_(text)), ("profile", text),
        ],
        SCORES: [
            *of_whom, ("score", number), ("tier", text), *groups, *contributions("points", "points_max"),
            ("first_seen_at", time), ("last_seen_at", time),
        ],
        REJECTED: [
            ("file", text), ("line", arrow.int64()), ("reason", text), ("detail", text),
            ("partition", arrow.int32()),
        ],
    }  # fmt: skip
    return {name: arrow.schema(columns[name]) for name in NAMES}
