"""Pictures inside of Parquet files, Arrow files and tar archives."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pyarrow as arrow
import pytest
from pyarrow import parquet

from persqa_client.errors import RowError
from persqa_client.images import members
from persqa_client.images.arrow_pictures import GroupPictures
from persqa_client.images.members import Member, OpenReaders, Picture, TarPictures, name_member, parse_member
from persqa_client.images.references import read_reference
from tests.inputs.packed import PICTURE, make_png, make_samples, make_table, write_arrow, write_parquet, write_tar


@pytest.mark.parametrize(
    ("reference", "member"),
    [
        ("a.parquet#images/17/1", Member("a.parquet", "parquet", "images/17/1")),
        ("b/a.TAR#1.jpg", Member("b/a.TAR", "tar", "1.jpg")),
        ("a.tar.gz#x#y.jpg", Member("a.tar.gz", "gz", "x#y.jpg")),
        ("a.tgz#1.jpg", Member("a.tgz", "gz", "1.jpg")),
        ("a#1.jpg", None),
        ("a.tar", None),
        (".tar#1.jpg", None),
    ],
)
def test_a_reference_names_the_file_and_the_place_in_it(reference: str, member: Member | None) -> None:
    assert parse_member(reference) == member


def test_a_file_with_such_a_name_comes_first(tmp_path: Path) -> None:
    (tmp_path / "a.tar#1.png").write_bytes(make_png(1))
    write_tar(tmp_path / "a.tar", [("1.png", make_png(2))])
    assert read_reference("a.tar#1.png", [tmp_path]) == make_png(1)


class FailingOnce:
    """A reader that loses its connection, after which it would not find its place again."""

    def __init__(self) -> None:
        self.names = iter(["a", None, "b", "c"])

    def read(self, name: str) -> Picture:
        if (found := next(self.names)) is None:
            raise ConnectionError("the connection was closed")
        return Picture(found.encode())


def test_a_file_is_opened_again_after_an_error_in_the_middle() -> None:
    opened: list[FailingOnce] = []
    readers = OpenReaders()

    def open_file() -> FailingOnce:
        opened.append(FailingOnce())
        return opened[-1]

    def read() -> bytes | None:
        return readers.read(("a.tar",), open_file, "a").data

    assert read() == b"a"
    with pytest.raises(ConnectionError):
        read()
    assert read() == b"a"
    assert len(opened) == 2


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz"])
def test_a_small_archive_may_hold_a_large_file(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of zeros."""
    monkeypatch.setattr(members, "MAX_FILE_BYTES", 1_000)
    write_tar(tmp_path / name, [("large.png", bytes(1_001)), ("1.png", make_png(1))])
    archive = TarPictures(str(tmp_path / name), max_kept=1_000)
    assert archive.read("1.png").data == make_png(1)
    with pytest.raises(RowError, match="the limit is 0 GB") as caught:
        archive.read("large.png")
    assert caught.value.code == "image_too_large"


def test_a_path_in_a_parquet_file_is_that_of_a_regular_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    names = ["fifo", "/dev/zero", ".", "none.png"]
    pictures = [{"bytes": None, "path": name} for name in names]
    write_parquet(tmp_path / "a.parquet", arrow.table({"image": arrow.array(pictures, PICTURE)}))
    for number, code in enumerate(("image_device", "image_device", "image_not_a_file", "image_missing"), 1):
        with pytest.raises(RowError) as caught:
            read_reference(f"a.parquet#image/{number}/1", [tmp_path])
        assert caught.value.code == code
        assert f"names '{names[number - 1]}' in place of its bytes, which " in caught.value.message


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow", "a.tar", "a.tar.gz"])
def test_pictures_are_read_in_any_order(name: str, tmp_path: Path) -> None:
    if "tar" in name:
        write_tar(tmp_path / name, make_samples(24))
    elif name == "a.parquet":
        write_parquet(tmp_path / name, make_table(24), group_rows=7)
    else:
        write_arrow(tmp_path / name, make_table(24), batch_rows=7)
    numbers = list(range(1, 25))
    random.Random(1).shuffle(numbers)
    for number in numbers:
        place = f"{number:03}.png" if "tar" in name else f"image/{number}/1"
        assert read_reference(f"{name}#{place}", [tmp_path]) == make_png(number)


@pytest.mark.parametrize(
    ("place", "code", "message"),
    [
        ("a.parquet#image/9/1", "image_missing", "row 9"),
        ("a.parquet#image/1/2", "image_missing", "its cell has 1"),
        ("a.parquet#picture/1/1", "image_missing", "its columns are id, image"),
        ("a.parquet#1", "image_missing", "a place is COLUMN/ROW/NUMBER"),
        ("a.arrow#image/9/1", "image_missing", "row 9"),
        ("a.arrow#picture/1/1", "image_missing", "its columns are id, image"),
        ("a.tar#9.png", "image_missing", "no '9.png'"),
        ("b.tar#1.png", "image_missing", "does not exist in"),
        ("broken.parquet#image/1/1", "image_unreadable", "its file is broken"),
        ("broken.tar#1.png", "image_unreadable", "its archive is broken"),
    ],
)
def test_what_is_not_there_is_one_sentence(place: str, code: str, message: str, tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", make_table(2))
    write_arrow(tmp_path / "a.arrow", make_table(2))
    write_tar(tmp_path / "a.tar", make_samples(2))
    for name in ("broken.parquet", "broken.tar"):
        (tmp_path / name).write_bytes(b"x" * 600)
    with pytest.raises(RowError) as caught:
        read_reference(place, [tmp_path])
    assert caught.value.code == code
    assert message in caught.value.message


def test_a_row_group_is_not_decoded_as_a_whole(tmp_path: Path) -> None:
    pictures = [random.Random(number).randbytes(50_000) for number in range(200)]
    table = arrow.table({"image": [{"bytes": data, "path": ""} for data in pictures]})
    pages = {"use_dictionary": False, "write_batch_size": 4, "data_page_size": 100_000}
    parquet.write_table(table, tmp_path / "a.parquet", **pages)
    before, most = arrow.total_allocated_bytes(), 0
    reader = GroupPictures(str(tmp_path / "a.parquet"), "image", 0, max_kept=500_000, batch_bytes=100_000)
    for number, data in enumerate(pictures, 1):
        assert reader.read(f"image/{number}/1").data == data
        most = max(most, arrow.total_allocated_bytes() - before)
    assert 500_000 < most < 5_000_000


def test_of_a_compressed_archive_only_the_files_read_last_are_kept(tmp_path: Path) -> None:
    files = [(f"{number}.png", bytes(10_000)) for number in range(20)]
    reader = TarPictures(str(write_tar(tmp_path / "a.tar.gz", files)), max_kept=50_000)
    for number in (0, 19, 0):
        assert reader.read(f"{number}.png").data == bytes(10_000)
        assert reader.kept_bytes <= 50_000


def test_of_a_compressed_archive_the_names_are_counted_as_kept(tmp_path: Path) -> None:
    files = [(f"{number:05}.{'x' * length}.png", b"") for length in (0, 10_000) for number in range(1_000)]
    reader = TarPictures(str(write_tar(tmp_path / "a.tar.gz", files)), max_kept=50_000)
    for number in (999, 1_999, 0):
        assert reader.read(files[number][0]).data == b""
        assert number == 0 or 40_000 < reader.kept_bytes <= 50_000


@pytest.mark.parametrize(
    ("reference", "name"), [("a/b.parquet#images/17/2", "b-17-2"), ("a/s.tar#x/000017.0.jpg", "x-000017.0.jpg")]
)
def test_a_picture_gets_a_name_of_its_own(reference: str, name: str) -> None:
    member = parse_member(reference)
    assert member is not None
    assert name_member(member) == name
