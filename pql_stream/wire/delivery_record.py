"""
The record of `delivery-<sink>`, its parked and its dead-letter topic, as a schema.

`wire.deliveries` reads and writes it: for each of millions, which a model would be too slow for.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class DeliveryRecord(BaseModel):
    """One published record on its way to one sink. It holds no contact data: that is looked up when it is sent."""

    model_config = ConfigDict(extra="allow", title="delivery")

    delivery_id: str = Field(description="the same for a repeat: a function of route, sink, action and the record's id")
    schema_: Literal["delivery/1"] = Field(alias="schema")
    sink: str
    route: str = Field(description="the route that made it")
    action: Literal["upsert", "task", "message", "mail", "post"]
    lead_id: str
    of: Literal["score-changed", "pql-qualified"] = Field(description="the topic of the published record")
    record: dict[str, Any] = Field(description="the published record, whole")
    options: dict[str, Any] = Field(description="the route's, as they were when it was decided")
    decided_at_ms: int = Field(description="milliseconds since 1970: when the published record was written")
    attempts: int = Field(ge=0, description="made so far by an item that waits alone")
    first_failed_at_ms: int | None = Field(description="when it began to fail while others passed")
    parked_at_ms: int | None
    due_at_ms: int | None = Field(description="when a parked delivery is tried again")
    not_before_ms: int | None = Field(description="what the destination asked for")
    place: int | None = Field(description="its offset in delivery-<sink>, once it was parked")
    parks: int = Field(ge=0, description="how often it was parked")
    redrives: int = Field(ge=0, description="how often it came back from the dead letters")
