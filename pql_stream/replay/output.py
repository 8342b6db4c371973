"""What a replay leaves behind: four files of JSON lines, all of them or none (CONTRACT.md 8)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO

import orjson

from pql_stream.core.transition import Step
from pql_stream.errors import InvalidInput
from pql_stream.replay.replayer import Rejected, Replayer
from pql_stream.wire.lead_scores import lead_score_fields
from pql_stream.wire.pql_qualified import encode_pql_qualified
from pql_stream.wire.score_changed import encode_score_changed

CHANGES, QUALIFICATIONS, SCORES, REJECTED = (
    "score-changed.jsonl",
    "pql-qualified.jsonl",
    "scores.jsonl",
    "rejected.jsonl",
)


class ReplayOutput:
    """Takes outcomes in the order of the input; counts what it wrote, by file name."""

    def __init__(self, files: dict[str, IO[bytes]]) -> None:
        self._files = files
        self.counts = dict.fromkeys(files, 0)

    def write(self, outcome: Step | Rejected) -> None:
        """The records of one line."""
        if isinstance(outcome, Rejected):
            self._append(REJECTED, orjson.dumps(outcome._asdict()))
            return
        if outcome.change is not None:
            self._append(CHANGES, encode_score_changed(outcome.change))
        if outcome.qualification is not None:
            self._append(QUALIFICATIONS, encode_pql_qualified(outcome.qualification))

    def write_scores(self, replayer: Replayer) -> None:
        """The final scores, sorted by lead id."""
        for lead_id in sorted(replayer.states):
            fields = lead_score_fields(lead_id, replayer.states[lead_id], replayer.pack)
            self._append(SCORES, orjson.dumps(fields))

    def _append(self, name: str, record: bytes) -> None:
        self._files[name].write(record + b"\n")
        self.counts[name] += 1


@contextmanager
def replay_output(directory: Path) -> Iterator[ReplayOutput]:
    """
    The four files in *directory*, which is made if need be; they take their names when the replay ends well.

    Raises:
        InvalidInput: the directory cannot be written.
    """
    names = (CHANGES, QUALIFICATIONS, SCORES, REJECTED)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            files = {name: stack.enter_context(_partial(directory, name).open("wb")) for name in names}
            yield ReplayOutput(dict(files))
        for name in names:
            _partial(directory, name).replace(directory / name)
    except OSError as exc:
        raise InvalidInput(
            f"cannot write to {directory}",
            why=exc.strerror or str(exc),
            what_to_do="name another --out directory",
        ) from exc
    finally:
        # Where the directory itself is the trouble there is nothing to remove, and that is not the news.
        with suppress(OSError):
            for name in names:
                _partial(directory, name).unlink(missing_ok=True)


def _partial(directory: Path, name: str) -> Path:
    return directory / f".{name}.partial"
