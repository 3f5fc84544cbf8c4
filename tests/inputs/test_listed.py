"""Sources that list files: what is new, what rows count as, and a stored order."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from persqa_client.errors import SettingsError
from persqa_client.inputs import patterns
from persqa_client.inputs.folders import FolderSource, find_folder_names
from persqa_client.inputs.listed import KnownNames, ListedSource
from persqa_client.inputs.sources import InMemorySource, Source, read_named_lines
from persqa_client.storage.listing import StoredListing
from persqa_client.types import START_POSITION


def add(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


def names_of(source: ListedSource) -> list[str | None]:
    return [line.name for line in source.named_lines(START_POSITION)]


def listed(source: ListedSource, path: Path) -> ListedSource:
    source.use_listing(StoredListing(lambda: path))
    source.extend_listing()
    return source


def test_known_names_are_neither_sorted_nor_opened(tmp_path: Path) -> None:
    add(tmp_path, "b.jpg", "a.jpg", "trip/2.jpg", "trip/1.jpg")
    (tmp_path / "no-suffix").write_bytes(b"\xff\xd8\xff\xe0\0\0")
    known = KnownNames(["b.jpg", "trip/1.jpg", "no-suffix"])
    os.utime(tmp_path / "no-suffix", (0, 0))
    assert list(find_folder_names(tmp_path, known.__contains__)) == ["a.jpg", "trip/2.jpg"]
    assert (tmp_path / "no-suffix").stat().st_atime == 0


def test_known_names_by_value() -> None:
    names = [f"{number}.jpg" for number in range(1000)]
    known = KnownNames(names[::2])
    assert [name in known for name in names] == [True, False] * 500
    assert "a" not in KnownNames([])


@pytest.mark.parametrize("spelling", [".", "photos", "photos/", "./photos//", "../work/photos", "{}/photos", "link"])
def test_each_spelling_of_a_folder_has_the_same_names(
    spelling: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = tmp_path / "work"
    add(work / "photos", "2.jpg", "10.jpg", "trip/1.jpg")
    (work / "link").symlink_to("photos")
    monkeypatch.chdir(work / "photos" if spelling == "." else work)
    source = FolderSource(Path(spelling.format(work)), "image")
    lines = list(source.named_lines(START_POSITION))
    assert [line.name for line in lines] == ["2.jpg", "10.jpg", "trip/1.jpg"]
    assert source.root == str(work / "photos")
    written = [Path(line.line.decode().split('"')[3]) for line in lines]
    assert [path.resolve() for path in written] == [work / "photos" / str(line.name) for line in lines]
    assert [source.find_name(str(path)) for path in written] == [line.name for line in lines]
    assert source.find_name(str(work / "elsewhere.jpg")) is None
    other = FolderSource(work / "photos", "image")
    assert [line.position for line in other.named_lines(START_POSITION)] == [line.position for line in lines]


def test_a_stored_listing_keeps_the_first_order(tmp_path: Path) -> None:
    photos, stored = tmp_path / "photos", tmp_path / "qa.listing.jsonl"
    add(photos, "b.jpg", "c.jpg", "d.jpg")
    before = list(listed(FolderSource(photos, "image"), stored).named_lines(START_POSITION))
    add(photos, "a.jpg", "bb.jpg")
    (photos / "c.jpg").unlink()
    source = listed(FolderSource(photos, "image"), stored)
    lines = list(source.named_lines(START_POSITION))
    assert lines[:3] == before
    assert [line.name for line in lines] == ["b.jpg", "c.jpg", "d.jpg", "a.jpg", "bb.jpg"]
    assert source.progress_total() == 5
    assert list(source.named_lines(lines[2].position)) == lines[3:]
    for line in lines:
        assert source.digest_at(line.position) == line.position.digest
    assert source.has_more_names(lines[3].position)
    assert not source.has_more_names(lines[4].position)


def test_a_removed_listing_is_that_of_the_files_which_are_there(tmp_path: Path) -> None:
    add(tmp_path / "photos", "a.jpg", "b.jpg")
    path = tmp_path / "qa.listing.jsonl"
    lines = list(listed(FolderSource(tmp_path / "photos", "image"), path).named_lines(START_POSITION))
    path.unlink()
    source = FolderSource(tmp_path / "photos", "image")
    source.use_listing(StoredListing(lambda: path), 2)
    assert [each.name for each in source.named_lines(START_POSITION)] == ["a.jpg", "b.jpg"]
    assert source.digest_at(lines[1].position) == lines[1].position.digest
    assert not path.exists(), "nothing is written before the run is known to go on"
    add(tmp_path / "photos", "0.jpg")
    assert source.digest_at(lines[1].position) != lines[1].position.digest


def test_the_names_of_another_folder_are_refused(tmp_path: Path) -> None:
    add(tmp_path / "photos", "a.jpg", "b.jpg")
    add(tmp_path / "other", "a.jpg", "b.jpg")
    path = tmp_path / "qa.listing.jsonl"
    listed(FolderSource(tmp_path / "photos", "image"), path)
    with pytest.raises(SettingsError, match=r"other is not .*photos, with which this run was started"):
        listed(FolderSource(tmp_path / "other", "image"), path)
    (tmp_path / "photos").rename(tmp_path / "moved")
    assert names_of(listed(FolderSource(tmp_path / "moved", "image"), path)) == ["a.jpg", "b.jpg"]
    assert StoredListing(lambda: path).root == str(tmp_path / "moved")
    (tmp_path / "moved").rename(tmp_path / "again")
    (tmp_path / "again" / "b.jpg").unlink()
    with pytest.raises(SettingsError, match=r"does not exist any more: it lacks b\.jpg"):
        listed(FolderSource(tmp_path / "again", "image"), path)


class PatternSource(ListedSource):
    """Any source that lists files can be stored."""

    def __init__(self, folder: Path, pattern: str) -> None:
        super().__init__()
        self.folder, self.glob = folder, pattern
        self.name = str(folder / pattern)

    @property
    def root(self) -> str:
        return os.path.realpath(self.folder)

    def find_names(self, is_known: Callable[[str], bool]) -> Iterator[str]:
        names = (path.relative_to(self.folder).as_posix() for path in self.folder.glob(self.glob))
        return iter(sorted(name for name in names if not is_known(name)))

    def render_line(self, name: str) -> bytes:
        return f'"{self.folder / name}"'.encode()

    def find_name(self, reference: str) -> str | None:
        return None

    def warnings(self) -> tuple[str, ...]:
        return ()

    def as_written(self) -> Source:
        return InMemorySource()


def test_a_pattern_is_listed_like_a_folder(tmp_path: Path) -> None:
    add(tmp_path / "photos", "b.jpg", "trip/c.jpg", "b.png")
    path = tmp_path / "qa.listing.jsonl"
    listed(PatternSource(tmp_path / "photos", "*.jpg"), path)
    add(tmp_path / "photos", "a.jpg")
    source = listed(PatternSource(tmp_path / "photos", "**/*.jpg"), path)
    assert names_of(source) == ["b.jpg", "a.jpg", "trip/c.jpg"]
    assert source.progress_total() == source.count_names() == 3


def test_rows_of_other_sources_have_no_names() -> None:
    lines = list(read_named_lines(InMemorySource(["a.jpg"]), START_POSITION))
    assert [(line.line, line.name) for line in lines] == [(b'"a.jpg"', None)]


@pytest.mark.parametrize("make", [lambda: FolderSource(Path(), "image"), lambda: patterns.PatternSource("*", "image")])
def test_a_listed_name_is_written_as_a_path(
    make: Callable[[], ListedSource], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if it would be read as a ``data:`` URI. An earlier version wrote the name alone."""
    monkeypatch.chdir(tmp_path)
    add(tmp_path, "data:x.png", "x.png")
    source = make()
    assert [line for line, _ in source.lines(START_POSITION)] == [
        b'{"image": ["./data:x.png"]}',
        b'{"image": ["x.png"]}',
    ]
    assert names_of(source) == ["data:x.png", "x.png"]
    assert source.find_name("./data:x.png") == "data:x.png"
    assert next(source.as_written().lines(START_POSITION))[0] == b'{"image": ["data:x.png"]}'
