"""The pinned sets are what pyproject.toml asks for, checked by hash, and name no place to fetch from."""

import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
RUNTIME = [Requirement(text) for text in PROJECT["project"]["dependencies"]]
DEVELOPMENT = [*RUNTIME, *map(Requirement, PROJECT["project"]["optional-dependencies"]["dev"])]
PINNED = re.compile(
    r"(?P<name>[A-Za-z0-9._-]+)==(?P<version>\S+)(?: ; .+)?(?P<hashes>(?: --hash=sha256:[0-9a-f]{64})+)"
)
FILES = {"requirements.txt": RUNTIME, "requirements-dev.txt": DEVELOPMENT}


def lines_of(name):
    """The logical lines: a backslash joins a requirement to its hashes."""
    text = (ROOT / name).read_text().replace("\\\n", " ")
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def pins_of(name):
    """Canonical name -> version."""
    found = [PINNED.fullmatch(line) for line in lines_of(name)]
    return {canonicalize_name(match["name"]): Version(match["version"]) for match in found if match}


@pytest.mark.parametrize("name", FILES)
def test_every_line_pins_a_version_by_hash(name):
    """Nothing but `name==version` with hashes: no address, no index, no option, no comment."""
    assert [] == [line for line in lines_of(name) if not PINNED.fullmatch(line)]


@pytest.mark.parametrize("name", FILES)
def test_nothing_is_pinned_twice(name):
    """Two lines for one package would be two truths."""
    assert len(lines_of(name)) == len(pins_of(name))


@pytest.mark.parametrize("name", FILES)
def test_every_dependency_is_pinned_within_its_range(name):
    """What pyproject.toml asks for is there, in a version that it allows."""
    pins = pins_of(name)
    wrong = [
        f"{wanted}: {pins.get(canonicalize_name(wanted.name))}"
        for wanted in FILES[name]
        if canonicalize_name(wanted.name) not in pins or pins[canonicalize_name(wanted.name)] not in wanted.specifier
    ]

    assert [] == wrong


def test_development_has_the_same_versions():
    """What is tested is what is shipped: the runtime's pins are part of the development's."""
    runtime, development = pins_of("requirements.txt"), pins_of("requirements-dev.txt")

    assert runtime == {name: development.get(name) for name in runtime}


def test_this_environment_has_the_pinned_versions():
    """The tests run on what is pinned, not on what once was."""
    pins = pins_of("requirements-dev.txt")
    wanted = [canonicalize_name(one.name) for one in DEVELOPMENT]

    assert {name: pins[name] for name in wanted} == {name: Version(version(name)) for name in wanted}


def test_the_build_needs_nothing_that_is_not_pinned():
    """The build backend, which `make setup` uses without isolation, is among the development's packages."""
    pins = pins_of("requirements-dev.txt")
    needed = [Requirement(text) for text in PROJECT["build-system"]["requires"]]

    assert [] == [str(one) for one in needed if pins[canonicalize_name(one.name)] not in one.specifier]
