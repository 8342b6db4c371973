"""How the clients of a worker reach the cluster."""

from __future__ import annotations

from pql_stream.ops.settings import Settings
from pql_stream.stream.connection import Connection


def connection_of(settings: Settings) -> Connection:
    """How the clients of a worker reach the cluster."""
    return Connection(
        bootstrap=settings.require_bootstrap_servers(),
        security_protocol=settings.security_protocol,
        sasl_mechanism=settings.sasl_mechanism,
        sasl_plain_username=settings.sasl_username,
        sasl_plain_password=settings.sasl_password_text,
        ssl_context=settings.ssl_context(),
    )
