"""The table of all settings in the README, made of the model: `python -m pql_stream.ops.settings_table README.md`."""

from __future__ import annotations

import sys
from pathlib import Path

from pql_stream.ops.settings import Settings
from pql_stream.ops.settings_sources import FILE_VARIABLE

BEGIN, END = "<!-- settings: written by `make settings-table` -->\n", "<!-- end of settings -->\n"


def settings_table() -> str:
    """One row a setting, in the order of the class."""
    defaults = Settings()
    rows = ["| environment | in `[settings]` | meaning | default |", "|---|---|---|---|"]
    for name, key in Settings.names().items():
        default = getattr(defaults, key)
        cells = (
            f"`{name}`",
            "" if name == FILE_VARIABLE else f"`{key}`",
            str(Settings.model_fields[key].description).replace("|", "\\|"),
            "" if default in {None, ""} else f"`{default}`",
        )
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def with_table(text: str) -> str:
    """*text*, the README's, with the table of now between its two marks."""
    before, _, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"there is no {BEGIN.strip()} followed by {END.strip()}")
    return f"{before}{BEGIN}{settings_table()}{END}{after}"


if __name__ == "__main__":
    readme = Path(sys.argv[1])
    readme.write_text(with_table(readme.read_text(encoding="utf-8")), encoding="utf-8")
