"""A settings file for a test, read against the default pack."""

import re
from pathlib import Path

import pytest

from pql_stream.errors import InvalidSettings
from pql_stream.ops.delivery.config import DeliveryConfig, load_config
from pql_stream.ops.settings import load_settings
from pql_stream.wire.packs import load_pack

PACK = load_pack("pql-100")
SIGNING = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ENVIRON = {
    "HUBSPOT": "pat-hidden",
    "SLACK": "xoxb-hidden",
    "URL": "https://hidden.example/in",
    "SIGNING": SIGNING,
    "SECRET": "hidden-hidden-hidden-hidden-hidden",
}

SINKS = """
[sinks.crm]
type = "hubspot"
service_key = { env = "HUBSPOT" }

[sinks.force]
type = "salesforce"
base_url = "https://acme.my.salesforce.com"
client_id = "id"
client_secret = { env = "SECRET" }

[sinks.team]
type = "slack"
token = { env = "SLACK" }

[sinks.mail]
type = "email"
host = "smtp.example.com"
sender = "pql@example.com"

[sinks.hook]
type = "webhook"
url = { env = "URL" }
secrets = [{ env = "SIGNING" }]
"""
"""One of each kind, in the fewest words."""

ROUTE = """
[[routes]]
name = "{name}"
of = "{of}"
sink = "{sink}"
action = "{action}"
{rest}
"""


def route(
    rest: str = "", *, name: str = "r", of: str = "score-changed", sink: str = "crm", action: str = "upsert"
) -> str:
    """One route, *rest* below its first lines."""
    return ROUTE.format(name=name, of=of, sink=sink, action=action, rest=rest)


ROUTES = "".join(
    [
        route(name="scores"),
        route(name="lead", sink="force"),
        route('options = { channel = "C1" }', name="told", of="pql-qualified", sink="team", action="message"),
        route('options = { to = "a@b.example" }', name="mailed", of="pql-qualified", sink="mail", action="mail"),
        route(name="posted", of="pql-qualified", sink="hook", action="post"),
    ]
)


def read(directory: Path, text: str, environ: dict[str, str] | None = None) -> DeliveryConfig:
    """*text* as a settings file in *directory*."""
    path = directory / "pql.toml"
    path.write_text(text, encoding="utf-8")
    return load_config(load_settings({"PQL_CONFIG": str(path)}), PACK, ENVIRON if environ is None else environ)


def problems_of(directory: Path, text: str, environ: dict[str, str] | None = None) -> list[str]:
    """What *text* is told, line by line, without the places (`test_lines` looks at those)."""
    with pytest.raises(InvalidSettings) as caught:
        read(directory, text, environ)
    return [without_line(problem) for problem in caught.value.why.splitlines()]


def without_line(problem: str) -> str:
    """*problem* without `line 3: ` before it."""
    return re.sub(r"^line [0-9]+: ", "", problem)
