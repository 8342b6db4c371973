"""The demo's input: two years of a synthetic SaaS company, from RavenStack (see `data/README.md`)."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files

import orjson

EVENTS_COUNT = 128_426
LEADS_COUNT = 500
"""What the shipped file holds: the demo counts down to them, a test counts them."""


@dataclass(frozen=True, slots=True)
class DemoEvent:
    """One record for `product-activity`: *key* is the lead id, *value* a JSON object without a line end."""

    key: bytes
    value: bytes


def ravenstack_events() -> Iterator[DemoEvent]:
    """The packaged events, native and Segment, in the order of time; read as they are asked for."""
    packaged = files("pql_stream.ops.demo") / "data" / "ravenstack.jsonl.gz"
    with packaged.open("rb") as raw, gzip.open(raw) as lines:
        for line in lines:
            value = line.removesuffix(b"\n")
            fields = orjson.loads(value)
            # Native says user_id, Segment userId: the file has no third.
            yield DemoEvent((fields.get("user_id") or fields["userId"]).encode(), value)
