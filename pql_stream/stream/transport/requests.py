"""
Produce requests: put together in one go, and several at once.

aiokafka joins the bytes of a request level by level: each batch of records in it is copied for its length, its
partition, its topic, the whole, its header and its size, eight times, into new memory of up to a megabyte each time.

And it has one request a broker under way. While that is answered nothing else can go out, and where all partitions
wait for an acknowledgement the worker stands still: a fifth of its time, measured on the cold stream.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.types import Array, Bytes, Int32, Schema

if TYPE_CHECKING:
    from aiokafka import AIOKafkaProducer
    from aiokafka.protocol.api import RequestStruct


REQUESTS_MAX = 5
"""Under way to one broker: Kafka's own default (`max.in.flight.requests.per.connection`). Of a partition it is one."""


class _Busy:
    """The brokers that take no further request now; what aiokafka's sender has a set of node ids for."""

    def __init__(self) -> None:
        self._under_way: Counter[int] = Counter()

    def add(self, node_id: int) -> None:
        self._under_way[node_id] += 1

    def remove(self, node_id: int) -> None:
        self._under_way[node_id] -= 1

    def __contains__(self, node_id: int) -> bool:
        return self._under_way[node_id] >= REQUESTS_MAX


def several_at_once(producer: AIOKafkaProducer) -> None:
    """Let *producer* have several requests under way to a broker; those of one partition still follow each other."""
    producer._sender._in_flight = _Busy()  # noqa: SLF001 - as `internals` lists


def join_once(producer: AIOKafkaProducer) -> None:
    """Let *producer* copy the bytes of its produce requests once."""
    send = producer.client.send

    async def send_joined(node_id: int, request: object, **options: Any) -> Any:  # noqa: ANN401 - aiokafka's own
        if isinstance(request, ProduceRequest):
            request.__class__ = _JoinedRequest
        return await send(node_id, request, **options)

    producer.client.send = send_joined


class _JoinedRequest(ProduceRequest):  # type: ignore[misc]  # aiokafka ships no types
    """
    A produce request whose bytes are joined in the end.

    Neither it nor its struct refers to itself: a megabyte of records would wait for the garbage collector.
    """

    def prepare(self, versions: dict[int, tuple[int, int]]) -> RequestStruct:
        struct = super().prepare(versions)
        fields = [struct.get_item(name) for name in struct.SCHEMA.names]
        struct.encode = partial(_Body, list(_parts(struct.SCHEMA, fields)))
        return struct


class _Body:
    """A request in pieces. aiokafka puts a header in front, and then its size in front of both."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces

    def __radd__(self, header: bytes) -> _Message:
        return _Message([header, *self._pieces])


class _Message:
    """A request in pieces, with its header; behind its size it is the bytes for the socket."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces

    def __len__(self) -> int:
        return sum(map(len, self._pieces))

    def __radd__(self, size: bytes) -> bytes:
        return b"".join([size, *self._pieces])


def _parts(kind: Any, value: Any) -> Iterator[bytes]:  # noqa: ANN401 - a type of Kafka's protocol, and what it takes
    if isinstance(kind, Schema):
        for field, its_value in zip(kind.fields, value, strict=True):
            yield from _parts(field, its_value)
    elif type(kind) is Array and value is not None:
        yield Int32.encode(len(value))
        for item in value:
            yield from _parts(kind.array_of, item)
    elif kind is Bytes and value is not None:
        yield Int32.encode(len(value))
        yield value
    else:
        yield kind.encode(value)
