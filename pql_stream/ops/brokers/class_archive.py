"""
Apache Kafka's classes, loaded and verified, in a file that the JVM maps: a broker with it is up in half the time.

The JVM writes it when a broker that ran without it ends by itself (JEP 350). One that does not fit the Java or the jars
any more is ignored by the JVM.
"""

from __future__ import annotations

import hashlib
import uuid
from pathlib import Path


class ClassArchive:
    """The file for *java* and *jars*, beside the jars."""

    def __init__(self, java: str, jars: Path) -> None:
        program = Path(java).resolve()
        made_of = f"{jars} {program} {program.stat().st_mtime_ns}"
        self._path = jars.parent / f"classes-{hashlib.sha256(made_of.encode()).hexdigest()[:10]}.jsa"
        # Each broker writes a file of its own: two may end at once.
        self._new = self._path.with_suffix(f".{uuid.uuid4().hex}")

    def exists(self) -> bool:
        """Whether a broker has written it."""
        return self._path.exists()

    def options(self) -> list[str]:
        """What makes a JVM use it."""
        return [f"-XX:SharedArchiveFile={self._path}"] if self.exists() else []

    def broker_options(self) -> list[str]:
        """What makes a JVM use it, or write it when it ends; then call `keep`."""
        return self.options() or [f"-XX:ArchiveClassesAtExit={self._new}"]

    def keep(self) -> None:
        """Take what a JVM has written; nothing where it has not, as after a kill."""
        if self._new.exists():
            self._new.replace(self._path)
