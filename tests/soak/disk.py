"""State directories that can be filled up: a small file system of their own, or a limit on the size of files."""

from __future__ import annotations

import resource
import subprocess
from contextlib import suppress
from pathlib import Path

_SIZE_MIB = 24
_BALLAST = "ballast"
_CHUNK = bytes(64 * 1024)


class SmallDisk:
    """A tmpfs of 24 MiB at *path*; needs the right to mount."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True)
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={_SIZE_MIB}m", "tmpfs", path], check=True, capture_output=True
        )

    def fill(self) -> None:
        """Not a byte more goes on it."""
        # "No space left on device" is what ends it.
        with suppress(OSError), (self.path / _BALLAST).open("ab", buffering=0) as ballast:
            while ballast.write(_CHUNK):
                pass

    def free(self) -> None:
        """There is space again."""
        (self.path / _BALLAST).unlink(missing_ok=True)

    def close(self) -> None:
        """Unmount; a worker that still holds files open does not keep us."""
        subprocess.run(["umount", "-l", self.path], check=False, capture_output=True)


def may_mount(directory: Path) -> bool:
    """We may have a file system of our own: as root, mostly."""
    try:
        SmallDisk(directory / "mount-probe").close()
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def forbid_writing(pid: int) -> None:
    """From here on the process cannot make any file longer (EFBIG), until `allow_writing`; needs no rights."""
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


def allow_writing(pid: int) -> None:
    """Take `forbid_writing` back."""
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))
