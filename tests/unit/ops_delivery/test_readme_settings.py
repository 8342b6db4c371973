"""The README's settings file is one."""

import re
from pathlib import Path

from settings_file import SIGNING, read

README = (Path(__file__).parents[3] / "README.md").read_text()


def test_the_settings_file_in_the_readme_is_fine(tmp_path):
    """
    Whoever copies it and gives the secrets gets five sinks, and no warning.
    """
    [text] = re.findall(r"^```toml\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    (tmp_path / "templates").mkdir()
    (tmp_path / "salesforce").write_text("secret")
    environ = {
        "HUBSPOT_SERVICE_KEY": "key",
        "SLACK_BOT_TOKEN": "xoxb-1",
        "SMTP_PASSWORD": "secret",
        "WEBHOOK_URL": "https://example.com/in",
        "WEBHOOK_SECRET": SIGNING,
    }
    config = read(tmp_path, text, environ)

    assert {"hubspot", "salesforce", "slack", "email", "webhook"} == {form.type for form in config.sinks.values()}
    assert 6 == len(config.routes)
    assert () == config.warnings
