"""A release: one version, a changelog that knows it, and files that come out the same whoever builds them."""

import json
import re
import subprocess
import sys
import tarfile
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest
from packaging.version import Version

import pql_stream
from deploy.release import (
    NotReleasable,
    bill_of_materials,
    build,
    checksums,
    require_released_schemas,
    require_section,
    sections,
)
from tests.contract.test_requirements import pins_of
from tests.offline import skip_if_offline

ROOT = Path(__file__).parents[2]
CHANGELOG = (ROOT / "CHANGELOG.md").read_text()
EPOCH = "1767607200"


def test_the_version_stands_in_one_place():
    """The package says it, and the project takes it from there."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())

    assert ["version"] == project["project"]["dynamic"]
    assert "pql_stream/__init__.py" == project["tool"]["hatch"]["version"]["path"]
    assert str(Version(pql_stream.__version__)) == pql_stream.__version__


def test_the_changelog_knows_the_version():
    """The version has a section; or it is to come: newer than all that have one, with something under Unreleased."""
    released = [Version(name) for name, date in sections(CHANGELOG).items() if date]
    version = Version(pql_stream.__version__)
    unreleased = re.search(r"^## \[Unreleased\]\n(.*?)(?=^## |\Z)", CHANGELOG, re.MULTILINE | re.DOTALL)

    assert version in released or (all(version > other for other in released) and unreleased and unreleased[1].strip())


def test_the_changelog_keeps_its_form():
    """Unreleased comes first, then versions from the newest to the oldest, each with its day."""
    (first, nothing), *rest = sections(CHANGELOG).items()

    assert ("Unreleased", None) == (first, nothing)
    assert all(date for _, date in rest)
    assert all(Version(newer) > Version(older) for (newer, _), (older, _) in pairwise(rest))


def test_a_version_without_a_section_is_not_released():
    """Neither one that is not there, nor one without a day."""
    changelog = "# Changelog\n\n## [Unreleased]\n\n## [1.0.0] - 2026-12-01\n\n## [0.9.0]\n"
    require_section("1.0.0", changelog)

    for version in ("1.0.1", "0.9.0", "Unreleased"):
        with pytest.raises(NotReleasable, match=re.escape(version)):
            require_section(version, changelog)


def test_schemas_that_were_not_put_down_are_not_released(tmp_path):
    """A record that is new, gone or other than the released one keeps a release from being made."""
    released = tmp_path / "released"
    released.mkdir()
    for place, text in ((tmp_path, "1"), (released, "1")):
        (place / "a.v1.json").write_text(text)
    require_released_schemas(tmp_path)

    (tmp_path / "a.v1.json").write_text("2")
    (tmp_path / "b.v1.json").write_text("1")
    (released / "c.v1.json").write_text("1")
    with pytest.raises(NotReleasable, match=re.escape("a.v1.json, b.v1.json, c.v1.json")):
        require_released_schemas(tmp_path)


def made_in(directory: Path) -> Path:
    """The files of a release, in *directory*."""
    build(directory, EPOCH)
    bill_of_materials(directory / "sbom.cdx.json", EPOCH)
    return directory


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """The files of a release, made where somebody keeps a secret."""
    secret = ROOT / "deploy" / "compose" / "secrets" / "test_release"
    secret.write_text("hidden")
    try:
        return made_in(tmp_path_factory.mktemp("built"))
    finally:
        secret.unlink()


@pytest.mark.proof  # `make release` itself refuses two builds that differ
def test_two_builds_are_the_same(built, tmp_path):
    """Sdist, wheel and bill of materials, byte for byte."""
    assert 3 == len(list(built.iterdir()))
    assert checksums(made_in(tmp_path)) == checksums(built)


def test_the_files_have_the_version(built):
    """Both say the package's version in their names."""
    names = {path.name for path in built.iterdir()}

    assert f"pql_stream-{pql_stream.__version__}.tar.gz" in names
    assert f"pql_stream-{pql_stream.__version__}-py3-none-any.whl" in names


def test_secrets_of_a_checkout_stay_out(built):
    """What a user of the compose file has put into its directory of secrets is in no sdist."""
    [sdist] = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = archive.getnames()

    assert any(name.endswith("/deploy/compose/pql.toml") for name in names)
    assert [] == [name for name in names if "/deploy/compose/secrets" in name]


def test_the_bill_names_every_pin(built):
    """Each package of requirements.txt with its version, and its hashes."""
    bill = json.loads((built / "sbom.cdx.json").read_text())
    listed = {part["name"]: Version(part["version"]) for part in bill["components"]}

    assert "CycloneDX" == bill["bomFormat"]
    assert pins_of("requirements.txt") == listed
    assert "pql-stream" == bill["metadata"]["component"]["name"]


def test_the_checksums_are_checked_by_sha256sum(built):
    """The file is in the form that the tool reads."""
    sums = checksums(built)
    done = subprocess.run(["sha256sum", "--check", "--quiet"], cwd=built, input=sums, text=True, check=False)

    assert 0 == done.returncode


def test_the_pins_are_what_locking_gives(tmp_path):
    """`make lock` on what is checked in changes nothing: no pin was edited by hand, none is out of its range."""
    names = ("requirements.txt", "requirements-dev.txt", "requirements-build.txt")
    for name in names:
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    bin_ = Path(sys.executable).parent
    done = subprocess.run(
        ["make", "--silent", "lock", f"LOCKED={tmp_path}", f"BIN={bin_}", "READY="],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    skip_if_offline(done)

    assert 0 == done.returncode, done.stderr
    assert [] == [name for name in names if (tmp_path / name).read_bytes() != (ROOT / name).read_bytes()]
