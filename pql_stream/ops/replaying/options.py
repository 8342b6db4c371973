"""The options by which a command's user chooses a source: files, or topics of the cluster."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import click

from pql_stream.ops.replaying.bounds import Bound, OffsetBound, PartitionOffsets, TimeBound, parse_bound
from pql_stream.ops.replaying.file_sources import file_source
from pql_stream.replay.source import Source
from pql_stream.replay.sources.files import Files
from pql_stream.stream.names import PRODUCT_ACTIVITY

F = TypeVar("F", bound=Callable[..., Any])


class _BoundType(click.ParamType):
    name = "time or offset"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Bound:  # noqa: ANN401 - as the base class has it
        try:
            return parse_bound(value)
        except ValueError as exc:
            self.fail(str(exc), param, ctx)


class _PartitionsType(click.ParamType):
    name = "partitions"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:  # noqa: ANN401 - as the base class has it
        parts = [part.strip() for part in value.split(",")]
        if not all(part.isascii() and part.isdecimal() and len(part) < 10 for part in parts):
            self.fail(f"{value!r} are no partitions like 0,3", param, ctx)
        return tuple(sorted({int(part) for part in parts}))


@dataclass(frozen=True, slots=True)
class AskedSource:
    """What the user asked for: *files*, or *topics* (without the prefix) with the bounds of their ranges."""

    files: tuple[str, ...]
    topics: tuple[str, ...] = ()
    partitions: tuple[int, ...] | None = None
    begin: Bound | None = None
    end: Bound | None = None

    @property
    def is_empty(self) -> bool:
        """Nothing is named to read."""
        return not self.files and not self.topics

    def source(self, keep: Path | None = None) -> Source:
        """
        The source.

        A topic is read as far as it goes now. *keep* is a file that remembers how far that was: where it is there, and
        the same was asked, the ranges are those, so that an interrupted replay goes on with the same events.

        Raises:
            InvalidSettings: no brokers are given, or a partition that is named does not exist.
            InvalidInput: a file cannot be read, or *keep* cannot be written.
            BrokerError: the cluster is away, or lacks a topic or the beginning.
        """
        if self.files:
            return file_source(self.files, Files)
        # The settings and Kafka's client are half of what there is to import, and files need neither.
        from pql_stream.ops.replaying.asked_topics import topics_source  # noqa: PLC0415 - the reason is above

        return topics_source(self.topics, self.partitions, self.begin, self.end, keep=keep)


def source_options(*, needed: bool = True) -> Callable[[F], F]:
    """
    FILE..., or --topic with its range: the command gets them as one *asked*, an `AskedSource`.

    Where something is *needed*, none of them is wrong usage.
    """
    return functools.partial(_with_options, needed=needed)


def _with_options(function: F, *, needed: bool) -> F:
    @functools.wraps(function)
    def asking(
        *args: Any,  # noqa: ANN401 - whatever else the command takes
        files: tuple[str, ...],
        topics: tuple[str, ...],
        partitions: tuple[int, ...] | None,
        begin: Bound | None,
        end: Bound | None,
        **others: Any,  # noqa: ANN401 - as above
    ) -> Any:  # noqa: ANN401 - as above
        asked = AskedSource(files, topics, partitions, begin, end)
        _check(asked, needed=needed)
        return function(*args, asked=asked, **others)

    decorated: Any = asking
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return cast("F", decorated)


_OPTIONS = (
    click.argument("files", nargs=-1, metavar="[FILE...]"),
    click.option(
        "--topic",
        "topics",
        multiple=True,
        metavar="NAME",
        help="Instead of files: a topic, without PQL_TOPIC_PREFIX; may be repeated. It is read as far as it goes now.",
    ),
    click.option(
        "--from",
        "begin",
        type=_BoundType(),
        metavar="WHERE",
        help="Where to begin in the topic: a time like 2026-01-05T10:00:00Z (Kafka's timestamp), an offset, "
        "or PARTITION:OFFSET,... Without it, with the first record that is there.",
    ),
    click.option(
        "--to", "end", type=_BoundType(), metavar="WHERE", help="Where to end, as --from; what lies there is not read."
    ),
    click.option(
        "--partitions",
        type=_PartitionsType(),
        metavar="N,...",
        help="Of the topic, only these, as 0,3. A lead's events may lie on several.",
    ),
)


def _check(asked: AskedSource, *, needed: bool) -> None:
    """
    See that the options fit together.

    Raises:
        click.UsageError: they do not.
    """
    if asked.files and asked.topics:
        raise click.UsageError("FILE and --topic exclude each other: replay one after the other.")
    if needed and asked.is_empty:
        raise click.UsageError(f"Nothing is given to read: name files, or a topic, such as --topic {PRODUCT_ACTIVITY}.")
    bounds = {"--from": asked.begin, "--to": asked.end}
    for name, given in {**bounds, "--partitions": asked.partitions}.items():
        if given is not None and not asked.topics:
            raise click.UsageError(f"{name} is for --topic: a file is read as a whole.")
    for name, bound in bounds.items():
        if len(set(asked.topics)) > 1 and isinstance(bound, OffsetBound | PartitionOffsets):
            raise click.UsageError(f"{name} needs a time: an offset means another moment in each topic.")
    if _is_upside_down(asked.begin, asked.end):
        raise click.UsageError("--to is not behind --from: nothing lies between.")


def _is_upside_down(begin: Bound | None, end: Bound | None) -> bool:
    """Whether that can be said without asking the cluster; of offsets by partition one that is wrong is enough."""
    match begin, end:
        case (TimeBound(first), TimeBound(last)) | (OffsetBound(first), OffsetBound(last)):
            return first >= last
        case PartitionOffsets(firsts), PartitionOffsets(lasts):
            return any(firsts[partition] >= lasts[partition] for partition in firsts.keys() & lasts.keys())
        case PartitionOffsets(firsts), OffsetBound(last):
            return any(first >= last for first in firsts.values())
        case OffsetBound(first), PartitionOffsets(lasts):
            return any(first >= last for last in lasts.values())
    return False
