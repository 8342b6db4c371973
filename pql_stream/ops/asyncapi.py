"""
The AsyncAPI 3 document of all topics: what is on them, under which key, who writes and who reads it.

It says nothing of its own but what the table below says: topics come from their declarations, records from their
models. `python -m pql_stream.ops.asyncapi DIR` writes `DIR/asyncapi.yaml`, which is checked in.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

import pql_stream
from pql_stream.ops.asyncapi_messages import MESSAGES
from pql_stream.ops.topics.declarations import TopicDeclaration, load_declarations
from pql_stream.stream.names import (
    APP_ID,
    CONTROL,
    DELIVER_APP_ID,
    LEAD_PROFILES,
    LEADS_CHANGELOG,
    PQL_QUALIFIED,
    PRODUCT_ACTIVITY,
    PRODUCT_ACTIVITY_BACKFILL,
    PRODUCT_ACTIVITY_DLQ,
    PRODUCT_ACTIVITY_REKEYED,
    SCORE_CHANGED,
    SHADOW_DIFF,
)
from pql_stream.wire.schemas import schema_components

FILE_NAME = "asyncapi.yaml"
SINK = "{sink}"
"""The parameter of the addresses of a sink's topics."""

_BINDING = "0.5.0"
"""Of AsyncAPI's Kafka bindings; the first that takes every setting of a topic."""
_LISTS = frozenset({"cleanup.policy"})
"""Settings that the binding wants as lists; numbers are numbers there, and not text as in Kafka."""
_WIDTH = 118

Does = Literal["receive", "send"]


@dataclass(frozen=True, slots=True)
class Traffic:
    """The messages of one topic, and which of our apps do what with it."""

    messages: tuple[str, ...]
    operations: tuple[tuple[str, Does], ...]


_EVENTS = ("nativeEvent", "segmentEvent", "cloudEvent", "posthogEvent")
_REKEYED = tuple(f"rekeyed{name[:1].upper()}{name[1:]}" for name in _EVENTS)
_SCORE, _DELIVER = APP_ID, DELIVER_APP_ID

TRAFFIC: Mapping[str, Traffic] = {
    PRODUCT_ACTIVITY: Traffic(_EVENTS, ((_SCORE, "receive"),)),
    PRODUCT_ACTIVITY_BACKFILL: Traffic(_EVENTS, ((_SCORE, "receive"),)),
    PRODUCT_ACTIVITY_REKEYED: Traffic(_REKEYED, ((_SCORE, "send"), (_SCORE, "receive"))),
    PRODUCT_ACTIVITY_DLQ: Traffic(("deadLetter",), ((_SCORE, "send"),)),
    SCORE_CHANGED: Traffic(("scoreChanged",), ((_SCORE, "send"), (_DELIVER, "receive"))),
    PQL_QUALIFIED: Traffic(("pqlQualified",), ((_SCORE, "send"), (_DELIVER, "receive"))),
    LEAD_PROFILES: Traffic(("leadProfile", "erasure"), ((_SCORE, "send"), (_SCORE, "receive"), (_DELIVER, "receive"))),
    LEADS_CHANGELOG: Traffic(("leadRow",), ((_SCORE, "send"), (_SCORE, "receive"))),
    SHADOW_DIFF: Traffic(("shadowDifference",), ((_SCORE, "send"),)),
    CONTROL: Traffic(("control",), ((_SCORE, "send"), (_SCORE, "receive"))),
    f"delivery-{SINK}": Traffic(("delivery",), ((_DELIVER, "send"), (_DELIVER, "receive"))),
    f"delivery-{SINK}-parked": Traffic(("delivery",), ((_DELIVER, "send"), (_DELIVER, "receive"))),
    f"delivery-{SINK}-dlq": Traffic(("deadDelivery",), ((_DELIVER, "send"),)),
}
"""Topic -> what is on it. Every declared topic has to be here."""


def document() -> dict[str, Any]:
    """The whole document, as plain values."""
    declared = load_declarations(sinks=[SINK])
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "pql-stream",
            "version": pql_stream.__version__,
            "description": "Product events in, score changes and qualified leads out, deliveries to sinks.\n\n"
            "A prefix (PQL_TOPIC_PREFIX) may stand before every address. Partitions are those of Kafka's default "
            "partitioner (murmur2 of the key).",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "cluster": {
                "host": "{bootstrap}",
                "protocol": "kafka",
                "description": "the cluster of KAFKA_BOOTSTRAP_SERVERS",
                "variables": {"bootstrap": {"default": "127.0.0.1:9092"}},
            }
        },
        "channels": {_id(topic.name): _channel(topic) for topic in declared},
        "operations": dict(_operations(declared)),
        "components": {
            "messages": MESSAGES,
            "schemas": schema_components("#/components/schemas/"),
        },
    }


def document_text() -> str:
    """The document as YAML."""
    text: str = yaml.dump(document(), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_WIDTH)
    return f"# Made by `make schemas`; do not edit.\n{text}"


class _Dumper(yaml.SafeDumper):
    """Writes every value out: an alias to what stood above helps no reader."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - as in the base class
        return True


def _id(topic: str) -> str:
    return topic.replace(SINK, "sink")


def _channel(topic: TopicDeclaration) -> dict[str, Any]:
    channel: dict[str, Any] = {
        "address": topic.name,
        "description": topic.annotations["description"],
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in TRAFFIC[topic.name].messages},
    }
    if SINK in topic.name:
        channel["parameters"] = {"sink": {"description": "name of a sink in pql.toml"}}
    channel["bindings"] = {
        "kafka": {
            "partitions": topic.partitions,
            "topicConfiguration": {name: _setting(name, value) for name, value in topic.config.items()},
            "bindingVersion": _BINDING,
        }
    }
    notes = {"owner": "owner", "key": "key", "pii": "personal-data"}
    return channel | {f"x-{note}": topic.annotations[name] for name, note in notes.items()}


def _setting(name: str, value: str) -> object:
    if name in _LISTS:
        return value.split(",")
    return int(value) if value.isdecimal() else value


def _operations(declared: Iterable[TopicDeclaration]) -> Iterable[tuple[str, dict[str, Any]]]:
    for topic in declared:
        channel, traffic = f"#/channels/{_id(topic.name)}", TRAFFIC[topic.name]
        for app, action in traffic.operations:
            operation: dict[str, Any] = {
                "action": action,
                "channel": {"$ref": channel},
                "messages": [{"$ref": f"{channel}/messages/{name}"} for name in traffic.messages],
            }
            if action == "receive":
                group = {"type": "string", "const": app}
                operation["bindings"] = {"kafka": {"groupId": group, "bindingVersion": _BINDING}}
            yield f"{app}.{action}.{_id(topic.name)}", operation


def write_document(directory: Path) -> None:
    """Write the document to *directory*, which is there."""
    (directory / FILE_NAME).write_text(document_text(), encoding="utf-8")


if __name__ == "__main__":
    write_document(Path(sys.argv[1]))
