"""How to reach the Kafka cluster: one value for every client of a worker."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """
    Addresses and credentials, in the words of the usual Kafka clients.

    *bootstrap* is `host:port` addresses with commas between them. The two `SSL` protocols need
    *ssl_context*, the two `SASL` ones *sasl_mechanism* with the name and the password.
    """

    bootstrap: str
    security_protocol: SecurityProtocol = "PLAINTEXT"
    sasl_mechanism: str | None = None
    sasl_plain_username: str | None = None
    sasl_plain_password: str | None = None
    ssl_context: ssl.SSLContext | None = None

    def __post_init__(self) -> None:
        if not self.servers:
            raise ValueError("no bootstrap server is given")
        if ("SSL" in self.security_protocol.split("_")) != (self.ssl_context is not None):
            raise ValueError(f"{self.security_protocol} and ssl_context do not go together")
        if self.security_protocol.startswith("SASL") != (self.sasl_mechanism is not None):
            raise ValueError(f"{self.security_protocol} and sasl_mechanism do not go together")

    @property
    def servers(self) -> list[str]:
        """The addresses, one `host:port` each."""
        return [server.strip() for server in self.bootstrap.split(",") if server.strip()]

    def client_options(self) -> Mapping[str, object]:
        """Keyword arguments of an aiokafka producer or consumer."""
        options: dict[str, object] = {
            "bootstrap_servers": self.servers,
            "security_protocol": self.security_protocol,
            "ssl_context": self.ssl_context,
        }
        if self.sasl_mechanism is not None:
            options |= {
                "sasl_mechanism": self.sasl_mechanism,
                "sasl_plain_username": self.sasl_plain_username,
                "sasl_plain_password": self.sasl_plain_password,
            }
        return options

    def __repr__(self) -> str:
        # The generated one would write the password into every log that shows a value of this class.
        return f"Connection({self.bootstrap}, {self.security_protocol})"
