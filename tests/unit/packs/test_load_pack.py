"""Where a pack is looked for, and what is said where there is none."""

import os
from importlib.resources import files

import pytest

from pql_stream.errors import InvalidPack
from pql_stream.wire.packs import load_pack, load_pack_file, parse_pack, shipped_packs

PACK = load_pack("pql-100")


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The working directory, empty."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def text_of_pql_100() -> bytes:
    return (files("pql_stream") / "packs" / "pql-100.yaml").read_bytes()


@pytest.mark.parametrize("path", ["./mine", "mine.yaml", "mine.yml", "mine", "sub/mine"])
def test_a_file_is_found_by_separator_ending_or_being_there(here, path):
    """A path, a YAML ending, or the name of a file that is there."""
    (here / "sub").mkdir()
    (here / path).write_bytes(text_of_pql_100())

    assert PACK == load_pack(path)


def test_a_shipped_name_is_not_hidden_by_a_file_of_that_name(here):
    """What `pql-100` means must not depend on the working directory; ./pql-100 is the file."""
    (here / "pql-100").write_text("pack: other")

    assert PACK == load_pack("pql-100")
    with pytest.raises(InvalidPack):
        load_pack("./pql-100")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("pql-10", "did you mean `pql-100`? Shipped: pql-100, pql-100-linear"),
        ("zzz", "write a file's path, or one of these. Shipped: pql-100, pql-100-linear"),
        ("x" * 5_000, "no shipped pack and no file has this name"),
        ("a\0b", "no shipped pack and no file has this name"),
    ],
)
def test_a_name_that_nothing_has_is_told_with_those_there_are(here, name, message):
    """A misspelt name is answered with the near one, and with all."""
    with pytest.raises(InvalidPack) as caught:
        load_pack(name)

    assert [(0, "name")] == [(p.line, p.path) for p in caught.value.problems]
    assert message in caught.value.problems[0].message
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("gone.yaml", "cannot be read: No such file or directory"),
        (".", "cannot be read: Is a directory"),
        ("", "cannot be read: Is a directory"),
        ("a\0b.yaml", "cannot be read: embedded null byte"),
        ("x" * 5_000 + ".yaml", "cannot be read: File name too long"),
        (os.fsdecode(b"\xff.yaml"), "cannot be read: No such file or directory"),
    ],
)
def test_a_file_that_cannot_be_read_is_a_pack_that_cannot_be_used(here, path, message):
    """An unreadable file is wrong usage, as a bad pack is, and its name can be printed."""
    with pytest.raises(InvalidPack) as caught:
        load_pack(path)

    assert message in caught.value.problems[0].message
    assert str(caught.value).encode()


def test_an_endless_file_is_not_read_to_its_end():
    """A device that never ends is over the limit, and refused as such."""
    with pytest.raises(InvalidPack) as caught:
        load_pack_file("/dev/zero")

    assert "over 1 MiB" in caught.value.problems[0].message


def test_the_error_names_the_file_and_every_problem(here):
    """What the command line prints has the file, and each problem with its line."""
    (here / "bad.yaml").write_text("pack: x\nversion: one\n")
    with pytest.raises(InvalidPack) as caught:
        load_pack("bad.yaml")

    assert "bad.yaml is not a usable model pack: 6 problems" == caught.value.what
    assert "line 2: version: `one`: write a whole number from 0, such as 3" in caught.value.why.splitlines()


def test_text_and_bytes_are_the_same_pack():
    """A pack can be given as text, too."""
    assert PACK == parse_pack(text_of_pql_100().decode(), "text")


def test_every_shipped_pack_is_named_as_its_file():
    """`--pack NAME` and the name in the records are one word."""
    assert shipped_packs() == [load_pack(name).name for name in shipped_packs()]
