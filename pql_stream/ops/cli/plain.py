"""Text of other people's on a line of ours."""

from __future__ import annotations


def plain(text: str) -> str:
    r"""
    *text* with what cannot be shown escaped: "\n", "\x1b[2J".

    An id may hold any character. As it is, a line break would end the line of a table, and an escape sequence
    would drive the terminal of whoever looks at the leads.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
