"""What the runbooks show as code: commands, and names of things."""

from __future__ import annotations

import re
from pathlib import Path

TEXT = (Path(__file__).parents[2] / "deploy" / "RUNBOOKS.md").read_text()

_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$\n", re.DOTALL | re.MULTILINE)

_BLOCKS = [block for language, block in _FENCED.findall(TEXT) if language == "sh"]
_LINES = [line.split(" # ")[0].strip() for block in _BLOCKS for line in block.splitlines() if line]

PROSE = _FENCED.sub("", TEXT)
_SPANS = [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", PROSE)]

PROGRAMS = frozenset(line.split()[0] for line in _LINES)
"""The first word of each line of a block is one."""

COMMANDS = tuple(dict.fromkeys([*_LINES, *(span for span in _SPANS if span.split()[0] in PROGRAMS)]))
"""Each once, in the order of the blocks, then of the sentences. PACK and NAME stand for a pack and a sink."""

PHRASES = frozenset(span for span in _SPANS if " " in span and span not in COMMANDS)
"""What else has a blank in it, and so might be a command."""

LANGUAGES = frozenset(language for language, _ in _FENCED.findall(TEXT))
