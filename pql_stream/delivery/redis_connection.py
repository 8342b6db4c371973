"""
One Redis, and nothing asked of it but to run our scripts: each is one step and one round trip for a whole batch.

Whatever keeps Redis from an answer is a `LedgerAway` within `ANSWER_S_MAX`. Nothing is retried here: who called does
that, and the scripts can be run twice.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha1
from importlib import resources
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError, ResponseError

from pql_stream.errors import InvalidSettings, InvalidState, LedgerAway

ANSWER_S_MAX = 2.0
"""A batch of a thousand takes some milliseconds."""

CALLS_AT_ONCE_MAX = 8
"""Redis runs one script at a time; more connections than this would not make it faster."""

_OPTIONS = frozenset({"db", "ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile", "ssl_check_hostname"})

_NUMBER = re.compile(r"[0-9]{1,5}")
_DATABASE = re.compile(r"(/[0-9]{0,5})?")

Word = str | bytes | int
"""What a script takes as a key or an argument."""


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script, and the name by which Redis knows it."""

    text: str
    sha: str


def load_script(*names: str) -> Script:
    """The script made of the files of *names* under `lua/`, in their order."""
    folder = resources.files("pql_stream.delivery") / "lua"
    text = "\n".join((folder / f"{name}.lua").read_text(encoding="utf-8") for name in names)
    return Script(text, sha1(text.encode(), usedforsecurity=False).hexdigest())


class RedisConnection:
    """
    Connections to the Redis at *url*, made when they are needed and again when they are lost.

    All ledgers and limiters of a process share it, in one event loop.
    """

    def __init__(self, url: str, *, answer_s_max: float = ANSWER_S_MAX) -> None:
        """
        Connects to nothing yet.

        Raises:
            InvalidSettings: *url* is none of ours. Its text has nothing of *url*, which may hold a password.
        """
        self.address = check_url(url)
        self._answer_s_max = answer_s_max
        pool = ConnectionPool.from_url(
            url,
            # Its own retries would come before, and beside, those of our caller.
            retry=Retry(NoBackoff(), 0),
            # Nor are its time-outs needed: ours is over all of a call, the wait for a place too.
            socket_connect_timeout=None,
            socket_timeout=None,
            protocol=2,
            driver_info=None,
        )
        self._redis = Redis(connection_pool=pool)
        # The pool's own limit would raise, or lose a place when a waiting task is cancelled.
        self._places = asyncio.Semaphore(CALLS_AT_ONCE_MAX)

    async def run(self, script: Script, keys: Sequence[Word], arguments: Sequence[Word]) -> Any:  # noqa: ANN401 - what a script gives is between it and its caller
        """
        What *script* gives: int, bytes, None, or a list of such.

        Raises:
            LedgerAway: no answer. The script may have been run, or not.
            InvalidState: a row that this version cannot read; nothing was changed.
        """
        try:
            async with asyncio.timeout(self._answer_s_max), self._places:
                return await self._run(script, [*keys, *arguments], len(keys))
        except ResponseError as exc:
            if "PQLROW" in str(exc):
                raise self._unreadable() from exc
            raise self._away(exc) from exc
        except (RedisError, OSError, TimeoutError) as exc:
            raise self._away(exc) from exc

    async def close(self) -> None:
        """Let go of the connections."""
        await self._redis.connection_pool.aclose()

    async def _run(self, script: Script, words: list[Word], keys: int) -> Any:  # noqa: ANN401 - as `run`
        try:
            return await self._redis.evalsha(script.sha, keys, *words)
        except NoScriptError:
            # New to this server, or forgotten: a Redis that was started again knows no scripts.
            return await self._redis.eval(script.text, keys, *words)

    def _away(self, exc: Exception) -> LedgerAway:
        return LedgerAway(
            "the ledger does not answer",
            why=f"Redis at {self.address}: {_reason(exc)}",
            what_to_do="see to Redis; delivery goes on by itself when it is back",
        )

    def _unreadable(self) -> InvalidState:
        return InvalidState(
            "a row of the ledger is not of this version",
            why=f"Redis at {self.address}",
            what_to_do="use the version that wrote it, or give this one another database: it may repeat deliveries",
        )


def check_url(url: str) -> str:
    """
    The address in a `REDIS_URL`, without user, password and options.

    redis-py reads on where it does not understand, and a password with a raw "/", "?" or "#" in it would be taken for
    an address, or shown in an error; so all that is not plainly a URL of ours is refused.

    Raises:
        InvalidSettings: it is none.
    """
    problem = _problem(url)
    if problem:
        raise InvalidSettings(
            "REDIS_URL cannot be used",
            why=problem,
            what_to_do="write redis://user:password@host:6379/0, rediss:// for TLS, or unix:///path/of/the.sock; "
            "in the password, / ? # @ : and % are written as %2F %3F %23 %40 %3A and %25",
        )
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return parts.path
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{host}:{parts.port or 6379}"


def _problem(url: str) -> str:
    """What is wrong with *url*; "" for nothing."""
    try:
        parts = urlsplit(url)
        port_is_good = parts.port is None or parts.port > 0
        options = parse_qsl(parts.query, strict_parsing=True) if parts.query else []
    except ValueError:
        return "its host, port or options cannot be read"
    wrong = {
        "it begins with none of redis://, rediss:// and unix://": parts.scheme not in ("redis", "rediss", "unix"),
        "its port is 0": not port_is_good,
        "it has a # in it": "#" in url,
        f"it has other options than {', '.join(sorted(_OPTIONS))}": not {name for name, _ in options} <= _OPTIONS,
        "its db is no number": any(name == "db" and not _NUMBER.fullmatch(value) for name, value in options),
        "it names no socket": parts.scheme == "unix" and (parts.path in ("", "/") or bool(parts.hostname)),
        "it names no host": parts.scheme != "unix" and not parts.hostname,
        "what follows the host is no number": parts.scheme != "unix" and not _DATABASE.fullmatch(parts.path),
    }
    return next((problem for problem, is_so in wrong.items() if is_so), "")


def _reason(exc: Exception) -> str:
    """What went wrong, in the words of Redis or of the operating system that name no key and no argument."""
    if isinstance(exc, ResponseError):
        code = str(exc).split(" ", 1)[0]
        return code if type(exc) is ResponseError and code.isupper() else type(exc).__name__
    if isinstance(exc, RedisError):
        return f"{type(exc).__name__}: {exc}"
    return "no answer in time" if isinstance(exc, TimeoutError) else type(exc).__name__
