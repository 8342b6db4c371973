"""Which settings of the transport, and which connections, are refused."""

from __future__ import annotations

import ssl

import pytest

from pql_stream.stream.connection import Connection
from pql_stream.stream.transport.settings import TransportSettings


def test_the_defaults_make_sense_together():
    """
    The lease of the defaults is the session without the margin.
    """
    assert 16.0 == TransportSettings().lease_s


@pytest.mark.parametrize(
    "wrong",
    [
        {"batch_records_max": 0},
        {"heartbeat_interval_s": 6.0},
        {"rebalance_timeout_s": 19.0, "revoke_timeout_s": 5.0},
        {"revoke_timeout_s": 60.0},
        {"stall_timeout_s": 60.0},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_settings_that_break_a_promise_are_refused(wrong):
    """
    Each of the orders between the times holds one of the rules of the transport.
    """
    with pytest.raises(ValueError):  # noqa: PT011  # any sentence will do
        TransportSettings(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"bootstrap": " , "},
        {"bootstrap": "a:1", "security_protocol": "SSL"},
        {"bootstrap": "a:1", "ssl_context": ssl.create_default_context()},
        {"bootstrap": "a:1", "security_protocol": "SASL_PLAINTEXT"},
        {"bootstrap": "a:1", "sasl_mechanism": "PLAIN"},
    ],
    ids=["no server", "no context", "no SSL", "no mechanism", "no SASL"],
)
def test_a_connection_with_half_of_its_credentials_is_refused(wrong):
    """
    What would be ignored by the client is an error here.
    """
    with pytest.raises(ValueError):  # noqa: PT011  # any sentence will do
        Connection(**wrong)


def test_the_options_of_a_client_are_the_usual_ones():
    """
    Addresses are cut at the commas, and the password shows in the options and not in the text.
    """
    connection = Connection(
        bootstrap="a:1, b:2",
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism="PLAIN",
        sasl_plain_username="name",
        sasl_plain_password="secret",
    )

    assert ["a:1", "b:2"] == connection.client_options()["bootstrap_servers"]
    assert "secret" == connection.client_options()["sasl_plain_password"]
    assert "secret" not in repr(connection)
