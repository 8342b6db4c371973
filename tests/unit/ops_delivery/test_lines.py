"""Where in the settings file something stands."""

import pytest
from settings_file import SINKS, route

from pql_stream.ops.delivery.lines import Lines

TEXT = '''# a comment
[settings]
http_port = 1   # and another

[sinks]
[sinks.crm]
type = "hubspot"
fields.lead = "x"
rate = { calls = 1,  period_s = 2 }
[sinks."a.b"]
secrets = [
  { env = "ONE" },
  """
[routes]
""",
]

[[routes]]
name = "first"
where = { "input.x" = [1] }
[[routes]]
name = "second"
[routes.where]
tier = ["gold"]
[[routes.deep]]
[[routes.deep]]
key = 1
[templates]
next_steps = { immediate = "Call." }
'''

PLACES = {
    "settings": 2,
    "settings.http_port": 3,
    "settings.unknown": 2,
    "sinks.crm.type": 7,
    "sinks.crm.fields.lead": 8,
    "sinks.crm.rate.period_s": 9,
    "sinks.crm.rate.nothing": 9,
    "sinks.crm.service_key": 6,
    "sinks.a.b.secrets[1]": 11,
    "routes[0].name": 19,
    "routes.first": 18,
    "routes.first.where.input.x": 20,
    "routes.second.where.tier": 24,
    "routes.second.action": 21,
    "routes[1].deep[1].key": 27,
    "templates.next_steps.immediate": 29,
    "sinks.gone": 5,
    "nothing": None,
    "": None,
}


@pytest.mark.parametrize(("path", "line"), PLACES.items(), ids=PLACES.keys())
def test_the_line_of_a_path(path, line):
    """
    Of the key, or of the table that it is missing in; in any writing that TOML has, and past long texts.
    """
    assert line == Lines(TEXT).of(path)


def test_windows_and_other_line_ends():
    """
    Only what ends a line in an editor counts: a form feed, or a line separator in a text, does not.
    """
    text = 'a = "\u2028\x85"\r\n\r\nb = 2\r\n'

    assert (1, 3) == (Lines(text).of("a"), Lines(text).of("b"))


def test_a_problem_gets_its_line():
    """
    A problem that names no place stays as it is.
    """
    lines = Lines(TEXT)

    assert "line 7: sinks.crm.type: is none of ours" == lines.placed("sinks.crm.type: is none of ours")
    assert "no TOML: x" == lines.placed("no TOML: x")


def test_every_line_of_an_ordinary_file():
    """
    Each key of a file with all kinds of sinks is found on the line that begins with it.
    """
    text = SINKS + route('where = { tier_after = "gold" }')
    lines, written = Lines(text), text.split("\n")

    for path in ("sinks.force.base_url", "sinks.hook.secrets", "routes.r.where", "routes.r.sink"):
        assert written[lines.of(path) - 1].startswith(f"{path.rpartition('.')[2]} = ")
