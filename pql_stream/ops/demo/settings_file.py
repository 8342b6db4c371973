"""The settings file of the demo's worker: a sink for each of the fakes, and who is told of what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pql_stream.testing.destinations import hubspot, slack

CRM, CHAT, MAIL, HOOK = SINKS = ("crm", "chat", "mail", "hook")
"""HubSpot, Slack, a mail relay and a webhook."""

CHANNEL = "C-sales"
WEBHOOK_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105 - of the fake, and known from the specification
OWN_LEAD = "me"
"""Who plays with a demo that is kept running: the webhook hears of each of this lead's changes."""

_FILE = """\
[sinks.crm]
type = "hubspot"
base_url = "{hubspot}"
service_key = {{ env = "DEMO_HUBSPOT_KEY" }}
# Contact data is written after the score: the first change of a lead may come before it.
retry = {{ park_for_s = 0.5 }}

[sinks.chat]
type = "slack"
base_url = "{slack}/api"
token = {{ env = "DEMO_SLACK_TOKEN" }}

[sinks.mail]
type = "email"
host = "127.0.0.1"
port = {smtp}
security = "plain"
sender = "leads@example.com"
sender_name = "pql-stream demo"

[sinks.hook]
type = "webhook"
url = {{ env = "DEMO_WEBHOOK_URL" }}
secrets = [{{ env = "DEMO_WEBHOOK_SECRET" }}]
http_allowed = true
allowed_networks = ["127.0.0.0/8"]
rate = {{ calls = 200, period_s = 1 }}

[[routes]]
name = "contacts"
of = "score-changed"
sink = "crm"
action = "upsert"
where = {{ tier_after = ["silver", "gold", "platinum"] }}

[[routes]]
name = "tasks"
of = "pql-qualified"
sink = "crm"
action = "task"
where = {{ tier = ["silver", "gold", "platinum"] }}

[[routes]]
name = "platinum-to-chat"
of = "pql-qualified"
sink = "chat"
action = "message"
where = {{ tier = "platinum" }}
options = {{ channel = "{channel}" }}

[[routes]]
name = "gold-to-sales"
of = "pql-qualified"
sink = "mail"
action = "mail"
where = {{ tier = ["gold", "platinum"] }}
options = {{ to = "sales@example.com" }}

[[routes]]
name = "qualified-to-hook"
of = "pql-qualified"
sink = "hook"
action = "post"

[[routes]]
name = "own-changes-to-hook"
of = "score-changed"
sink = "hook"
action = "post"
where = {{ lead_id = "{own_lead}" }}
"""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the fakes listen: three base URLs, and a port of 127.0.0.1."""

    hubspot: str
    slack: str
    webhook: str
    smtp: int


@dataclass(frozen=True, slots=True)
class SettingsFile:
    """The file at *path*, and the *secrets* that it says are in the environment."""

    path: Path
    secrets: Mapping[str, str] = field(repr=False)


def write_settings_file(path: Path, addresses: Addresses) -> SettingsFile:
    """Write to *path* what leads to the fakes at *addresses*."""
    text = _FILE.format(
        hubspot=addresses.hubspot,
        slack=addresses.slack,
        smtp=addresses.smtp,
        channel=CHANNEL,
        own_lead=OWN_LEAD,
    )
    path.write_text(text, encoding="utf-8")
    secrets = {
        "DEMO_HUBSPOT_KEY": hubspot.SERVICE_KEY,
        "DEMO_SLACK_TOKEN": slack.TOKEN,
        "DEMO_WEBHOOK_URL": f"{addresses.webhook}/leads",
        "DEMO_WEBHOOK_SECRET": WEBHOOK_SECRET,
    }
    return SettingsFile(path, secrets)
