"""What a replay is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import orjson

import pql_stream
from pql_stream.core.packs import ModelPack
from pql_stream.replay.cut import ALL, Cut
from pql_stream.replay.source import Source
from pql_stream.wire.packs import dump_pack

LEADS_KEPT = 30_000
"""States in memory at most, changed and stored ones each; about 3 KiB a state, in every process."""
CHECKPOINT_RECORDS = 250_000
"""So many records at least lie between two checkpoints: two seconds or more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """
    Which events, by which pack, into which directory. It goes from process to process.

    *leads_kept* and *checkpoint_records* bound memory, and what a crash costs; no result depends on them, nor on
    *processes*.
    """

    source: Source
    pack: ModelPack
    out: Path
    cut: Cut = ALL
    parquet: bool = False
    processes: int = 1
    leads_kept: int = LEADS_KEPT
    checkpoint_records: int = CHECKPOINT_RECORDS

    def identity(self) -> dict[str, str]:
        """What a result depends on, each by a text that is equal only where it is the same."""
        pack = orjson.dumps(dump_pack(self.pack), option=orjson.OPT_SORT_KEYS)
        return {
            "events": self.source.fingerprint(),
            "pack": sha256(pack).hexdigest(),
            "options": f"{self.cut.as_of_ms} {self.cut.at_ms} {self.parquet}",
            "version of pql-stream": pql_stream.__version__,
        }


@dataclass(frozen=True, slots=True)
class Replayed:
    """How it went: *lines* of the source, *left_out* by the cut, records by file, and whether it had been begun."""

    lines: int
    left_out: int
    counts: dict[str, int]
