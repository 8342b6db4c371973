"""Scripts of Apache Kafka's distribution, of the version of our broker: each is one class of one jar more."""

from __future__ import annotations

import fcntl
import shlex
import tempfile
from pathlib import Path

from pql_stream.ops.brokers.class_archive import ClassArchive
from pql_stream.ops.brokers.jars import KAFKA_VERSION, fetch_jars, find_java, find_maven, run_maven

SCRIPTS = {
    "kafka-console-consumer.sh": "org.apache.kafka.tools.consumer.ConsoleConsumer",
    "kafka-consumer-groups.sh": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
    "kafka-delete-records.sh": "org.apache.kafka.tools.DeleteRecordsCommand",
    "kafka-get-offsets.sh": "org.apache.kafka.tools.GetOffsetShell",
}
"""Name -> the class that the distribution's script of this name runs."""

# As the distribution's tools-log4j2.yaml: warnings, on stderr.
LOGGING = """\
<Configuration status="warn">
  <Appenders>
    <Console name="stderr" target="SYSTEM_ERR"><PatternLayout pattern="[%d] %p %m (%c)%n"/></Console>
  </Appenders>
  <Loggers><Root level="warn"><AppenderRef ref="stderr"/></Root></Loggers>
</Configuration>
"""


def make_scripts(directory: Path) -> None:
    """
    Fill *directory*, which is to stand in a PATH.

    Raises:
        BrokerError: Java or Maven is missing, or the jars cannot be fetched.
    """
    java, jars = find_java(), fetch_jars()
    # What is common with the broker's class path comes first, or the JVM would not take the archive.
    class_path = f"{jars}/*:{_fetch_tools(jars.parent)}"
    directory.mkdir()
    logging = directory / "tools-log4j2.xml"
    logging.write_text(LOGGING)
    options = [f"-Dlog4j2.configurationFile={logging}", *ClassArchive(java, jars).options()]
    for name, program in SCRIPTS.items():
        command = shlex.join([java, *options, "-XX:+UseSerialGC", "-cp", class_path, program])
        script = directory / name
        script.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        script.chmod(0o755)


def _fetch_tools(cache: Path) -> Path:
    """The jar with the tools, in *cache*; all else that it needs lies among the broker's jars."""
    artifact = f"org.apache.kafka:kafka-tools:{KAFKA_VERSION}"
    jar = cache / f"kafka-tools-{KAFKA_VERSION}.jar"
    with (cache / "tools.lock").open("w") as lock, tempfile.TemporaryDirectory(dir=cache) as new:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not jar.exists():
            run_maven(find_maven(), "dependency:copy", f"-Dartifact={artifact}", f"-DoutputDirectory={new}")
            (Path(new) / jar.name).rename(jar)
    return jar
