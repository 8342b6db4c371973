"""Redrives dead letters: the ledger and `score-changed` are asked, copies and marks are written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from types import TracebackType
from typing import Any, NamedTuple, Self

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from pql_stream.core.routes import Route
from pql_stream.delivery.ledger import Ledger
from pql_stream.delivery.redrive import DeadLetter, Standing, Verdict, Wanted, judge, mark_record, redriven_record
from pql_stream.errors import BrokerAway, BrokerError
from pql_stream.ops.delivery.dead_letters import DeadLetterReader, Found
from pql_stream.stream.names import sink_topics
from pql_stream.wire.records import OutRecord

CHUNK = 500
"""So many are asked of the ledger, and written, at once."""

ANSWER_S_MAX = 30.0
MESSAGE_BYTES_MAX = 2 * 1024 * 1024
"""As `max.message.bytes` of a sink's topics."""


class Count(NamedTuple):
    """Dead letters of a sink that have a reason and a verdict."""

    sink: str
    reason: str
    verdict: Verdict


@dataclass(slots=True)
class Tally:
    """How many there are of each, and of how many an attempt may have arrived: to redrive them may repeat it."""

    counts: Counter[Count] = field(default_factory=Counter)
    in_doubt: Counter[Count] = field(default_factory=Counter)


class Redriver:
    """
    Judges dead letters, and redrives them if it has a *sender*.

    *ledger_of* gives the ledger of a sink. *tiers* are the live pack's, the lowest first. *routes*: those whose options
    are taken instead of a delivery's own; a delivery whose route is not among them keeps its own.
    """

    def __init__(
        self,
        reader: DeadLetterReader,
        ledger_of: Callable[[str], Ledger],
        *,
        prefix: str,
        tiers: Sequence[str],
        routes: Sequence[Route] = (),
        sender: RecordSender | None = None,
    ) -> None:
        self._reader = reader
        self._ledger_of = ledger_of
        self._prefix = prefix
        self._tiers = tiers
        self._routes = {(route.name, route.sink, route.action): route for route in routes}
        self._sender = sender
        self.tally = Tally()

    async def run(self, sink: str, wanted: Wanted) -> None:
        """
        Judge, and redrive, the *wanted* dead letters of *sink*. What it does is in `tally`.

        Raises:
            BrokerError: the cluster is away, or does not let us. What was done stays done.
            LedgerAway: likewise, the ledger.
        """
        for partition in self._reader.partitions(sink, wanted):
            standings = self._reader.standings(partition.at.partition, partition.lead_ids)
            for chunk in _chunks(self._reader.letters(partition, wanted)):
                chosen = await self._judge(chunk, standings)
                if self._sender is not None:
                    self._redrive(self._sender, sink, chosen)

    async def _judge(self, chunk: Sequence[Found], standings: Mapping[str, Standing]) -> list[DeadLetter]:
        """Those of *chunk* that are to be redriven."""
        refs = {one.letter.offset: ref for one in chunk if (ref := one.letter.ref) is not None}
        ledger = self._ledger_of(chunk[0].sink)
        known = dict(zip(refs, await ledger.look_up(list(refs.values())), strict=True))
        chosen: list[DeadLetter] = []
        for one in chunk:
            letter = one.letter
            if letter.delivery is None or one.is_redriven:
                self.tally.counts[Count(one.sink, letter.reason, "redriven" if one.is_redriven else "unreadable")] += 1
                continue
            row = known[letter.offset].row
            verdict = judge(letter, row, standings.get(letter.delivery.lead_id), self._tiers)
            count = Count(one.sink, letter.reason, verdict)
            self.tally.counts[count] += 1
            self.tally.in_doubt[count] += row.in_doubt
            if verdict == "redrive":
                chosen.append(letter)
        return chosen

    def _redrive(self, sender: RecordSender, sink: str, letters: Sequence[DeadLetter]) -> None:
        topics = sink_topics(sink, self._prefix)
        # Copies first: a mark without its copy would lose a delivery, a copy without its mark is written once more.
        sender.send(topics.deliveries, [(one.partition, redriven_record(one, self._options(one))) for one in letters])
        sender.send(topics.dead_letters, [(one.partition, mark_record(one)) for one in letters])

    def _options(self, letter: DeadLetter) -> Mapping[str, Any] | None:
        delivery = letter.delivery
        assert delivery is not None, "judged"  # noqa: S101 - our own mistake
        route = self._routes.get((delivery.route, delivery.sink, delivery.action))
        return None if route is None else route.options


class RecordSender:
    """Sends records to given partitions, and waits until all are acknowledged."""

    def __init__(self, client_config: Mapping[str, Any]) -> None:
        self._producer = Producer(
            {
                **client_config,
                "enable.idempotence": True,
                "message.max.bytes": MESSAGE_BYTES_MAX,
                "message.timeout.ms": int(ANSWER_S_MAX * 1000),
                "linger.ms": 5,
                "log_level": 0,
            }
        )
        self._failure: KafkaError | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._producer.flush(ANSWER_S_MAX + 1)

    def send(self, topic: str, records: Sequence[tuple[int, OutRecord]]) -> None:
        """
        Send *records*, each to its partition.

        Raises:
            BrokerError: not all are acknowledged. Those that are stay written.
        """
        try:
            for partition, record in records:
                self._produce(topic, partition, record)
        except KafkaException as exc:
            raise _not_written(topic, exc.args[0]) from exc
        self._producer.flush(ANSWER_S_MAX + 1)
        if self._failure is not None:
            raise _not_written(topic, self._failure)

    def _produce(self, topic: str, partition: int, record: OutRecord) -> None:
        while True:
            try:
                self._producer.produce(
                    topic,
                    record.value,
                    record.key,
                    partition,
                    on_delivery=self._answered,
                    headers=list(record.headers),
                )
            except BufferError:
                self._producer.poll(0.1)
            else:
                return

    def _answered(self, error: KafkaError | None, _message: Message) -> None:
        self._failure = self._failure or error


def _not_written(topic: str, error: KafkaError) -> BrokerError:
    timed_out = error.code() == KafkaError._MSG_TIMED_OUT  # noqa: SLF001 - the client's public name
    kind = BrokerAway if timed_out else BrokerError
    return kind(
        f"cannot write to {topic}",
        why=error.str(),
        what_to_do="see to the cluster, and run it again: what was redriven is left alone",
    )


def _chunks(found: Iterator[Found]) -> Iterator[list[Found]]:
    while chunk := list(islice(found, CHUNK)):
        yield chunk
