"""The README's settings files are some."""

import re
from pathlib import Path

from settings_file import SIGNING, read

from pql_stream.ops.settings import load_settings

README = (Path(__file__).parents[3] / "README.md").read_text()


SETTINGS, DELIVERY = re.findall(r"^```toml\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def test_the_settings_file_in_the_readme_is_fine(tmp_path):
    """
    Whoever copies it and gives the secrets gets five sinks, and no warning.
    """
    (tmp_path / "templates").mkdir()
    (tmp_path / "salesforce").write_text("secret")
    environ = {
        "HUBSPOT_SERVICE_KEY": "key",
        "SLACK_BOT_TOKEN": "xoxb-1",
        "SMTP_PASSWORD": "secret",
        "WEBHOOK_URL": "https://example.com/in",
        "WEBHOOK_SECRET": SIGNING,
    }
    config = read(tmp_path, DELIVERY, environ)

    assert {"hubspot", "salesforce", "slack", "email", "webhook"} == {form.type for form in config.sinks.values()}
    assert 6 == len(config.routes)
    assert () == config.warnings


def test_the_settings_in_the_readme_are_fine(tmp_path):
    """
    Whoever copies them, and has the password in a file, can log in.
    """
    (tmp_path / "kafka").write_text("secret")
    (tmp_path / "pql.toml").write_text(SETTINGS.replace("/run/secrets/kafka", "kafka"))
    settings = load_settings({"PQL_CONFIG": str(tmp_path / "pql.toml")})

    assert ("team-", "SASL_SSL", "secret") == (
        settings.topic_prefix,
        settings.security_protocol,
        settings.sasl_password_text,
    )
