"""One formatter for every record, and nothing personal in it."""

import io
import json
import logging
import warnings

import pytest
import structlog

from pql_stream.errors import BrokerError
from pql_stream.ops.log import REDACTED, configure_logging, redact_text


@pytest.fixture(autouse=True)
def _logging_as_it_was():
    """Logging is of the whole process, so each test hands it back as it found it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def records():
    """Configure JSON logging at level info; gives a function that reads what was written."""
    stream = io.StringIO()
    configure_logging("info", "json", stream=stream)
    return lambda: [json.loads(line) for line in stream.getvalue().splitlines()]


def test_our_records_are_an_event_and_fields(records):
    """
    A record of ours is one JSON object: the event's name, its fields, level, logger and time.
    """
    structlog.get_logger("pql_stream.x").info("batch_done", records=3, topic="product-activity")

    (record,) = records()
    assert record.pop("timestamp").endswith("Z")
    assert {
        "event": "batch_done",
        "records": 3,
        "topic": "product-activity",
        "level": "info",
        "logger": "pql_stream.x",
    } == record


def test_foreign_records_have_the_same_form(records):
    """
    A library's record gets the same keys, with its arguments filled in.
    """
    logging.getLogger("aiokafka.consumer").warning("lost %s", "b:9092")

    (record,) = records()
    assert ("lost b:9092", "warning", "aiokafka.consumer") == (
        record["event"],
        record["level"],
        record["logger"],
    )
    assert {"event", "level", "logger", "timestamp"} == set(record)


def test_a_fault_that_somebody_must_mend_has_no_traceback(records):
    """
    A library that logs a PqlError with its traceback is heard with what, why and what to do; a bug keeps it.
    """
    for fault in (BrokerError("no topics", why="nobody made them", what_to_do="topics apply"), ValueError("a bug")):
        try:
            raise fault
        except (BrokerError, ValueError):
            logging.getLogger("mode").exception("crashed")

    told, bug = records()
    assert ("no topics", "nobody made them", "topics apply") == (told["what"], told["why"], told["what_to_do"])
    assert "exception" not in told
    assert "Traceback" in bug["exception"]


def test_there_is_one_handler_whatever_was_there(records):
    """
    Handlers of before are gone, also a library's own, so no record is written twice or past the redaction.
    """
    other = io.StringIO()
    logging.getLogger("faust.app").addHandler(logging.StreamHandler(other))
    logging.getLogger("faust.app").propagate = False

    stream = io.StringIO()
    configure_logging("info", "json", stream=stream)
    logging.getLogger("faust.app").error("gone")

    assert 1 == len(logging.getLogger().handlers)
    assert ("", 1) == (other.getvalue(), len(stream.getvalue().splitlines()))


@pytest.mark.parametrize("name", ["faust.agents", "mode.services", "aiokafka", "aiohttp.access", "asyncio"])
def test_chatty_libraries_are_heard_from_warning_up(records, name):
    """
    Libraries that log every request at info are quiet until something is wrong.
    """
    logging.getLogger(name).info("hello")
    logging.getLogger(name).warning("wrong")

    assert ["wrong"] == [record["event"] for record in records()]


def test_the_level_holds_for_ours_and_theirs():
    """
    At level error nobody's warnings are written.
    """
    stream = io.StringIO()
    configure_logging("error", "json", stream=stream)
    structlog.get_logger().warning("ours")
    logging.getLogger("faust").warning("theirs")
    structlog.get_logger().error("bad")

    assert ["bad"] == [json.loads(line)["event"] for line in stream.getvalue().splitlines()]


def test_auto_is_json_where_nobody_watches():
    """
    Without a terminal, `auto` writes JSON; `console` writes text.
    """
    automatic, console = io.StringIO(), io.StringIO()
    configure_logging("info", "auto", stream=automatic)
    structlog.get_logger().info("started", port=1)
    configure_logging("info", "console", stream=console)
    structlog.get_logger().info("started", port=1)

    assert "started" == json.loads(automatic.getvalue())["event"]
    assert "port=1" in console.getvalue()
    assert not console.getvalue().startswith("{")


@pytest.mark.parametrize("format_", ["json", "console"])
def test_nothing_personal_in_any_part_of_a_record(format_):
    """
    Addresses and credentials are gone from the event, fields, nested values, tracebacks and foreign messages.
    """
    stream = io.StringIO()
    configure_logging("info", format_, stream=stream)
    log = structlog.get_logger()
    log.info("mail to ann@example.com", to="ben@example.com", more={"x": ["cat@example.com"]})
    log.info("login", password="hunter2", headers={"Authorization": "Bearer abcdefgh12345678"})
    log.info("odd", value=b"dan@example.com")
    try:
        int("no lead eve@example.com with token=hunter2")
    except ValueError:
        log.exception("failed")
        logging.getLogger("aiohttp.client").exception("for fay@example.com: password='hunter2'")

    written = stream.getvalue()
    assert 5 <= written.count(REDACTED)
    assert "Traceback" in written
    assert [] == [leak for leak in ("example.com", "hunter2", "abcdefgh12345678") if leak in written]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("batch of 100 done", "batch of 100 done"),
        ("topic@3", "topic@3"),
        ("to ann+x@mail.example.co.uk.", f"to {REDACTED}."),
        ("/leads?email=ann%40example.com", f"/leads?email={REDACTED}"),
        ("https://user:pw@host/x", f"https://{REDACTED}@host/x"),
        ("Authorization: Bearer abc.def-ghi_jkl", f"Authorization: {REDACTED} {REDACTED}"),
        ('{"api_key": "a b c", "x": 1}', f'{{"api_key": {REDACTED}, "x": 1}}'),
        ("sasl.password=pw123 next", f"sasl.password={REDACTED} next"),
        ("?access_token=abc&x=1", f"?access_token={REDACTED}&x=1"),
        ("pat-na1-0123abcd-4567", REDACTED),
        ("xoxb-1234567890-abc", REDACTED),
        ("eyJhbGciOiJI.eyJzdWIiOiIx.c2ln", REDACTED),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----!", f"{REDACTED}!"),
    ],
)
def test_shapes_that_are_taken_out(text, expected):
    """
    What looks like an address or a credential is replaced, and the text around it stays.
    """
    assert expected == redact_text(text)


@pytest.mark.parametrize("text", ["a" * 200_000 + "@", "token" * 40_000, "://" * 60_000 + "@", "a@b." * 50_000])
def test_no_text_makes_redaction_slow(text):
    """
    Patterns are bounded: a hostile text of 200 kB ends, where quadratic ones would run into the time limit.
    """
    assert redact_text(text)


@pytest.mark.shows_personal_data
def test_warnings_are_logged_too(records):
    """
    Python's warnings go through the same formatter instead of raw to stderr.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=False)
        logging.captureWarnings(capture=True)
        warnings.warn("unclosed session of ann@example.com", ResourceWarning, stacklevel=1)

    (record,) = records()
    assert ("py.warnings", "warning") == (record["logger"], record["level"])
    assert "example.com" not in record["event"]
