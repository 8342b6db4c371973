"""What must hold before a worker starts: the cluster answers, the topics fit, the state is of this pack."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pql_stream.core.lineups import Roster
from pql_stream.core.packs import PackId
from pql_stream.errors import BrokerError, InvalidState
from pql_stream.ops.changelog import PlacedRow, sample_rows
from pql_stream.ops.control import read_control
from pql_stream.ops.topics.cluster import TopicCluster
from pql_stream.stream.control_log import ControlLog
from pql_stream.stream.names import (
    CO_PARTITIONED,
    LEAD_PROFILES,
    LEADS_CHANGELOG,
    PRODUCT_ACTIVITY,
    PRODUCT_ACTIVITY_DLQ,
    TOPICS,
    prefixed,
    sink_topics,
)
from pql_stream.stream.partitioner import partition_of
from pql_stream.wire.lead_profiles import load_profile
from pql_stream.wire.rows import row_identity

STATE_FILE = "pql-state.json"
STRAY_LEADS_MAX, STRAY_SHARE_MAX = 3, 0.25
"""
How many leads of a sample, and what share of it, may lie on a partition that is not theirs.

A stranger's record in the re-keyed topic makes such a lead, and is no reason to stand still. Another number of
partitions moves half of all leads at least (twice as many do), and most of them else.
"""


@dataclass(frozen=True, slots=True)
class ClusterShape:
    """How many partitions the topics keyed by lead have, and the dead-letter topic."""

    partitions: int
    dead_letter_partitions: int


def read_shape(client_config: Mapping[str, Any], prefix: str, sinks: Iterable[str] = ()) -> ClusterShape:
    """
    The partition counts of the cluster's topics, those of *sinks* among them.

    Raises:
        BrokerError: the cluster is away, a topic is missing, or the counts do not fit together.
    """
    of_sinks = tuple(name for sink in sinks for name in _topics_of(sink))
    names = [prefixed(name, prefix) for name in (*TOPICS, *of_sinks)]
    return shape_of(TopicCluster(client_config).partitions(names), prefix, of_sinks)


def _topics_of(sink: str) -> tuple[str, str, str]:
    topics = sink_topics(sink, "")
    return topics.deliveries, topics.parked, topics.dead_letters


def shape_of(present: Mapping[str, int], prefix: str, of_sinks: Iterable[str] = ()) -> ClusterShape:
    """
    The shape of a cluster where *present* are the topics (full name -> partitions); *of_sinks* are wanted as well.

    Raises:
        BrokerError: a topic is missing, or the counts do not fit together.
    """
    names = {prefixed(name, prefix): name for name in (*TOPICS, *of_sinks)}
    missing = sorted(names.keys() - present.keys())
    if missing:
        raise BrokerError(
            f"{'topics are' if len(missing) > 1 else 'a topic is'} missing: {', '.join(missing)}",
            why="a worker creates no topics by itself",
            what_to_do="run `pql-stream topics apply`",
        )
    return _shape({name: present[full] for full, name in names.items()})


def _shape(partitions_by_topic: Mapping[str, int]) -> ClusterShape:
    partitions = partitions_by_topic[PRODUCT_ACTIVITY]
    keyed = CO_PARTITIONED | (partitions_by_topic.keys() - set(TOPICS))
    others = sorted(name for name in keyed if partitions_by_topic[name] != partitions)
    if others:
        counts = ", ".join(f"{name} has {partitions_by_topic[name]}" for name in others)
        raise BrokerError(
            f"{PRODUCT_ACTIVITY} has {partitions} partitions, but {counts}",
            why="a lead has the same partition number in every topic keyed by lead; "
            "the changelog has the number that the state was built with",
            what_to_do="give them the same number; state that exists must then be rebuilt by replay",
        )
    return ClusterShape(partitions, partitions_by_topic[PRODUCT_ACTIVITY_DLQ])


def check_state(client_config: Mapping[str, Any], prefix: str, partitions: int, roster: Roster) -> ControlLog:
    """
    See that a worker with the packs of *roster* can go on with the state on the cluster: it has the live ones, the rows
    were made by them and lie on so many *partitions*, and their contact data can be read. Returns who is live where.

    The local state may be new, or lost: what counts is on the cluster.

    Raises:
        InvalidState: it cannot.
        BrokerError: the cluster is away, or does not let us read.
    """
    control = read_control(client_config, prefix)
    check_roles(control, roster)
    topic = prefixed(LEADS_CHANGELOG, prefix)
    rows = sample_rows(client_config, topic, partitions)
    if rows:
        check_row(rows[-1].row, topic, roster.ids if control.casts else roster.ids[:1])
    check_places(rows, topic, partitions)
    profiles = sample_rows(client_config, prefixed(LEAD_PROFILES, prefix), partitions, enough=1)
    if profiles:
        load_profile(profiles[-1].row)
    return control


def check_roles(control: ControlLog, roster: Roster) -> None:
    """
    See that the packs that are live by *control* are in *roster*.

    Raises:
        InvalidState: one is not.
    """
    for partition in sorted(control.casts):
        pack = control.live(partition)
        if pack is not None and pack not in roster.ids:
            have = ", ".join(map(str, roster.ids))
            raise InvalidState(
                f"{pack} is live on partition {partition}, and this worker has only {have}",
                why="since the first start the control topic says which pack is live, and not PQL_PACK",
                what_to_do=f"name {pack.name} in PQL_PACK or PQL_SHADOW_PACKS; `pql-stream cutover` changes "
                "which pack is live",
            )


def check_places(rows: Iterable[PlacedRow], topic: str, partitions: int) -> None:
    """
    See that the leads of *rows* lie where so many *partitions* of the changelog *topic* put them.

    Raises:
        InvalidState: too many do not, so it was another number that the state was built with.
    """
    places = {placed.key: placed.partition for placed in rows}
    strays = sum(partition_of(key, partitions) != partition for key, partition in places.items())
    if strays > max(STRAY_LEADS_MAX, STRAY_SHARE_MAX * len(places)):
        raise InvalidState(
            f"the state on the cluster was not built with {partitions} partitions",
            why=f"{strays} of {len(places)} leads that were looked at in {topic} lie on other partitions than theirs; "
            "with more partitions than before, a lead's events no longer meet its row",
            what_to_do="start under another PQL_TOPIC_PREFIX, or rebuild the state by replay",
        )


def check_row(row: bytes, topic: str, packs: Collection[PackId]) -> None:
    """
    See that *row* of the changelog *topic* was made by one of *packs*.

    Raises:
        InvalidState: it was not, or this version cannot read it.
    """
    built_by = PackId(*row_identity(row))
    if built_by not in packs:
        raise InvalidState(
            f"the state on the cluster was built with pack {built_by}, not {', '.join(map(str, packs))}",
            why=f"a row of {topic} says so; features and points of another pack, or version, do not fit this one",
            what_to_do="set PQL_PACK to the pack of the state, and name the other one in PQL_SHADOW_PACKS; then "
            "`pql-stream cutover` makes it the live one",
        )


@dataclass(frozen=True, slots=True)
class StateIdentity:
    """What the state of a directory was built by and for."""

    app_id: str
    partitions: int


def claim_state(data_dir: Path, identity: StateIdentity) -> None:
    """
    Write into *data_dir* whose state it is, or find that it is ours already.

    Raises:
        InvalidState: it was built by another app, or for another number of partitions.
    """
    if is_state_claimed(data_dir, identity):
        return
    path = data_dir / STATE_FILE
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(asdict(identity)))
        partial.replace(path)
    except OSError as exc:
        raise _unusable(data_dir, exc) from exc


def is_state_claimed(data_dir: Path, identity: StateIdentity) -> bool:
    """
    Whether the state in *data_dir* is ours (True), or there is none (False).

    Raises:
        InvalidState: as `claim_state`.
    """
    path = data_dir / STATE_FILE
    try:
        found = json.loads(path.read_bytes()) if path.exists() else None
    except OSError as exc:
        raise _unusable(data_dir, exc) from exc
    except ValueError as exc:
        raise _unreadable(path, str(exc)) from exc
    if found is None:
        return False
    if not isinstance(found, dict):
        raise _unreadable(path, "it is no JSON object")
    now = asdict(identity)
    # An earlier version wrote the pack too; rows say that themselves.
    if {name: found.get(name) for name in now} != now:
        differences = [f"{name} was {found.get(name)}, is {now[name]}" for name in now if found.get(name) != now[name]]
        raise InvalidState(
            f"the state in {data_dir} is not of this worker",
            why="; ".join(differences),
            what_to_do="set PQL_DATA_DIR to another directory, or rebuild the state by replay",
        )
    return True


def _unusable(data_dir: Path, error: OSError) -> InvalidState:
    return InvalidState(
        f"the state directory {data_dir} cannot be used",
        why=error.strerror or str(error),
        what_to_do="set PQL_DATA_DIR to a directory that this user may write",
    )


def _unreadable(path: Path, why: str) -> InvalidState:
    return InvalidState(
        f"{path} cannot be read",
        why=why,
        what_to_do=f"remove the directory {path.parent}: the changelog on the cluster has the state",
    )
