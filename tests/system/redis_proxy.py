"""A network between a worker and its Redis that can hold back a step of the ledger, before or after it is made."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from hashlib import sha1
from typing import Literal, Self
from urllib.parse import urlsplit

from pql_stream.delivery.redis_connection import load_script

Step = Literal["claim", "settle"]
Moment = Literal["asked", "made"]
"""*asked*: the request never arrives. *made*: it does, and the answer does not."""

_STEPS: dict[bytes, Step] = {
    load_script("rows", "claim").sha.encode(): "claim",
    load_script("rows", "settle").sha.encode(): "settle",
}


class HoldingRedis:
    """
    Passes on requests and answers between clients and the Redis at *url*.

    `hold` makes every such step stand still; `standing` has the sinks of which one stands. A held connection never
    goes on: its client is to die.
    """

    def __init__(self, url: str) -> None:
        self.url = ""
        self.standing: set[str] = set()
        self._upstream = urlsplit(url)
        self._held: tuple[Step, Moment] | None = None
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._client, "127.0.0.1", 0)
        self.url = f"redis://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def hold(self, step: Step, moment: Moment) -> None:
        """From now on."""
        self.standing = set()
        self._held = (step, moment)

    def let_pass(self) -> None:
        """Hold nothing that comes from now on."""
        self._held = None

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        there_reader, there_writer = await self._connect()
        try:
            with suppress(asyncio.IncompleteReadError, OSError):
                while True:
                    await self._pass_on(reader, there_writer, there_reader, writer)
        finally:
            writer.close()
            there_writer.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._upstream.scheme == "unix":
            return await asyncio.open_unix_connection(self._upstream.path)
        return await asyncio.open_connection(self._upstream.hostname, self._upstream.port or 6379)

    async def _pass_on(
        self,
        client: asyncio.StreamReader,
        there_writer: asyncio.StreamWriter,
        there: asyncio.StreamReader,
        client_writer: asyncio.StreamWriter,
    ) -> None:
        """One request and its answer: the client waits for each before it asks again."""
        request = await _value(client)
        step, sink = _step_of(request)
        await self._stand((step, "asked"), sink)
        there_writer.write(request)
        answer = await _value(there)
        if not answer.startswith(b"-"):  # a script that is not known yet is asked for again, with its text
            await self._stand((step, "made"), sink)
        client_writer.write(answer)
        await client_writer.drain()

    async def _stand(self, at: tuple[Step | None, Moment], sink: str) -> None:
        if at == self._held:
            self.standing.add(sink)
            await asyncio.Event().wait()


async def _value(stream: asyncio.StreamReader) -> bytes:
    """One value of the protocol, as it came."""
    line = await stream.readuntil(b"\r\n")
    size = int(line[1:]) if line[:1] in b"$*" else 0
    if line.startswith(b"*"):
        return b"".join([line, *[await _value(stream) for _ in range(size)]])
    if line.startswith(b"$") and size >= 0:
        return line + await stream.readexactly(size + 2)
    return line


def _step_of(request: bytes) -> tuple[Step | None, str]:
    """Which step of which sink's ledger it is."""
    words = request.split(b"\r\n", 8)
    if len(words) < 9 or words[2].upper() not in {b"EVALSHA", b"EVAL"}:
        return None, ""
    script, _, key = _words(request)
    sha = script if words[2].upper() == b"EVALSHA" else sha1(script, usedforsecurity=False).hexdigest().encode()
    return _STEPS.get(sha), key.split(b":")[2].decode()


def _words(request: bytes) -> tuple[bytes, bytes, bytes]:
    """The second, third and fourth word: what to run, the number of keys, and the first of them."""
    words: list[bytes] = []
    at = request.index(b"\r\n") + 2
    for _ in range(4):
        end = request.index(b"\r\n", at)
        size = int(request[at + 1 : end])
        words.append(request[end + 2 : end + 2 + size])
        at = end + 2 + size + 2
    return words[1], words[2], words[3]
