"""What a Kafka broker says of itself: how new it is, and whether its records are of the future."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping

from aiokafka.conn import create_conn
from aiokafka.errors import KafkaError
from aiokafka.protocol.admin import ApiVersionRequest

from pql_stream.errors import BrokerError
from pql_stream.stream.connection import Connection

FETCH = 1
"""Kafka's number of the request that reads records."""

# FetchRequest.json of Kafka's clients: the KIP of each version, and that 0 to 3 went with 4.0.
_FETCH_SINCE = ((18, "4.1"), (17, "3.9"), (16, "3.7"), (15, "3.5"), (13, "3.1"), (12, "2.7"))
_FETCH_LEAST_OF_4 = 4

PROVEN_MAJOR = 4
"""The tests run on Kafka 4."""

AHEAD_S_MAX = 5.0
"""Time passes between a record's writing and our question, so a record that is ahead at all has another clock."""


def release_of(fetch: tuple[int, int]) -> str:
    """The oldest release of Kafka whose brokers take these versions (least, greatest) of FETCH."""
    least, greatest = fetch
    for version, release in _FETCH_SINCE:
        if greatest >= version:
            return "4.0" if least >= _FETCH_LEAST_OF_4 and release < "4.0" else release
    return "0.11"


async def read_release(connection: Connection) -> str:
    """
    How new the first broker is that answers: `4.1` for 4.1 or newer. The protocol does not tell more.

    Raises:
        BrokerError: none answers.
    """
    options = dict(connection.client_options())
    del options["bootstrap_servers"]
    reason: Exception | None = None
    for server in connection.servers:
        host, _, port = server.rpartition(":")
        try:
            connected = await create_conn(host.strip("[]"), int(port), request_timeout_ms=5_000, **options)
        except (KafkaError, OSError, TimeoutError) as exc:
            reason = exc
            continue
        try:
            answer = await connected.send(ApiVersionRequest())
        except (KafkaError, OSError, TimeoutError) as exc:
            reason = exc
            continue
        finally:
            connected.close()
        versions = {key: (least, greatest) for key, least, greatest in answer.api_versions}
        return release_of(versions.get(FETCH, (0, 0)))
    raise BrokerError(
        "how new the brokers are cannot be told",
        why=type(reason).__name__,
        what_to_do="nothing, if all else is well",
    )


def records_ahead(newest_ms: Mapping[str, int], clock: Callable[[], float] = time.time) -> Iterable[tuple[str, float]]:
    """
    The topics whose newest record is of the future, and by how many seconds.

    Kafka tells nobody its time. But what a record has cannot be later than now, unless the clock of its writer (of the
    broker, where the topic says so) is ahead of ours.
    """
    now_s = clock()
    for topic, at_ms in sorted(newest_ms.items()):
        if (ahead_s := at_ms / 1000 - now_s) > AHEAD_S_MAX:
            yield topic, ahead_s
