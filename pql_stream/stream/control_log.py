"""
What `pql-control` says, record by record in the order of the topic. Pure.

Every worker and every command reads all of it, so all come to the same roles. A worker that writes a cast reads on up
to its own record before it believes it: somebody else may have been first.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pql_stream.core.packs import PackId
from pql_stream.wire.control import (
    CastAnswer,
    CheckRequest,
    FillRequest,
    ReportAnswer,
    SwitchRequest,
    decode_control,
)


@dataclass(slots=True)
class ControlLog:
    """
    The topic up to an offset.

    *casts* has those that count of each partition, the first first. *switch_at* is where the request lies.
    """

    switch: SwitchRequest | None = None
    switch_at: int = -1
    check: CheckRequest | None = None
    fill: FillRequest | None = None
    casts: dict[int, list[CastAnswer]] = field(default_factory=dict)
    reports: dict[tuple[int, str], ReportAnswer] = field(default_factory=dict)

    def add(self, offset: int, value: bytes | None) -> None:
        """The next record. What is none of ours, or of a later version, counts for nothing."""
        record = None if value is None else decode_control(value)
        match record:
            case SwitchRequest():
                self.switch, self.switch_at = record, offset
            case CheckRequest():
                self.check = record
            case FillRequest():
                self.fill = record
            case CastAnswer():
                casts = self.casts.setdefault(record.partition, [])
                # The first of a number counts; what comes later under it is a repeat, or from somebody who was frozen.
                if record.number == len(casts):
                    casts.append(record)
            case ReportAnswer():
                self.reports[record.partition, record.request_id] = record
            case None:
                pass

    def live(self, partition: int) -> PackId | None:
        """The pack that is live there; None where no worker ever was."""
        casts = self.casts.get(partition)
        return casts[-1].live.id if casts else None

    def before(self, partition: int) -> PackId | None:
        """The pack that was live before it, if any."""
        casts = self.casts.get(partition)
        return casts[-1].before.id if casts and casts[-1].before is not None else None
