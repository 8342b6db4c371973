"""What the start of a worker reads of its changelog, from the in-memory broker."""

import ctypes

import pytest
from confluent_kafka import KafkaError, Producer, cimpl

from pql_stream.errors import BrokerError
from pql_stream.ops.changelog import PlacedRow, sample_rows

ROW = PlacedRow(b"u1", b"row", 1)
LIST_OFFSETS = 2  # ApiKey, https://kafka.apache.org/protocol#protocol_api_keys


def let_fail(broker, api_key: int, *errors: int) -> None:
    """Let *broker* answer the next requests of a kind with *errors*. To find a partition's ends takes two requests."""
    push = ctypes.CDLL(cimpl.__file__).rd_kafka_mock_push_request_errors_array
    push.argtypes = [ctypes.c_void_p, ctypes.c_int16, ctypes.c_size_t, ctypes.POINTER(ctypes.c_int)]
    push(broker._cluster, api_key, len(errors), (ctypes.c_int * len(errors))(*errors))


@pytest.fixture
def client_config(embedded_kafka):
    """The in-memory broker with one row in the changelog `rows`, of two partitions."""
    broker = embedded_kafka({"rows": 2})
    producer = Producer({"bootstrap.servers": broker.bootstrap})
    producer.produce("rows", b"row", key=b"u1", partition=1)
    assert producer.flush(30) == 0
    return broker, {"bootstrap.servers": broker.bootstrap}


def test_a_partition_that_has_no_leader_yet_is_asked_again(client_config):
    """
    Right after its topic was made a broker may not know yet that it leads a partition: no reason to give up.
    """
    broker, config = client_config
    let_fail(broker, LIST_OFFSETS, *[KafkaError.NOT_LEADER_FOR_PARTITION] * 6)

    assert [ROW] == sample_rows(config, "rows", 2)


def test_a_partition_that_we_may_not_read_is_refused_at_once(client_config):
    """
    What does not pass by itself is told, not tried again.
    """
    broker, config = client_config
    let_fail(broker, LIST_OFFSETS, *[KafkaError.TOPIC_AUTHORIZATION_FAILED] * 4)

    with pytest.raises(BrokerError, match="cannot read rows"):
        sample_rows(config, "rows", 2)


def test_rows_come_from_every_partition(client_config):
    """
    The pack may be told by any row, the number of partitions only by leads of several.
    """
    _, config = client_config
    producer = Producer(config)
    producer.produce("rows", b"other", key=b"u2", partition=0)
    assert producer.flush(30) == 0

    assert [PlacedRow(b"u2", b"other", 0), ROW] == sample_rows(config, "rows", 2)


def test_a_row_far_from_the_end_is_found(client_config):
    """
    What a transaction took back may lie behind the last row, a whole batch of it: then it is looked for further back.
    """
    _, config = client_config
    producer = Producer(config)
    for _ in range(500):
        producer.produce("rows", None, key=b"u2", partition=1)
    assert producer.flush(30) == 0

    assert [ROW] == sample_rows(config, "rows", 2)
