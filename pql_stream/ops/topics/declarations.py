"""
Topic declarations: a YAML file for each, in Strimzi's `KafkaTopic` form, so that Kubernetes takes the same
file. Those of sinks are templates: a file stands for one topic of every sink that is configured.

What a file does not name (replicas, any other setting of a topic) is the cluster's to decide and is not
compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import yaml

from pql_stream.errors import InvalidInput
from pql_stream.ops.shipped import shipped_dir
from pql_stream.stream.names import CO_PARTITIONED, prefixed

ANNOTATION_PREFIX = "pql-stream/"

SINK_WORD = "SINK"
"""Stands for the name of a sink in a template: in the file's own name, and in metadata.name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicDeclaration:
    """
    What a topic should be.

    *replicas* is None for the brokers' default; *config* has Kafka's names and values as text. *keyed*: a
    lead has its partition, so there are as many as in the other keyed topics, and their number can never
    change.
    """

    name: str
    partitions: int
    replicas: int | None
    config: Mapping[str, str]
    keyed: bool
    annotations: Mapping[str, str]

    def on_cluster(self, *, prefix: str, partitions: int | None = None, replicas: int | None = None) -> Self:
        """The same topic under *prefix*, with other *partitions* and *replicas* where they are given."""
        return replace(
            self,
            name=prefixed(self.name, prefix),
            partitions=self.partitions if partitions is None else partitions,
            replicas=self.replicas if replicas is None else replicas,
        )


def load_declarations(directory: Path | None = None, *, sinks: Iterable[str] = ()) -> tuple[TopicDeclaration, ...]:
    """
    Every `*.yaml` of *directory* (the shipped ones, unless given), sorted by name, and the templates among
    them for each of *sinks*.

    Raises:
        InvalidInput: a file is no topic declaration, or the topics keyed by lead differ in their partitions.
    """
    loaded = []
    for path in sorted((directory or shipped_dir("topics")).glob("*.yaml")):
        declared = _load(path)
        loaded += [_of_sink(declared, sink) for sink in sinks] if _is_template(declared) else [declared]
    declarations = tuple(sorted(loaded, key=lambda declared: declared.name))
    counts = {declared.name: declared.partitions for declared in declarations if declared.keyed}
    if len(set(counts.values())) > 1:
        raise InvalidInput(
            "the topics keyed by lead must have the same number of partitions",
            why=", ".join(f"{name} has {count}" for name, count in counts.items()),
            what_to_do="mend spec.partitions in the files",
        )
    return declarations


def _is_template(declared: TopicDeclaration) -> bool:
    return SINK_WORD in declared.name.split("-")


def _of_sink(template: TopicDeclaration, sink: str) -> TopicDeclaration:
    """
    The topic of *sink*.

    All of a sink's topics are keyed: what is dispatched, parked or dead-lettered keeps its partition number.
    """
    parts = template.name.split("-")
    return replace(template, name="-".join(sink if part == SINK_WORD else part for part in parts), keyed=True)


def _load(path: Path) -> TopicDeclaration:
    try:
        return _read(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, yaml.YAMLError) as exc:
        reason = f"{exc} is missing" if isinstance(exc, KeyError) else " ".join(str(exc).split())
        raise InvalidInput(
            f"{path} is no topic declaration",
            why=reason,
            what_to_do="see Strimzi's KafkaTopic (apiVersion kafka.strimzi.io/v1)",
        ) from exc


def _read(document: Mapping[str, Any]) -> TopicDeclaration:
    if document["kind"] != "KafkaTopic":
        raise ValueError(f"kind is {document['kind']}, not KafkaTopic")
    metadata, spec = document["metadata"], document["spec"]
    return TopicDeclaration(
        name=str(metadata["name"]),
        partitions=int(spec["partitions"]),
        replicas=None if spec.get("replicas") is None else int(spec["replicas"]),
        config={key: _config_text(value) for key, value in spec.get("config", {}).items()},
        keyed=metadata["name"] in CO_PARTITIONED,
        annotations={
            key.removeprefix(ANNOTATION_PREFIX): str(value)
            for key, value in metadata.get("annotations", {}).items()
            if key.startswith(ANNOTATION_PREFIX)
        },
    )


def _config_text(value: str | float | bool) -> str:  # noqa: FBT001 - YAML has booleans
    # Kafka writes booleans in lower case, as YAML does; Python does not.
    return str(value).lower() if isinstance(value, bool) else str(value)
