"""Every kind of problem in a settings file: where it is, and what to write instead."""

import pytest
from settings_file import PACK, SINKS, problems_of, route

from pql_stream.errors import InvalidSettings
from pql_stream.ops.delivery.config import load_config
from pql_stream.ops.delivery.files import load_sink_names
from pql_stream.ops.settings import Settings, load_settings

CRM = '[sinks.crm]\ntype = "hubspot"\nservice_key = { env = "HUBSPOT" }\n'
SLACK = '[sinks.team]\ntype = "slack"\ntoken = { env = "SLACK" }\n'
HOOK = '[sinks.hook]\ntype = "webhook"\nurl = { env = "URL" }\n'
MAIL = '[sinks.mail]\ntype = "email"\nhost = "h"\nsender = "a@b.example"\n'
FORCE = '[sinks.force]\ntype = "salesforce"\nclient_id = "i"\n'

FILES = {
    "no TOML": ("sinks = [", "no TOML: "),
    "a number of more digits than are read": (f"sinks = {'9' * 5_000}", "no TOML: Exceeds the limit"),
    "an unknown section": ("[sink.crm]", "sink: 'sink' is not known here; did you mean sinks?"),
    "sinks that are no table": ("sinks = 3", "sinks: write [sinks...], a table"),
    "routes that are no list": ("[routes]\nname = 'x'", "routes: write [[routes]], a list of tables"),
    "a route that is no table": ("routes = [3]", "routes[0]: is a number, not a table"),
    "templates that are not there": (
        "[templates]\ndirectory = 'nowhere'",
        "templates: the template directory",
    ),
    "a CRM address that is none": (
        "[templates]\ncrm_url = 'ftp://crm'",
        "templates.crm_url: it is no http or https address; write it like https://crm.example/contacts/{lead_id}",
    ),
    "an unknown word of templates": (
        "[templates]\ndirektory = 'x'",
        "templates.direktory: 'direktory' is not known here; did you mean directory?",
    ),
}

SINK_TABLES = {
    "a sink that is no table": ("[sinks]\ncrm = 'hubspot'", "sinks.crm: is a text, not a table"),
    "a name that can be no topic": (
        CRM.replace("crm", '"c_r.m"'),
        "sinks.c_r.m: names of sinks take letters, digits and '-' between them: they become topic names",
    ),
    "a name that is too long": (
        CRM.replace("crm", "c" * 33),
        f"sinks.{'c' * 33}: names of sinks have at most 32 characters: they become topic names",
    ),
    "a name that is another sink's topic": (
        CRM.replace("crm", "crm-dlq"),
        "sinks.crm-dlq: names of sinks do not end in -parked or -dlq: topics of another sink do",
    ),
    "no type": ("[sinks.crm]", "sinks.crm.type: is missing; write email, hubspot, salesforce, slack, webhook"),
    "an unknown type": (
        "[sinks.crm]\ntype = 'pipedrive'",
        "sinks.crm.type: is none of ours; write email, hubspot, salesforce, slack, webhook",
    ),
    "an unknown key": (
        CRM + "api_vershun = 'v3'",
        "sinks.crm.api_vershun: 'api_vershun' is not known here; did you mean api_version?",
    ),
    "a key that is missing": ("[sinks.crm]\ntype = 'hubspot'", "sinks.crm.service_key: is missing"),
    "a value that is not one of the few": (
        CRM + "api_version = 'v4'",
        "sinks.crm.api_version: must be '2026-09', '2026-03' or 'v3'",
    ),
    "a text for a number": (CRM + "timeout_s = '30'", "sinks.crm.timeout_s: must be a valid number"),
    "a number out of its bounds": (
        CRM + "rate = { calls = 0, period_s = 10 }",
        "sinks.crm.rate.calls: must be greater than or equal to 1",
    ),
    "half a rate": (CRM + "rate = { calls = 5 }", "sinks.crm.rate.period_s: is missing"),
    "an unknown key in a table within": (
        CRM + "[sinks.crm.retry]\nquick_attempt = 3",
        "sinks.crm.retry.quick_attempt: 'quick_attempt' is not known here; did you mean quick_attempts?",
    ),
    "waits that shrink": (
        CRM + "[sinks.crm.retry]\nparked = { first_s = 60, most_s = 5 }",
        "sinks.crm.retry.parked: first_s is over most_s",
    ),
    "an infinite wait": (
        CRM + "[sinks.crm.breaker]\nquota_s = inf",
        "sinks.crm.breaker.quota_s: must be a finite number",
    ),
    "a mapping that cannot be read": (
        CRM + 'fields = { lead_score = "score after!" }',
        "sinks.crm.fields: field lead_score: 'score after!' is no path",
    ),
    "a mapping of what no record has": (
        CRM + 'fields = { lead_score = "score_behind" }',
        "sinks.crm.fields.lead_score: 'score_behind' is not known here; did you mean score_before?",
    ),
    "two ways into Slack": (
        SLACK + 'webhook_url = { env = "URL" }',
        "sinks.team: give either token or webhook_url",
    ),
    "no way into Slack": ("[sinks.team]\ntype = 'slack'", "sinks.team: give either token or webhook_url"),
    "a Slack token that is none": (
        SLACK.replace("SLACK", "HUBSPOT"),
        "sinks.team: the Slack token is none; a bot token begins with xoxb-",
    ),
    "half a Salesforce grant": (
        FORCE + "base_url = 'https://a.my.salesforce.com'\nusername = 'u'",
        "sinks.force: give either client_secret, or username and private_key",
    ),
    "two Salesforce grants": (
        FORCE
        + "base_url = 'https://a.my.salesforce.com'\nusername = 'u'\n"
        + "private_key = { env = 'SECRET' }\nclient_secret = { env = 'SECRET' }",
        "sinks.force: give either client_secret, or username and private_key",
    ),
    "a Salesforce that is reached in the clear": (
        FORCE + "base_url = 'http://a.my.salesforce.com'\nclient_secret = { env = 'SECRET' }",
        "sinks.force: Salesforce: the base URL is no https://<My Domain>.my.salesforce.com",
    ),
    "a private key that is none": (
        FORCE + "base_url = 'https://a.my.salesforce.com'\nusername = 'u'\nprivate_key = { env = 'SECRET' }",
        "sinks.force: Salesforce: the private key cannot be read",
    ),
    "a webhook without a secret": (HOOK + "secrets = []", "sinks.hook.secrets: List should have at least 1 item"),
    "a signing secret that is none": (
        HOOK + 'secrets = [{ env = "SLACK" }]',
        "sinks.hook: a webhook's signing secret is not whsec_ and base64",
    ),
    "a network that is none": (
        HOOK + 'secrets = [{ env = "SIGNING" }]\nallowed_networks = ["ten"]',
        "sinks.hook.allowed_networks[0]: 'ten' does not appear to be an IPv4 or IPv6 network",
    ),
    "a sender that is no address": (
        MAIL.replace("a@b.example", "Sales"),
        "sinks.mail: the sender of mails is no address",
    ),
    "a password that is sent readable": (
        MAIL + "security = 'plain'\nusername = 'u'\npassword = { env = 'SECRET' }",
        "sinks.mail: the password of the mail relay would be sent readable",
    ),
    "authorities that are none": (
        MAIL + "cafile = 'nowhere.pem'",
        "sinks.mail.cafile: no certificates can be read there: No such file or directory",
    ),
    "an unsubscribe secret that is short": (
        MAIL + "[sinks.mail.unsubscribe]\nbase_url = 'https://a.example/u'\nsecrets = [{ env = 'SLACK' }]",
        "sinks.mail: the secret of unsubscribe links is missing or too short",
    ),
}

SECRETS = {
    "in the file itself": (
        '"pat-inline"',
        'a secret does not stand in this file; write { env = "NAME" } or { file = "/path" }',
    ),
    "as something else": ("3", 'this is no place of a secret; write { env = "NAME" } or { file = "/path" }'),
    "in two places": (
        '{ env = "HUBSPOT", file = "key" }',
        'this is no place of a secret; write { env = "NAME" } or { file = "/path" }',
    ),
    "in a variable that is not set": ('{ env = "NOBODY" }', "NOBODY is not set in the environment"),
    "in a variable that is blank": ('{ env = "BLANK" }', "BLANK is not set in the environment"),
    "in a variable that is a setting": (
        '{ env = "PQL_KEY" }',
        "PQL_KEY: names with PQL_ are those of settings; give the variable another name",
    ),
    "in a variable's place": (
        '{ env = "pat-inline" }',
        "env is the name of an environment variable, and this is none",
    ),
    "in a file that is not there": ('{ file = "nowhere" }', "file 'nowhere': No such file or directory"),
    "in a file that is empty": ('{ file = "empty" }', "file 'empty': the file is empty"),
    "in a file that is no text": ('{ file = "binary" }', "file 'binary': the file is not UTF-8 text"),
    "in a file that is a log": ('{ file = "large" }', "file 'large': the file is too large for a secret"),
}

ROUTE_TABLES = {
    "no name": ("[[routes]]\nof = 'score-changed'\nsink = 'crm'\naction = 'upsert'", "routes[0].name: is missing"),
    "a name that is none": (
        route(name="a route"),
        "routes[0].name: names of routes take up to 100 letters, digits and '-' between them",
    ),
    "an unknown key": (route("wher = {}"), "routes[0].wher: 'wher' is not known here; did you mean where?"),
    "an unknown kind of record": (
        route(of="product-activity"),
        "routes[0].of: must be 'score-changed' or 'pql-qualified'",
    ),
    "an action that nobody has": (
        route(action="call"),
        "routes[0].action: must be 'upsert', 'task', 'message', 'mail' or 'post'",
    ),
    "an action that the sink does not have": (
        route(action="mail"),
        "routes.r.action: hubspot has no action mail; write task or upsert",
    ),
    "an unknown sink": (
        route(sink="crn"),
        "routes.r.sink: 'crn' is not known here; did you mean crm?; write a table [sinks.crn]",
    ),
    "two of one name": (route() + route(), "routes.r: 2 routes have this name; give each its own"),
    "a field that no record has": (
        route("where = { tierafter = 'gold' }"),
        "routes.r.where.tierafter: 'tierafter' is not known here; did you mean tier_after?",
    ),
    "a field that only the other record has": (
        route("where = { sales_ready = true }"),
        "routes.r.where.sales_ready: 'sales_ready' is not known here",
    ),
    "a rule that the pack does not have": (
        route('where = { "points.team_sise" = { at_least = 1 } }'),
        "routes.r.where.points.team_sise: 'points.team_sise' is not known here; did you mean points.team_size?",
    ),
    "a tier that the pack does not have": (
        route("where = { tier_after = ['gold', 'sliver'] }"),
        "routes.r.where.tier_after: 'sliver' is not known here; did you mean silver?",
    ),
    "a text for a number in a condition": (
        route("where = { score_after = '60' }"),
        "routes.r.where.score_after: '60' can never be: it is a number",
    ),
    "a number for a flag": (
        route("where = { sales_ready = 1 }", of="pql-qualified"),
        "routes.r.where.sales_ready: 1 can never be: it is true or false",
    ),
    "a bound for a text": (
        route("where = { tier_after = { at_least = 3 } }"),
        "routes.r.where.tier_after: it is a text, and has no at_least or below; write one_of",
    ),
    "a bound that is no number": (
        route("where = { score_after = { at_least = 'sixty' } }"),
        "routes.r.where.score_after.at_least: is a text, not a number",
    ),
    "a bound that nothing compares with": (
        route("where = { score_after = { at_least = nan } }"),
        "routes.r.where.score_after.at_least: is nan, or too large for a number",
    ),
    "a value of more digits than a number has": (
        route(f"where = {{ score_after = {'9' * 400} }}"),
        "routes.r.where.score_after: is nan, or too large for a number",
    ),
    "bounds that nothing meets": (
        route("where = { score_after = { at_least = 60, below = 60 } }"),
        "routes.r.where.score_after: nothing is at least 60 and below 60",
    ),
    "an unknown word of a condition": (
        route("where = { score_after = { at_least = 60, atmost = 70 } }"),
        "routes.r.where.score_after: 'atmost' is not known here",
    ),
    "an empty condition": (
        route("where = { score_after = {} }"),
        "routes.r.where.score_after: an empty table; write one_of, at_least or below",
    ),
    "an empty list": (
        route("where = { tier_after = [] }"),
        "routes.r.where.tier_after: an empty list; write the values that it may have",
    ),
    "a date in a condition": (
        route("where = { occurred_at = 2026-01-05 }"),
        "routes.r.where.occurred_at: is something else, not a text, a number, true or false",
    ),
    "an unknown option": (
        route('options = { ownr_id = "7" }', action="task"),
        "routes.r.options: 'ownr_id' is not known here; did you mean owner_id?",
    ),
    "an option of another action": (
        route('options = { owner_id = "7" }'),
        "routes.r.options: 'owner_id' is not known here",
    ),
    "an option that is no text": (
        route("options = { template = ['a'] }", action="task"),
        "routes.r.options.template: is a list, not a text, a number or a table of texts",
    ),
    "a text for a mapping": (
        route('options = { fields = "score" }'),
        "routes.r.options.fields: write a table of field to path",
    ),
    "a table for a text": (
        route('options = { template = { a = "b" } }', action="task"),
        "routes.r.options.template: write a text",
    ),
    "a mapping to a number": (
        route("options = { fields = { lead_score = 3 } }"),
        "routes.r.options.fields.lead_score: is a number, not a text",
    ),
    "a mapping of what no record has": (
        route('options = { fields = { city = "profile.city" } }'),
        "routes.r.options.fields.city: 'profile.city' is not known here",
    ),
    "a mapping of what only the other record has": (
        route('options = { fields = { ready = "sales_ready" } }'),
        "routes.r.options.fields.ready: sales_ready: this route's records have no such field",
    ),
    "a due time that is none": (
        route('options = { due_after_s = "soon" }', action="task"),
        'routes.r: the option "due_after_s" is no number of seconds',
    ),
    "a template that is not there": (
        route('options = { template = "nowhere.txt" }', action="task"),
        "routes.r: there is no template nowhere.txt",
    ),
    "a template that is broken": (
        route('options = { template = "broken.txt" }', action="task"),
        "routes.r: the template broken.txt cannot be used",
    ),
    "no channel": (route(sink="team", action="message"), "routes.r: the route r cannot be used; it names no channel"),
    "a mail to nobody": (route(sink="mail", action="mail"), "routes.r: the route r cannot be used"),
    "a mail to leads who cannot unsubscribe": (
        route('options = { to = "lead" }', sink="mail", action="mail"),
        "routes.r: the route r cannot be used; no mail goes to a lead without a link to unsubscribe",
    ),
    "contact data that there is none": (
        route('options = { contact_fields = "email, shoe_size" }', sink="hook", action="post"),
        "routes.r: option contact_fields: there is no contact data shoe_size",
    ),
}


@pytest.fixture
def directory(tmp_path):
    """A directory with files that secrets and templates are looked for in."""
    (tmp_path / "key").write_text("pat-hidden\n")
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "large").write_bytes(b"x" * 100_000)
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "broken.txt").write_text("{{ nobody }}")
    return tmp_path


@pytest.mark.parametrize(("text", "problem"), [*FILES.values(), *SINK_TABLES.values()], ids=[*FILES, *SINK_TABLES])
def test_a_problem_of_the_file_or_of_a_sink(directory, text, problem):
    """
    One problem is one line: its path in the file, and what is wrong or to be written.
    """
    [told] = problems_of(directory, text)

    assert told.startswith(problem)


@pytest.mark.parametrize(("written", "problem"), SECRETS.values(), ids=SECRETS.keys())
def test_a_problem_of_a_secret(directory, written, problem):
    """
    A secret has a place, and whatever is wrong with it, it is not shown.
    """
    environ = {"HUBSPOT": "pat-hidden", "BLANK": " ", "PQL_KEY": "pat-hidden"}
    [told] = problems_of(directory, f'[sinks.crm]\ntype = "hubspot"\nservice_key = {written}', environ)

    assert f"sinks.crm.service_key: {problem}" == told
    assert "inline" not in told


@pytest.mark.parametrize(("text", "problem"), ROUTE_TABLES.values(), ids=ROUTE_TABLES.keys())
def test_a_problem_of_a_route(directory, text, problem):
    """
    A route is held against its sink, its records and the live pack.
    """
    [told] = problems_of(directory, SINKS + '[templates]\ndirectory = "templates"\n' + text)

    assert told.startswith(problem)


def test_every_problem_is_told_at_once(directory):
    """
    A bad sink, a bad route and a bad section: three lines, and how to see what is left.
    """
    path = directory / "pql.toml"
    path.write_text(
        "[colours]\n"
        + CRM.replace("HUBSPOT", "NOBODY")
        + route("where = { tier = 'gold' }")
        + route(name="s", sink="x")
    )

    with pytest.raises(InvalidSettings) as caught:
        load_config(load_settings({"PQL_CONFIG": str(path)}), PACK, {})

    assert f"{path} cannot be used: 4 problems" == caught.value.what
    assert [
        "line 1: colours:",
        "line 4: sinks.crm.service_key:",
        "line 11: routes.r.where.tier:",
        "line 16: routes.s.sink:",
    ] == [line[: line.index(": ", 8) + 1] for line in caught.value.why.splitlines()]
    assert "mend the file; `pql-stream config check` tells what is left" == caught.value.what_to_do


def test_sinks_are_looked_at_whatever_is_wrong_with_the_templates(directory):
    """
    A directory that is missing, and a login without a password: one round mends both.
    """
    told = problems_of(directory, "[templates]\ndirectory = 'nowhere'\n" + MAIL + "username = 'u'\n")

    assert ["templates: the template directory", "sinks.mail: the login at the mail"] == [one[:33] for one in told]


def test_a_route_to_a_sink_with_problems_is_not_blamed_for_them(directory):
    """
    The sink's own problem is the only one.
    """
    assert ["sinks.crm.service_key: is missing"] == problems_of(directory, "[sinks.crm]\ntype='hubspot'" + route())


def test_a_file_that_cannot_be_read_is_told(tmp_path):
    """
    PQL_CONFIG names nothing, a directory, or bytes: the operator is told which file.
    """
    with pytest.raises(InvalidSettings, match="a setting cannot be used"):
        load_settings({"PQL_CONFIG": str(tmp_path / "nowhere.toml")})
    (tmp_path / "pql.toml").write_bytes(b"\xff\xfe")

    with pytest.raises(InvalidSettings, match=r"pql\.toml cannot be read"):
        load_settings({"PQL_CONFIG": str(tmp_path / "pql.toml")})
    with pytest.raises(InvalidSettings, match=r"pql\.toml cannot be read"):
        load_sink_names(Settings(config_file=tmp_path / "pql.toml"))


def test_names_of_sinks_need_no_secret(tmp_path):
    """
    Whoever makes topics sees the names, sorted; a bad name is refused all the same.
    """
    path = tmp_path / "pql.toml"
    path.write_text(SLACK + CRM)
    settings = load_settings({"PQL_CONFIG": str(path)})

    assert ("crm", "team") == load_sink_names(settings)
    path.write_text(CRM.replace("crm", "crm-parked"))
    with pytest.raises(InvalidSettings) as caught:
        load_sink_names(settings)
    assert "sinks.crm-parked: names of sinks do not end in" in caught.value.why
