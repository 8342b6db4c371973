"""Remembers how far the topics went when a replay began, for when it is interrupted and goes on."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from pql_stream.errors import InvalidInput
from pql_stream.ops.replaying.ranges import PartitionRange, Wanted
from pql_stream.ops.replaying.topic_source import TopicSource, cluster_of
from pql_stream.ops.settings import Settings


class _Kept(msgspec.Struct):
    wanted: str
    cluster_id: str
    ranges: tuple[PartitionRange, ...]


def kept_source(settings: Settings, wanted: Wanted, path: Path) -> TopicSource:
    """
    What *wanted* meant when *path* was written; if something else was wanted there, or nothing, what it means now.

    Raises:
        InvalidInput: *path* cannot be written.
        InvalidSettings: a partition that is named does not exist.
        BrokerError: the cluster is away, or lacks a topic or the beginning.
    """
    kept = _read(path)
    if kept is not None and kept.wanted == repr(wanted) and kept.cluster_id == cluster_of(settings).cluster_id():
        click.echo(f"the topics are read as far as they went when {path} was written", err=True)
        return TopicSource(kept.cluster_id, kept.ranges)
    source = TopicSource.fixed(settings, wanted)
    partial = path.with_suffix(".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(msgspec.json.encode(_Kept(repr(wanted), source.cluster_id, source.ranges)))
        partial.replace(path)
    except OSError as exc:
        raise InvalidInput(
            f"cannot write {path}", why=exc.strerror or str(exc), what_to_do="name another directory"
        ) from exc
    return source


def _read(path: Path) -> _Kept | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Kept)
    except (OSError, msgspec.DecodeError):
        return None
