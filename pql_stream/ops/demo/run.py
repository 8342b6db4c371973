"""
The demo: an embedded Kafka and Redis, the real worker, real input, fakes of where it delivers to, and at the end the
proof that nothing was lost, neither on the way in nor on the way out.
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pql_stream.core.packs import CompiledPack, compile_pack
from pql_stream.core.routes import Route
from pql_stream.errors import InvalidInput, PqlError
from pql_stream.ops.brokers.embedded import EmbeddedKafka
from pql_stream.ops.brokers.redis import EmbeddedRedis
from pql_stream.ops.delivery.checks import set_up_sinks
from pql_stream.ops.delivery.config import load_config
from pql_stream.ops.delivery.sinks import open_sinks
from pql_stream.ops.demo.deliveries import DeliveryAccount, Wanted, account
from pql_stream.ops.demo.destinations import Destinations
from pql_stream.ops.demo.player import Collected, Player
from pql_stream.ops.demo.process import WorkerProcess
from pql_stream.ops.demo.records import Chapter, DemoRecord, demo_records, refusals_expected, skips_expected
from pql_stream.ops.demo.settings_file import SINKS, SettingsFile, write_settings_file
from pql_stream.ops.settings import Settings
from pql_stream.replay.replayer import Rejected, Replayer
from pql_stream.replay.source import FILE_PARTITION, Recorded
from pql_stream.stream.names import PRODUCT_ACTIVITY, TOPICS, sink_topics
from pql_stream.testing.destinations.journal import Effect
from pql_stream.wire.lead_scores import lead_score_fields
from pql_stream.wire.packs import load_pack

PARTITIONS = 4
PACK = "pql-100"


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What the demo has to tell. *scores* has every lead; *chapters* says which lead came from where."""

    sent: int
    scored: int
    refused: Mapping[str, int]
    skipped: int
    rekeyed: int
    seconds: float
    changes: int
    scores: Mapping[str, dict[str, Any]]
    chapters: Mapping[str, Chapter]
    qualifications: list[dict[str, Any]]
    deliveries: DeliveryAccount

    def tiers(self, chapter: Chapter) -> Counter[str]:
        """Leads by tier, of one chapter."""
        return Counter(fields["tier"] for lead, fields in self.scores.items() if self.chapters[lead] == chapter)


@dataclass(frozen=True, slots=True)
class Kept:
    """
    A demo that runs on. *check_worker* raises when the worker has ended, *arrived* gives what the destinations have
    accepted since it was asked last, with the name of the sink.
    """

    bootstrap: str
    check_worker: Callable[[], None]
    arrived: Callable[[], Iterator[tuple[str, Effect]]]


def run_demo(
    *,
    quick: bool,
    progress: Callable[[int, int], None],
    events_file: Path,
    keep: Callable[[DemoResult, Kept], None] | None,
) -> DemoResult:
    """
    Play the demo. *progress* hears (records done, records in all); *events_file* gets the lines that were
    played, for other commands to try on. *keep*, if any, is called while everything still runs.

    Raises:
        PqlError: it did not run, or its account does not add up.
    """
    records = list(demo_records(quick=quick))
    _write_events(records, events_file)
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pql-demo-")))
        broker = stack.enter_context(EmbeddedKafka(dict.fromkeys(_topics(), PARTITIONS)))
        redis = stack.enter_context(EmbeddedRedis())
        destinations = stack.enter_context(Destinations())
        file = write_settings_file(directory / "pql.toml", destinations.addresses)
        wanted = Wanted(_set_up(file))
        given = {**file.secrets, "PQL_CONFIG": str(file.path), "REDIS_URL": redis.url}
        worker = stack.enter_context(WorkerProcess(broker.bootstrap, directory, given))
        player = stack.enter_context(closing(Player(broker.bootstrap, PARTITIONS, wanted, worker.check)))
        started_at_s = time.monotonic()
        for done in player.play(records):
            progress(done, len(records))
        seconds = time.monotonic() - started_at_s
        counters = worker.counters()
        deliveries = account(wanted, destinations.effects(), int(counters["pql_sink_superseded_total"]))
        result = _result(records, player.collected, counters, deliveries, seconds)
        if keep is not None:
            list(destinations.arrived())
            keep(result, Kept(broker.bootstrap, worker.check, destinations.arrived))
        worker.stop()
    return result


def _topics() -> Iterator[str]:
    """All that there must be: the broker makes none later, at least not with these partitions."""
    yield from TOPICS
    for sink in SINKS:
        queues = sink_topics(sink, "")
        yield from (queues.deliveries, queues.parked, queues.dead_letters)


def _set_up(file: SettingsFile) -> tuple[Route, ...]:
    """
    Make what the destinations must have, as `pql-stream sinks set-up` does; the routes of the file.

    Raises:
        PqlError: a destination refuses.
    """
    config = load_config(Settings(config_file=file.path), load_pack(PACK), file.secrets)
    for one in set_up_sinks(open_sinks(config, "")):
        if one.state == "failed":
            raise PqlError(f"the demo's sink {one.sink} cannot be set up", why=one.text, what_to_do="please report it")
    return config.routes


def _result(
    records: list[DemoRecord],
    collected: Collected,
    counters: Mapping[str, float],
    deliveries: DeliveryAccount,
    seconds: float,
) -> DemoResult:
    pack = compile_pack(load_pack(PACK))
    replayer, chapters = _replayed(records, pack)
    result = DemoResult(
        sent=len(records),
        scored=int(counters["pql_events_consumed_total"]),
        refused=dict(collected.refused),
        skipped=int(counters["pql_events_skipped_total"]),
        rekeyed=int(counters["pql_events_rekeyed_total"]),
        seconds=seconds,
        changes=collected.changes,
        scores={lead: lead_score_fields(lead, state, pack) for lead, state in replayer.states.items()},
        chapters=chapters,
        qualifications=collected.qualifications,
        deliveries=deliveries,
    )
    _prove(result, collected)
    return result


def _replayed(records: list[DemoRecord], pack: CompiledPack) -> tuple[Replayer, dict[str, Chapter]]:
    """The same records through a replay, to hold the stream's answer against; and each lead's chapter."""
    replayer = Replayer(pack)
    chapters: dict[str, Chapter] = {}
    for number, record in enumerate(records):
        # Bad records are no business of a replay: some are bad by their headers or their Kafka timestamp only.
        if record.value and record.key is not None and not record.key.startswith(b"dirt-"):
            outcome = replayer.handle(Recorded(PRODUCT_ACTIVITY, FILE_PARTITION, number, record.value))
            if isinstance(outcome, Rejected):
                raise AssertionError(f"the demo's own event is refused: {outcome}")
            chapters[record.key.decode()] = record.chapter
    return replayer, chapters


def _prove(result: DemoResult, collected: Collected) -> None:
    """
    Raises:
        PqlError: a record or a delivery is missing from the account, or a score is not what a replay gives.
    """
    refused = sum(result.refused.values())
    problems = list(result.deliveries.problems)
    if result.scored + refused + result.skipped != result.sent:
        problems.append(f"{result.scored} scored + {refused} refused + {result.skipped} skipped is not {result.sent}")
    if (refused, result.skipped) != (refusals_expected(), skips_expected()):
        problems.append(f"refused {refused} of {refusals_expected()}, skipped {result.skipped} of {skips_expected()}")
    streamed = {lead: record["score_after"] for lead, record in collected.scores.items()}
    replayed = {lead: fields["score"] for lead, fields in result.scores.items() if fields["score"] or lead in streamed}
    wrong = sum(streamed.get(lead) != replayed.get(lead) for lead in streamed.keys() | replayed.keys())
    if wrong:
        problems.append(f"{wrong} scores are not what a replay of the same events gives")
    if problems:
        raise PqlError("the demo's account does not add up", why="; ".join(problems), what_to_do="please report it")


def _write_events(records: list[DemoRecord], path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            for record in records:
                if record.value and b"\n" not in record.value:
                    file.write(record.value + b"\n")
    except OSError as exc:
        raise InvalidInput(
            f"the demo cannot write its events to {path}",
            why=exc.strerror or str(exc),
            what_to_do="run it in a directory that you may write to",
        ) from exc
