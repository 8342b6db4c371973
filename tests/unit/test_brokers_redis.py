"""The Redis of our own: what it keeps, who reaches it, how it ends."""

import os
import select
import stat
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from redis import OutOfMemoryError, Redis

from pql_stream.errors import BrokerError
from pql_stream.ops.brokers.redis import EmbeddedRedis, find_server

pytestmark = pytest.mark.usefixtures("redis_server")

START_AND_WAIT = """
import sys
from pql_stream.ops.brokers.redis import EmbeddedRedis
redis = EmbeddedRedis().start()
print(redis.pid, redis.socket_path.parent, flush=True)
sys.stdin.read()
"""


def client(redis: EmbeddedRedis) -> Redis:
    return Redis.from_url(redis.url, single_connection_client=True)


def test_its_rows_end_with_it_where_no_directory_is_given():
    """
    Started again it has the same URL, and nothing in it.
    """
    with EmbeddedRedis() as redis:
        with client(redis) as before:
            before.set("row", "1")
        redis.kill()
        redis.start()
        with client(redis) as after:
            rows = after.keys()

    assert [] == rows


@pytest.mark.parametrize("end", [EmbeddedRedis.kill, EmbeddedRedis.stop], ids=["kill -9", "stop"])
def test_its_rows_are_kept_in_the_directory_that_is_given(end, tmp_path):
    """
    Whatever was answered is there after the next start, and for the next server on the directory.
    """
    data_dir = tmp_path / ("deep" * 20) / ("deeper" * 20)
    kept = []
    with EmbeddedRedis(data_dir) as redis:
        with client(redis) as before:
            before.set("row", "1")
        end(redis)
        redis.start()
        with client(redis) as after:
            kept += after.keys()
    with EmbeddedRedis(data_dir) as redis, client(redis) as later:
        kept += later.keys()

    assert [b"row", b"row"] == kept


def test_a_full_one_refuses_and_forgets_nothing():
    """
    Its memory is bounded, and what is in it stays.
    """
    with EmbeddedRedis(memory_bytes_max=4 * 1024 * 1024) as redis, client(redis) as full:
        with pytest.raises(OutOfMemoryError):
            all(full.set(f"row-{number}", bytes(100_000)) for number in range(100))
        first = full.get("row-0")

    assert bytes(100_000) == first


def test_only_this_user_reaches_it():
    """
    It listens on no port, and its socket lies in a directory of its own.
    """
    with EmbeddedRedis() as redis, client(redis) as connected:
        port = connected.config_get("port")["port"]
        rights = [stat.S_IMODE(path.stat().st_mode) for path in (redis.socket_path, redis.socket_path.parent)]

    assert "0" == port
    assert [0o700, 0o700] == rights


def test_nothing_is_left_of_a_closed_one():
    """
    No process, no socket, no file; closing twice is no trouble.
    """
    with EmbeddedRedis() as redis:
        pid, directory = redis.pid, redis.socket_path.parent
    redis.close()

    assert redis.pid is None
    assert not directory.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_it_ends_when_its_launcher_is_killed():
    """
    kill -9 of the process that started it takes the server and its files with it.
    """
    command = [sys.executable, "-c", START_AND_WAIT]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as launcher:
        pid, directory = launcher.stdout.readline().split()
        server = os.pidfd_open(int(pid))
        launcher.kill()
        launcher.stdout.read()  # to its end: the watchdog holds it too, until all is done

    ended, _, _ = select.select([server], [], [], 30)
    os.close(server)
    assert [server] == ended
    assert not Path(directory).exists()


def test_one_that_does_not_start_says_why(tmp_path):
    """
    The server's own last words are in the error, and nothing is left behind.
    """
    (tmp_path / "appendonlydir").write_text("in the way")
    redis = EmbeddedRedis(tmp_path)
    with pytest.raises(BrokerError) as caught:
        redis.start()
    redis.close()

    assert "the embedded Redis did not start" == caught.value.what
    assert "exit code 1" in caught.value.why
    assert "appendonlydir" in caught.value.why


def test_a_server_on_the_path_is_taken_where_the_wheel_is_not(tmp_path, monkeypatch):
    """
    Without the wheel a `redis-server` of the system will do; without either the error says what to install.
    """

    def not_installed(name: str):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "files", not_installed)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BrokerError) as caught:
        find_server()
    (tmp_path / "redis-server").write_text("#!/bin/sh\n")
    (tmp_path / "redis-server").chmod(0o755)

    assert "there is no Redis server on this machine" == caught.value.what
    assert str(tmp_path / "redis-server") == find_server()
