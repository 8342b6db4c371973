"""The page: well-formed, whole in itself, and safe whatever leads, rules and packs are called."""

from __future__ import annotations

import os
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from pql_stream.core.routes import Route
from pql_stream.errors import InvalidInput
from pql_stream.ops.whatif.page import page, write_page
from pql_stream.replay.source import Recorded
from pql_stream.replay.whatif.gates import parse_limit
from pql_stream.replay.whatif.report import Routes, report_of
from pql_stream.testing.builders import native_json
from tests.unit.core.every_kind import EVERY_KIND
from tests.unit.whatif.whatif_world import CANDIDATE, ROUTES, compared, recorded, streams

VOID = {"meta", "br", "hr", "img", "input", "link", "col", "base", "area", "embed", "source", "track", "wbr"}
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{ 7*7 }}\x00\n\x1b[2J\u202e&amp;"


SOME_ROUTES = Routes(ROUTES, None)


class Page(HTMLParser):
    """Reads a page strictly: every element that is opened is closed, in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert [] == self._open

    def handle_starttag(self, tag, attrs):
        assert len({name for name, _ in attrs}) == len(attrs)
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert tag == self._open.pop()

    def handle_data(self, data):
        self.texts.append(data)

    def of(self, name: str) -> list[dict[str, str | None]]:
        return [attrs for tag, attrs in self.tags if tag == name]


def page_of(records, today=EVERY_KIND, then=CANDIDATE, routes: Routes | None = SOME_ROUTES, **gates):
    report = report_of(compared(records, today, then, () if routes is None else routes.routes), routes, **gates)
    return page(report, report.leads.first(10))


def check_whole_in_itself(read: Page) -> None:
    """Nothing is fetched, nothing runs."""
    names = {tag for tag, _ in read.tags}
    assert not names & {"script", "link", "img", "iframe", "object", "embed", "base", "form", "a", "use", "image"}
    for tag, attrs in read.tags:
        assert not {name for name in attrs if name.startswith("on")}, tag
        assert not {"src", "href", "xlink:href", "srcset", "action"} & set(attrs), tag
    assert "default-src 'none'; style-src 'unsafe-inline'" in {one.get("content") for one in read.of("meta")}


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(stream=streams)
def test_every_page_is_well_formed_and_whole_in_itself(stream):
    """Every element is closed, nothing is fetched, no script runs, and every id stands once."""
    read = Page(page_of(recorded(stream)))

    check_whole_in_itself(read)
    ids = [attrs["id"] for _, attrs in read.tags if "id" in attrs]
    assert sorted(set(ids)) == sorted(ids)
    for drawing in read.of("svg"):
        assert "img" == drawing["role"]
        assert set(str(drawing["aria-labelledby"]).split()) <= set(ids)
    for section in read.of("section"):
        assert section["aria-labelledby"] in ids


@settings(max_examples=50)
@given(lead_id=st.text(min_size=1, max_size=40).filter(str.strip), word=st.text(min_size=1, max_size=20))
def test_no_lead_is_called_so_that_it_harms(lead_id, word):
    """Ids and words of events are text on the page, whatever characters they have."""
    text = page_of([Recorded("f", 0, 1, line) for line in hostile_events(lead_id, word)], *packs_for(word))

    check_whole_in_itself(Page(text))
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\u202e]", text)


def hostile_events(lead_id: str, word: str):
    yield native_json("paid", lead_id, event_id="e1", account_id=lead_id)
    yield native_json("used", lead_id, event_id="e2", thing=word)


def packs_for(word: str):
    """What authors of packs write is theirs, and no HTML either."""
    return tuple(
        replace(pack, title=word, rules=tuple(replace(rule, reason=rule.reason) for rule in pack.rules))
        for pack in (EVERY_KIND, CANDIDATE)
    )


def test_hostile_names_everywhere():
    """A lead, an account, titles, a rule, a tier, a route's file: all are shown escaped."""
    today, then = (
        replace(
            pack,
            title=HOSTILE,
            rules=tuple(replace(rule, name=f"{rule.name}{HOSTILE}") for rule in pack.rules),
            tiers=tuple(replace(tier, name=f"{tier.name}{HOSTILE}", handoff=HOSTILE) for tier in pack.tiers),
        )
        for pack in (EVERY_KIND, CANDIDATE)
    )
    routes = Routes((Route("r", "pql-qualified", "crm", "task"),), Path(f"/tmp/{HOSTILE}"), (HOSTILE,))
    text = page_of([Recorded("f", 0, 1, line) for line in hostile_events(HOSTILE, HOSTILE)], today, then, routes)
    read = Page(text)

    check_whole_in_itself(read)
    assert "<script" not in text
    assert "alert(1)" in "".join(read.texts)
    assert "49" not in "".join(one for one in read.texts if "7*7" in one)


def test_what_is_said():
    """Today and then are named as such in every part, with gates, notes and what was refused."""
    lines = (*hostile_events("u1", "w"), native_json("told", "u1", event_id="e3", level="low"))
    records = [Recorded("f", 0, number, line) for number, line in enumerate(lines)]
    text = page_of([*records, Recorded("f", 0, 9, b"no")], max_changed=parse_limit("0"))
    said = " ".join(" ".join(Page(text).texts).split())

    assert "What if candidate v1 were live?" in said
    assert "today (every-kind v3)" in said
    assert "then (candidate v1)" in said
    assert "Gate not passed --max-changed 0: 1 of 1 lead changes (100%)" in said
    assert "1 record refused: not_json 1" in said
    assert "+10 paid 10 → 20: Has paid" in said


@pytest.mark.parametrize("routes", [None, Routes((), Path("pql.toml"))], ids=["not asked", "none in the file"])
def test_a_page_of_nothing(routes):
    """Without leads, routes or differences it is a page all the same."""
    read = Page(page_of([], routes=routes))

    check_whole_in_itself(read)
    assert any("nothing to compare" in text for text in read.texts)


def test_a_page_is_there_whole_or_not_at_all(tmp_path):
    """Where it cannot be written there is what, why and what to do, and nothing half done."""
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InvalidInput, match="cannot write"):
        write_page(tmp_path / "file" / "page.html", "text")
    write_page(tmp_path / "page.html", "text")

    assert {"file": "mine", "page.html": "text"} == {path.name: path.read_text() for path in tmp_path.iterdir()}


def test_a_pipe_is_written_to_and_stays_a_pipe(tmp_path):
    """So does a device, or /dev/stdout: a file that took its place would be the end of it."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    write_page(path, "text")
    told = os.read(reading, 100)
    os.close(reading)

    assert b"text" == told
    assert [path] == list(tmp_path.iterdir())
