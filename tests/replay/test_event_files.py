"""Files of events: which lines there are, under which number, and what cannot be read."""

import gzip
import io
import os
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from pql_stream.errors import InvalidInput
from pql_stream.replay.files import EventFile, Line
from pql_stream.wire.events import RECORD_BYTES_MAX

COMPRESSED = gzip.compress(b'{"a": 1}\n' * 1000, mtime=0)
BOM = b"\xef\xbb\xbf"
LONGEST = b"x" * RECORD_BYTES_MAX


def lines_of(path: Path | str) -> list[tuple[int, bytes]]:
    return [(line.number, line.content) for line in EventFile(str(path))]


@pytest.fixture
def written(tmp_path):
    """A function that writes bytes to a file and says which lines are read from it."""

    def lines(content: bytes) -> list[tuple[int, bytes]]:
        path = tmp_path / "events.jsonl"
        path.write_bytes(content)
        return lines_of(path)

    return lines


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", []),
        (b"{}\n[]\n", [(1, b"{}"), (2, b"[]")]),
        (b"{}\n[]", [(1, b"{}"), (2, b"[]")]),
        (b"{}\r\n[]\r\n", [(1, b"{}"), (2, b"[]")]),
        (b"{}\r\r\n", [(1, b"{}\r")]),
        (b"{}\r[]\x0b\x0c\xe2\x80\xa8\n", [(1, b"{}\r[]\x0b\x0c\xe2\x80\xa8")]),
        (b"\n{}\n \t\n\r\n\xc2\xa0\n[]\n\n", [(2, b"{}"), (6, b"[]")]),
        (BOM + b"{}\n" + BOM + b"[]\n", [(1, b"{}"), (2, BOM + b"[]")]),
        (BOM, []),
        (BOM + b"\n{}", [(2, b"{}")]),
        (b"\xff\xfe\n{}", [(1, b"\xff\xfe"), (2, b"{}")]),
        (b" {}\n", [(1, b" {}")]),
    ],
    ids=[
        "empty", "two", "no last line end", "crlf", "one cr dropped", "only lf ends", "blanks are counted",
        "byte order mark at the start only", "byte order mark alone", "byte order mark before a blank",
        "not utf-8", "leading blank",
    ],
)  # fmt: skip
def test_lines(written, content, expected):
    """R2, R21: what a line is, and its number from 1, blank lines counted."""

    assert expected == written(content)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b""], ids=["lf", "crlf", "no line end"])
@pytest.mark.parametrize("start", [b"", BOM], ids=["plain", "byte order mark"])
def test_the_longest_line_is_whole(written, start, end):
    """1 MiB without the line end is read whole, whatever stands around it, and the next line keeps its number."""

    assert [(1, LONGEST)] == written(start + LONGEST + end)[:1]
    if end:
        assert [(1, LONGEST), (2, b"{}")] == written(start + LONGEST + end + b"{}\n")


@pytest.mark.parametrize("extra", [1, 2, 3, 4, 5, 6, RECORD_BYTES_MAX, 3 * RECORD_BYTES_MAX])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"], ids=["lf", "crlf"])
@pytest.mark.parametrize("start", [b"", BOM], ids=["plain", "byte order mark"])
def test_a_longer_line_is_one_line_over_the_limit(written, start, end, extra):
    """One byte over the limit or megabytes: one line that is too large, never the memory of all of it, and no other."""
    (number, content), second = written(start + LONGEST + b"y" * extra + end + b"{}\n")

    assert 1 == number
    assert RECORD_BYTES_MAX < len(content) <= RECORD_BYTES_MAX + 5
    assert (2, b"{}") == second


def test_a_longer_last_line_without_an_end(written):
    """The rest of a line that never ends is read away too."""
    ((number, content),) = written(LONGEST * 2)

    assert (1, True) == (number, len(content) > RECORD_BYTES_MAX)


def test_gzip_is_told_by_its_content(tmp_path):
    """Compressed files are read whatever their name, and several in one are one."""
    path = tmp_path / "events.jsonl"
    path.write_bytes(gzip.compress(BOM + b"{}\n") + gzip.compress(b"[]\n"))

    assert [(1, b"{}"), (2, b"[]")] == lines_of(path)


def test_a_name_that_says_gzip_is_not_believed(tmp_path):
    """A plain file called .gz is read as it is."""
    path = tmp_path / "events.gz"
    path.write_bytes(b"{}\n")

    assert [(1, b"{}")] == lines_of(path)


@pytest.mark.parametrize(
    "content", [b"", COMPRESSED[:1], b"\0" + COMPRESSED[1:], b"not gzip"], ids=["empty", "cut", "damaged", "text"]
)
def test_a_compressed_file_that_lost_its_beginning(tmp_path, content):
    """What is called .gz and is neither gzip nor JSON lines is broken, not a file of refused lines or of none."""
    path = tmp_path / "events.jsonl.GZ"
    path.write_bytes(content)

    with pytest.raises(InvalidInput, match="cannot read"):
        lines_of(path)


@pytest.mark.parametrize("start", [BOM, b" \r\n\t"], ids=["byte order mark", "blanks"])
def test_a_plain_file_called_gz_may_begin_as_any_other(tmp_path, start):
    """What may stand before the first event of a file may stand there too."""
    path = tmp_path / "events.gz"
    path.write_bytes(start + b"{}\n")

    assert [b"{}"] == [content.strip() for _, content in lines_of(path)]


def test_standard_input_that_is_closed(monkeypatch):
    """Started with `<&-` there is no standard input: that is said like any other file that cannot be read."""
    monkeypatch.setattr(sys, "stdin", None)

    with pytest.raises(InvalidInput, match="cannot read -") as caught:
        lines_of("-")

    assert "standard input is closed" == caught.value.why


@pytest.mark.parametrize("compress", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_standard_input(monkeypatch, compress):
    """`-` is standard input, compressed or not, under the name `-`; it has no size."""
    stdin = io.TextIOWrapper(io.BufferedReader(io.BytesIO(compress(b"{}\n"))))
    monkeypatch.setattr(sys, "stdin", stdin)
    file = EventFile("-")
    file.check()

    assert [Line("-", 1, b"{}")] == list(file)
    assert (None, 0) == (file.bytes_total, file.bytes_read)
    assert not stdin.closed


def test_lines_are_under_the_name_of_their_file(tmp_path):
    """The cause of a change names the file without its directories."""
    path = tmp_path / "trials.jsonl"
    path.write_bytes(b"{}\n")

    assert [Line("trials.jsonl", 1, b"{}")] == list(EventFile(str(path)))


def test_a_file_name_need_not_be_text(tmp_path):
    """A name that is no UTF-8 is written in one way that is: records have to be."""
    path = os.fsencode(tmp_path) + b"/\xff.jsonl"
    Path(os.fsdecode(path)).write_bytes(b"{}\n")

    assert ["\\udcff.jsonl"] == [line.file for line in EventFile(os.fsdecode(path))]


def test_progress(tmp_path):
    """How much is read is known while reading, and nothing of it before and after."""
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"{}\n" * 10)
    file = EventFile(str(path))

    assert (30, 0) == (file.bytes_total, file.bytes_read)
    assert list(range(3, 31, 3)) == [file.bytes_read for _ in file]
    assert 0 == file.bytes_read


def test_a_pipe_is_read_once_and_tells_no_place():
    """Process substitution: the check leaves the pipe alone, and reading does not ask where it is."""
    read_end, write_end = os.pipe()
    os.write(write_end, b"{}\n[]\n")
    os.close(write_end)
    file = EventFile(f"/dev/fd/{read_end}")
    file.check()
    try:
        assert [(1, 0), (2, 0)] == [(line.number, file.bytes_read) for line in file]
    finally:
        os.close(read_end)


def missing(path: Path) -> None:
    pass


def directory(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("make", [missing, directory])
@pytest.mark.parametrize("name", ["events", "e" * 300], ids=["", "too long"])
@pytest.mark.parametrize("read", [EventFile.check, list], ids=["check", "read"])
def test_what_cannot_be_opened(tmp_path, make, name, read):
    """A missing file, a directory and an impossible name are found by the check and by reading alike."""
    path = tmp_path / name
    with suppress(OSError):  # no directory has the long name
        make(path)

    with pytest.raises(InvalidInput, match=str(path)) as caught:
        read(EventFile(str(path)))

    assert caught.value.why
    assert caught.value.what_to_do


@pytest.mark.parametrize(
    "content",
    [
        COMPRESSED[: len(COMPRESSED) // 2],
        COMPRESSED[:5],
        COMPRESSED[:-8] + b"\x00" * 8,
        COMPRESSED[:20] + b"\xff" * 20 + COMPRESSED[40:],
        COMPRESSED + b"garbage",
    ],
    ids=["cut", "cut in its head", "checksum", "data", "something behind it"],
)
def test_broken_gzip(tmp_path, content):
    """A compressed file that is damaged anywhere is an error, not a shorter file."""
    path = tmp_path / "events.gz"
    path.write_bytes(content)

    with pytest.raises(InvalidInput, match="cannot read"):
        list(EventFile(str(path)))
