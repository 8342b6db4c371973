"""
`pql-stream` as a process of its own, which starts in milliseconds.

To import what a worker needs takes a second of a core, and tests start hundreds. So a process that has imported
all of it (`preloaded`) is forked instead. What starts is what `python -m pql_stream` starts, with its own pid,
environment and files; only what Python itself takes from its environment at its start (PYTHONIOENCODING, say)
is as in the test's own process. Python's own start is with the tests of the demo, the README and the wheel.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import socket
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, AnyStr

_ROOT = Path(__file__).parents[1]
_STATUS_BYTES = 16


class Program(subprocess.Popen[AnyStr]):
    """`pql-stream` with *arguments*; everything else is as with `Popen`."""

    def __init__(self, *arguments: str, **options: Any) -> None:
        super().__init__(arguments, **options)

    # The three steps of `Popen` that know what a child is; they are the same from Python 3.11 on.

    def _execute_child(
        self,
        args: tuple[str, ...],
        _executable: object,
        _preexec_fn: object,
        _close_fds: object,
        _pass_fds: object,
        cwd: str | os.PathLike[str] | None,
        env: Mapping[str, str] | None,
        *others: Any,
    ) -> None:
        _startupinfo, _creationflags, _shell, *pipes = others[:9]
        p2cread, _, _, c2pwrite, _, errwrite = pipes
        own = [given if given != -1 else inherited for inherited, given in enumerate((p2cread, c2pwrite, errwrite))]
        environ = dict(os.environ if env is None else env)
        self.pid, self._ended = _preloaded().fork(args, own, str(cwd or Path.cwd()), environ)
        self._child_created = True
        self._close_pipe_fds(*pipes)  # type: ignore[attr-defined]  # as above

    def _try_wait(self, wait_flags: int) -> tuple[int, int]:
        told = select.poll()  # `select` knows no file beyond number 1,023
        told.register(self._ended, select.POLLIN)
        if not told.poll(0 if wait_flags & os.WNOHANG else None):
            return 0, 0
        status = os.read(self._ended, _STATUS_BYTES)
        os.close(self._ended)
        assert status, "the preloaded process has ended"
        return self.pid, int(status)

    def _internal_poll(self, **_options: object) -> int | None:
        if self.returncode is None:
            pid, status = self._try_wait(os.WNOHANG)
            if pid:
                self._handle_exitstatus(status)  # type: ignore[attr-defined]  # as above
        return self.returncode


def run(*arguments: str, timeout: float = 60.0, **options: Any) -> subprocess.CompletedProcess[str]:
    """`pql-stream` with *arguments* to its end; stdin, by default empty, and what it says are text."""
    given = options.pop("input", "")
    options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    with Program(*arguments, text=True, **options) as program:
        try:
            out, err = program.communicate(given, timeout)
        finally:
            program.kill()
    return subprocess.CompletedProcess(program.args, program.returncode, out, err)


class _Preloaded:
    """The process that is forked. It ends with this one."""

    def __init__(self) -> None:
        self._control, its = socket.socketpair()
        command = [sys.executable, "-m", "tests.preloaded", str(its.fileno())]
        with its:
            self._process = subprocess.Popen(
                command, cwd=_ROOT, pass_fds=[its.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
            )
        atexit.register(self._end)

    def fork(self, arguments: tuple[str, ...], own: list[int], cwd: str, env: dict[str, str]) -> tuple[int, int]:
        """The pid of a new process with the files *own* as stdin, stdout and stderr; and where its exit is told."""
        ended, its = os.pipe()
        request = json.dumps({"arguments": arguments, "cwd": cwd, "env": env})
        try:
            socket.send_fds(self._control, [request.encode() + b"\n"], [*own, its])
        finally:
            os.close(its)
        return int(self._control.recv(_STATUS_BYTES)), ended

    def _end(self) -> None:
        self._control.close()
        self._process.wait()


_preloaded = cache(_Preloaded)
