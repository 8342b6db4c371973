"""Topics on a cluster: read them, make them as declared. Every answer is waited for a bounded time."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, wait
from typing import Any

from confluent_kafka import IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined] # public names, but re-exported without `as`
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

from pql_stream.errors import BrokerAway, BrokerError
from pql_stream.ops.topics.declarations import TopicDeclaration
from pql_stream.ops.topics.difference import ClusterTopic, Difference, differences

CONNECT_S_MAX = 10.0
"""How long the first answer may take: enough for TLS and a slow login, short for somebody who waits."""

CHANGE_S_MAX = 30.0
"""How long one change may take, and how long until the brokers know of all of them."""

METADATA_POLL_S = 0.05

PASSING = frozenset(
    {KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE, KafkaError.UNKNOWN_TOPIC_OR_PART}
)
"""What a broker says of a partition that was made, or moved, a moment ago. The client does not ask again."""

_KEYS_TO_THE_DOOR = {
    KafkaError._AUTHENTICATION: "KAFKA_SASL_MECHANISM, KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD",  # noqa: SLF001 - the client's public name
    KafkaError._SSL: "KAFKA_SSL_CAFILE, KAFKA_SSL_CERTFILE and KAFKA_SSL_KEYFILE",  # noqa: SLF001 - as above
}
"""Why a broker refuses us -> the settings that it depends on. It will not change its mind by itself."""


class TopicCluster:
    """The topics of the cluster that *client_config* (librdkafka's names) leads to."""

    def __init__(self, client_config: Mapping[str, Any]) -> None:
        """
        Connect in the background.

        Raises:
            BrokerError: librdkafka cannot use the configuration.
        """
        self._bootstrap = str(client_config["bootstrap.servers"])
        self._reasons: list[KafkaError] = []
        # librdkafka would print a line for every failed connection; ours says it once.
        try:
            self._admin = AdminClient({"log_level": 0, **client_config}, error_cb=self._remember)
        except KafkaException as exc:
            raise BrokerError(
                "the Kafka client cannot be set up",
                why=exc.args[0].str(),
                what_to_do="look at KAFKA_SECURITY_PROTOCOL, KAFKA_SASL_* and KAFKA_SSL_*",
            ) from exc

    def read(self, names: Iterable[str]) -> dict[str, ClusterTopic]:
        """
        Those of *names* that exist.

        Raises:
            BrokerError: the cluster is away, or does not let us see them.
        """
        wanted = frozenset(names)
        present = {name: topic for name, topic in self._list().items() if name in wanted}
        configs = self._configs(present)
        return {
            name: ClusterTopic(
                partitions=len(topic.partitions),
                replicas=len(topic.partitions[0].replicas),
                config=configs[name],
            )
            for name, topic in present.items()
        }

    def partitions(self, names: Iterable[str]) -> dict[str, int]:
        """
        How many partitions those of *names* have that exist. Asks for no settings, which some brokers refuse to tell.

        Raises:
            BrokerAway: the cluster does not answer.
            BrokerError: it does not let us in.
        """
        listed = self._list()
        return {name: len(listed[name].partitions) for name in names if name in listed}

    def cluster_id(self) -> str:
        """
        What tells this cluster from others; "" where it has no id.

        Raises:
            BrokerError: as `partitions`.
        """
        return str(self._metadata().cluster_id or "")

    def offsets(self, asked: Mapping[TopicPartition, OffsetSpec]) -> dict[tuple[str, int], int]:
        """
        The offsets that are *asked* for, by topic and partition, as who reads committed records sees them.

        A time that no record has reached is -1.

        Raises:
            BrokerError: the cluster is away, or does not let us ask.
        """
        until_s = time.monotonic() + CONNECT_S_MAX
        committed = IsolationLevel.READ_COMMITTED
        while True:
            answers = self._admin.list_offsets(dict(asked), isolation_level=committed, request_timeout=CONNECT_S_MAX)
            wait(answers.values())
            if time.monotonic() > until_s or not any(_is_passing(answer) for answer in answers.values()):
                break
            time.sleep(METADATA_POLL_S)
        return {
            (at.topic, at.partition): _answer(answer, f"tell the offsets of {at.topic}", rights="Describe, Read").offset
            for at, answer in answers.items()
        }

    def newest_ms(self, partitions: Mapping[str, int]) -> dict[str, int]:
        """
        The timestamp of the newest record of each of *partitions* (topic -> number of them) that has one.

        Raises:
            BrokerError: the cluster does not tell.
        """
        asked = {
            TopicPartition(topic, partition): OffsetSpec.max_timestamp()  # type: ignore[no-untyped-call] # the client's own
            for topic, count in partitions.items()
            for partition in range(count)
        }
        answers = self._admin.list_offsets(asked, request_timeout=CONNECT_S_MAX)
        newest: dict[str, int] = {}
        for at, answer in answers.items():
            at_ms = _answer(answer, f"tell the newest record of {at.topic}").timestamp
            if at_ms >= 0:  # the partition has records
                newest[at.topic] = max(at_ms, newest.get(at.topic, 0))
        return newest

    def differences(self, declarations: Iterable[TopicDeclaration]) -> tuple[Difference, ...]:
        """
        Everything that is not as declared.

        Raises:
            BrokerError: as `read`.
        """
        declared = tuple(declarations)
        return differences(declared, self.read(topic.name for topic in declared))

    def apply(self, declarations: Iterable[TopicDeclaration]) -> tuple[Difference, ...]:
        """
        Make the topics as declared and return what was changed; nothing is deleted or made smaller.

        All or nothing: when one difference is refused, none is mended.

        Raises:
            BrokerError: a difference is refused, the cluster is away, or it refuses a change.
        """
        declared = {topic.name: topic for topic in declarations}
        found = self.differences(declared.values())
        refused = [difference for difference in found if difference.refused]
        if refused:
            raise BrokerError(
                f"nothing was changed: {len(refused)} of {len(found)} differences are not ours to mend",
                why="\n".join(f"{one.topic}: {one.setting}: {one.refused}" for one in refused),
                what_to_do="match the cluster (--partitions, --replicas), or use another PQL_TOPIC_PREFIX",
            )
        self._create([declared[one.topic] for one in found if one.setting == "topic"])
        self._raise_partitions({one.topic: int(one.declared) for one in found if one.setting == "partitions"})
        self.wait_for({topic.name: topic.partitions for topic in declared.values()})
        self._alter([one for one in found if one.setting not in {"topic", "partitions"}])
        return found

    def wait_for(self, topics: Mapping[str, int]) -> None:
        """
        Return when every one of *topics* (name -> partitions) can be used.

        A KRaft controller says "created" before its brokers know of it, seconds before if they are busy.

        Raises:
            BrokerError: it takes longer than `CHANGE_S_MAX`.
        """
        until = time.monotonic() + CHANGE_S_MAX
        missing = dict(topics)
        while missing := self._unusable(missing):
            if time.monotonic() > until:
                raise BrokerError(
                    f"{len(missing)} topics cannot be used yet",
                    why=f"not all partitions have a leader: {', '.join(missing)}",
                    what_to_do="look at the brokers' logs, then run it again",
                )
            time.sleep(METADATA_POLL_S)

    def _unusable(self, topics: Mapping[str, int]) -> dict[str, int]:
        """Those of *topics* with a partition that nobody leads, or whose leader does not know it yet."""
        listed = self._list()
        led = [
            TopicPartition(name, partition)
            for name, partitions in topics.items()
            if name in listed and _led_partitions(listed[name]) >= partitions
            for partition in range(partitions)
        ]
        # The metadata names a leader before that broker has heard of it; its answer shows.
        asked = {at: OffsetSpec.latest() for at in led}  # type: ignore[no-untyped-call] # the client's own
        answers = self._admin.list_offsets(asked, request_timeout=CONNECT_S_MAX) if asked else {}
        usable = {at.topic for at in led} - {at.topic for at, answer in answers.items() if _is_passing(answer)}
        return {name: partitions for name, partitions in topics.items() if name not in usable}

    def _remember(self, error: KafkaError) -> None:
        self._reasons.append(error)

    def _list(self) -> dict[str, Any]:
        # A topic that is being deleted is still listed, with an error.
        return {name: topic for name, topic in self._metadata().topics.items() if topic.error is None}

    def _metadata(self) -> Any:  # noqa: ANN401 - confluent-kafka's ClusterMetadata, whose fields have no types
        try:
            return self._admin.list_topics(timeout=CONNECT_S_MAX)
        except KafkaException as exc:
            self._admin.poll(0)  # calls _remember
            raise self._no_answer(exc.args[0]) from exc

    def _no_answer(self, error: KafkaError) -> BrokerError:
        for reason in self._reasons:
            settings = _KEYS_TO_THE_DOOR.get(reason.code())
            if settings is not None:
                return BrokerError(
                    f"Kafka at {self._bootstrap} does not let us in",
                    why=reason.str(),
                    what_to_do=f"look at {settings}",
                )
        return BrokerAway(
            f"no answer from Kafka at {self._bootstrap}",
            why=(self._reasons[0] if self._reasons else error).str(),
            what_to_do="look at KAFKA_BOOTSTRAP_SERVERS and KAFKA_SECURITY_PROTOCOL; "
            "`pql-stream kafka` runs a broker on this machine",
        )

    def _configs(self, names: Iterable[str]) -> dict[str, dict[str, str]]:
        resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
        if not resources:
            return {}
        answers = self._admin.describe_configs(resources, request_timeout=CONNECT_S_MAX)
        return {
            resource.name: {
                key: entry.value for key, entry in _answer(answer, f"read the settings of {resource.name}").items()
            }
            for resource, answer in answers.items()
        }

    def _create(self, declarations: list[TopicDeclaration]) -> None:
        if not declarations:
            return
        new = [
            NewTopic(
                topic.name,
                num_partitions=topic.partitions,
                replication_factor=-1 if topic.replicas is None else topic.replicas,
                config=dict(topic.config),
            )
            for topic in declarations
        ]
        answers = self._admin.create_topics(new, request_timeout=CHANGE_S_MAX)
        for name, answer in answers.items():
            _answer(answer, f"create {name}")

    def _raise_partitions(self, partitions: Mapping[str, int]) -> None:
        if not partitions:
            return
        new = [NewPartitions(name, count) for name, count in partitions.items()]
        answers = self._admin.create_partitions(new, request_timeout=CHANGE_S_MAX)
        for name, answer in answers.items():
            _answer(answer, f"raise the partitions of {name}")

    def _alter(self, settings: list[Difference]) -> None:
        if not settings:
            return
        resources = [
            ConfigResource(
                ResourceType.TOPIC,
                name,
                incremental_configs=[
                    ConfigEntry(one.setting, one.declared, incremental_operation=AlterConfigOpType.SET)
                    for one in settings
                    if one.topic == name
                ],
            )
            for name in dict.fromkeys(one.topic for one in settings)
        ]
        answers = self._admin.incremental_alter_configs(resources, request_timeout=CHANGE_S_MAX)
        for resource, answer in answers.items():
            _answer(answer, f"change the settings of {resource.name}")


def _is_passing(answer: Future[Any]) -> bool:
    error = answer.exception()
    return isinstance(error, KafkaException) and error.args[0].code() in PASSING


def _led_partitions(topic: Any) -> int:  # noqa: ANN401 - confluent-kafka's TopicMetadata, whose fields have no types
    return sum(partition.leader >= 0 for partition in topic.partitions.values())


def _answer(
    answer: Future[Any], what: str, *, rights: str = "Create, Describe, Alter, DescribeConfigs, AlterConfigs"
) -> Any:  # noqa: ANN401 - each kind of request answers something else
    try:
        return answer.result()
    except KafkaException as exc:
        raise BrokerError(
            f"Kafka refused to {what}",
            why=exc.args[0].str(),
            what_to_do=f"do as it says; rights needed: {rights}",
        ) from exc
