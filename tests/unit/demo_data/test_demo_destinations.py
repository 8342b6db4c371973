"""The demo's fakes and the settings file that leads to them."""

from __future__ import annotations

import pytest

from pql_stream.ops.delivery.checks import check_sinks, set_up_sinks
from pql_stream.ops.delivery.config import DeliveryConfig, load_config
from pql_stream.ops.delivery.sinks import open_sinks
from pql_stream.ops.demo.destinations import Destinations
from pql_stream.ops.demo.settings_file import SINKS, write_settings_file
from pql_stream.ops.settings import Settings
from pql_stream.wire.packs import load_pack


@pytest.fixture
def destinations():
    """The fakes, running."""
    with Destinations() as running:
        yield running


@pytest.fixture
def config(destinations, tmp_path) -> DeliveryConfig:
    """What the settings file says that leads to them."""
    file = write_settings_file(tmp_path / "pql.toml", destinations.addresses)
    return load_config(Settings(config_file=file.path), load_pack("pql-100"), file.secrets)


def test_every_sink_of_the_file_is_there_and_has_a_route(config):
    """
    The shipped reader has nothing against the file, not even a warning.
    """
    assert () == config.warnings
    assert sorted(SINKS) == sorted(config.sinks)


async def none_is_disabled(_sink) -> None:
    """As a ledger says that was never told."""


def test_each_fake_takes_the_credentials_of_the_file(config):
    """
    After the set-up that the demo makes, every check says yes.
    """
    set_up = set_up_sinks(open_sinks(config, ""))
    checks = check_sinks(open_sinks(config, ""), none_is_disabled)

    assert [] == [one for one in set_up if one.state == "failed"]
    assert [] == [one for one in checks if not one.ok]


def test_nothing_has_arrived_before_anything_was_sent(destinations):
    """
    Every sink has its journal, and it is empty.
    """
    assert {sink: [] for sink in SINKS} == destinations.effects()
    assert [] == list(destinations.arrived())
