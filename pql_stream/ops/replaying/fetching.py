"""
A consumer that reads stretches of partitions for a replay: it joins no group and commits nothing.

What each partition may be ahead is the caller's to say (`hold`, `release`): the client itself would read all of them
at the same pace, however long the records of one had to wait for another's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from pql_stream.errors import BrokerAway, BrokerError
from pql_stream.ops.replaying.ranges import Place, gone

PATIENCE_S = 120.0
"""So long without an answer before a replay is given up: a broker's restart fits in."""
_NOTICE_SHARE = 1 / 24
"""After such a part of it somebody is told."""
_POLL_S = 0.2
_MESSAGES_MAX = 2_000
_FETCHED_KIB_MAX = 16 * 1024


class Fetcher:
    """
    Gives the records of partitions from the offsets in *starts* on; *patience_s* is what it waits for one.

    *tell* takes a line for people, when the cluster does not answer and when it does again.
    """

    def __init__(
        self,
        client_config: Mapping[str, Any],
        starts: Mapping[Place, int],
        *,
        tell: Callable[[str], None],
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._tell = tell
        self._patience_s = patience_s
        self._reason = ""
        self._told = False
        self._consumer = Consumer(
            {
                **client_config,
                "group.id": "pql-replay",  # required by the client, and never joined
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "error",
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
                "queued.max.messages.kbytes": _FETCHED_KIB_MAX,
                "fetch.wait.max.ms": 100,
                "reconnect.backoff.max.ms": 1_000,
                "log_level": 0,
                "error_cb": self._remember,
            }
        )
        self._consumer.incremental_assign([TopicPartition(*place, offset) for place, offset in starts.items()])
        self._heard_s = time.monotonic()

    def some(self) -> list[Message]:
        """
        Records, and ends of partitions (`see_error`): what came since the last call, or as soon as something comes.

        Raises:
            BrokerAway: nothing came for too long.
            BrokerError: the client cannot go on.
        """
        try:
            while True:
                # Whatever is there, at once: a batch would be waited for until it is full, or the time is up.
                messages = self._consumer.consume(_MESSAGES_MAX, 0.0)
                if not messages and (first := self._consumer.poll(_POLL_S)) is not None:
                    messages = [first]
                if messages:
                    self._heard()
                    return messages
                self._see_patience()
        except KafkaException as exc:
            raise BrokerError("cannot read from Kafka any more", why=exc.args[0].str(), what_to_do=_LOOK) from exc

    def hold(self, place: Place) -> None:
        """Fetch no more of a partition, for now or for good; what is fetched and was not given is dropped."""
        self._consumer.incremental_unassign([TopicPartition(*place)])

    def release(self, place: Place, offset: int) -> None:
        """Go on with a partition that is held."""
        self._consumer.incremental_assign([TopicPartition(*place, offset)])

    def close(self) -> None:
        """End the connections."""
        self._consumer.close()

    def _heard(self) -> None:
        self._heard_s = time.monotonic()
        if self._told:
            self._tell("Kafka answers again")
            self._told, self._reason = False, ""

    def _see_patience(self) -> None:
        silent_s = time.monotonic() - self._heard_s
        if silent_s > self._patience_s:
            raise BrokerAway(
                "Kafka does not answer any more",
                why=f"nothing came for {silent_s:.0f} s{self._because()}",
                what_to_do="see that its brokers are up, and run it again",
            )
        if silent_s > self._patience_s * _NOTICE_SHARE and not self._told:
            self._tell(f"no answer from Kafka for {silent_s:.0f} s{self._because()}; trying on")
            self._told = True

    def _because(self) -> str:
        return f": {self._reason}" if self._reason else ""

    def _remember(self, error: KafkaError) -> None:
        self._reason = error.str()


def see_error(message: Message) -> None:
    """
    See that *message*, which is no record, says no more than that a partition has no record from its offset on.

    Raises:
        BrokerError: it says that the partition cannot be read.
    """
    error = message.error()
    if error is None or error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - the client's public name
        return
    topic, partition = str(message.topic()), int(message.partition() or 0)
    if error.code() == KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001 - as above
        raise gone((topic, partition), int(message.offset() or 0), None)
    raise BrokerError(f"cannot read partition {partition} of {topic}", why=error.str(), what_to_do=_LOOK)


_LOOK = "see that the topic is still there, that we may read it, and that its brokers are well"
