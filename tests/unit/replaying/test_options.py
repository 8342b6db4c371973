"""The options by which a source is chosen."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from pql_stream.ops.replaying.bounds import OffsetBound, PartitionOffsets, TimeBound
from pql_stream.ops.replaying.options import AskedSource, source_options

JAN_5_MS = 1_767_607_200_000


@click.command
@source_options()
@click.option("--out")
def command(asked: AskedSource, out: str | None) -> None:
    """A command that reads a source."""
    click.echo(repr((asked, out)))


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["a", "-", "--out", "x"], (AskedSource(("a", "-")), "x")),
        (["--topic", "t"], (AskedSource((), ("t",)), None)),
        (
            ["--topic", "t", "--topic", "s", "--from", "2026-01-05T10:00:00Z", "--partitions", "3, 0,3"],
            (AskedSource((), ("t", "s"), (0, 3), TimeBound(JAN_5_MS)), None),
        ),
        (
            ["--topic", "t", "--from", "0:5,1:9", "--to", "0:6,2:1"],
            (AskedSource((), ("t",), None, PartitionOffsets({0: 5, 1: 9}), PartitionOffsets({0: 6, 2: 1})), None),
        ),
        (
            ["--topic", "t", "--topic", "t", "--from", "0:5", "--to", "10"],
            (AskedSource((), ("t", "t"), None, PartitionOffsets({0: 5}), OffsetBound(10)), None),
        ),
    ],
)
def test_what_is_asked_for_is_one_value(args, expected):
    """
    Beside the command's own options.
    """
    assert f"{expected!r}\n" == CliRunner().invoke(command, args).stdout


@pytest.mark.parametrize(
    ("args", "why"),
    [
        ([], "--topic product-activity"),
        (["a", "--topic", "t"], "exclude each other"),
        (["a", "--from", "5"], "--from is for --topic"),
        (["a", "--partitions", "5"], "--partitions is for --topic"),
        (["--topic", "t", "--to", "soon"], "'soon' is no time"),
        (["--topic", "t", "--partitions", "0-3"], "no partitions like 0,3"),
        (["--topic", "t", "--partitions", ""], "no partitions like 0,3"),
        (["--topic", "t", "--topic", "s", "--from", "5"], "--from needs a time"),
        (["--topic", "t", "--topic", "s", "--to", "0:5"], "--to needs a time"),
        (["--topic", "t", "--from", "5", "--to", "5"], "--to is not behind --from"),
        (["--topic", "t", "--from", "0:5,1:9", "--to", "1:9"], "--to is not behind --from"),
        (["--topic", "t", "--from", "0:5,1:9", "--to", "8"], "--to is not behind --from"),
        (["--topic", "t", "--from", "5", "--to", "0:9,1:5"], "--to is not behind --from"),
        (["--topic", "t", "--from", str(JAN_5_MS), "--to", "2026-01-05T10:00:00Z"], "--to is not behind --from"),
    ],
)
def test_what_does_not_fit_together_is_a_usage_error(args, why):
    """
    Exit 2, with what is wrong, before any cluster is asked.
    """
    done = CliRunner().invoke(command, args)

    assert 2 == done.exit_code
    assert why in done.stderr
