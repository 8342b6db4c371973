"""As much SOQL as a fake needs: SELECT fields FROM object WHERE field =|IN literals AND ... LIMIT n."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""\s*(?:(?P<word>[A-Za-z_][A-Za-z0-9_]*)|'(?P<text>(?:[^'\\]|\\.)*)'|(?P<number>\d+)|(?P<sign>[(),=]))""",
    re.DOTALL,
)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", '"': '"', "'": "'", "\\": "\\"}

Literal = str | bool | int


class MalformedQuery(Exception):
    """It cannot be read: Salesforce's MALFORMED_QUERY."""


@dataclass(frozen=True, slots=True)
class Query:
    """A query that was read. *where*: field -> the values that are wanted."""

    fields: tuple[str, ...]
    object_name: str
    where: Mapping[str, tuple[Literal, ...]]
    limit: int | None

    def takes(self, record: Mapping[str, object]) -> bool:
        """Does *record* meet every condition? Texts are compared without case, as Salesforce does."""
        return all(_folded(record.get(field)) in map(_folded, values) for field, values in self.where.items())


def parse_query(text: str) -> Query:
    """
    Read *text*.

    Raises:
        MalformedQuery: it is none that we know.
    """
    tokens = _Tokens(text)
    tokens.word("SELECT")
    fields = [tokens.name()]
    while tokens.took_sign(","):
        fields.append(tokens.name())
    tokens.word("FROM")
    object_name = tokens.name()
    where: dict[str, tuple[Literal, ...]] = {}
    if tokens.took_word("WHERE"):
        where.update([_condition(tokens)])
        while tokens.took_word("AND"):
            where.update([_condition(tokens)])
    limit = tokens.literal() if tokens.took_word("LIMIT") else None
    tokens.end()
    return Query(tuple(fields), object_name, where, limit if isinstance(limit, int) else None)


def _condition(tokens: _Tokens) -> tuple[str, tuple[Literal, ...]]:
    field = tokens.name()
    if tokens.took_sign("="):
        return field, (tokens.literal(),)
    tokens.word("IN")
    tokens.sign("(")
    values = [tokens.literal()]
    while tokens.took_sign(","):
        values.append(tokens.literal())
    tokens.sign(")")
    return field, tuple(values)


class _Tokens:
    def __init__(self, text: str) -> None:
        self._text = text.rstrip()
        self._at = 0

    def _peek(self) -> re.Match[str]:
        found = _TOKEN.match(self._text, self._at)
        if found is None:
            raise MalformedQuery(f"unexpected token at {self._at}")
        return found

    def took_word(self, wanted: str) -> bool:
        if self._at >= len(self._text) or (self._peek()["word"] or "").upper() != wanted:
            return False
        self._at = self._peek().end()
        return True

    def took_sign(self, wanted: str) -> bool:
        if self._at >= len(self._text) or self._peek()["sign"] != wanted:
            return False
        self._at = self._peek().end()
        return True

    def word(self, wanted: str) -> None:
        if not self.took_word(wanted):
            raise MalformedQuery(f"expecting {wanted}")

    def sign(self, wanted: str) -> None:
        if not self.took_sign(wanted):
            raise MalformedQuery(f"expecting {wanted}")

    def name(self) -> str:
        found = self._peek()
        if found["word"] is None:
            raise MalformedQuery("expecting a name")
        self._at = found.end()
        return found["word"]

    def literal(self) -> Literal:
        found = self._peek()
        self._at = found.end()
        if found["text"] is not None:
            return re.sub(r"\\(.)", lambda escape: _unescaped(escape[1]), found["text"], flags=re.DOTALL)
        if found["number"] is not None:
            return int(found["number"])
        if (found["word"] or "").lower() in {"true", "false"}:
            return found["word"].lower() == "true"
        raise MalformedQuery("expecting a value")

    def end(self) -> None:
        if self._at < len(self._text):
            raise MalformedQuery(f"unexpected token at {self._at}")


def _folded(value: object) -> object:
    return value.casefold() if isinstance(value, str) else value


def _unescaped(sign: str) -> str:
    if sign not in _ESCAPES:
        raise MalformedQuery("Illegal escape")
    return _ESCAPES[sign]
