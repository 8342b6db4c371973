"""What must hold before a worker starts: the cluster answers, the topics fit, the state is of this pack."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pql_stream.errors import BrokerError, InvalidState
from pql_stream.ops.topics.cluster import TopicCluster
from pql_stream.stream.names import CO_PARTITIONED, PRODUCT_ACTIVITY, PRODUCT_ACTIVITY_DLQ, TOPICS, prefixed

STATE_FILE = "pql-state.json"


@dataclass(frozen=True, slots=True)
class ClusterShape:
    """How many partitions the topics keyed by lead have, and the dead-letter topic."""

    partitions: int
    dead_letter_partitions: int


def read_shape(client_config: Mapping[str, Any], prefix: str) -> ClusterShape:
    """
    The partition counts of the cluster's topics.

    Raises:
        BrokerError: the cluster is away, a topic is missing, or the counts do not fit together.
    """
    names = {prefixed(name, prefix): name for name in TOPICS}
    present = TopicCluster(client_config).partitions(names)
    missing = sorted(names.keys() - present.keys())
    if missing:
        raise BrokerError(
            f"{'topics are' if len(missing) > 1 else 'a topic is'} missing: {', '.join(missing)}",
            why="a worker creates no topics by itself",
            what_to_do="run `pql-stream topics apply`",
        )
    return _shape({names[full]: partitions for full, partitions in present.items()})


def _shape(partitions_by_topic: Mapping[str, int]) -> ClusterShape:
    partitions = partitions_by_topic[PRODUCT_ACTIVITY]
    others = sorted(name for name in CO_PARTITIONED if partitions_by_topic[name] != partitions)
    if others:
        counts = ", ".join(f"{name} has {partitions_by_topic[name]}" for name in others)
        raise BrokerError(
            f"{PRODUCT_ACTIVITY} has {partitions} partitions, but {counts}",
            why="a lead has the same partition number in every topic keyed by lead; "
            "the changelog has the number that the state was built with",
            what_to_do="give them the same number; state that exists must then be rebuilt by replay",
        )
    return ClusterShape(partitions, partitions_by_topic[PRODUCT_ACTIVITY_DLQ])


@dataclass(frozen=True, slots=True)
class StateIdentity:
    """What the state of a directory was built by and for."""

    app_id: str
    pack: str
    pack_version: int
    partitions: int


def claim_state(data_dir: Path, identity: StateIdentity) -> None:
    """
    Write into *data_dir* whose state it is, or find that it is ours already.

    Raises:
        InvalidState: it was built by another app, pack or version, or for another number of partitions.
    """
    path = data_dir / STATE_FILE
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        found = json.loads(path.read_bytes()) if path.exists() else None
        if not isinstance(found, dict):
            partial = path.with_suffix(".partial")
            partial.write_text(json.dumps(asdict(identity)))
            partial.replace(path)
            return
    except OSError as exc:
        raise InvalidState(
            f"the state directory {data_dir} cannot be used",
            why=exc.strerror or str(exc),
            what_to_do="set PQL_DATA_DIR to a directory that this user may write",
        ) from exc
    except ValueError as exc:
        raise InvalidState(
            f"{path} cannot be read",
            why=str(exc),
            what_to_do="remove the directory: the changelog has the state",
        ) from exc
    if found != asdict(identity):
        now = asdict(identity)
        differences = [f"{name} was {found.get(name)}, is {now[name]}" for name in now if found.get(name) != now[name]]
        raise InvalidState(
            f"the state in {data_dir} is not of this worker",
            why="; ".join(differences),
            what_to_do="set PQL_DATA_DIR to another directory, or rebuild the state by replay",
        )
