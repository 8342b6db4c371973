"""The Faust app as it is built: our answers to the defaults that would hurt."""

from __future__ import annotations

import sys

import pytest

from pql_stream.core.lineups import Roster
from pql_stream.stream.connection import Connection
from pql_stream.stream.metrics import NoMeter
from pql_stream.wire.packs import load_pack


@pytest.fixture
def make_app(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["pql-stream"])  # Faust reads it when it is imported
    from pql_stream.stream.app import ScoreApp, ScoreSettings

    def make(**given):
        settings = {
            "connection": Connection(bootstrap="127.0.0.1:9092"),
            "prefix": "eu.",
            "roster": Roster([load_pack("pql-100")]),
            "partitions": 12,
            "dead_letter_partitions": 12,
            "leads_kept": 100,
            "backfill_older_than_s": None,
            "store": "memory",
            "data_dir": tmp_path,
            "guarantee": "at_least_once",
            "session_timeout_s": 10,
            "instance_id": "worker-1",
            "log_bug": lambda _trace: None,
        }
        return ScoreApp(ScoreSettings(**settings | given), NoMeter())

    return make


@pytest.fixture
def app(make_app):
    return make_app()


async def test_the_app_opens_no_port_and_makes_no_topic(app):
    """
    Faust's web server listens on every address, and its topics would come with its own settings: both are off.
    """

    assert (False, False, True) == (
        app.conf.web_enabled,
        app.conf.topic_allow_declare,
        app.conf.topic_disable_leader,
    )


async def test_a_join_takes_seconds_and_not_a_minute(app):
    """
    The times of the group follow from our session timeout, in the order that the transport needs.
    """
    conf = app.conf

    assert (10, 20) == (conf.broker_session_timeout, conf.broker_rebalance_timeout)
    assert conf.broker_heartbeat_interval * 3 < conf.broker_session_timeout


async def test_every_name_on_the_cluster_has_the_prefix(app):
    """
    App id, group, inputs and changelogs lie under the prefix; the instance id is the worker's own.
    """
    (agent,) = app.agents.values()

    assert "eu.pql-score" == app.conf.id
    assert "worker-1" == app.conf.consumer_group_instance_id
    inputs = ["eu.product-activity", "eu.product-activity-rekeyed", "eu.product-activity-backfill"]
    assert inputs == list(agent.channel.topics)
    assert {inputs[2]} == app.background.topics
    assert "eu.pql-score-leads-changelog" == app.tables["leads"].changelog_topic.topics[0]
    assert "eu.lead-profiles" == app.tables["profiles"].changelog_topic.topics[0]


async def test_workers_without_an_instance_id_are_no_static_members(make_app):
    """
    An empty instance id would be an id, and the same for all: each worker would throw the one before out.
    """

    assert make_app(instance_id=None).conf.consumer_group_instance_id is None
