"""Recorded events to scores and changes, by the same `advance` as the stream."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from pql_stream.core.events import ProductEvent
from pql_stream.core.packs import CompiledPack
from pql_stream.core.states import LeadState, Step
from pql_stream.core.transition import advance
from pql_stream.errors import InvalidEvent, RejectReason
from pql_stream.replay.source import Fields, Recorded
from pql_stream.wire.events import decode_event


class Rejected(NamedTuple):
    """
    A record that is no event; *detail* names the field, and never quotes the record.

    *file* and *line* are topic and offset where it comes from a topic; a file has no *partition*.
    """

    file: str
    line: int
    reason: RejectReason
    detail: str
    partition: int | None = None

    @classmethod
    def of(cls, record: Recorded, fault: InvalidEvent) -> Rejected:
        """*record*, refused for *fault*."""
        detail = ": ".join(part for part in (fault.field, fault.detail) if part)
        return cls(record.topic, record.offset, fault.reason, detail, _partition(record))

    @classmethod
    def for_bug(cls, record: Recorded, bug: Exception) -> Rejected:
        """*record*, which a mistake of ours cannot take."""
        return cls(record.topic, record.offset, "internal_error", type(bug).__name__, _partition(record))

    def fields(self) -> dict[str, Any]:
        """The JSON object of it; a file has no partition to tell of."""
        fields = self._asdict()
        if self.partition is None:
            del fields["partition"]
        return fields


def _partition(record: Recorded) -> int | None:
    # Every record of a topic has a time of Kafka's, and no line of a file.
    return None if record.timestamp_ms is None else record.partition


class Replayer:
    """
    Advances leads through recorded events.

    *states* are kept by lead id: without them, in memory, every lead that an accepted event named, scored or not.
    Others may be handed in that give None for a lead never seen.
    """

    def __init__(self, pack: CompiledPack, states: dict[str, LeadState] | None = None) -> None:
        self.pack = pack
        self.states: dict[str, LeadState] = _InMemory() if states is None else states

    def handle(self, record: Recorded) -> Step | Rejected:
        """Take in one record; what it did, or why it is refused."""
        return next(self.outcomes((record,)))

    def outcomes(self, records: Iterable[Fields]) -> Iterator[Step | Rejected]:
        """Take in *records* one by one, as they are asked for; of each what it did, or why it is refused."""
        # `decode` and `advance` in one, and in one loop: most records come this way, and three calls to each of them
        # are a twentieth of what it takes.
        states, pack = self.states, self.pack
        for topic, partition, offset, value, timestamp_ms, headers in records:
            outcome: Step | Rejected
            try:
                event = decode_event(value, topic, partition, offset, timestamp_ms=timestamp_ms, headers=headers)
                lead_id = event.lead_id
                outcome = advance(states[lead_id], event, pack)
            except InvalidEvent as exc:
                outcome = Rejected.of(Recorded(topic, partition, offset, value, timestamp_ms, headers), exc)
            except Exception as exc:  # noqa: BLE001 - a bug of ours costs one line, here as in the stream (DESIGN.md 4)
                outcome = Rejected.for_bug(Recorded(topic, partition, offset, value, timestamp_ms, headers), exc)
            else:
                states[lead_id] = outcome.state
            yield outcome

    def advance(self, record: Recorded, event: ProductEvent) -> Step | Rejected:
        """Take in *event*, which is what *record* says."""
        states, lead_id = self.states, event.lead_id
        try:
            step = advance(states[lead_id], event, self.pack)
        except Exception as exc:  # noqa: BLE001 - as above
            return Rejected.for_bug(record, exc)
        states[lead_id] = step.state
        return step


class _InMemory(dict[str, LeadState]):
    def __missing__(self, lead_id: str) -> None:
        return None


def decode(record: Recorded) -> ProductEvent | Rejected:
    """What *record* says, or why it is refused."""
    topic, partition, offset, value, timestamp_ms, headers = record
    try:
        return decode_event(value, topic, partition, offset, timestamp_ms=timestamp_ms, headers=headers)
    except InvalidEvent as exc:
        return Rejected.of(record, exc)
    except Exception as exc:  # noqa: BLE001 - as in `Replayer.advance`
        return Rejected.for_bug(record, exc)
