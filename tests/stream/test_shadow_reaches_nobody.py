"""Nothing is delivered from what a shadow pack says: the app that delivers does not read that topic."""

from __future__ import annotations

import sys
from typing import get_args

import pytest

from pql_stream.core.routes import RecordKind
from pql_stream.stream.connection import Connection
from pql_stream.stream.metrics import NoMeter
from pql_stream.stream.names import SHADOW_DIFF


@pytest.fixture
def topics(tmp_path, monkeypatch) -> set[str]:
    """Every topic that an agent of the app reads; there is no sink, whose own would be among them."""
    monkeypatch.setattr(sys, "argv", ["pql-stream"])  # Faust reads it when it is imported
    from pql_stream.stream.deliver_app import DeliverApp, DeliverSettings

    app = DeliverApp(
        DeliverSettings(
            connection=Connection(bootstrap="127.0.0.1:9092"),
            prefix="",
            routes=(),
            sinks=(),
            partitions=4,
            store="memory",
            data_dir=tmp_path,
            owner="here",
            session_timeout_s=10,
            instance_id=None,
            log_bug=lambda _trace: None,
        ),
        NoMeter(),
        NoMeter(),
    )
    return {topic for agent in app.agents.values() for topic in agent.channel.topics}


async def test_the_app_that_delivers_reads_no_differences(topics):
    """It reads the two topics that routes can name, and neither of them is the shadows'."""
    assert {"score-changed", "pql-qualified"} == topics
    assert topics == set(get_args(RecordKind))
    assert SHADOW_DIFF not in topics
