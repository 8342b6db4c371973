"""
Templates of messages, mails and tasks: Jinja2, in its sandbox, strict about names.

A template is compiled, looked through and tried on sample leads when it is loaded, so that a broken one stops the
start and not a delivery.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import css_inline
import jinja2
from jinja2 import meta, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from pql_stream.core.routes import RecordKind
from pql_stream.delivery.sink import Item
from pql_stream.errors import InvalidSettings
from pql_stream.sinks.template_context import NAMES, PROFILE_FIELDS, TemplateSettings, context_of, cut, one_line
from pql_stream.sinks.template_samples import record_fields, sample_items

Kind = Literal["line", "text", "slack", "html"]
"""
What a template makes. *line*: one line of plain text, for a header or a title; always short. *text*: plain text.
*slack*: Slack's mrkdwn, with & < > of every value escaped. *html*: a document, with every value escaped and its styles
written into the elements.
"""

CHARS_MAX: dict[Kind, int] = {"line": 250, "text": 50_000, "slack": 50_000, "html": 400_000}
"""A line is cut there; of the other kinds a longer one is refused, for half a document is none."""

SHIPPED = Path(__file__).parent / "shipped_templates"
EVERY_KIND: tuple[RecordKind, ...] = ("pql-qualified", "score-changed")

# What the operators and filters of a template raise over values that they were not made for.
_FAILURES = (
    jinja2.TemplateError,
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)


class RenderFailed(Exception):
    """A template could not be made into a text for one item. Its text names the template, and no value."""


@dataclass(frozen=True, slots=True)
class Template:
    """A template that is fit for use."""

    name: str
    kind: Kind
    _compiled: jinja2.Template = field(repr=False)
    _settings: TemplateSettings = field(repr=False)

    def render(self, item: Item, *, unsubscribe_url: str = "") -> str:
        """
        The text for *item*; *unsubscribe_url* is of mails to leads.

        Raises:
            RenderFailed: it does not work for this item, or is too long.
        """
        try:
            context = context_of(item, self._settings, unsubscribe_url=unsubscribe_url)
            return _rendered(self._compiled, self.kind, context)
        except _FAILURES as exc:
            # Not "from exc": its text may hold what is known of the lead.
            raise RenderFailed(f"template {self.name}{_place(exc)}: {type(exc).__name__}") from None


def load_template(
    name_or_path: str,
    kind: Kind,
    *,
    settings: TemplateSettings | None = None,
    of: Sequence[RecordKind] = EVERY_KIND,
) -> Template:
    """
    The template of this name, or in this file of the operator's directory, fit for records of *of*.

    Raises:
        InvalidSettings: there is none, it cannot be read, or it does not work for every lead.
    """
    settings = settings or TemplateSettings()
    environment = _environment(kind, settings)
    name = _name(name_or_path, settings)
    try:
        compiled = environment.get_template(name)
        problem = next(_problems(environment, name, of), "") or _trial_problem(compiled, kind, settings, of)
    except jinja2.TemplateNotFound as exc:
        raise _not_found(str(exc.name or name), environment) from exc
    except jinja2.TemplateSyntaxError as exc:
        raise _unusable(exc.name or name, f"line {exc.lineno}: {exc.message}") from exc
    except (OSError, ValueError) as exc:  # no permission, not UTF-8
        raise _unusable(name, f"it cannot be read: {type(exc).__name__}") from exc
    if problem:
        raise _unusable(name, problem)
    return Template(name, kind, compiled, settings)


class Templates:
    """Templates by name and kind, each loaded once."""

    def __init__(self, settings: TemplateSettings | None = None) -> None:
        self._settings = settings or TemplateSettings()
        self._loaded: dict[tuple[str, Kind, tuple[RecordKind, ...]], Template] = {}

    def get(self, name: str, kind: Kind, of: RecordKind) -> Template:
        """As `load_template` says, for records of *of*."""
        key = (name, kind, (of,))
        if key not in self._loaded:
            self._loaded[key] = load_template(name, kind, settings=self._settings, of=(of,))
        return self._loaded[key]

    def take_over(self, other: Templates) -> None:
        """
        Be as *other* from the next message on.

        What only this one has loaded stays: a delivery that waits names the template that its route had.
        """
        self._settings = other._settings
        self._loaded |= other._loaded


def _environment(kind: Kind, settings: TemplateSettings) -> ImmutableSandboxedEnvironment:
    directories = [SHIPPED] if settings.directory is None else [settings.directory, SHIPPED]
    return ImmutableSandboxedEnvironment(
        loader=jinja2.FileSystemLoader(directories),
        undefined=jinja2.StrictUndefined,
        autoescape=kind in {"html", "slack"},
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )


def _shown(value: object) -> object:
    """What is not known is shown as nothing: "Hello None" is worse than "Hello"."""
    return "" if value is None else value


def _name(name_or_path: str, settings: TemplateSettings) -> str:
    """A path into the operator's directory as the name that the loader knows it by."""
    path = Path(name_or_path)
    if settings.directory is not None and path.is_relative_to(settings.directory):
        return path.relative_to(settings.directory).as_posix()
    return name_or_path


def _rendered(compiled: jinja2.Template, kind: Kind, context: dict[str, object]) -> str:
    chars_max = CHARS_MAX[kind]
    pieces: list[str] = []
    chars = 0
    for piece in compiled.generate(context):
        pieces.append(piece)
        chars += len(piece)
        if chars > chars_max and kind != "line":
            raise ValueError(f"longer than {chars_max:,} characters")
        if chars > 10 * chars_max:
            break  # a line is cut, but may have been mostly blanks
    text = "".join(pieces)
    match kind:
        case "line":
            return cut(one_line(text), chars_max)
        case "slack":
            # The escapes are HTML's; Slack knows those of & < > alone, and shows the others as they stand.
            return text.replace("&#39;", "'").replace("&#34;", '"')
        case "html":
            return css_inline.CSSInliner(load_remote_stylesheets=False).inline(text)
        case _:
            return text


def _trial_problem(compiled: jinja2.Template, kind: Kind, settings: TemplateSettings, of: Sequence[RecordKind]) -> str:
    """What the template does wrong for one of the sample leads, "" if nothing."""
    for item in sample_items(of):
        try:
            text = _rendered(compiled, kind, context_of(item, settings))
        except _FAILURES as exc:
            return f"{_place(exc).removeprefix(', ') or 'as a whole'}: {exc}"
        if kind == "line" and not text:
            return "line 1: it is empty for a lead of whom little is known"
    return ""


def _problems(
    environment: jinja2.Environment, name: str, of: Sequence[RecordKind], seen: frozenset[str] = frozenset()
) -> Iterator[str]:
    """
    Names that nothing has, also where no sample lead comes by, in the template and those it takes in.

    Raises:
        TemplateNotFound, TemplateSyntaxError: of a template that it takes in.
    """
    assert environment.loader is not None, "every environment of ours has a loader"  # noqa: S101 - our own mistake
    tree = environment.parse(environment.loader.get_source(environment, name)[0], name)
    if not seen:  # one that is taken in may use the variables of the taker
        for unknown in sorted(meta.find_undeclared_variables(tree) - NAMES - environment.globals.keys()):
            yield f"line {_line_of(tree, unknown)}: there is no {unknown!r}; there are {', '.join(sorted(NAMES))}"
    known = {"profile": PROFILE_FIELDS, "record": record_fields(of)}
    for node in tree.find_all(nodes.Getattr):
        if isinstance(node.node, nodes.Name) and node.attr not in known.get(node.node.name, {node.attr}):
            yield f"line {node.lineno}: {node.node.name} has no {node.attr!r}"
    for taken_in in meta.find_referenced_templates(tree):
        if taken_in is not None and taken_in not in seen:
            environment.get_template(taken_in)
            yield from _problems(environment, taken_in, of, seen | {name, taken_in})


def _line_of(tree: nodes.Template, name: str) -> int:
    return min(node.lineno for node in tree.find_all(nodes.Name) if node.name == name)


def _place(exc: BaseException) -> str:
    """The line of a template where *exc* arose, ", line 3"; "" if it arose elsewhere."""
    for frame in reversed(traceback.extract_tb(exc.__traceback__)):
        if frame.line is not None and not frame.filename.endswith(".py"):
            return f", line {frame.lineno}"
    return ""


def _not_found(name: str, environment: jinja2.Environment) -> InvalidSettings:
    return InvalidSettings(
        f"there is no template {name}",
        why="neither the template directory nor pql-stream itself has one of this name",
        what_to_do=f"name one of these: {', '.join(environment.list_templates())}",
    )


def _unusable(name: str, why: str) -> InvalidSettings:
    return InvalidSettings(
        f"the template {name} cannot be used",
        why=why,
        what_to_do="mend it; it has to work also for a lead of whom nothing but the id is known",
    )
