# ruff: noqa: INP001 - a program, and no package
"""
Builds a release into DIR (dist, unless given): sdist and wheel, bill of materials, checksums.

Refuses what a release must not be: changes that are not committed, a version without a section in CHANGELOG.md, records
whose released schemas are not the current ones. Everything is built twice, and must come out the same byte for byte:
who builds this commit again with the pinned tools gets the same files.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
SECTION = re.compile(r"^## \[(?P<version>[^]]+)\](?: - (?P<date>\d{4}-\d{2}-\d{2}))?$", re.MULTILINE)
CHECKSUMS = "SHA256SUMS"


class NotReleasable(Exception):
    """What is wrong, and what to do, in a sentence or two."""


def sections(changelog: str) -> dict[str, str | None]:
    """Version -> date, in the order of *changelog*; of what is not released, None."""
    return {found["version"]: found["date"] for found in SECTION.finditer(changelog)}


def require_section(version: str, changelog: str) -> None:
    """
    *version* has its section, with a date.

    Raises:
        NotReleasable: it has none.
    """
    if sections(changelog).get(version) is None:
        raise NotReleasable(
            f"CHANGELOG.md has no section for {version}: write `## [{version}] - YYYY-MM-DD` over what is Unreleased"
        )


def require_released_schemas(schemas: Path) -> None:
    """
    `released/` below *schemas* has the same records.

    Raises:
        NotReleasable: it has not; the next change would be held against the wrong promise.
    """
    current, released = (
        {path.name: path.read_bytes() for path in where.glob("*.json")} for where in (schemas, schemas / "released")
    )
    if different := sorted(name for name in {*current, *released} if current.get(name) != released.get(name)):
        raise NotReleasable(
            f"schemas/released differs in {', '.join(different)}: cp schemas/*.json schemas/released/, and commit"
        )


def build(out: Path, epoch: str) -> None:
    """Sdist and wheel of the checkout, with all times at *epoch*."""
    _run(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, ROOT, epoch=epoch)


def bill_of_materials(out: Path, epoch: str) -> None:
    """CycloneDX, of the pinned requirements."""
    program = Path(sys.executable).with_name("cyclonedx-py")
    _run(
        *(program, "requirements", ROOT / "requirements.txt", "--pyproject", ROOT / "pyproject.toml"),
        *("--mc-type", "application", "--output-reproducible", "--output-format", "JSON", "--output-file", out),
        epoch=epoch,
    )


def checksums(directory: Path) -> str:
    """Of every file, as `sha256sum --check` reads them."""
    files = sorted(path for path in directory.iterdir() if path.name != CHECKSUMS)
    return "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files)


def release(out: Path, version: str) -> None:
    """
    Build *version* into *out*, which is emptied first.

    Raises:
        NotReleasable: something about the checkout is not as a release wants it, or two builds differ.
    """
    if dirty := _output("git", "status", "--porcelain"):
        raise NotReleasable(f"there are changes that are not committed:\n{dirty}")
    require_section(version, (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"))
    require_released_schemas(ROOT / "schemas")
    epoch = _output("git", "log", "-1", "--format=%ct")
    with tempfile.TemporaryDirectory(prefix="pql-release-") as temporary:
        first, second = Path(temporary, "first"), Path(temporary, "second")
        for directory in (first, second):
            directory.mkdir()
            build(directory, epoch)
            bill_of_materials(directory / f"pql_stream-{version}.cdx.json", epoch)
        if checksums(first) != checksums(second):
            raise NotReleasable(f"two builds differ:\n{checksums(first)}{checksums(second)}")
        (first / CHECKSUMS).write_text(checksums(first), encoding="utf-8")
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(first, out)


def _run(*command: object, epoch: str) -> None:
    environment = {**os.environ, "SOURCE_DATE_EPOCH": epoch}
    done = subprocess.run(  # noqa: S603 - the program and its arguments are ours
        [str(word) for word in command], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise NotReleasable(f"{Path(str(command[0])).name} failed:\n{done.stdout}{done.stderr}")


def _output(*command: str) -> str:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603 - as above


def main() -> int:
    """1 when it cannot be released, with the reason on stderr."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().splitlines()[0])
    parser.add_argument("directory", nargs="?", type=Path, default=ROOT / "dist")
    out = parser.parse_args().directory
    from pql_stream import __version__  # noqa: PLC0415 - `--help` needs no installation

    try:
        release(out, __version__)
    except NotReleasable as exc:
        print(f"Error: {exc}", file=sys.stderr)  # noqa: T201 - a program's own output
        return 1
    print((out / CHECKSUMS).read_text(encoding="utf-8"), end="")  # noqa: T201 - a program's own output
    return 0


if __name__ == "__main__":
    sys.exit(main())
