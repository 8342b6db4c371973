"""A server of ours as a child process that ends with us, however we end."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

# Kills the server ($1) and removes what it leaves behind ($2 and on) when its own standard input ends, which it does
# when we are gone, however that came. Linux's "parent death signal" would follow the thread that started the server
# instead of the process.
WATCHDOG = 'read -r line; kill -9 "$1"; shift; rm -rf "$@"'


class Child:
    """A running process; what it prints goes to *log_path*. *litter* is removed if we die before it."""

    def __init__(self, command: Sequence[str], log_path: Path, *, litter: Sequence[Path] = ()) -> None:
        # Sessions of their own: a Ctrl-C on the terminal is ours to turn into a clean stop.
        with log_path.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - the program was found by us, the arguments are ours
                list(command), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        with ExitStack() as unfinished:
            unfinished.callback(self._process.kill)  # also after a Ctrl-C in the middle of it
            self._watchdog = subprocess.Popen(  # noqa: S603 - a fixed script, a number and paths of ours
                ["/bin/sh", "-c", WATCHDOG, "watchdog", str(self._process.pid), *map(str, litter)],
                stdin=subprocess.PIPE,
                start_new_session=True,
            )
            unfinished.pop_all()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def poll(self) -> int | None:
        """Its exit code; None while it runs."""
        return self._process.poll()

    def wait(self) -> int:
        """Its exit code, once it has ended by itself."""
        code = self._process.wait()
        self._reap()
        return code

    def stop(self, stop_s_max: float) -> None:
        """Ask it to end, and kill it after *stop_s_max* seconds."""
        self._process.terminate()
        try:
            self._process.wait(stop_s_max)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._reap()

    def kill(self) -> None:
        """End it by kill -9."""
        self._process.kill()
        self._reap()

    def _reap(self) -> None:
        # Together: a watchdog left over would kill the next owner of the pid.
        self._watchdog.kill()
        self._watchdog.communicate()
        self._process.wait()
