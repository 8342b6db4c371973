"""
Topic declarations: a YAML file for each, in Strimzi's `KafkaTopic` form, so that Kubernetes takes the same
file.

What a file does not name (replicas, any other setting of a topic) is the cluster's to decide and is not
compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import yaml

from pql_stream.errors import InvalidInput
from pql_stream.ops.shipped import shipped_dir
from pql_stream.stream.names import CO_PARTITIONED, prefixed

ANNOTATION_PREFIX = "pql-stream/"


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


def load_declarations(directory: Path | None = None) -> tuple[TopicDeclaration, ...]:
    """
    Every `*.yaml` of *directory* (the shipped ones, unless given), sorted by name.

    Raises:
        InvalidInput: a file is no topic declaration, or the topics keyed by lead differ in their partitions.
    """
    paths = sorted((directory or shipped_dir("topics")).glob("*.yaml"))
    declarations = tuple(sorted((_load(path) for path in paths), key=lambda declared: declared.name))
    counts = {declared.name: declared.partitions for declared in declarations if declared.keyed}
    if len(set(counts.values())) > 1:
        raise InvalidInput(
            "the topics keyed by lead must have the same number of partitions",
            why=", ".join(f"{name} has {count}" for name, count in counts.items()),
            what_to_do="mend spec.partitions in the files",
        )
    return declarations


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
