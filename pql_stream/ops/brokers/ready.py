"""Is a broker there? One Metadata request over the wire: no client library, no threads, no log lines."""

from __future__ import annotations

import socket
import struct

CONNECT_S_MAX = 1.0
ANSWER_S_MAX = 2.0

# Request header v1 (API key 3 is Metadata, version 1, correlation id, client id "r"), an empty list of
# topics. https://kafka.apache.org/protocol: The Messages, Metadata Request (Version: 1)
_METADATA_REQUEST = struct.pack(">hhih1si", 3, 1, 7, 1, b"r", 0)


def answers_metadata(host: str, port: int) -> bool:
    """Whether the broker answers and lists at least one broker (itself): from then on clients can work."""
    try:
        with socket.create_connection((host, port), CONNECT_S_MAX) as connection:
            connection.settimeout(ANSWER_S_MAX)
            connection.sendall(struct.pack(">i", len(_METADATA_REQUEST)) + _METADATA_REQUEST)
            # Size of what follows, correlation id, number of brokers.
            head = _read(connection, 12)
    except OSError:
        return False
    _, _, brokers = struct.unpack(">iii", head)
    return int(brokers) > 0


def _read(connection: socket.socket, size: int) -> bytes:
    received = b""
    while len(received) < size:
        more = connection.recv(size - len(received))
        if not more:
            raise ConnectionResetError("closed in the middle of an answer")
        received += more
    return received
