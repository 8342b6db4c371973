"""
The records of `pql-control`, version 1: what operators ask of the workers, and what those answer.

All of it lies on one partition, so it has one order. A request replaces the one before it of its kind. An answer has
a key of its own, so that one that comes late, from a worker that was frozen, can never replace another.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel, ValidationError

from pql_stream.core.packs import PackId
from pql_stream.wire.change_models import Time

SCHEMA = "pql-control/1"

Announce = Literal["none", "new"]


class PackRef(BaseModel):
    """A model pack by name and version."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    pack: str
    version: int

    @classmethod
    def of(cls, at: PackId) -> PackRef:
        """The reference to *at*."""
        return cls(pack=at.name, version=at.version)

    @property
    def id(self) -> PackId:
        """As the core has it."""
        return PackId(self.pack, self.version)


class _Record(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)

    schema_: Literal["pql-control/1"] = Field(default="pql-control/1", alias="schema")
    request_id: str


class _Request(_Record):
    kind: str
    pack: PackRef

    @property
    def key(self) -> str:
        """Of each kind the last one counts."""
        return self.kind


class SwitchRequest(_Request):
    """Let this pack be live on every partition."""

    kind: Literal["switch"] = "switch"
    announce: Announce = Field(description="new: tell of leads that it puts higher than was ever announced")
    rolls_back: bool = Field(default=False, description="the pack is the one that was live before")
    asked_at: Time


class CheckRequest(_Request):
    """How complete is what this pack knows of the leads?"""

    kind: Literal["check"] = "check"
    asked_at: Time


class FillRequest(_Request):
    """Read the input topics again for what this pack does not know."""

    kind: Literal["fill"] = "fill"
    asked_at: Time


class CastAnswer(_Record):
    """
    On this partition *live* writes the changes from here on.

    *number* counts the casts of a partition, from 0; of two with one number the first in the topic counts.
    """

    kind: Literal["cast"] = "cast"
    partition: int
    number: int
    live: PackRef
    before: PackRef | None
    offsets: Mapping[str, int] = Field(
        description="the first offset of each topic that is the new pack's, as far as it was known"
    )
    cast_at: Time

    @property
    def key(self) -> str:
        """Of its own."""
        return f"cast/{self.partition}/{self.number}/{self.request_id}"


class ReportAnswer(_Record):
    """
    What a partition's worker says to a request: *able*, or *why* not.

    Of *leads* there are *incomplete* ones, of whom the pack knows only a part of the events, and *losing* ones among
    those: it gives them fewer points than the live pack does. Who was first seen after *complete_after* is complete;
    None: everybody is. Of *edited* leads the rows have other points than the pack gives for what they know: it was
    changed under its version.
    """

    kind: Literal["report"] = "report"
    partition: int
    able: bool
    why: str = ""
    leads: int = 0
    incomplete: int = 0
    losing: int = 0
    edited: int = 0
    complete_after: Time | None = None

    @property
    def key(self) -> str:
        """Of its own; the last one counts."""
        return f"report/{self.partition}/{self.request_id}"


Request = SwitchRequest | CheckRequest | FillRequest
Answer = CastAnswer | ReportAnswer


class ControlRecord(RootModel[Annotated[Request | Answer, Field(discriminator="kind")]]):
    """A record of `pql-control`."""

    model_config = ConfigDict(title="pql-control")


def encode_control(record: Request | Answer) -> bytes:
    """*record* as bytes."""
    return record.model_dump_json(by_alias=True).encode()


def decode_control(value: bytes) -> Request | Answer | None:
    """The record; None for what is none of this version."""
    try:
        return ControlRecord.model_validate_json(value).root
    except ValidationError:
        return None
