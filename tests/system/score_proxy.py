"""A network between a worker and its broker that can hold back what is written to a topic."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

PRODUCE, OFFSET_COMMIT, _HEARTBEAT = 0, 8, 12
INIT_PRODUCER, ADD_PARTITIONS, ADD_OFFSETS, END_TRANSACTION, TRANSACTION_OFFSETS = 22, 24, 25, 26, 28
_LATE_S = 10.0
_SIZE = struct.Struct(">i")
_API_KEY = struct.Struct(">h")


class HoldingProxy:
    """
    Passes on every request and answer of the Kafka protocol between clients and the one broker at *broker*.

    A request is a frame: four bytes of size, then two of what kind it is. Answers name the broker's address;
    ours is put in its place, so clients come back to us. A held request stands still as a packet on the road
    does: whoever sent it may be frozen, or dead, and it still arrives when the road is free again.
    """

    def __init__(self, broker: str) -> None:
        host, port = broker.rsplit(":", 1)
        self._broker = (host, int(port))
        self._listener = socket.create_server((host, 0))
        self._changed = threading.Condition()
        self._held: set[tuple[int, bytes]] = set()
        self._standing: list[bytes] = []
        self._overtaken: set[tuple[int, bytes]] = set()
        self.heartbeats = 0
        self.late_answer = threading.Event()
        self._sockets: list[socket.socket] = []
        self._clients: list[socket.socket] = []
        ours: int = self._listener.getsockname()[1]
        self.bootstrap = f"{host}:{ours}"
        self._theirs_and_ours = tuple(host.encode() + _SIZE.pack(number) for number in (int(port), ours))
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        # To close it would not wake up the thread that accepts; to shut it down does.
        _hang_up(self._listener)
        self._accepting.join()
        self.cut()
        for open_socket in (self._listener, *self._sockets):
            open_socket.close()

    def cut(self) -> None:
        """Cut every connection: what is held never arrives."""
        for open_socket in self._sockets:
            _hang_up(open_socket)

    def lose_answers(self) -> None:
        """
        Cut the connections of the clients; what is held stays on its way to the broker, and `late_answer` is set when
        the broker has answered it.
        """
        for client in self._clients:
            _hang_up(client)

    def stands(self, name: str) -> bool:
        """A request that names *name* is being held."""
        return any(name.encode() in frame for frame in list(self._standing))

    def wait_until_stands(self, name: str, kind: int | None = None) -> None:
        """Wait until a request that names *name*, of *kind* or of any, is being held."""
        with self._changed:
            self._changed.wait_for(
                lambda: any(name.encode() in frame and kind in {None, _api_key(frame)} for frame in self._standing)
            )

    @contextmanager
    def held(self, name: str, kind: int = PRODUCE) -> Iterator[None]:
        """
        Hold requests of *kind* that name *name*, a topic, a group or a transactional id; behind the block they go
        their way.
        """
        rule = (kind, name.encode())
        with self._changed:
            self._held.add(rule)
        try:
            yield
        finally:
            with self._changed:
                self._held.discard(rule)
                self._changed.notify_all()

    def let_overtake(self, name: str, kind: int) -> None:
        """Inside a `held` of the same: what stands goes on standing, and what comes from now on does not."""
        self._overtaken.add((kind, name.encode()))

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._sockets.append(client)
            self._clients.append(client)
            try:
                broker = socket.create_connection(self._broker)
            except OSError:
                _hang_up(client)
                continue
            self._sockets.append(broker)
            threading.Thread(target=self._requests, args=(client, broker), daemon=True).start()
            threading.Thread(target=self._answers, args=(broker, client), daemon=True).start()

    def _requests(self, client: socket.socket, broker: socket.socket) -> None:
        for frame in _frames(client):
            self.heartbeats += _api_key(frame) == _HEARTBEAT
            was_overtaken = self._wait_while_held(frame)
            _pass_on(broker, frame)
            if was_overtaken:
                self.late_answer.wait(_LATE_S)
        _hang_up(broker)

    def _wait_while_held(self, frame: bytes) -> bool:
        """True when later requests of its kind were let by."""
        with self._changed:
            if not self._is_held(frame, self._held - self._overtaken):
                return False
            self._standing.append(frame)
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._is_held(frame, self._held))
            self._standing.remove(frame)
            return self._is_held(frame, self._overtaken)

    def _answers(self, broker: socket.socket, client: socket.socket) -> None:
        for frame in _frames(broker):
            if not _pass_on(client, frame.replace(*self._theirs_and_ours)):
                self.late_answer.set()
        _hang_up(client)

    @staticmethod
    def _is_held(frame: bytes, rules: set[tuple[int, bytes]]) -> bool:
        return any(kind == _api_key(frame) and name in frame for kind, name in rules)


def _api_key(frame: bytes) -> int:
    key: int = _API_KEY.unpack_from(frame)[0]
    return key


def _frames(source: socket.socket) -> Iterator[bytes]:
    """The frames of a connection, without their sizes, until it ends."""
    with contextlib.suppress(OSError), source.makefile("rb") as stream:
        while len(size := stream.read(_SIZE.size)) == _SIZE.size:
            yield stream.read(_SIZE.unpack(size)[0])


def _pass_on(target: socket.socket, frame: bytes) -> bool:
    """False when the connection is gone."""
    try:
        target.sendall(_SIZE.pack(len(frame)) + frame)
    except OSError:
        return False
    return True


def _hang_up(target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)
