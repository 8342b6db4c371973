"""promtool and amtool: those of the PATH, else those of Debian's packages, unpacked once without being installed."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Literal

ToolName = Literal["promtool", "amtool"]

FETCH_S_MAX = 300
_PACKAGES = ("prometheus", "prometheus-alertmanager")


class ToolMissing(Exception):
    """There is no such tool, and it cannot be had; says what to do."""


def find_tool(name: ToolName) -> str:
    """
    The program *name*.

    Raises:
        ToolMissing: it is not installed, and this is no Debian, or its packages cannot be reached.
    """
    found = shutil.which(name)
    if found is not None:
        return found
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pql-stream" / "prometheus-tools"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (cache / "bin" / name).exists():
            _fetch(cache)
    return str(cache / "bin" / name)


def _fetch(cache: Path) -> None:
    """Fill `bin` of *cache*, whole or not at all."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise ToolMissing("promtool and amtool are missing: install Prometheus and Alertmanager")
    new = Path(tempfile.mkdtemp(prefix="new-", dir=cache))
    try:
        # A list of packages of our own: the system's may be empty or old, and is not ours to renew.
        for directory in ("lists/partial", "archives/partial", "bin"):
            (new / directory).mkdir(parents=True)
        apt = (
            "apt-get",
            "-qq",
            f"-oDir::State::Lists={new}/lists",
            f"-oDir::Cache={new}",
            "-oAPT::Sandbox::User=root",
        )
        _run(*apt, "update", cwd=new)
        _run(*apt, "download", *_PACKAGES, cwd=new)
        for package in new.glob("*.deb"):
            _run("dpkg-deb", "-x", str(package), str(new / "root"), cwd=new)
        for tool in ("promtool", "amtool"):
            shutil.copy2(new / "root" / "usr" / "bin" / tool, new / "bin" / tool)
        shutil.rmtree(cache / "bin", ignore_errors=True)
        (new / "bin").rename(cache / "bin")
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _run(*command: str, cwd: Path) -> None:
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            capture_output=True,
            text=True,
            check=False,
            timeout=FETCH_S_MAX,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        )
    except subprocess.TimeoutExpired as exc:
        raise ToolMissing(f"{' '.join(command[:2])} was not done after {FETCH_S_MAX} s") from exc
    if done.returncode:
        raise ToolMissing(f"promtool and amtool cannot be fetched: {done.stderr.strip()[-500:]}")
