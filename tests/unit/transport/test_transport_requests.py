"""Produce requests that are put together in one go: the bytes that aiokafka would send."""

from __future__ import annotations

import gc
import tracemalloc
import weakref
from types import SimpleNamespace

import pytest
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.protocol.produce import ProduceRequest

from pql_stream.stream.transport.requests import join_once

TOPICS = [("score-changed", [(0, b"some records"), (11, bytearray(b"others"))]), ("leads", [(2, b"")])]
VERSIONS = range(3, 8)


def produce_request(topics: list[tuple[str, list[tuple[int, bytes | None]]]]) -> ProduceRequest:
    """A request to write *topics*."""
    return ProduceRequest(required_acks=-1, timeout=1_000, topics=topics, transactional_id=None)


@pytest.fixture
def sent():
    """A function that lets a producer of ours send a request, and gives what came to its connection."""

    async def take(_node_id: int, request: object, **options: object) -> tuple[object, dict[str, object]]:
        return request, options

    producer = SimpleNamespace(client=SimpleNamespace(send=take))
    join_once(producer)
    return producer.client.send


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("topics", [TOPICS, [], [("leads", [])], [("leads", [(0, None)])]])
async def test_the_bytes_are_those_of_aiokafka(sent, version, topics):
    """
    In every version of the protocol, for any number of topics and partitions.
    """
    versions = {ProduceRequest.API_KEY: (0, version)}
    plain = produce_request(topics).prepare(versions)

    request, options = await sent(1, produce_request(topics), group="own")
    joined = request.prepare(versions)

    assert version == joined.API_VERSION
    assert b"size" + (b"header" + plain.encode()) == b"size" + (b"header" + joined.encode())
    assert len(b"header" + plain.encode()) == len(b"header" + joined.encode())
    assert {"group": "own"} == options


async def test_a_batch_is_copied_once(sent):
    """
    A megabyte of records takes little more than a megabyte to be sent.
    """
    size = 1_000_000
    request, _ = await sent(1, produce_request([("leads", [(0, bytes(size))])]))
    joined = request.prepare({ProduceRequest.API_KEY: (0, VERSIONS[-1])})

    tracemalloc.start()
    try:
        b"size" + (b"header" + joined.encode())
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert size < peak_bytes < 1.1 * size


async def test_a_batch_is_gone_with_its_request(sent):
    """
    Without the garbage collector: it comes by seldom, and a batch is up to a megabyte.
    """

    class Batch(bytearray):
        pass

    batch = Batch(b"some records")
    gone = weakref.ref(batch)
    request, _ = await sent(1, produce_request([("leads", [(0, batch)])]))
    joined = request.prepare({ProduceRequest.API_KEY: (0, VERSIONS[-1])})
    joined.encode()
    gc.disable()
    try:
        del batch, request, joined

        assert gone() is None
    finally:
        gc.enable()


async def test_other_requests_go_out_as_they_are(sent):
    """
    What is no produce request is not touched.
    """
    asked = MetadataRequest([])

    request, _ = await sent(1, asked)

    assert asked is request
    assert type(asked) is MetadataRequest
