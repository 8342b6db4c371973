"""
Every exception, sorted by who must act.

PqlError
├── InvalidSettings    the operator: an environment variable or a flag; refuse to start
├── InvalidPack        RevOps: the model pack; refuse to load, every problem named
├── InvalidState       the operator: a table row, or a state directory, this version cannot read; stop
├── StoreError         the operator: the disk under the state directory, which is full or broken; stop
├── InvalidInput       the operator: a file that cannot be read (missing, a directory, broken gzip)
├── Interrupted        the operator: who stopped long work and may go on with it
├── BrokerError        the operator: the cluster refuses or lacks something we need; refuse to start
│   └── BrokerAway     likewise, but it may come back: a worker waits for it
├── RecordTooLarge     the caller: send something smaller in its place
├── StreamLost         nobody: our hold on a partition is gone; the process ends and is started again
├── ClaimLost          nobody: another worker delivers what is in a partition now; stop working on it
├── LedgerAway         the operator: the store of the ledger does not answer; delivery waits for it
└── InvalidEvent       the producer: dead-letter the bytes, keep going
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

RejectReason = Literal[
    "too_large",
    "not_utf8",
    "not_json",
    "not_object",
    "missing_field",
    "bad_type",
    "bad_time",
    "too_deep",
    "internal_error",
]


class PqlError(Exception):
    """
    Somebody has to act; the subclass says who.

    *why* and *what_to_do* are one line each: the command line prints them under the message.
    """

    def __init__(self, what: str, *, why: str = "", what_to_do: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.what_to_do = what_to_do


class InvalidSettings(PqlError):
    """The environment, or a flag, asks for something we cannot do."""


@dataclass(frozen=True, slots=True)
class PackProblem:
    """One thing wrong with a model pack: where (line from 1, 0 if unknown; path) and what instead."""

    line: int
    path: str
    message: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.path}: {self.message}" if self.line else f"{self.path}: {self.message}"


class InvalidPack(PqlError):
    """A model pack that cannot be used; `problems` has all of them, in the order of the file."""

    def __init__(self, name: str, problems: tuple[PackProblem, ...]) -> None:
        super().__init__(
            f"{name} is not a usable model pack: {len(problems)} problem{'s' if len(problems) != 1 else ''}",
            why="\n".join(str(problem) for problem in problems),
            what_to_do="mend the lines above; `pql-stream pack check FILE` tells what is left",
        )
        self.problems = problems


class InvalidState(PqlError):
    """A row, or a state directory, that this version cannot continue from."""


class StoreError(PqlError):
    """The state directory cannot be written, or read."""


class InvalidInput(PqlError):
    """A file that cannot be read."""


class Interrupted(PqlError):
    """Work that was stopped from outside; it says whether it can be gone on with."""


class BrokerError(PqlError):
    """The cluster refuses or lacks something that we need."""


class BrokerAway(BrokerError):
    """The cluster does not answer."""


class RecordTooLarge(PqlError):
    """
    The broker refuses a record for its size, and always will.

    Attributes: `index`, the record's place in what was to be sent. Those before it are written; it and
    those behind it are not.
    """

    def __init__(self, topic: str, index: int, size: int) -> None:
        super().__init__(
            f"a record of {size} bytes is too large for {topic}",
            why="the topic's max.message.bytes is smaller",
            what_to_do="raise max.message.bytes of the topic (`pql-stream topics apply`)",
        )
        self.topic = topic
        self.index = index
        self.size = size


class StreamLost(PqlError):
    """Our hold on a partition is gone: writing on would spoil the next owner's work."""

    def __init__(self, what: str, *, why: str = "") -> None:
        super().__init__(
            what, why=why, what_to_do="nothing: the worker is to be started again, and reads from the last commit"
        )


class ClaimLost(PqlError):
    """Another worker has taken a partition of deliveries over."""

    def __init__(self, partition: str) -> None:
        super().__init__(f"another worker delivers {partition} now")
        self.partition = partition


class LedgerAway(PqlError):
    """The ledger of deliveries, or the limiter beside it, does not answer."""


class InvalidEvent(PqlError):
    """
    A record that is no product event.

    Attributes: `reason`, one of the closed list of CONTRACT.md 2, and `field`, the part of the record that
    it is about ("" if none).
    """

    def __init__(self, reason: RejectReason, field: str = "", detail: str = "") -> None:
        super().__init__(": ".join(part for part in (reason, field, detail) if part))
        self.reason: RejectReason = reason
        self.field = field
        self.detail = detail
