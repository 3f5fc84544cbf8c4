"""Sources: lines, positions to resume at, digests, and inputs that are rejected."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from persqa_client.errors import SettingsError
from persqa_client.inputs.files import FileSource
from persqa_client.inputs.folders import FolderSource
from persqa_client.inputs.opening import open_source
from persqa_client.inputs.rows import MAX_LINE_BYTES
from persqa_client.inputs.sources import InMemorySource, Source
from persqa_client.types import START_POSITION, Position

LINES = [b'{"image": "a.jpg"}', b"", b'{"image": "b.jpg"}', b'"c.jpg"']


def file_with(path: Path, content: bytes) -> FileSource:
    path.write_bytes(content)
    return FileSource(path)


def lines_of(source: Source, start: Position = START_POSITION) -> list[bytes]:
    return [line for line, _ in source.lines(start)]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"\n".join(LINES) + b"\n", id="plain"),
        pytest.param(b"\n".join(LINES), id="no line end at the end"),
        pytest.param(b"\r\n".join(LINES) + b"\r\n", id="CRLF"),
        pytest.param(b"\xef\xbb\xbf" + b"\n".join(LINES) + b"\n", id="byte order mark"),
    ],
)
def test_a_file_yields_its_lines_without_line_ends(tmp_path: Path, content: bytes) -> None:
    source = file_with(tmp_path / "in.jsonl", content)
    assert lines_of(source) == LINES
    assert [position.number for _, position in source.lines(START_POSITION)] == [1, 2, 3, 4]
    assert (
        [position.offset for _, position in source.lines(START_POSITION)][-1] == len(content) == source.progress_total()
    )


@pytest.mark.parametrize("after", [1, 2, 3, 4])
def test_reading_resumes_at_any_position(tmp_path: Path, after: int) -> None:
    source = file_with(tmp_path / "in.jsonl", b"\n".join(LINES) + b"\n")
    whole = list(source.lines(START_POSITION))
    assert list(source.lines(whole[after - 1][1])) == whole[after:]


def test_the_digest_covers_the_lines_before_a_position(tmp_path: Path) -> None:
    source = file_with(tmp_path / "in.jsonl", b"\n".join(LINES) + b"\n")
    for _, position in source.lines(START_POSITION):
        assert source.digest_at(position) == position.digest


def test_a_changed_line_changes_the_digest(tmp_path: Path) -> None:
    source = file_with(tmp_path / "in.jsonl", b"\n".join(LINES) + b"\n")
    position = list(source.lines(START_POSITION))[2][1]
    source = file_with(tmp_path / "in.jsonl", b"\n".join(LINES).replace(b"b.jpg", b"x.jpg") + b"\n")
    assert source.digest_at(position) != position.digest


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_lines_may_be_appended_after_one_without_a_line_end(tmp_path: Path, end: bytes) -> None:
    path = tmp_path / "in.jsonl"
    last = list(file_with(path, end.join(LINES)).lines(START_POSITION))[-1][1]
    source = file_with(path, end.join([*LINES, b'"d.jpg"']) + end)
    assert source.digest_at(last) == last.digest
    assert [(line, position.number) for line, position in source.lines(last)] == [(b'"d.jpg"', 5)]


@pytest.mark.parametrize("last", [b'"c.jp', b'"c.jpg"'], ids=["cut", "complete"])
def test_a_last_line_that_became_another_is_a_changed_input(tmp_path: Path, last: bytes) -> None:
    path = tmp_path / "in.jsonl"
    position = list(file_with(path, b"\n".join([*LINES[:3], last])).lines(START_POSITION))[-1][1]
    source = file_with(path, b"\n".join([*LINES[:3], last + b'g"', b'"d.jpg"', b""]))
    assert source.digest_at(position) != position.digest
    with pytest.raises(SettingsError, match="has changed: line 4 was its last one, had no line end, and goes on now"):
        lines_of(source, position)


def test_a_line_that_is_being_written_is_left_to_a_later_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "in.jsonl"
    source = file_with(path, b'"a.jpg"\n')
    reading = source.lines(START_POSITION)
    first = next(reading)
    path.write_bytes(b'"a.jpg"\n"b.jpg"\n"c.j')
    rest = list(reading)
    assert [line for line, _ in (first, *rest)] == [b'"a.jpg"', b'"b.jpg"']
    assert lines_of(source, rest[-1][1]) == []
    assert [record.getMessage().count("line, 3, is not complete") for record in caplog.records] == [1]
    path.write_bytes(b'"a.jpg"\n"b.jpg"\n"c.jpg"\n')
    assert lines_of(source, rest[-1][1]) == [b'"c.jpg"']


def test_the_line_end_of_the_last_line_may_come_while_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    source = file_with(path, b'"a.jpg"')
    reading = source.lines(START_POSITION)
    _, position = next(reading)
    path.write_bytes(b'"a.jpg"\n"b.jpg"\n')
    assert list(reading) == []
    assert [(line, at.number) for line, at in source.lines(position)] == [(b'"b.jpg"', 2)]


@pytest.mark.slow
def test_a_line_beyond_the_limit_is_read_in_part_and_digested_whole(tmp_path: Path) -> None:
    def write(last: bytes) -> FileSource:
        with (tmp_path / "in.jsonl").open("wb") as file:
            file.truncate(MAX_LINE_BYTES + 1000)
            file.seek(0, os.SEEK_END)
            file.write(last + b'\n"b.jpg"\n')
        return FileSource(tmp_path / "in.jsonl")

    source = write(b"x")
    (line, first), (following, second) = source.lines(START_POSITION)
    assert (len(line), first.offset, first.number) == (MAX_LINE_BYTES + 1, MAX_LINE_BYTES + 1002, 1)
    assert (following, second.number) == (b'"b.jpg"', 2)
    assert source.digest_at(first) == first.digest != write(b"y").digest_at(first)


def test_a_folder_yields_rows_in_natural_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("10.jpg", "9.jpg", "note.txt"):
        (tmp_path / "photos").mkdir(exist_ok=True)
        (tmp_path / "photos" / name).write_bytes(b"")
    source = FolderSource(Path("photos"), "picture")
    assert lines_of(source) == [b'{"picture": ["photos/9.jpg"]}', b'{"picture": ["photos/10.jpg"]}']
    assert source.progress_total() == 2
    first = next(position for _, position in source.lines(START_POSITION))
    assert lines_of(source, first) == [b'{"picture": ["photos/10.jpg"]}']
    (tmp_path / "photos" / "1.jpg").write_bytes(b"")
    assert source.digest_at(first) != first.digest


def test_rows_in_memory_may_hold_paths_but_no_other_objects() -> None:
    assert lines_of(InMemorySource([{"image": Path("a.jpg")}, "b.jpg"])) == [b'{"image": "a.jpg"}', b'"b.jpg"']
    with pytest.raises(SettingsError, match=r"Row 2 .* JSON"):
        lines_of(InMemorySource(["a.jpg", {"image": object()}]))


def test_an_input_must_be_a_file_or_a_folder(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SettingsError, match="neither a file nor a folder; give - and pipe"):
        open_source(tmp_path / "pipe", "image")
    with pytest.raises(SettingsError, match="absent does not exist"):
        open_source(tmp_path / "absent", "image")
    assert isinstance(open_source(tmp_path, "image"), FolderSource)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(gzip.compress(b"image\na.jpg\n"), "gzip, and is not JSONL", id="gzip"),
        pytest.param('{"image": "a.jpg"}'.encode("utf-16"), "UTF-16", id="UTF-16"),
        pytest.param('{"image": "a.jpg"}'.encode("utf-16-le"), "UTF-16", id="UTF-16 without a byte order mark"),
        pytest.param('{"image": "a.jpg"}'.encode("utf-16-be"), "UTF-16", id="UTF-16, big-endian"),
        pytest.param('{"image": "a.jpg"}'.encode("utf-32"), "UTF-32", id="UTF-32"),
        pytest.param('{"image": "a.jpg"}'.encode("utf-32-le"), "UTF-32", id="UTF-32 without a byte order mark"),
        pytest.param('{"image": "a.jpg"}'.encode("utf-32-be"), "UTF-32", id="UTF-32, big-endian"),
        pytest.param(b"rows\0\1\2", "not text", id="binary"),
        pytest.param(b"rows\n" * 1000 + b"\0", "is of an unknown format, not text", id="binary behind text"),
        pytest.param(b"a.jpg\0b.jpg\0", "not text", id="list with null characters as ends"),
        pytest.param(b"PK\x03\x04\0\0", "ZIP archive", id="archive"),
    ],
)
def test_a_binary_input_is_rejected(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "input").write_bytes(content)
    with pytest.raises(SettingsError, match=message):
        open_source(tmp_path / "input", "image")
