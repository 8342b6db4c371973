"""Files of any kind as one source, in the order in which they are named."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby

from pql_stream.replay.source import Source
from pql_stream.replay.sources.joined import Joined
from pql_stream.replay.sources.parquet import ParquetRows, is_parquet


def file_source(paths: Sequence[str], lines: Callable[[Sequence[str]], Source]) -> Source:
    """
    Parquet by its first bytes; *lines* makes the source of any other files, which are JSON lines.

    Raises:
        InvalidInput: a file is not what its name says, or is not there.
    """
    sources: list[Source] = []
    for parquet, group in groupby(paths, is_parquet):
        same = list(group)
        sources += map(ParquetRows, same) if parquet else [lines(same)]
    return sources[0] if len(sources) == 1 else Joined(sources)
