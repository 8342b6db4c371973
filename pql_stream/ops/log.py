"""
Logging: event names with fields, one formatter for our records and everybody else's, no personal data.

Our own code says `structlog.get_logger().info("batch_done", records=100)`: a name to search for, and fields.
"""

from __future__ import annotations

import logging
import re
import sys
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from pql_stream.errors import PqlError
from pql_stream.ops.settings import LogFormat, LogLevel

CHATTY_LOGGERS = ("aiohttp", "aiokafka", "asyncio", "faust", "kafka", "mode")
"""Below warning they tell of every fetch, assignment and request."""

REDACTED = "[redacted]"

_SECRET_FIELD = re.compile(r"passw|pwd|secret|token|api_?key|authorization|credential|cookie", re.IGNORECASE)
_MARKS = re.compile(
    r"@|%40|bearer|basic|passw|pwd|secret|token|key|authorization|credential|cookie|eyJ|xox|pat-|akia",
    re.IGNORECASE,
)
"""Text without any of these has nothing for the patterns below; nearly all text has none."""

# Every repetition that is followed by something has a bound, so that no text can make a pattern slow.
_SECRETS: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,30}-----|\Z)", re.DOTALL),
        REDACTED,
    ),
    (re.compile(r"(://)[^/\s@]{1,256}@"), rf"\1{REDACTED}@"),
    (re.compile(r"[\w.+-]{1,64}(?:@|%40)[\w-]{1,63}(?:\.[\w-]{1,63})+", re.IGNORECASE), REDACTED),
    (re.compile(r"\b(bearer|basic)\s{1,4}[\w.~+/=-]{8,}", re.IGNORECASE), rf"\1 {REDACTED}"),
    (
        re.compile(
            r"((?:passw(?:or)?d|pwd|secret|token|api[_-]?key|authorization|credentials?|cookie)"
            r"[\w.-]{0,32}[\\\"']{0,4}\s{0,4}[=:]\s{0,4})(?:\"[^\"]*\"|'[^']*'|[^\s,;&)}\]]+)",
            re.IGNORECASE,
        ),
        rf"\1{REDACTED}",
    ),
    # A JSON web token; Slack's and HubSpot's tokens; an AWS key id.
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?"), REDACTED),
    (re.compile(r"\b(?:xox[a-z]-|xapp-|pat-[a-z]{2}\d-|AKIA)[\w-]{10,}"), REDACTED),
)


def configure_logging(level: LogLevel, format_: LogFormat, *, stream: TextIO | None = None) -> None:
    """
    Send every record of this process to *stream* (stderr, as stdout is for data), as text or JSON lines.

    Handlers that are there already go away: a library that brings its own would write past the redaction.
    Call it again to change the settings.
    """
    target = sys.stderr if stream is None else stream
    threshold = logging.getLevelNamesMapping()[level.upper()]
    before: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    handler = logging.StreamHandler(target)
    handler.setLevel(threshold)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=before,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.StackInfoRenderer(),
                without_traceback_of_ours,
                structlog.processors.format_exc_info,
                redact,  # after the traceback is text, before anything is written
                _renderer(format_, target),
            ],
        )
    )
    _install(handler, threshold)
    structlog.configure(
        processors=[*before, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.stdlib.LoggerFactory(),
    )


def without_traceback_of_ours(_logger: WrappedLogger, _method: str, fields: EventDict) -> EventDict:
    """
    Take the traceback of a `PqlError` out of a record: somebody has to act on it, and a traceback is for bugs.

    Libraries log whatever a service crashed of; the command line tells what, why and what to do.
    """
    raised = fields.get("exc_info")
    if isinstance(raised[1] if isinstance(raised, tuple) else raised, PqlError):
        del fields["exc_info"]
    return fields


def redact(_logger: WrappedLogger, _method: str, fields: EventDict) -> EventDict:
    """
    Take e-mail addresses and credentials out of a record: its event, its fields and its traceback.

    By field name (`password`, `token` and the like) and by shape. It cannot know a name, a phone number, or a
    password that stands in a sentence without `password=` before it: do not log them.
    """
    return {name: _redacted(name, value) for name, value in fields.items()}


def redact_text(text: str) -> str:
    """*text* without e-mail addresses and credentials, as far as their shape shows them."""
    if _MARKS.search(text) is None:
        return text
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def _redacted(name: str, value: object) -> object:
    if _SECRET_FIELD.search(name):
        return REDACTED
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, dict):
        return {redact_text(str(key)): _redacted(str(key), inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_redacted(name, inner) for inner in value]
    return redact_text(value if isinstance(value, str) else repr(value))


def _renderer(format_: LogFormat, target: TextIO) -> Processor:
    if format_ == "json" or (format_ == "auto" and not target.isatty()):
        return structlog.processors.JSONRenderer()
    # Tracebacks are text by then: the fancy ones would print the values of local variables.
    return structlog.dev.ConsoleRenderer(colors=target.isatty(), exception_formatter=structlog.dev.plain_traceback)


def _install(handler: logging.Handler, threshold: int) -> None:
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(threshold)
    for name in list(root.manager.loggerDict):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    for name in CHATTY_LOGGERS:
        logging.getLogger(name).setLevel(max(threshold, logging.WARNING))
    logging.captureWarnings(capture=True)
