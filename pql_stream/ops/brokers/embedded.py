"""librdkafka's mock cluster: an in-memory Kafka inside this process, for the demo and for quick tests."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from confluent_kafka import KafkaError, cimpl, libversion

from pql_stream.errors import BrokerError

_RD_KAFKA_PRODUCER = 0  # rd_kafka_type_t in rdkafka.h
_ERROR_TEXT_BYTES = 512
_BROKERS = 1


class EmbeddedKafka:
    """
    A broker on loopback with *topics* (name -> partitions), from construction to `close`.

    It listens on a real socket, so other processes can connect. It lives in threads of librdkafka inside this
    process. The C interface is rdkafka_mock.h. Its limits:

    - It keeps about 5 MB a partition, in memory: older batches are dropped, whether they were read or not. A
      reader that is further behind loses records, so whoever writes must wait for the reader.
    - No CreateTopics: the topics given here are there, with these partitions; any other that is asked for
      comes into being with 4 partitions.
    - No compaction, no retention by time, no topic settings (it takes any record size), no describe requests.
    - A group's first member is assigned at once; any later change of members takes the members' session
      timeout less 1 s, also when the group is empty again.
    - Transactions and groups are answered by rote: good enough to connect, no proof of anything.
    """

    def __init__(self, topics: Mapping[str, int]) -> None:
        """
        Start the broker.

        Raises:
            BrokerError: confluent-kafka's librdkafka has no mock cluster, or refuses a topic.
            ValueError: a topic has no partition.
        """
        for name, partitions in topics.items():
            # librdkafka would take 0 for its default and abort the process at -1.
            if partitions < 1:
                raise ValueError(f"{name}: a topic has at least one partition, not {partitions}")
        self._library = _load_library()
        self._client: int | None = self._new_client()
        self._cluster = self._library.rd_kafka_mock_cluster_new(self._client, _BROKERS)
        if not self._cluster:
            self.close()
            raise _unusable("the mock cluster did not start")
        # Else every group's first assignment takes 3 s longer.
        self._library.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, 0)
        for name, partitions in topics.items():
            code = self._library.rd_kafka_mock_topic_create(self._cluster, name.encode(), partitions, _BROKERS)
            if code != 0:
                self.close()
                raise _unusable(f"topic {name}: {KafkaError(code).str()}")
        self.bootstrap = str(self._library.rd_kafka_mock_cluster_bootstraps(self._cluster).decode())

    def close(self) -> None:
        """End the broker and forget its records. A second call does nothing."""
        if self._client is None:
            return
        if self._cluster:
            self._library.rd_kafka_mock_cluster_destroy(self._cluster)
        self._library.rd_kafka_destroy(self._client)
        self._client = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _new_client(self) -> int:
        """The client object that the mock cluster hangs on; it connects to nothing."""
        config = self._library.rd_kafka_conf_new()
        text = ctypes.create_string_buffer(_ERROR_TEXT_BYTES)
        # Without this it complains that it was given no brokers.
        self._library.rd_kafka_conf_set(config, b"log_level", b"0", text, _ERROR_TEXT_BYTES)
        client: int | None = self._library.rd_kafka_new(_RD_KAFKA_PRODUCER, config, text, _ERROR_TEXT_BYTES)
        if client is None:
            raise _unusable(text.value.decode())
        return client


def _load_library() -> ctypes.CDLL:
    """The librdkafka that confluent-kafka itself uses."""
    # A name that is looked up in its extension module is also looked up in what that is linked to, so this
    # finds the library of the wheel (Linux, macOS) and one of the system alike.
    library = ctypes.CDLL(cimpl.__file__)
    pointer, number, text, size = ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t
    declarations: dict[str, tuple[Any, list[Any]]] = {
        "rd_kafka_conf_new": (pointer, []),
        "rd_kafka_conf_set": (number, [pointer, text, text, text, size]),
        "rd_kafka_new": (pointer, [number, pointer, text, size]),
        "rd_kafka_destroy": (None, [pointer]),
        "rd_kafka_mock_cluster_new": (pointer, [pointer, number]),
        "rd_kafka_mock_cluster_bootstraps": (text, [pointer]),
        "rd_kafka_mock_cluster_destroy": (None, [pointer]),
        "rd_kafka_mock_group_initial_rebalance_delay_ms": (None, [pointer, ctypes.c_int32]),
        "rd_kafka_mock_topic_create": (number, [pointer, text, number, number]),
    }
    for name, (result, arguments) in declarations.items():
        try:
            function = getattr(library, name)
        except AttributeError as exc:
            raise _unusable(f"it has no {name}") from exc
        function.restype, function.argtypes = result, arguments
    return library


def _unusable(why: str) -> BrokerError:
    return BrokerError(
        "the embedded broker cannot be used here",
        why=f"librdkafka {libversion()[0]}: {why}",
        what_to_do="install the confluent-kafka wheel from PyPI, or use a real broker: `pql-stream kafka`",
    )
