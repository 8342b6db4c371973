"""What a good settings file becomes: sinks with their limits, routes, warnings."""

import pytest
import trustme
from settings_file import ENVIRON, PACK, ROUTES, SIGNING, SINKS, read, route

from pql_stream.core.routes import Condition, Route
from pql_stream.delivery.backoff import Backoff
from pql_stream.delivery.breaker import BreakerSettings
from pql_stream.delivery.limits import Rate
from pql_stream.delivery.ports import SinkTopics
from pql_stream.delivery.settings import DeliverySettings
from pql_stream.ops.delivery.config import DeliveryConfig, load_config
from pql_stream.ops.delivery.shown import entries
from pql_stream.ops.delivery.sinks import open_sinks
from pql_stream.ops.settings import load_settings
from pql_stream.sinks.email import EmailSink
from pql_stream.sinks.hubspot import HubSpotSink
from pql_stream.sinks.salesforce import SalesforceSink
from pql_stream.sinks.slack import SlackSink, SlackWebhookSink
from pql_stream.sinks.webhook import WebhookSink

KINDS = {"crm": HubSpotSink, "force": SalesforceSink, "hook": WebhookSink, "mail": EmailSink, "team": SlackSink}


def test_the_fewest_words_open_a_sink_of_each_kind(tmp_path):
    """
    Five sinks and five routes, without a warning; each has its own topics, under the prefix.
    """
    config = read(tmp_path, SINKS + ROUTES)
    opened = open_sinks(config, "p-")

    assert KINDS == {one.name: type(one.sink) for one in opened}
    assert () == config.warnings
    assert ["scores", "lead", "told", "mailed", "posted"] == [route.name for route in config.routes]
    assert SinkTopics("p-delivery-crm", "p-delivery-crm-parked", "p-delivery-crm-dlq") == opened[0].topics


def test_what_is_not_said_is_as_the_destination_and_the_loop_have_it(tmp_path):
    """
    Rates are the destinations' own, retries and breakers those of the loop.
    """
    opened = {one.name: one for one in open_sinks(read(tmp_path, SINKS), "")}

    assert Rate(100, 10.0) == opened["crm"].rate
    assert Rate(1, 1.0) == opened["team"].rate
    assert (DeliverySettings(), BreakerSettings()) == (opened["crm"].settings, opened["crm"].breaker)


def test_rate_retries_and_breaker_can_be_set_in_part(tmp_path):
    """
    What is said counts, and the rest stays.
    """
    crm = """
[sinks.crm]
type = "hubspot"
service_key = { env = "HUBSPOT" }
rate = { calls = 190, period_s = 10 }
retry = { quick_attempts = 5, parked = { first_s = 30, most_s = 600 } }
breaker = { failures_max = 2, backoff = { first_s = 2, most_s = 9.5 } }
"""
    [crm] = open_sinks(read(tmp_path, crm), "")

    assert Rate(190, 10.0) == crm.rate
    assert DeliverySettings(quick_attempts=5, parked=Backoff(30.0, 600.0)) == crm.settings
    assert BreakerSettings(failures_max=2, backoff=Backoff(2.0, 9.5)) == crm.breaker


def test_conditions_are_written_as_values_lists_or_tables(tmp_path):
    """
    A value, a list, bounds, and a dotted path in quotes or as tables; a whole number stands for both its writings.
    """
    where = """
where = { tier_after = ["gold", "platinum"], "input.compliance" = "advanced", score_after = { at_least = 60 }, \
sequence = 3, groups.usage = { at_least = 1, below = 40.5 }, points = { industry = { one_of = [2.0] } } }
"""
    [read_route] = read(tmp_path, SINKS + route(where)).routes

    assert (
        Condition("tier_after", one_of=("gold", "platinum")),
        Condition("input.compliance", one_of=("advanced",)),
        Condition("score_after", at_least=60),
        Condition("sequence", one_of=(3, 3.0)),
        Condition("groups.usage", at_least=1, below=40.5),
        Condition("points.industry", one_of=(2.0, 2)),
    ) == read_route.where


def test_options_travel_as_texts(tmp_path):
    """
    Numbers become texts, tables stay tables: a delivery carries what its sink reads.
    """
    options = 'options = { due_after_s = 3600, fields = { lead_score = "score_after | score", phone = "" } }'
    [read_route] = read(tmp_path, SINKS + route(options, action="task")).routes

    assert (
        Route(
            name="r",
            of="score-changed",
            sink="crm",
            action="task",
            options={"due_after_s": "3600", "fields": {"lead_score": "score_after | score", "phone": ""}},
        )
        == read_route
    )


def test_secrets_come_from_the_environment_or_from_files_beside_the_settings_file(tmp_path):
    """
    A relative path begins where the settings file is; nothing that is printed of the config has a secret in it.
    """
    (tmp_path / "token").write_text("xoxb-from-a-file\n")
    text = SINKS.replace('token = { env = "SLACK" }', 'token = { file = "token" }')
    config = read(tmp_path, text)

    assert "xoxb-from-a-file" == config.sinks["team"].token.reveal()
    assert "pat-hidden" == config.sinks["crm"].service_key.reveal()
    for hidden in ("xoxb-", *ENVIRON.values(), SIGNING):
        assert hidden not in repr(config)
        assert hidden not in repr(open_sinks(config, ""))


def test_an_incoming_webhook_of_slack_has_no_channel(tmp_path):
    """
    Its URL is the secret; a route to it names no channel, and is told so if it does.
    """
    text = '[sinks.team]\ntype = "slack"\nwebhook_url = { env = "URL" }\n'
    [team] = open_sinks(read(tmp_path, text + route(sink="team", action="message")), "")

    assert isinstance(team.sink, SlackWebhookSink)


def test_a_sink_without_a_route_is_a_warning(tmp_path):
    """
    It may be meant so, while routes are moved from one sink to another.
    """
    config = read(tmp_path, SINKS + route())

    assert {f"sinks.{name}: no route leads to it" for name in KINDS if name != "crm"} == set(config.warnings)


def test_templates_of_the_operator_lie_beside_the_settings_file(tmp_path):
    """
    A route may name one of them, and the shipped ones are still there.
    """
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "task.txt").write_text("Call {{ profile.first_name }}: {{ next_step }}\n")
    text = '[templates]\ndirectory = "mine"\nnext_steps = { immediate = "Call." }\n'
    config = read(tmp_path, SINKS + text + route('options = { template = "task.txt" }', action="task"))

    assert "task.txt" == config.routes[0].options["template"]


@pytest.mark.parametrize("file_name", ["pql.toml", "other.toml"])
def test_without_a_setting_the_file_is_pql_toml_or_none(tmp_path, monkeypatch, file_name):
    """
    In the working directory, under that name alone; without one there are no sinks, and nothing is wrong.
    """
    (tmp_path / file_name).write_text(SINKS)
    monkeypatch.chdir(tmp_path)
    config = load_config(load_settings({}), PACK, ENVIRON)

    assert (set(KINDS) if file_name == "pql.toml" else set()) == set(config.sinks)
    assert file_name == "pql.toml" or config == DeliveryConfig()


FULL = """
[sinks.mail]
type = "email"
host = "smtp.example.com"
security = "tls"
username = "pql"
password = { env = "SECRET" }
cafile = "ca.pem"
sender = "pql@example.com"
unsubscribe = { base_url = "https://example.com/u", secrets = [{ env = "SECRET" }], mailto = "u@example.com" }

[sinks.hook]
type = "webhook"
url = { env = "URL" }
secrets = [{ env = "SIGNING" }, { env = "SIGNING" }]
http_allowed = true
allowed_networks = ["10.0.0.0/8", "fd00::/8"]

[sinks.force]
type = "salesforce"
base_url = "https://acme.my.salesforce.com"
client_id = "id"
username = "pql@acme.example"
private_key = { file = "key.pem" }
contact_fields = { Phone = "profile.phone" }

[sinks.crm]
type = "hubspot"
service_key = { env = "HUBSPOT" }
tasks = { owner_id = "7", due_after_s = 3600, high_from = 90 }
"""


def test_all_that_sinks_can_be_told(tmp_path):
    """
    Mails to leads who can unsubscribe, two signing secrets, networks inside ours, a key instead of a secret.
    """
    ca = trustme.CA()
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    ca.issue_cert("a.example", key_type=trustme.KeyType.RSA).private_key_pem.write_to_path(tmp_path / "key.pem")
    to_lead = 'options = { to = "lead", list = "news", subject = "sales_subject.txt", text = "sales_mail.txt" }'
    routes = route(to_lead, name="a", sink="mail", of="pql-qualified", action="mail") + route(
        'options = { contact_fields = "email, phone" }', name="b", sink="hook", action="post"
    )
    config = read(tmp_path, FULL + routes)

    assert {"crm", "force", "hook", "mail"} == {one.name for one in open_sinks(config, "")}
    assert ("sinks.mail.unsubscribe.secrets[0]", "********", "environment") in list(entries(config))
    assert ("sinks.crm.tasks.high_from", 90.0, "") in list(entries(config))
    assert "hidden" not in repr(list(entries(config)))
