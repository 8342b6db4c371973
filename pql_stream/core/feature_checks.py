"""What is wrong with a feature of a pack, and what the rules may take its value for."""

from __future__ import annotations

from pql_stream.core.features import Condition, Feature, Source
from pql_stream.core.problems import Path, Problem, name_problems, repeated_problems, shown
from pql_stream.core.words import word

AT_MOST_MAX = 1_000
"""Ids a distinct feature may keep: 8 bytes each in every lead's row, and a copy of them for every new one."""
TEXT_READERS = frozenset({"id", "label", "word"})
WORD_READERS = frozenset({"label", "word"})
NUMBER_READERS = frozenset({"whole", "number", "amount"})
_TIME_KINDS = frozenset({"earliest", "latest_time"})
_VALUE_KINDS = frozenset({"latest", "maximum", "minimum"})


def is_number(feature: Feature) -> bool:
    """Is the value a number that bands can be laid over?"""
    return feature.is_count or (feature.kind in _VALUE_KINDS and _readers(feature) <= NUMBER_READERS)


def is_whole(feature: Feature) -> bool:
    """Is the value always a whole number?"""
    return feature.is_count or (feature.kind in _VALUE_KINDS and _readers(feature) <= {"whole"})


def is_word(feature: Feature) -> bool:
    """Is the value a word in its compared form?"""
    return feature.kind == "latest" and _readers(feature) <= WORD_READERS


def is_time(feature: Feature) -> bool:
    """Is the value a moment?"""
    return feature.kind in _TIME_KINDS


def _readers(feature: Feature) -> frozenset[str]:
    return frozenset(part.read_as for source in feature.sources for part in source.properties)


def feature_problems(feature: Feature) -> list[Problem]:
    """Every problem of *feature* by itself."""
    path: Path = ("features", feature.name)
    problems = name_problems(path, feature.name)
    if feature.is_count and not 1 <= feature.at_most <= AT_MOST_MAX:
        message = f"{feature.at_most:,}: write 1 to {AT_MOST_MAX:,}, the highest count that a rule asks about"
        problems.append(Problem((*path, "at_most"), message))
    if not feature.sources:
        problems.append(Problem((*path, "from"), "no event sets this: name at least one source"))
    for place, source in enumerate(feature.sources):
        problems += _source_problems((*path, "from", place), feature, source)
    return problems + _reader_problems(path, feature) + _words_problems(path, feature)


def _source_problems(path: Path, feature: Feature, source: Source) -> list[Problem]:
    problems = [] if source.events else [Problem((*path, "events"), "no events: name at least one")]
    problems += [
        Problem((*path, "events", place), _not_compared(event))
        for place, event in enumerate(source.events)
        if not _is_compared(event)
    ]
    problems += repeated_problems((*path, "events"), source.events)
    for condition in source.where:
        problems += _condition_problems((*path, "where", condition.property), condition)
    if feature.kind == "distinct" and not source.properties and not source.or_event_id:
        message = "nothing is counted: add `property` and `as`, or `or_event_id: true` to count the events"
        problems.append(Problem(path, message))
    if feature.kind in _VALUE_KINDS and not source.properties:
        problems.append(Problem(path, "no value is read: add `property` and `as`"))
    return problems


def _condition_problems(path: Path, condition: Condition) -> list[Problem]:
    if not condition.words:
        return [Problem(path, "no value is allowed, so no event counts: name at least one")]
    return [
        Problem(path, _not_compared(text))
        for text in sorted(text for text in condition.words if text is not None and not _is_compared(text))
    ]


def _reader_problems(path: Path, feature: Feature) -> list[Problem]:
    readers = _readers(feature)
    if feature.kind == "distinct" and not readers <= TEXT_READERS:
        return [_wrong_reader(path, feature, "things are told apart by text", TEXT_READERS)]
    if feature.kind in {"maximum", "minimum"} and not readers <= NUMBER_READERS:
        return [_wrong_reader(path, feature, "only numbers have a greatest and a least", NUMBER_READERS)]
    if feature.kind == "latest" and not (readers <= TEXT_READERS or readers <= NUMBER_READERS):
        message = (
            f"texts ({', '.join(sorted(readers & TEXT_READERS))}) and numbers "
            f"({', '.join(sorted(readers & NUMBER_READERS))}) in one feature cannot be compared: "
            "read all of them one way, or make two features"
        )
        return [Problem((*path, "from"), message)]
    return []


def _wrong_reader(path: Path, feature: Feature, why: str, allowed: frozenset[str]) -> Problem:
    given = ", ".join(sorted(_readers(feature) - allowed))
    return Problem((*path, "from"), f"read as {given}, but {why}: write as: {' or '.join(sorted(allowed))}")


def _words_problems(path: Path, feature: Feature) -> list[Problem]:
    problems = [
        Problem((*path, "words"), _not_compared(text)) for text in sorted(feature.words) if not _is_compared(text)
    ]
    if feature.words and not is_word(feature):
        message = "a list of words is for a `latest` feature that is read as word or label: remove it"
        problems.append(Problem((*path, "words"), message))
    return problems


def _is_compared(text: str) -> bool:
    return text != "" and word(text) == text


def _not_compared(text: str) -> str:
    return f"{shown(text)} never occurs: words are compared as {shown(word(text))}"
