"""AsyncAPI's official parser, an npm package: installed once into the cache that all checkouts share."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.offline import skip_if_offline

CACHE = Path("~/.cache/pql-stream").expanduser()
PACKAGE = Path(__file__).parent / "asyncapi_node"
INSTALL_S_MAX = 300


def parser_directory() -> Path:
    """
    The directory with `parse.mjs` and what it needs.

    Skip where there is no Node or no network at home; fail in CI, where a skipped test would be a hole.
    """
    if shutil.which("node") is None or shutil.which("npm") is None:
        notice = "Node.js with npm is missing, and AsyncAPI's parser is a program for it"
        if os.environ.get("CI"):
            pytest.fail(notice)
        pytest.skip(notice)
    content = b"".join(path.read_bytes() for path in sorted(PACKAGE.iterdir()))
    directory = CACHE / f"asyncapi-{hashlib.sha256(content).hexdigest()[:12]}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "asyncapi.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not directory.is_dir():
            _install(directory)
    return directory


def _install(directory: Path) -> None:
    new = Path(tempfile.mkdtemp(prefix="new-", dir=CACHE))
    try:
        shutil.copytree(PACKAGE, new, dirs_exist_ok=True)
        done = subprocess.run(
            ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
            cwd=new,
            capture_output=True,
            text=True,
            timeout=INSTALL_S_MAX,
            check=False,
        )
        skip_if_offline(done)
        assert 0 == done.returncode, done.stderr
        new.rename(directory)
    finally:
        shutil.rmtree(new, ignore_errors=True)  # gone already when it was renamed
