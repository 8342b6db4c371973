"""
A YAML document as entries that know their line and path, and note what is wrong with themselves.

Nothing here raises for a bad value: it is noted, and a value of the right type takes its place, so that
one reading finds every problem. Scalars are read from their text, never through YAML's types: there `no`
is false, `1:30` is 90 and 0.3 is no decimal.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Any

import yaml

from pql_stream.core.problems import Path, one_of, shown
from pql_stream.core.rules import HUNDREDTHS
from pql_stream.core.values import Number
from pql_stream.core.words import word
from pql_stream.errors import PackProblem

DEPTH_MAX = 12
"""Mappings and lists within each other; a pack needs eight. The composer recurses, hence a limit."""
TEXT_CHARS_MAX = 256
_TAG = "tag:yaml.org,2002:"
_NULL = _TAG + "null"
_STR = _TAG + "str"
_WHOLE_TEXT = "0|[1-9][0-9]{0,14}|[1-9][0-9]{0,2}(?:_[0-9]{3}){1,4}"
"""Up to 15 digits, which a double holds exactly; `_` may part the thousands."""
_WHOLE = re.compile(_WHOLE_TEXT)
_DECIMAL = re.compile(rf"(?:{_WHOLE_TEXT})(?:\.[0-9]{{1,2}})?")


class Sheet:
    """The problems of one document, and the line of every entry that was read."""

    def __init__(self) -> None:
        self.problems: list[PackProblem] = []
        self.lines: dict[Path, int] = {}
        self.holes = 0
        """How many values could not be read: what stands in their place says nothing."""

    def note(self, path: Path, message: str, line: int | None = None) -> None:
        """Something is wrong at *path*; what was read stays usable."""
        at = self.line_of(path) if line is None else line
        self.problems.append(PackProblem(at, path_text(path), message))

    def line_of(self, path: Path) -> int:
        """The line of *path*, else that of the nearest entry around it; the document itself always has one."""
        around = (path[:end] for end in range(len(path), -1, -1))
        return next(self.lines[outer] for outer in around if outer in self.lines)


def path_text(path: Path) -> str:
    """`rules.community.bands[0].points`; "file" for the whole."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{shown(part)[1:-1]}" for part in path)
    return text.lstrip(".") or "file"


class _Unusable(Exception):
    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = message


class _Composer(yaml.SafeLoader):
    """Composes nodes only; constructs nothing."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]  # the stubs leave it out
        line = event.start_mark.line + 1
        # A pack is short enough to be written out, and a few aliases of aliases stand for a billion values.
        if event.anchor is not None:
            raise _Unusable(line, "anchors (&) and aliases (*) are not taken: write the value out")
        if self.depth >= DEPTH_MAX:
            raise _Unusable(line, f"more than {DEPTH_MAX} levels: a pack is not that deep")
        self.depth += 1
        node: yaml.Node | None = super().compose_node(parent, index)
        self.depth -= 1
        return node


def open_sheet(text: str) -> tuple[Sheet, Entry]:
    """
    *text* as an entry to read from.

    What is no YAML at all, or YAML that is not taken, is a problem of the sheet; the entry then is missing.
    """
    sheet = Sheet()
    node, line = None, 1
    try:
        node = _Composer(text).get_single_node()
        if node is None:
            sheet.note((), "the file is empty: start from a shipped pack (`pql-stream pack list`)", 1)
    except _Unusable as exc:
        sheet.note((), exc.message, exc.line)
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        sheet.note((), _yaml_message(exc), line if mark is None else mark.line + 1)
    except yaml.reader.ReaderError as exc:
        line = text.count("\n", 0, exc.position) + 1
        sheet.note((), "a character that is not for reading: write plain text", line)
    except (ValueError, OverflowError):
        # PyYAML lets int() and chr() of its own through: %YAML with 5,000 digits, "\UFFFFFFFF".
        sheet.note((), "not YAML: a number or an escape in it is out of range", 0)
    if node is None:
        sheet.holes += 1
    return sheet, Entry(sheet, node, (), line)


def _yaml_message(exc: yaml.MarkedYAMLError) -> str:
    problem = exc.problem or exc.context or "it cannot be read"
    if "'\\t'" in problem:
        return "a tab: write blanks instead"
    if "expected a single document" in (exc.context or ""):
        return "a second document begins (---): one file has one pack"
    return f"not YAML: {problem}: check quotes, brackets and indentation here"


class Entry:
    """A value of the document; *node* is None where it is missing, which has been noted already."""

    __slots__ = ("line", "node", "path", "sheet")

    def __init__(self, sheet: Sheet, node: yaml.Node | None, path: Path, line: int) -> None:
        self.sheet = sheet
        self.node = node
        self.path = path
        self.line = line
        if node is not None:
            sheet.lines.setdefault(path, line)

    def refuse(self, message: str) -> None:
        """The value cannot be used."""
        self.sheet.holes += 1
        self.sheet.note(self.path, message, self.line)

    def note(self, message: str) -> None:
        """Something is wrong with a value that can be used all the same."""
        self.sheet.note(self.path, message, self.line)

    def fields(self, required: Sequence[str], optional: Sequence[str] = ()) -> Fields:
        """The mapping's fields, which have fixed names."""
        known = (*required, *optional)
        found: dict[str, Entry] = {}
        for name, entry in self._pairs():
            if name in known:
                found[name] = entry
            else:
                entry.note(f"{shown(name)} is not known here: {one_of(name, known)}")
        if isinstance(self.node, yaml.MappingNode):
            for name in required:
                if name not in found:
                    self.refuse(f"`{name}` is missing: add `{name}: …`")
        return Fields(self, found)

    def named(self, what: str) -> list[tuple[str, Entry]]:
        """The pairs of a mapping from names that the file chooses; *what* they name."""
        pairs = list(self._pairs())
        if isinstance(self.node, yaml.MappingNode) and not pairs:
            self.refuse(f"empty: name at least one {what}")
        return pairs

    def _pairs(self) -> Iterator[tuple[str, Entry]]:
        if self.node is None:
            return
        if not isinstance(self.node, yaml.MappingNode):
            self.refuse(f"{_kind_of(self.node)} stands here: write `key: value` lines, indented")
            return
        seen: dict[str, int] = {}
        for key, value in self.node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode) or key.tag != _STR:
                self.sheet.holes += 1
                self.sheet.note(self.path, f"{_kind_of(key)} cannot be a key: {_quoted(key)}", line)
            elif key.value in seen:
                message = f"{shown(key.value)} stands in line {seen[key.value]} already: keep one of them"
                self.sheet.note(self.path, message, line)
            else:
                seen[key.value] = line
                yield key.value, Entry(self.sheet, value, (*self.path, key.value), line)

    def kind(self) -> Entry:
        """The entry under `kind`, looked at before it is known which fields there may be."""
        if isinstance(self.node, yaml.MappingNode):
            for key, value in self.node.value:
                if isinstance(key, yaml.ScalarNode) and key.value == "kind":
                    return Entry(self.sheet, value, (*self.path, "kind"), key.start_mark.line + 1)
        return Entry(self.sheet, None, (*self.path, "kind"), self.line)

    def items(self) -> list[Entry]:
        """The entries of a list that has some."""
        if self.node is None:
            return []
        if not isinstance(self.node, yaml.SequenceNode):
            self.refuse(f"{_kind_of(self.node)} stands here: write a list, [a, b] or lines that begin with -")
            return []
        if not self.node.value:
            self.refuse("the list is empty: name at least one")
        return [
            Entry(self.sheet, node, (*self.path, place), node.start_mark.line + 1)
            for place, node in enumerate(self.node.value)
        ]

    def one_or_many(self) -> list[Entry]:
        """As `items`; a single value needs no brackets."""
        return self.items() if self.node is None or isinstance(self.node, yaml.SequenceNode) else [self]

    def is_mapping(self) -> bool:
        """Does a mapping stand here?"""
        return isinstance(self.node, yaml.MappingNode)

    def is_null(self) -> bool:
        """Does a plain `null` stand here?"""
        return isinstance(self.node, yaml.ScalarNode) and self.node.tag == _NULL

    def text(self, chars_max: int = TEXT_CHARS_MAX) -> str:
        """A line of text, trimmed."""
        value = self._scalar("a text")
        if value is None:
            return ""
        if self.node is not None and self.node.tag != _STR:
            self.refuse(f"{_kind_of(self.node)} stands here, where a text belongs: {_quoted(self.node)}")
            return ""
        text = value.strip()
        if not text:
            self.refuse("empty: write a text")
        elif len(text) > chars_max:
            self.refuse(f"{len(text):,} characters: write at most {chars_max}")
        elif not text.isprintable():
            self.refuse("a line break or a character that cannot be shown: write one line of plain text")
        return text

    def word(self) -> str:
        """A word in its compared form."""
        return self.compared(self.text())

    def compared(self, text: str) -> str:
        """*text*, which stands here, in the form that words are compared in."""
        compared = word(text)
        if text and not compared:
            self.refuse(f"nothing is left of {shown(text)} when it is compared: use letters or digits")
        return compared

    def choice(self, choices: Sequence[str]) -> str:
        """One of *choices*; "" where it is none of them."""
        text = self.text()
        if not text or text in choices:
            return text
        self.refuse(f"{shown(text)} is not known: {one_of(text, choices)}")
        return ""

    def flag(self) -> bool:
        """`true` or `false`."""
        value = self._scalar("true or false")
        if value is not None and (value not in {"true", "false"} or self._is_quoted()):
            self.refuse(f"{shown(value)}: write true or false")
        return value == "true"

    def whole(self) -> int:
        """A whole number from 0."""
        return int(self._number(_WHOLE, "a whole number from 0, such as 3", int))

    def number(self) -> Number:
        """A number from 0 with at most two decimals."""
        exact = self._number(_DECIMAL, "a number from 0 with at most two decimals, such as 3 or 2.5", Decimal)
        return int(exact) if exact == int(exact) else float(exact)

    def points(self) -> int:
        """Points, as hundredths."""
        exact = self._number(_DECIMAL, "points from 0 with at most two decimals, such as 5 or 2.14", Decimal)
        return int(exact * HUNDREDTHS)

    def _number(self, pattern: re.Pattern[str], wanted: str, read: Callable[[str], int | Decimal]) -> int | Decimal:
        value = self._scalar(wanted)
        if value is None:
            return 0
        if self._is_quoted() or not pattern.fullmatch(value):
            hint = " without quotes" if self._is_quoted() else ""
            self.refuse(f"{shown(value)}: write {wanted}{hint}")
            return 0
        return read(value.replace("_", ""))

    def _is_quoted(self) -> bool:
        return isinstance(self.node, yaml.ScalarNode) and self.node.style is not None

    def _scalar(self, wanted: str) -> str | None:
        if self.node is None:
            return None
        if not isinstance(self.node, yaml.ScalarNode):
            self.refuse(f"{_kind_of(self.node)} stands here: write {wanted}")
            return None
        value: str = self.node.value
        return value


class Fields:
    """The fields of a mapping; one that is not there reads as a missing entry."""

    __slots__ = ("_found", "owner")

    def __init__(self, owner: Entry, found: dict[str, Entry]) -> None:
        self.owner = owner
        self._found = found

    def __getitem__(self, name: str) -> Entry:
        return self.get(name) or Entry(self.owner.sheet, None, (*self.owner.path, name), self.owner.line)

    def get(self, name: str) -> Entry | None:
        """The field, None where it is not given."""
        return self._found.get(name)


_KINDS = {
    "null": "nothing",
    "bool": "true or false",
    "int": "a number",
    "float": "a number",
    "timestamp": "a date",
    "str": "a text",
}


def _kind_of(node: yaml.Node) -> str:
    if isinstance(node, yaml.MappingNode):
        return "a mapping"
    if isinstance(node, yaml.SequenceNode):
        return "a list"
    return _KINDS.get(node.tag.removeprefix(_TAG), "something else")


def _quoted(node: yaml.Node) -> str:
    """What to write where a text belongs."""
    if isinstance(node, yaml.ScalarNode) and node.value:
        return f'put it in quotes: "{shown(node.value)[1:-1]}"'
    return "write a text"
