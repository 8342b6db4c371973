"""How the cluster's topics differ from the declared ones, and what `apply` refuses to do about it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pql_stream.ops.topics.declarations import TopicDeclaration


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterTopic:
    """What a topic is; *config* has the values in force, the defaults included."""

    partitions: int
    replicas: int
    config: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """
    One thing about *topic* that is not as declared.

    *setting* is `topic` (it is missing: *actual* is None), `partitions`, `replicas` or one of Kafka's topic
    settings. *refused* says why `apply` will not do it; "" when it will.
    """

    topic: str
    setting: str
    actual: str | None
    declared: str
    refused: str = ""


def differences(
    declarations: Iterable[TopicDeclaration], cluster: Mapping[str, ClusterTopic]
) -> tuple[Difference, ...]:
    """Everything in which *cluster* (topics by name) is not as declared, topic by topic."""
    declared_all = tuple(declarations)
    found: list[Difference] = []
    for declared in declared_all:
        actual = cluster.get(declared.name)
        if actual is None:
            found.append(_missing(declared, declared_all, cluster))
        else:
            found += _partitions(declared, actual)
            found += _replicas(declared, actual)
            found += _config(declared, actual)
    return tuple(found)


def _missing(
    declared: TopicDeclaration,
    declared_all: Iterable[TopicDeclaration],
    cluster: Mapping[str, ClusterTopic],
) -> Difference:
    others = {
        other.name: cluster[other.name].partitions
        for other in declared_all
        if other.keyed and other.name in cluster and cluster[other.name].partitions != declared.partitions
    }
    refused = ""
    if declared.keyed and others:
        name, partitions = next(iter(others.items()))
        refused = f"{name} has {partitions} partitions, and a lead must be on the same one everywhere"
    plural = "s" if declared.partitions != 1 else ""
    return Difference(
        topic=declared.name,
        setting="topic",
        actual=None,
        declared=f"{declared.partitions} partition{plural}",
        refused=refused,
    )


def _partitions(declared: TopicDeclaration, actual: ClusterTopic) -> list[Difference]:
    if actual.partitions == declared.partitions:
        return []
    refused = ""
    if actual.partitions > declared.partitions:
        refused = "partitions are never taken away: their records would be lost"
    elif declared.keyed:
        refused = "more partitions would split the leads' history over two partitions"
    return [
        Difference(
            topic=declared.name,
            setting="partitions",
            actual=str(actual.partitions),
            declared=str(declared.partitions),
            refused=refused,
        )
    ]


def _replicas(declared: TopicDeclaration, actual: ClusterTopic) -> list[Difference]:
    if declared.replicas is None or declared.replicas == actual.replicas:
        return []
    return [
        Difference(
            topic=declared.name,
            setting="replicas",
            actual=str(actual.replicas),
            declared=str(declared.replicas),
            refused="replicas of an existing topic are moved with kafka-reassign-partitions",
        )
    ]


def _config(declared: TopicDeclaration, actual: ClusterTopic) -> list[Difference]:
    return [
        Difference(topic=declared.name, setting=key, actual=actual.config.get(key), declared=value)
        for key, value in sorted(declared.config.items())
        if actual.config.get(key) != value
    ]
