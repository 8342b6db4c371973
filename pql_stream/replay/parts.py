"""
What one process of a replay writes, and how the parts of all become the files of CONTRACT.md 8.

A line of a part begins with what it is sorted by: the number of the record that made it, or the lead id, in hex, so
that lines sort as bytes, and merging is one comparison a line. Where there is one part only, it is the file already.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from heapq import merge
from pathlib import Path
from typing import IO

import orjson

from pql_stream.core.packs import CompiledPack
from pql_stream.core.states import LeadState, Step
from pql_stream.replay.replayer import Rejected
from pql_stream.wire.lead_scores import lead_score_fields
from pql_stream.wire.pql_qualified import encode_pql_qualified
from pql_stream.wire.score_changed import encode_score_changed

CHANGES, QUALIFICATIONS, SCORES, REJECTED = NAMES = (
    "score-changed.jsonl",
    "pql-qualified.jsonl",
    "scores.jsonl",
    "rejected.jsonl",
)

_BUFFER_BYTES = 1024 * 1024


class Parts:
    """The four parts of one process, in *directory*; counts what it wrote, by name."""

    def __init__(self, directory: Path, *, keyed: bool) -> None:
        self._keyed = keyed
        self._files: dict[str, IO[bytes]] = {}
        with ExitStack() as stack:
            for name in NAMES:
                # Neither "a", which cannot be cut, nor "w", which cuts it all.
                descriptor = os.open(directory / name, os.O_RDWR | os.O_CREAT, 0o666)
                self._files[name] = stack.enter_context(os.fdopen(descriptor, "r+b", _BUFFER_BYTES))
            self._stack = stack.pop_all()
        self.counts = dict.fromkeys(NAMES, 0)

    def cut(self, lengths: Mapping[str, int], counts: Mapping[str, int]) -> None:
        """Go on from where a checkpoint says that each part ended."""
        for name, file in self._files.items():
            file.truncate(lengths.get(name, 0))
            file.seek(0, os.SEEK_END)
            self.counts[name] = counts.get(name, 0)

    def write(self, outcome: Step | Rejected, number: int) -> None:
        """The records that record *number* of the source makes."""
        if isinstance(outcome, Rejected):
            self._append(REJECTED, b"%016x " % number, orjson.dumps(outcome.fields()))
            return
        if outcome.change is not None:
            self._append(CHANGES, b"%016x " % number, encode_score_changed(outcome.change))
        if outcome.qualification is not None:
            self._append(QUALIFICATIONS, b"%016x " % number, encode_pql_qualified(outcome.qualification))

    def write_score(self, lead_id: str, state: LeadState, pack: CompiledPack) -> None:
        """The final score of a lead; to be called in the order of lead ids."""
        key = f"{lead_id.encode().hex()} ".encode() if self._keyed else b""
        self._append(SCORES, key, orjson.dumps(lead_score_fields(lead_id, state, pack)))

    def sync(self) -> dict[str, int]:
        """Make durable what was written; how long each part is."""
        lengths = {}
        for name, file in self._files.items():
            file.flush()
            os.fsync(file.fileno())
            lengths[name] = file.tell()
        return lengths

    def close(self) -> None:
        """Write what is buffered."""
        self._stack.close()

    def _append(self, name: str, key: bytes, record: bytes) -> None:
        self._files[name].write((key if self._keyed else b"") + record + b"\n")
        self.counts[name] += 1


def merge_parts(parts: Sequence[Path], target: Path) -> None:
    """The lines of keyed *parts*, in the order of their keys and without them."""
    with ExitStack() as stack:
        files: list[Iterable[bytes]] = [stack.enter_context(part.open("rb", _BUFFER_BYTES)) for part in parts]
        out = stack.enter_context(target.open("wb", _BUFFER_BYTES))
        out.writelines(line.partition(b" ")[2] for line in merge(*files))
