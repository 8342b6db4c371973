"""The settings of the one-node Apache Kafka on this machine, each with its reason where it is not obvious."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

HOST = "127.0.0.1"

# Kafka's default size limits stay: the topics that take larger records say so themselves (max.message.bytes),
# and a topic that forgets to must fail here as it would on a real cluster.
ONE_NODE = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    # Internal topics want three brokers unless told otherwise.
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "default.replication.factor": "1",
    "min.insync.replicas": "1",
    # 50 partitions each are files and start-up time that nobody here needs.
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.num.partitions": "4",
    # A mistyped topic must be an error, not a new topic with one partition.
    "auto.create.topics.enable": "false",
    # Groups settle at once instead of after 3 s, and short sessions are allowed.
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    # KIP-848 groups settle at heartbeats: 5 s each by default, so 5 s for every join and leave.
    "group.consumer.min.session.timeout.ms": "1000",
    "group.consumer.min.heartbeat.interval.ms": "500",
    "group.consumer.heartbeat.interval.ms": "1000",
    "group.consumer.session.timeout.ms": "6000",
    # After kill -9 the controller refuses the broker until its old session has ended: 9 s by default.
    # Controlled shutdown stays on (the default), else every restart would wait like that.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    # Compaction and retention soon enough to be seen in a test.
    "log.cleaner.backoff.ms": "1000",
    "log.retention.check.interval.ms": "5000",
    "log.initial.task.delay.ms": "1000",
    # A small machine that is shared.
    "log.segment.bytes": "268435456",
    "log.cleaner.dedupe.buffer.size": "16777216",
    "log.cleaner.threads": "1",
    "num.network.threads": "2",
    "num.io.threads": "4",
    "num.recovery.threads.per.data.dir": "2",
    "background.threads": "2",
}

# Without shutdownHook="disable" log4j is gone before the broker has stopped, and complains.
LOG4J2 = """\
<Configuration status="warn" shutdownHook="disable">
  <Appenders><Console name="console"><PatternLayout pattern="%d %p %c{1} %m%n"/></Console></Appenders>
  <Loggers><Root level="warn"><AppenderRef ref="console"/></Root></Loggers>
</Configuration>
"""


def one_node_properties(
    *, log_dir: Path, port: int, controller_port: int, settings: Mapping[str, str]
) -> dict[str, str]:
    """Everything in `server.properties` of a broker on loopback; *settings* are put over ours."""
    client, controller = f"PLAINTEXT://{HOST}:{port}", f"CONTROLLER://{HOST}:{controller_port}"
    return {
        **ONE_NODE,
        "listeners": f"{client},{controller}",
        "advertised.listeners": f"{client},{controller}",
        "controller.quorum.bootstrap.servers": f"{HOST}:{controller_port}",
        "log.dirs": str(log_dir),
        **settings,
    }


def read_properties(path: Path) -> dict[str, str]:
    """The `key=value` lines that `write_properties` wrote; nothing if there is no file."""
    if not path.exists():
        return {}
    return dict(line.split("=", 1) for line in path.read_text(encoding="utf-8").splitlines())


def write_properties(path: Path, properties: Mapping[str, str]) -> None:
    """Write *properties* whole or not at all."""
    new = path.with_suffix(".new")
    new.write_text("".join(f"{key}={value}\n" for key, value in properties.items()), encoding="utf-8")
    new.replace(path)
