"""How deep JSON text nests; counted on the bytes, because broken text has a depth too (R1, R10)."""

from __future__ import annotations

import re
from typing import Final

DEPTH_MAX: Final = 64
"""Arrays and objects open at once, the record itself included (R1)."""

OBJECTS_ONLY_BYTES_MAX: Final = len(b'{"":') * DEPTH_MAX + len(b"{}") + DEPTH_MAX - 1
"""Valid JSON without arrays that is no longer than this is not too deep: a level more needs a byte more."""

ARRAY_START: Final = ord("[")
OBJECT_START: Final = ord("{")

_OPENERS: Final = b"[{"
_BRACKETS: Final = b"[]{}"
_ALL_BUT_BRACKETS: Final = bytes(set(range(256)) - set(_BRACKETS))

# A string may lack its end in broken text. Possessive: it neither goes back nor remembers where it could.
_STRING: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)


def is_too_deep(text: bytes) -> bool:
    """
    Whether more than `DEPTH_MAX` arrays and objects are open at once in *text*, brackets in strings aside.

    In text that is no JSON every closing bracket closes what was opened last, of either kind.
    """
    # Few enough of both is what most texts have. Whether any is left when so many are replaced takes a third
    # of the time of counting them: replace() finds bytes by memchr(), count() looks at each.
    half = DEPTH_MAX // 2
    if OBJECT_START not in text.replace(b"{", b" ", half) and ARRAY_START not in text.replace(b"[", b" ", half):
        return False
    depth = 0
    for bracket in _STRING.sub(b"", text).translate(None, _ALL_BUT_BRACKETS):
        if bracket in _OPENERS:
            depth += 1
            if depth > DEPTH_MAX:
                return True
        elif depth:
            depth -= 1
    return False
