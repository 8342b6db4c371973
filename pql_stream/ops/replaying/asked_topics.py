"""The topics that the options of a command name, as a source; a module of its own, for whoever names files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pql_stream.ops.replaying.bounds import Bound
from pql_stream.ops.replaying.keeping import kept_source
from pql_stream.ops.replaying.ranges import Wanted
from pql_stream.ops.replaying.topic_source import TopicSource
from pql_stream.ops.settings import load_settings
from pql_stream.stream.names import prefixed


def topics_source(
    topics: Sequence[str],
    partitions: Sequence[int] | None,
    begin: Bound | None,
    end: Bound | None,
    *,
    keep: Path | None,
) -> TopicSource:
    """
    *topics*, named without the prefix, as far as they go now; or, as *keep* has it, as far as they went.

    Raises:
        InvalidSettings: no brokers are given, or a partition that is named does not exist.
        InvalidInput: *keep* cannot be written.
        BrokerError: the cluster is away, or lacks a topic or the beginning.
    """
    settings = load_settings()
    names = tuple(dict.fromkeys(prefixed(topic, settings.topic_prefix) for topic in topics))
    wanted = Wanted(names, partitions, begin, end)
    return TopicSource.fixed(settings, wanted) if keep is None else kept_source(settings, wanted, keep)
