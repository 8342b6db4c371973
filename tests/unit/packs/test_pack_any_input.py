"""Whatever a file holds, it is a pack or an InvalidPack; and what is taken as a pack can be scored with."""

import json
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pql_stream.core.events import ProductEvent
from pql_stream.core.packs import ModelPack, compile_pack
from pql_stream.core.transition import advance, contributions, reasons
from pql_stream.errors import InvalidPack
from pql_stream.wire.packs import dump_pack, load_pack, parse_pack, shipped_packs

TEXT = (files("pql_stream") / "packs" / "pql-100.yaml").read_text(encoding="utf-8")
LINES = TEXT.splitlines(keepends=True)

plain = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 200) | st.text(max_size=8)
    | st.floats(0, 100).map(lambda number: round(number, 2))
    | st.sampled_from(["distinct", "latest", "maximum", "label", "amount", "words", "{input}", "team_size", "flag"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
values = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["success", "basic", "finance", "enterprise", "10M-50M", "feature_request", "", " ", "a" * 300])
    | st.text(st.characters(codec="utf-8"), max_size=9) | st.lists(st.integers(), max_size=2)
)  # fmt: skip


def paths_of(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [path, *(inner for key, child in children for inner in paths_of(child, (*path, key)))]


def names_in(pack: ModelPack) -> tuple[list[str], list[str]]:
    sources = [source for feature in pack.features for source in feature.sources]
    properties = [part.property for source in sources for part in source.properties]
    properties += [condition.property for source in sources for condition in source.where]
    return [event for source in sources for event in source.events], [*properties, "p"]


def score_anything(pack: ModelPack, data: st.DataObject) -> None:
    """Score random events that this pack knows; 0 for a lead unknown, never over 100, always a reason."""
    compiled = compile_pack(pack)
    assert 0 == sum(compiled.points_unset)
    events, properties = names_in(pack)
    state = None
    for number in range(data.draw(st.integers(1, 12))):
        event = ProductEvent(
            event_id=str(number),
            lead_id="u1",
            account_id=None,
            name=data.draw(st.sampled_from(events)),
            occurred_at_ms=data.draw(st.integers(946_684_800_000, 253_402_300_799_999)),
            properties=data.draw(st.dictionaries(st.sampled_from(properties), values, max_size=4)),
            topic="t",
            partition=0,
            offset=number,
        )
        step = advance(state, event, compiled)
        state = step.state
        if step.change is not None:
            assert 0 <= step.change.score_after <= 10_000
            assert all(0 <= part.points <= part.points_max for part in contributions(state, compiled))
            assert all(reasons(state.features, step.change.points, compiled))


def parsed(text: str | bytes) -> ModelPack | None:
    try:
        return parse_pack(text, "a pack")
    except InvalidPack as exc:
        problems = exc.problems
    assert problems
    assert all(problem.path and problem.message for problem in problems)
    return None


@given(text=st.text() | st.binary() | st.text("{}[]:,-?!&*#|>%@`'\"\\ \n\tabc0._~=<"))
@example("\ud800")
@example('"\\ud800": 1')
@example("? [a]\n: b")
@example("a: !!python/object:os.system x")
@example("%TAG ! tag:x,2000:\n---\n!y a: b")
@example("a: |\n  b\n c")
@example("=: =\n<<: <<")
def test_any_text_is_a_pack_or_refused(text):
    """No text, binary or YAML-like, ends in another exception."""
    assert parsed(text) is None


@settings(max_examples=40)
@given(data=st.data())
def test_a_pack_with_lines_changed_is_refused_or_scores(data):
    """Lines lost, doubled, swapped or indented otherwise: a pack that scores, or InvalidPack."""
    lines = list(LINES)
    for _ in range(data.draw(st.integers(1, 3))):
        at, other = (data.draw(st.integers(0, len(lines) - 1)) for _ in range(2))
        match data.draw(st.sampled_from(["lose", "double", "swap", "indent", "cut"])):
            case "lose":
                del lines[at]
            case "double":
                lines.insert(at, lines[other])
            case "swap":
                lines[at], lines[other] = lines[other], lines[at]
            case "indent":
                lines[at] = "  " + lines[at]
            case _:
                lines[at] = lines[at][: other % (len(lines[at]) + 1)]

    pack = parsed("".join(lines))

    if pack is not None:
        score_anything(pack, data)


@settings(max_examples=40)
@given(data=st.data(), name=st.sampled_from(shipped_packs()))
def test_a_pack_with_values_changed_is_refused_or_scores(data, name):
    """Any value of a shipped pack replaced, removed or exchanged for another: it scores, or is refused."""
    document = dump_pack(load_pack(name))
    for _ in range(data.draw(st.integers(1, 3))):
        paths = [path for path in paths_of(document) if path]
        path = data.draw(st.sampled_from(paths))
        parent = document
        for key in path[:-1]:
            parent = parent[key]
        if data.draw(st.booleans()):
            parent[path[-1]] = data.draw(plain)
        elif data.draw(st.booleans()):
            del parent[path[-1]]
        else:
            source = document
            for key in data.draw(st.sampled_from(paths)):
                source = source[key]
            parent[path[-1]] = json.loads(json.dumps(source))

    pack = parsed(json.dumps(document))

    if pack is not None:
        score_anything(pack, data)


@given(data=st.data(), name=st.sampled_from(shipped_packs()))
def test_the_shipped_packs_score_any_events(data, name):
    """Events of known names with any values never raise, and 0 <= score <= 100."""
    score_anything(load_pack(name), data)


@pytest.mark.parametrize("name", shipped_packs())
def test_a_pack_shown_as_json_is_the_same_pack(name):
    """What `pack show --json` prints can be edited and read again: nothing of a pack is left out."""
    pack = load_pack(name)

    assert pack == parse_pack(json.dumps(dump_pack(pack)), name)


EVERYTHING = """
pack: everything
version: 3
title: Every kind of feature and rule
features:
  days: {kind: distinct_days, at_most: 3, from: [{events: a}]}
  last: {kind: latest_time, from: [{events: a}]}
  first: {kind: earliest, from: [{events: a}]}
  best: {kind: maximum, from: [{events: a, where: {x: 'yes'}, property: p, as: number}]}
  least: {kind: minimum, from: [{events: a, property: p, as: amount}]}
groups: {all: {max: 40}}
rules:
  mixed:
    kind: greatest
    group: all
    max: 10
    of:
      - {kind: linear, max: 10, points_each: {best: 0.01, least: 0.02}, reason: '{best} or {least}'}
      - {kind: below, input: least, bands: [{below: 2.5, points: 4, reason: few}], reason: '{input}'}
      - {kind: at_least, input: {seconds_from: first, to: last}, bands: [{above: 0, points: 3}], reason: '{input}'}
  span:
    kind: at_least
    group: all
    max: 20
    input: best
    bands: [{at_least: 0, points: 1}, {above: 0, points: 2}, {at_least: 9.75, points: 20}]
    reason: "{input}"
  days:
    kind: linear
    group: all
    max: 10
    points_each: {days: 3.34}
    reason: "{input} days"
tiers:
  - {name: cold, from: 0}
"""


def test_every_kind_of_feature_and_rule_is_kept_in_json():
    """Kinds that no shipped pack uses are shown and read again as well; a pack need not have a profile."""
    pack = parse_pack(EVERYTHING, "everything")

    assert pack == parse_pack(json.dumps(dump_pack(pack)), "again")
    assert () == pack.profile


@given(data=st.data())
def test_every_kind_of_feature_and_rule_scores_any_events(data):
    """Kinds that no shipped pack uses never raise either."""
    score_anything(parse_pack(EVERYTHING, "everything"), data)
