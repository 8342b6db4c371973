"""Recorded events to scores and changes, by the same `advance` as the stream."""

from __future__ import annotations

from typing import NamedTuple

from pql_stream.core.packs import CompiledPack
from pql_stream.core.transition import LeadState, Step, advance
from pql_stream.errors import InvalidEvent, RejectReason
from pql_stream.replay.files import Line
from pql_stream.wire.events import decode_event

FILE_PARTITION = 0
"""What stands as the partition of an event from a file; its topic is the file's name, its offset the line."""


class Rejected(NamedTuple):
    """A line that is no event; *detail* names the field, and never quotes the line."""

    file: str
    line: int
    reason: RejectReason
    detail: str

    @classmethod
    def of(cls, line: Line, fault: InvalidEvent) -> Rejected:
        """*line*, refused for *fault*."""
        detail = ": ".join(part for part in (fault.field, fault.detail) if part)
        return cls(line.file, line.number, fault.reason, detail)


class Replayer:
    """
    Advances leads through recorded events, in memory.

    `states` has every lead that an accepted event named, scored or not.
    """

    def __init__(self, pack: CompiledPack) -> None:
        self.pack = pack
        self.states: dict[str, LeadState] = {}

    def handle(self, line: Line) -> Step | Rejected:
        """Take in one line; what it did, or why it is refused."""
        try:
            event = decode_event(line.content, topic=line.file, partition=FILE_PARTITION, offset=line.number)
            step = advance(self.states.get(event.lead_id), event, self.pack)
        except InvalidEvent as exc:
            return Rejected.of(line, exc)
        except Exception as exc:  # noqa: BLE001 - a bug of ours costs one line, here as in the stream (DESIGN.md 4)
            return Rejected(line.file, line.number, "internal_error", type(exc).__name__)
        self.states[event.lead_id] = step.state
        return step
