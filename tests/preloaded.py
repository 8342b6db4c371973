"""The process that `program` forks: it has imported what commands and workers need, and runs nothing itself."""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
import threading
from dataclasses import dataclass

from pql_stream.ops.cli import COMMANDS

FDS = 4
"""Of a request: stdin, stdout and stderr of the new process, and where its exit is told."""
_STREAMS = (("stdin", "r", "strict"), ("stdout", "w", "strict"), ("stderr", "w", "backslashreplace"))
_REQUEST_BYTES = 65_536
_LATER = (
    "pql_stream.ops.delivery.app",
    "pql_stream.ops.delivery.config_reader",
    "pql_stream.ops.delivery.reloading",
    "pql_stream.ops.replaying.asked_topics",
    "pql_stream.stream.app",
    "pql_stream.stream.deliver_app",
    "pql_stream.stream.running",
)
"""What commands import when they get there."""


@dataclass(frozen=True)
class _Request:
    arguments: list[str]
    cwd: str
    env: dict[str, str]


def serve(control: socket.socket) -> _Request:
    """Fork for each request; return in the new process with what it is to do. Ends with its control."""
    wake, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(woken)
    told_at: dict[int, int] = {}  # pid -> where its exit is told
    while True:
        for fd in select.select([control, wake], [], [])[0]:
            if fd == wake:
                os.read(wake, _REQUEST_BYTES)
                _tell_ended(told_at)
                continue
            text, fds = _receive(control)
            if not text:
                sys.exit()
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                control.close()
                for left in (wake, woken, *told_at.values()):
                    os.close(left)
                _take(fds)
                return _Request(**json.loads(text))
            for given in fds[:-1]:
                os.close(given)
            told_at[pid] = fds[-1]
            control.send(b"%d" % pid)


def _receive(control: socket.socket) -> tuple[bytes, list[int]]:
    text, fds, _, _ = socket.recv_fds(control, _REQUEST_BYTES, FDS)
    while text and not text.endswith(b"\n"):
        text += control.recv(_REQUEST_BYTES)
    return text, fds


def _tell_ended(told_at: dict[int, int]) -> None:
    for pid in list(told_at):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            fd = told_at.pop(pid)
            os.write(fd, b"%d" % status)
            os.close(fd)


def _take(fds: list[int]) -> None:
    for own, given in enumerate(fds[:-1]):
        os.dup2(given, own)
    for given in fds:
        os.close(given)
    # Those of Python's start know what their files were: nothing that can be sought in, say.
    for own, (name, mode, errors) in enumerate(_STREAMS):
        stream = open(own, mode, buffering=1 if name == "stderr" else -1, errors=errors, closefd=False)  # noqa: SIM115
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def _preload() -> None:
    for name in COMMANDS:
        importlib.import_module(f"pql_stream.ops.cli.{name}")
    for name in _LATER:
        importlib.import_module(name)
    gc.freeze()  # else every process would walk through all that is imported, at its end at least
    assert threading.active_count() == 1, "a fork would leave threads behind"


def _end(code: int) -> None:
    """As the interpreter ends, without taking apart all that is imported: most of what a short command takes."""
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def main() -> None:
    """Serve the test process at the other end; in a new process, be `python -m pql_stream`."""
    control = socket.socket(fileno=int(sys.argv.pop()))
    _preload()
    request = serve(control)
    os.chdir(request.cwd)
    os.environ.clear()
    os.environ.update(request.env)
    sys.argv[1:] = request.arguments
    try:
        runpy.run_module("pql_stream", run_name="__main__", alter_sys=True)
    except SystemExit as exc:
        _end(int(exc.code or 0))


if __name__ == "__main__":
    main()
