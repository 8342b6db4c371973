"""
JSON Schemas of the versioned records, made from their models.

`python -m pql_stream.wire.schemas DIR` writes them all; the ones in `schemas/` are checked in, so that
a change of a record is seen in review.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Literal

import orjson
from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema
from pydantic_core import core_schema

from pql_stream.wire.change_models import PqlQualifiedRecord, ScoreChangedRecord
from pql_stream.wire.control import ControlRecord
from pql_stream.wire.delivery_record import DeliveryRecord
from pql_stream.wire.lead_profiles import LeadProfileRecord
from pql_stream.wire.native_event import NativeEventRecord
from pql_stream.wire.shadow_diff import ShadowDiffRecord

_DIALECT = "https://json-schema.org/draft/2020-12/schema"

RECORDS: dict[str, type[BaseModel]] = {
    "product-activity-native.v1.json": NativeEventRecord,
    "score-changed.v1.json": ScoreChangedRecord,
    "pql-qualified.v1.json": PqlQualifiedRecord,
    "delivery.v1.json": DeliveryRecord,
    "lead-profiles.v1.json": LeadProfileRecord,
    "pql-shadow-diff.v1.json": ShadowDiffRecord,
    "pql-control.v1.json": ControlRecord,
}
"""File name -> the model of its record. A change that readers must know of is a new file, never an edit."""


class _Plain(GenerateJsonSchema):
    """Without what says nothing: the title "Event Id" of the field `event_id`, words of other dialects."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ANN401, ARG002 - as in the base class
        return False

    def tagged_union_schema(self, schema: core_schema.TaggedUnionSchema) -> JsonSchemaValue:
        """One of several. "discriminator" is OpenAPI's, and AsyncAPI has another of that name."""
        made = super().tagged_union_schema(schema)
        made.pop("discriminator", None)
        return made


def schema_bytes(file_name: str) -> bytes:
    """The file called *file_name*: JSON Schema 2020-12 with sorted keys."""
    schema = RECORDS[file_name].model_json_schema(schema_generator=_Plain) | {
        "$schema": _DIALECT,
        "$id": file_name,
    }
    return orjson.dumps(schema, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)


def schema_components(ref_prefix: str) -> dict[str, Any]:
    """
    The schemas of all records and of the parts they are made of, by the names of their models, for a document that
    has them side by side: a reference to one is *ref_prefix* and its name.
    """
    models: list[tuple[type[BaseModel], Literal["validation"]]] = [(model, "validation") for model in RECORDS.values()]
    _, schemas = models_json_schema(models, ref_template=f"{ref_prefix}{{model}}", schema_generator=_Plain)
    components: dict[str, Any] = schemas["$defs"]
    return components


def write_schemas(directory: Path) -> None:
    """Write every schema to *directory*, which is there."""
    for file_name in RECORDS:
        (directory / file_name).write_bytes(schema_bytes(file_name))


if __name__ == "__main__":
    write_schemas(Path(sys.argv[1]))
