"""`pql-stream topics`: the declared topics against the cluster."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import Any

import click

from pql_stream.ops.delivery.files import load_sink_names
from pql_stream.ops.settings import load_settings
from pql_stream.ops.topics.cluster import TopicCluster
from pql_stream.ops.topics.declarations import TopicDeclaration, load_declarations
from pql_stream.ops.topics.difference import Difference

EXIT_FAILED = 1


def _cluster_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options that all three take: a small cluster has fewer partitions and replicas than a large one."""
    count = click.IntRange(min=1)
    function = click.option("--replicas", type=count, help="Instead of the brokers' default.")(function)
    return click.option("--partitions", type=count, help="Of every topic, instead of the declared number.")(function)


_json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")


@click.group
def command() -> None:
    """
    The topics of this version against the cluster of KAFKA_BOOTSTRAP_SERVERS, under PQL_TOPIC_PREFIX.

    Three topics for each sink of PQL_CONFIG are among them.

    Only what is declared is compared. No topic is ever deleted or made smaller.
    """


@command.command
@_cluster_options
@_json_option
def plan(partitions: int | None, replicas: int | None, as_json: bool) -> None:  # noqa: FBT001 - click passes by name
    """Show what `apply` would do."""
    cluster, declared = _open(partitions, replicas)
    _show(cluster.differences(declared), len(declared), as_json=as_json)


@command.command
@_cluster_options
@_json_option
@click.pass_context
def check(ctx: click.Context, partitions: int | None, replicas: int | None, as_json: bool) -> None:  # noqa: FBT001 - click passes by name
    """Like `plan`, but exit 1 if there is a difference."""
    cluster, declared = _open(partitions, replicas)
    found = cluster.differences(declared)
    _show(found, len(declared), as_json=as_json)
    if found:
        ctx.exit(EXIT_FAILED)


@command.command
@_cluster_options
def apply(partitions: int | None, replicas: int | None) -> None:
    """Make the topics as declared: create, raise, set. All of it, or nothing."""
    cluster, declared = _open(partitions, replicas)
    done = cluster.apply(declared)
    for difference in done:
        click.echo(_line(difference))
    click.echo(f"{len(declared)} topics are as declared, {len(done)} differences mended", err=True)


def _open(partitions: int | None, replicas: int | None) -> tuple[TopicCluster, tuple[TopicDeclaration, ...]]:
    settings = load_settings()
    declared = tuple(
        topic.on_cluster(prefix=settings.topic_prefix, partitions=partitions, replicas=replicas)
        for topic in load_declarations(sinks=load_sink_names(settings))
    )
    return TopicCluster(settings.kafka_client_config()), declared


def _show(found: Iterable[Difference], topics: int, *, as_json: bool) -> None:
    listed = list(found)
    if as_json:
        click.echo(json.dumps({"topics": topics, "differences": [asdict(difference) for difference in listed]}))
        return
    for difference in listed:
        click.echo(_line(difference))
    refused = sum(bool(difference.refused) for difference in listed)
    click.echo(f"{topics} topics, {len(listed)} differences, {refused} of them `apply` will refuse", err=True)


def _line(difference: Difference) -> str:
    """`+` is created, `~` is changed, `!` is refused."""
    if difference.setting == "topic":
        mark, text = "+", f"{difference.topic}: {difference.declared}"
    else:
        mark = "~"
        text = f"{difference.topic}: {difference.setting}: {difference.actual} -> {difference.declared}"
    if difference.refused:
        return f"! {text}; refused: {difference.refused}"
    return f"{mark} {text}"
