"""The AsyncAPI document: it is that of the code, valid by the official rules, and true of real records."""

import json
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pql_stream.errors import InvalidEvent
from pql_stream.ops import asyncapi
from pql_stream.ops.topics.declarations import load_declarations
from pql_stream.testing.simulation import DEFAULT_START_MS, simulate
from pql_stream.wire.dead_letters import dead_letter_headers
from pql_stream.wire.rekeyed import Origin, rekeyed_headers
from tests.drafts import validator_of
from tests.release.asyncapi_parser import parser_directory

ROOT = Path(__file__).parents[2]
FILE = ROOT / "schemas" / asyncapi.FILE_NAME
FORMS = {"native": "nativeEvent", "segment": "segmentEvent", "cloudevents": "cloudEvent", "posthog": "posthogEvent"}


@pytest.fixture(scope="module")
def document() -> dict:
    return yaml.safe_load(FILE.read_text())


def payload_of(document: dict, message: str):
    schemas = document["components"]["schemas"]
    return validator_of({**document["components"]["messages"][message]["payload"], "components": {"schemas": schemas}})


def headers_of(document: dict, message: str):
    return validator_of(document["components"]["messages"][message]["headers"])


def test_the_document_is_that_of_the_code(tmp_path):
    """What is checked in is what `make schemas` writes, byte for byte."""
    asyncapi.write_document(tmp_path)

    assert (tmp_path / asyncapi.FILE_NAME).read_text() == FILE.read_text()


def test_the_command_writes_it(tmp_path, monkeypatch):
    """The command of the module writes it into the directory that it is given."""
    monkeypatch.setattr(sys, "argv", ["asyncapi.py", str(tmp_path)])
    runpy.run_path(asyncapi.__file__, run_name="__main__")

    assert [asyncapi.FILE_NAME] == [path.name for path in tmp_path.iterdir()]


def test_every_declared_topic_is_in_it(document):
    """Each with its partitions; those of sinks with the sink as a parameter."""
    declared = {topic.name: topic.partitions for topic in load_declarations(sinks=["{sink}"])}

    assert declared == {
        channel["address"]: channel["bindings"]["kafka"]["partitions"] for channel in document["channels"].values()
    }
    assert set(declared) == set(asyncapi.TRAFFIC)


def test_every_message_is_on_a_topic(document):
    """No message is described that nobody sends."""
    sent = {name for channel in document["channels"].values() for name in channel["messages"]}

    assert set(document["components"]["messages"]) == sent


def test_the_official_parser_takes_it(tmp_path):
    """AsyncAPI's own parser finds no fault, but that there is a newer AsyncAPI; and it finds one that is put in."""
    node = parser_directory()
    broken = tmp_path / "broken.yaml"
    broken.write_text(FILE.read_text().replace("action: send", "action: sned", 1))
    done = subprocess.run(
        [shutil.which("node"), "parse.mjs", str(FILE), str(broken)],
        cwd=node,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    found = [json.loads(line) for line in done.stdout.splitlines()]

    assert 0 == done.returncode, done.stderr
    assert {"asyncapi-latest-version"} == {fault["code"] for fault in found[0]}
    assert {"asyncapi-latest-version"} < {fault["code"] for fault in found[1]}


@pytest.mark.parametrize(("form", "message"), FORMS.items(), ids=FORMS)
def test_events_of_each_form_are_as_described(document, form, message):
    """What the simulator writes in a form is valid by the message of that form, and by no other of a foreign form."""
    events = [
        json.loads(event.value) for event in simulate(leads=10, seed=1, days=7, start_ms=DEFAULT_START_MS, form=form)
    ]
    others = {other for other in FORMS.values() if other not in {message, "nativeEvent"}}

    assert events
    for event in events:
        payload_of(document, message).validate(event)
        assert set() == {other for other in others if payload_of(document, other).is_valid(event)}


def test_headers_are_as_described(document):
    """A dead letter's and a re-keyed record's headers are those that the document names."""
    fault = InvalidEvent("bad_time", "occurred_at", "no offset")
    dead = dead_letter_headers((), fault, topic="product-activity", partition=3, offset=7, timestamp_ms=-1)
    rekeyed = rekeyed_headers((), Origin("product-activity", 3, 7, -1))

    for message, headers in (("deadLetter", dead), ("rekeyedNativeEvent", rekeyed)):
        given = {name: content.decode() for name, content in headers}
        headers_of(document, message).validate(given)
        assert set(given) == set(headers_of(document, message).schema["required"])
