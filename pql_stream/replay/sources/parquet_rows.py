"""Rows of a Parquet file as JSON. Needs pyarrow, which is optional: imported by `parquet` when there is such a file."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import orjson
import pyarrow as pa
from pyarrow import types
from pyarrow.parquet import ParquetFile

from pql_stream.core.values import INT64_MAX, INT64_MIN

Encode = Callable[[pa.RecordBatch], list[bytes | None]]
"""The rows of a batch as JSON; None for one without a value."""

ERRORS = (pa.ArrowException, OSError, ValueError, OverflowError, orjson.JSONEncodeError)
"""What reading a file raises: of pyarrow, and of a value that Python, or JSON, does not have."""

BUFFER_BYTES = 256 * 1024
"""What is read ahead of a column: without a bound it would be all that a row group has of it."""

VALUE = "value"
_REQUIRED = ("event_id", "event", "occurred_at")
_LEADS = ("user_id", "anonymous_id")


class NoEvents(ValueError):
    """The columns are not those of events."""


def open_file(path: str) -> ParquetFile:
    """The file *path*, its rows unread."""
    return ParquetFile(path, buffer_size=BUFFER_BYTES, pre_buffer=False, page_checksum_verification=True)


def form_of(schema: pa.Schema) -> tuple[Encode, list[str] | None]:
    """
    How rows of *schema* are encoded, and which columns that takes (None for all).

    Raises:
        NoEvents: by no way.
    """
    kinds = {field.name: field.type for field in schema}
    if VALUE in kinds and _is_text(kinds[VALUE]):
        return _values, [VALUE]
    missing = [name for name in _REQUIRED if name not in kinds]
    if not any(name in kinds for name in _LEADS):
        missing.append(" or ".join(_LEADS))
    if missing:
        shown = ", ".join(kinds) if len(kinds) <= 20 else f"{', '.join(list(kinds)[:20])} and {len(kinds) - 20} more"
        raise NoEvents(
            f"it has neither a column {VALUE} of text or bytes, nor all columns of an event: {', '.join(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} missing; it has {shown or 'no column'}"
        )
    time = kinds["occurred_at"]
    if types.is_timestamp(time) and time.tz is None:
        raise NoEvents("its times in occurred_at have no time zone: write them as timestamps in UTC")
    return _rows, None


def _is_text(kind: pa.DataType) -> bool:
    if types.is_dictionary(kind):
        kind = kind.value_type
    return any(
        is_one(kind)
        for is_one in (
            types.is_string,
            types.is_large_string,
            types.is_string_view,
            types.is_binary,
            types.is_large_binary,
            types.is_binary_view,
        )
    )


def _values(batch: pa.RecordBatch) -> list[bytes | None]:
    return [value.encode() if value.__class__ is str else value for value in batch.column(0).to_pylist()]


def _rows(batch: pa.RecordBatch) -> list[bytes | None]:
    columns = [_plain(column) for column in batch.columns]
    rows = pa.RecordBatch.from_arrays(columns, names=batch.schema.names).to_pylist(maps_as_pydicts="lossy")
    for row in rows:
        properties = row.get("properties")
        if properties.__class__ is str:
            row["properties"] = _parsed(properties)
    return [orjson.dumps(row, default=_json_value, option=orjson.OPT_NON_STR_KEYS) for row in rows]


def _plain(column: pa.Array) -> pa.Array:
    """*column* as values that JSON has; a time as milliseconds, which costs the decoder least."""
    kind = column.type
    if types.is_timestamp(kind) and kind.tz is not None:
        # Cut and not rounded, as the digits of a text are (R8).
        return column.cast(pa.timestamp("ms", kind.tz), safe=False).cast(pa.int64())
    coarse = _without_nanoseconds(kind)
    return column if coarse.equals(kind) else column.cast(coarse, safe=False)


def _without_nanoseconds(kind: pa.DataType) -> pa.DataType:
    """*kind* with times that Python has."""
    if types.is_timestamp(kind) and kind.unit == "ns":
        return pa.timestamp("us", kind.tz)
    if types.is_struct(kind):
        return pa.struct([field.with_type(_without_nanoseconds(field.type)) for field in kind])
    if types.is_map(kind):
        return pa.map_(kind.key_type, _without_nanoseconds(kind.item_type))
    if types.is_list(kind) or types.is_large_list(kind):
        make = pa.list_ if types.is_list(kind) else pa.large_list
        return make(_without_nanoseconds(kind.value_type))
    return kind


def _parsed(text: str) -> Any:  # noqa: ANN401 - a JSON value
    """The JSON in *text*; what is none stays a text, which the decoder refuses for what it is."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def _json_value(value: object) -> object:
    """What JSON has for a *value* that orjson does not know."""
    if isinstance(value, Decimal):
        whole = value == value.to_integral_value() and INT64_MIN <= value <= INT64_MAX
        return int(value) if whole else float(value)
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)
