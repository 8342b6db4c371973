"""Files of events: which lines there are, under which number, and what cannot be read."""

import bz2
import gzip
import io
import lzma
import os
import pickle
import sys
from contextlib import suppress
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pql_stream.errors import InvalidInput
from pql_stream.replay.source import Recorded
from pql_stream.replay.sources.compression import zstd
from pql_stream.replay.sources.files import Files
from pql_stream.wire.events import RECORD_BYTES_MAX

COMPRESSED = gzip.compress(b'{"a": 1}\n' * 1000, mtime=0)
ZSTANDARD = zstd.compress(b'{"a": 1}\n' * 1000, options={zstd.CompressionParameter.checksum_flag: 1})
COMPRESS = st.sampled_from([bytes, gzip.compress, zstd.compress])
BOM = b"\xef\xbb\xbf"
LONGEST = b"x" * RECORD_BYTES_MAX


def records_of(source: Files) -> list[Recorded]:
    return [record for chunk in source.read() for record in chunk.records]


def lines_of(path: Path | str) -> list[tuple[int, bytes]]:
    return [(record.offset, record.value) for record in records_of(Files([str(path)]))]


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


SKIPPED_FRAME = b"\x50\x2a\x4d\x18" + b"\x04\x00\x00\x00" + b"abcd"


@pytest.mark.parametrize(
    ("compress", "start"),
    [(gzip.compress, b""), (zstd.compress, b""), (zstd.compress, SKIPPED_FRAME)],
    ids=["gzip", "zstd", "zstd with a frame to skip"],
)
def test_compression_is_told_by_the_content(tmp_path, compress, start):
    """Compressed files are read whatever their name, and several in one are one."""
    path = tmp_path / "events.jsonl"
    path.write_bytes(start + compress(BOM + b"{}\n") + compress(b"[]\n"))

    assert [(1, b"{}"), (2, b"[]")] == lines_of(path)


@pytest.mark.parametrize("name", ["events.gz", "events.zst"])
def test_a_name_that_says_compressed_is_not_believed(tmp_path, name):
    """A plain file called .gz or .zst is read as it is."""
    path = tmp_path / name
    path.write_bytes(b"{}\n")

    assert [(1, b"{}")] == lines_of(path)


@pytest.mark.parametrize(
    "content", [b"", COMPRESSED[:1], b"\0" + COMPRESSED[1:], b"not gzip"], ids=["empty", "cut", "damaged", "text"]
)
@pytest.mark.parametrize("name", ["events.jsonl.GZ", "events.zst"])
def test_a_compressed_file_that_lost_its_beginning(tmp_path, content, name):
    """What is called .gz or .zst and is neither that nor JSON lines is broken, no file of refused lines or of none."""
    path = tmp_path / name
    path.write_bytes(content)

    with pytest.raises(InvalidInput, match="cannot read"):
        lines_of(path)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (bz2.compress(b"{}\n"), "bzip2"),
        (lzma.compress(b"{}\n"), "xz"),
        (b"PK\x03\x04 and so on", "a zip archive"),
        (b"\x04\x22\x4d\x18 and so on", "lz4"),
        (b"Obj\x01 and so on", "Avro"),
    ],
    ids=["bzip2", "xz", "zip", "lz4", "avro"],
)
def test_a_file_packed_in_another_way_is_told(tmp_path, content, kind):
    """It is no file of refused lines: what it is and what to do about it is said."""
    path = tmp_path / "events.jsonl"
    path.write_bytes(content)
    with pytest.raises(InvalidInput, match="cannot read") as refused:
        lines_of(path)

    assert f"it is {kind}, which is not read: unpack it, or pipe it in" == refused.value.why


def test_parquet_where_lines_are_wanted(tmp_path):
    """`score` and `emit`, and who reads a pipe, say which commands take it: no file of refused lines here either."""
    path = tmp_path / "events.parquet"
    path.write_bytes(b"PAR1 and so on PAR1")
    with pytest.raises(InvalidInput, match="cannot read") as refused:
        lines_of(path)

    assert refused.value.why.startswith("it is Parquet, which only `replay`, `whatif` and `backfill` read")


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
    source = Files(["-"])
    source.check()

    assert [Recorded("-", 0, 1, b"{}")] == records_of(source)
    assert (None, True) == (source.bytes_total, source.is_read_once)
    assert not stdin.closed


def test_lines_are_under_the_name_of_their_file(tmp_path):
    """The cause of a change names the file without its directories."""
    path = tmp_path / "trials.jsonl"
    path.write_bytes(b"{}\n")

    assert [Recorded("trials.jsonl", 0, 1, b"{}")] == records_of(Files([str(path)]))


def test_a_file_name_need_not_be_text(tmp_path):
    """A name that is no UTF-8 is written in one way that is: records have to be."""
    path = os.fsencode(tmp_path) + b"/\xff.jsonl"
    Path(os.fsdecode(path)).write_bytes(b"{}\n")

    assert ["\\udcff.jsonl"] == [record.topic for record in records_of(Files([os.fsdecode(path)]))]


def test_progress(tmp_path):
    """How much is read is known while reading, in bytes on the disk over all files."""
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"{}\n" * 10)
    source = Files([str(tmp_path / "a"), str(tmp_path / "b")], block_bytes=6)

    assert 60 == source.bytes_total
    assert list(range(6, 61, 6)) == [chunk.bytes_read for chunk in source.read()]


def test_progress_through_compressed_files(tmp_path):
    """Of a compressed file the bytes on the disk count, and all of them are read in the end."""
    path = tmp_path / "events.jsonl"
    path.write_bytes(COMPRESSED)
    source = Files([str(path)])

    assert len(COMPRESSED) == source.bytes_total == list(source.read())[-1].bytes_read


def test_a_pipe_is_read_once():
    """Process substitution: the check leaves the pipe alone, and how much there is cannot be known."""
    read_end, write_end = os.pipe()
    os.write(write_end, b"{}\n[]\n")
    os.close(write_end)
    source = Files([f"/dev/fd/{read_end}"])
    source.check()
    try:
        assert (None, True) == (source.bytes_total, source.is_read_once)
        assert [1, 2] == [record.offset for record in records_of(source)]
    finally:
        os.close(read_end)


LINES = st.lists(
    st.sampled_from([b"{}", b"", b" ", b"[1]", b"\r", b"{}\r", BOM, b"x" * 40, b"y" * 41, b"z" * 100]), max_size=12
)


@given(contents=st.lists(LINES, min_size=1, max_size=3), block_bytes=st.integers(1, 60), compress=COMPRESS)
def test_reading_goes_on_behind_any_chunk(tmp_path_factory, contents, block_bytes, compress):
    """However the blocks fall, the records are the same; and from behind each chunk come exactly the others."""
    directory = tmp_path_factory.mktemp("files")
    paths = [str(directory / str(place)) for place in range(len(contents))]
    for path, lines in zip(paths, contents, strict=True):
        Path(path).write_bytes(compress(b"\n".join(lines)))
    expected = records_of(Files(paths, line_bytes_max=40))
    source = Files(paths, line_bytes_max=40, block_bytes=block_bytes)

    chunks = list(source.read())
    assert expected == [record for chunk in chunks for record in chunk.records]
    for place, chunk in enumerate(chunks, 1):
        assert chunks[place:] == list(source.read(orjson.loads(orjson.dumps(chunk.after))))


def test_a_file_ends_where_it_ended(tmp_path):
    """What is appended while a replay reads is not part of it: all of its processes see the same lines."""
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"{}\n")
    source = Files([str(path)])
    with path.open("ab") as file:
        file.write(b"[]\n")

    assert [b"{}"] == [record.value for record in records_of(source)]
    assert [b"{}", b"[]"] == [record.value for record in records_of(Files([str(path)]))]


def test_a_file_that_becomes_shorter_while_it_is_read(tmp_path):
    """It is an error, and no shorter replay."""
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"{}\n{}\n")
    source = Files([str(path)])
    path.write_bytes(b"{}\n")

    with pytest.raises(InvalidInput, match="cannot read") as caught:
        records_of(source)

    assert "it became shorter while it was read: 3 bytes are missing" == caught.value.why


def rewritten(path: Path) -> None:
    path.write_bytes(b"[]\n")


def written_and_dated_back(path: Path) -> None:
    before = path.stat()
    path.write_bytes(b"[]\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def appended(path: Path) -> None:
    path.write_bytes(b"{}\n{}\n")


def renamed(path: Path) -> None:
    path.rename(path.with_name("other"))


@pytest.mark.parametrize("change", [rewritten, written_and_dated_back, appended, renamed])
def test_a_changed_file_has_another_fingerprint(tmp_path, change):
    """The same file has the same fingerprint, from process to process; whatever may change a record changes it."""
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"{}\n")
    before = Files([str(path)])
    again = pickle.loads(pickle.dumps(Files([str(path)])))
    change(path)
    (after,) = tmp_path.iterdir()

    assert before.fingerprint() == again.fingerprint()
    assert before.fingerprint() != Files([str(after)]).fingerprint()


def test_the_order_of_files_is_part_of_the_fingerprint(tmp_path):
    """The same files in another order are other records."""
    paths = [str(tmp_path / name) for name in "ab"]
    for path in paths:
        Path(path).write_bytes(b"{}\n")

    assert Files(paths).fingerprint() != Files(paths[::-1]).fingerprint()


def missing(path: Path) -> None:
    pass


def directory(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("make", [missing, directory])
@pytest.mark.parametrize("name", ["events", "e" * 300], ids=["", "too long"])
@pytest.mark.parametrize("read", [Files.check, records_of], ids=["check", "read"])
def test_what_cannot_be_opened(tmp_path, make, name, read):
    """A missing file, a directory and an impossible name are found by the check and by reading alike."""
    path = tmp_path / name
    with suppress(OSError):  # no directory has the long name
        make(path)

    with pytest.raises(InvalidInput, match=str(path)) as caught:
        read(Files([str(path)]))

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
        records_of(Files([str(path)]))


@pytest.mark.parametrize(
    "content",
    [
        ZSTANDARD[: len(ZSTANDARD) // 2],
        ZSTANDARD[:5],
        ZSTANDARD[:-1] + bytes([ZSTANDARD[-1] ^ 1]),
        ZSTANDARD[:10] + b"\xff" * 10 + ZSTANDARD[20:],
        ZSTANDARD + b"garbage",
    ],
    ids=["cut", "cut in its head", "checksum", "data", "something behind it"],
)
def test_broken_zstd(tmp_path, content):
    """As for gzip: damaged anywhere, it is an error, not a shorter file."""
    path = tmp_path / "events.zst"
    path.write_bytes(content)

    with pytest.raises(InvalidInput, match="cannot read"):
        records_of(Files([str(path)]))
