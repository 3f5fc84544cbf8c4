"""Rows of Parquet files, Arrow files and tar archives, with references to their pictures."""

from __future__ import annotations

import datetime
import gzip
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as arrow
import pytest

from persqa_client.errors import SettingsError
from persqa_client.images.references import read_reference
from persqa_client.inputs.folders import FolderSource
from persqa_client.inputs.opening import open_inputs
from persqa_client.inputs.rows import parse_line
from persqa_client.inputs.sources import BrokenLine, Source
from persqa_client.types import START_POSITION, BadRow
from tests.inputs.packed import (
    PICTURE,
    make_picture,
    make_png,
    make_samples,
    make_table,
    write_arrow,
    write_parquet,
    write_tar,
)


def rows_of(source: Source) -> list[dict[str, Any]]:
    return [json.loads(line) for line, _ in source.lines(START_POSITION)]


def open_one(path: Path, image_key: str = "image") -> Source:
    return open_inputs([path], image_key)


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow", "a.tar", "a.tar.gz"])
def test_a_row_refers_to_its_pictures_and_they_are_read(name: str, tmp_path: Path) -> None:
    if "tar" in name:
        source = open_one(write_tar(tmp_path / name, make_samples(5)))
        expected = [
            {"__key__": f"{number:03}", "id": number, "image": [f"{name}#{number:03}.png"]} for number in range(1, 6)
        ]
    else:
        write = write_parquet if name == "a.parquet" else write_arrow
        source = open_one(write(tmp_path / name, make_table(5)))
        expected = [{"id": number, "image": [f"{name}#image/{number}/1"]} for number in range(1, 6)]
    rows = rows_of(source)
    assert rows == expected
    for number in (3, 1, 5, 4):
        (reference,) = rows[number - 1]["image"]
        assert read_reference(reference, [tmp_path]) == make_png(number)


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow", "a.tar"])
def test_reading_goes_on_after_any_row(name: str, tmp_path: Path) -> None:
    if name == "a.tar":
        write_tar(tmp_path / name, make_samples(7))
    elif name == "a.parquet":
        write_parquet(tmp_path / name, make_table(7), group_rows=3)
    else:
        write_arrow(tmp_path / name, make_table(7), batch_rows=3)
    source = open_one(tmp_path / name)
    whole = list(source.lines(START_POSITION))
    for number, (_, position) in enumerate(whole, 1):
        assert list(source.lines(position)) == whole[number:]
        assert source.digest_at(position) == position.digest
    total = source.progress_total()
    assert total is not None
    assert source.progress_at(whole[-1][1]) <= total


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow"])
def test_a_value_that_python_lacks_breaks_its_row_only(name: str, tmp_path: Path) -> None:
    dates = arrow.array([0, 10**15, None], arrow.timestamp("s"))
    nested = arrow.StructArray.from_arrays([dates], ["taken"])
    table = arrow.table({"image": ["a.jpg", "b.jpg", "c.jpg"], "exif": nested})
    source = open_one((write_parquet if name == "a.parquet" else write_arrow)(tmp_path / name, table))
    first, second, third = (line for line, _ in source.lines(START_POSITION))
    assert isinstance(second, BrokenLine)
    assert second.reason.startswith("its column 'exif' has a value that can't be read (")
    assert json.loads(second) == {"image": "b.jpg", "exif": None}
    assert json.loads(first)["exif"] == {"taken": "1970-01-01 00:00:00"}
    assert json.loads(third)["exif"] == {"taken": None}


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow"])
def test_bytes_are_a_text_if_the_first_value_is_one(name: str, tmp_path: Path) -> None:
    texts = arrow.array([None, "Où est <bo> ?".encode(), b"\xff"], arrow.binary())
    pictures = arrow.array([None, make_png(1), b"<svg/>"], arrow.binary())
    table = arrow.table({"question": texts, "image": pictures, "nothing": arrow.nulls(3, arrow.binary())})
    source = open_one((write_parquet if name == "a.parquet" else write_arrow)(tmp_path / name, table))
    assert rows_of(source) == [
        {"question": None, "image": None, "nothing": None},
        {"question": "Où est <bo> ?", "image": f"{name}#image/2/1", "nothing": None},
        {"question": "/w==", "image": f"{name}#image/3/1", "nothing": None},
    ]


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow"])
@pytest.mark.parametrize("first", [b"", b"404 not found"])
def test_a_failed_download_does_not_make_pictures_texts(first: bytes, name: str, tmp_path: Path) -> None:
    pictures = arrow.array([None, first, make_png(1), b"", make_png(2)], arrow.binary())
    table = arrow.table({"image": pictures, "note": arrow.array([b""] * 5, arrow.binary())})
    source = open_one((write_parquet if name == "a.parquet" else write_arrow)(tmp_path / name, table))
    assert rows_of(source) == [
        {"image": None, "note": ""},
        *({"image": f"{name}#image/{number}/1", "note": ""} for number in range(2, 6)),
    ]


def test_the_shape_of_a_cell_is_that_of_the_column(tmp_path: Path) -> None:
    two = [make_picture(1), make_picture(2)]
    columns = {
        "several": arrow.array([two, [], None], arrow.list_(PICTURE)),
        "single": arrow.array([make_picture(3), None, make_picture(4)], PICTURE),
        "plain": arrow.array([make_png(5), None, make_png(6)], arrow.binary()),
        "plains": arrow.array([[make_png(7), make_png(8)], [], None], arrow.list_(arrow.binary())),
        "path": ["x.png", "y.png", "z.png"],
    }
    for path in (
        write_parquet(tmp_path / "a.parquet", arrow.table(columns)),
        write_arrow(tmp_path / "a.arrow", arrow.table(columns)),
    ):
        first, second, third = rows_of(open_one(path, "path"))
        assert first == {
            "several": [f"{path.name}#several/1/1", f"{path.name}#several/1/2"],
            "single": f"{path.name}#single/1/1",
            "plain": f"{path.name}#plain/1/1",
            "plains": [f"{path.name}#plains/1/1", f"{path.name}#plains/1/2"],
            "path": "x.png",
        }
        assert second == {"several": [], "single": None, "plain": None, "plains": [], "path": "y.png"}
        assert (third["several"], third["plains"]) == (None, None)
        assert read_reference(first["several"][1], [tmp_path]) == make_png(2)
        assert read_reference(third["plain"], [tmp_path]) == make_png(6)
        assert read_reference(first["plains"][1], [tmp_path]) == make_png(8)


def test_a_picture_without_bytes_is_the_file_that_it_names(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "1.png").write_bytes(make_png(1))
    cells = arrow.array([{"bytes": None, "path": "photos/1.png"}], PICTURE)
    (row,) = rows_of(open_one(write_parquet(tmp_path / "a.parquet", arrow.table({"image": cells}))))
    assert read_reference(row["image"], [tmp_path]) == make_png(1)


def test_values_that_json_lacks_are_texts(tmp_path: Path) -> None:
    table = arrow.table({"image": ["a.png"], "day": [datetime.date(2026, 11, 30)], "parts": [{"data": b"\0\1"}]})
    (row,) = rows_of(open_one(write_parquet(tmp_path / "a.parquet", table)))
    assert row == {"image": "a.png", "day": "2026-11-30", "parts": {"data": "AAE="}}


def test_another_column_of_pictures_is_named_in_the_message(tmp_path: Path) -> None:
    path = write_parquet(
        tmp_path / "a.parquet", arrow.table({"images": arrow.array([[make_picture(1)]], arrow.list_(PICTURE))})
    )
    with pytest.raises(SettingsError, match="add --image-key images"):
        open_one(path)


def test_an_archive_without_pictures_is_refused_with_what_a_picture_is(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "s.tar", [("1.npy", b"1"), ("2.npy", b"2")])
    with pytest.raises(SettingsError, match=r"none of its first 2 samples has a picture; .* such as 000017\.jpg\."):
        open_one(path)


def test_the_parts_of_a_sample_become_fields(tmp_path: Path) -> None:
    files = [
        ("a/1.0.png", make_png(1)),
        ("a/1.1.png", make_png(2)),
        ("a/1.txt", b" Who is <mam>? \n"),
        ("a/1.json", b'{"tag": "bo", "image": "old.png"}'),
        ("a/1.bin", b"\0"),
        ("README", b"no sample"),
        ("a/2.png", make_png(3)),
        ("a/2.json", b"[1, 2]"),
        ("a/3.png", make_png(3)),
        ("a/3.json", b"{broken"),
    ]
    source = open_one(write_tar(tmp_path / "s.tar", files))
    lines = [line for line, _ in source.lines(START_POSITION)]
    assert json.loads(lines[0]) == {
        "__key__": "a/1",
        "txt": "Who is <mam>?",
        "tag": "bo",
        "image": ["s.tar#a/1.0.png", "s.tar#a/1.1.png"],
    }
    assert json.loads(lines[1]) == {"__key__": "a/2", "json": [1, 2], "image": ["s.tar#a/2.png"]}
    broken = parse_line(3, lines[2], image_key="image", output_key="pers_qa")
    assert isinstance(broken, BadRow)
    assert "its file a/3.json is not JSON" in broken.message


@pytest.mark.parametrize("place", ["", "data"])
def test_a_folder_without_images_is_read_as_a_data_set(place: str, tmp_path: Path) -> None:
    for number in (1, 2, 10):
        write_parquet(tmp_path / place / f"part-{number}.parquet", make_table(1))
    rows = rows_of(open_one(tmp_path))
    assert [row["image"] for row in rows] == [[f"part-{number}.parquet#image/1/1"] for number in (1, 2, 10)]
    (tmp_path / "a.png").write_bytes(make_png(1))
    assert isinstance(open_one(tmp_path), FolderSource)


def test_a_saved_dataset_is_read_without_its_cache(tmp_path: Path) -> None:
    write_arrow(tmp_path / "data-00000-of-00001.arrow", make_table(3))
    write_arrow(tmp_path / "cache-1.arrow", make_table(3))
    (tmp_path / "dataset_info.json").write_text("{}")
    assert [row["id"] for row in rows_of(open_one(tmp_path))] == [1, 2, 3]


def test_several_splits_are_refused_with_their_names(tmp_path: Path) -> None:
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    with pytest.raises(
        SettingsError, match=r"several splits \(train, test\); give the folder of one, such as .*/train"
    ):
        open_one(tmp_path)


def test_a_compressed_archive_of_several_gzip_members_is_read_to_its_end(tmp_path: Path) -> None:
    data = write_tar(tmp_path / "s.tar", make_samples(3)).read_bytes()
    path = tmp_path / "s.tar.gz"
    path.write_bytes(gzip.compress(data[:2048]) + gzip.compress(data[2048:]))
    rows = rows_of(open_one(path))
    assert len(rows) == 3
    assert read_reference(rows[2]["image"][0], [tmp_path]) == make_png(3)


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz"])
@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda data, third: data[: third + 200], "it is cut off"),
        (lambda data, third: data[:third] + b"x" * 512 + data[third + 512 :], "is broken"),
        (lambda data, third: data + data, "goes on after its end"),
    ],
)
def test_an_archive_that_seems_to_end_too_early_is_broken(
    suffix: str, damage: Callable[[bytes, int], bytes], problem: str, tmp_path: Path
) -> None:
    path = write_tar(tmp_path / "s.tar", make_samples(3))
    with tarfile.open(path) as archive:
        data = damage(path.read_bytes(), archive.getmembers()[4].offset)
    path = tmp_path / f"broken{suffix}"
    path.write_bytes(gzip.compress(data) if suffix == ".tar.gz" else data)
    source = open_one(path)
    with pytest.raises(SettingsError, match=f"tar archive, but can't be read: .*{problem}"):
        rows_of(source)


def test_a_sample_whose_name_was_there_before_is_no_row(tmp_path: Path) -> None:
    files = [("a.png", make_png(1)), ("b.png", make_png(2)), ("a.png", make_png(3)), ("c.png", make_png(4))] + 2 * [
        ("d.png", make_png(5))
    ]
    source = open_one(write_tar(tmp_path / "s.tar", files))
    rows = [
        parse_line(place.number, line, image_key="image", output_key="pers_qa")
        for line, place in source.lines(START_POSITION)
    ]
    assert [isinstance(row, BadRow) for row in rows] == [False, False, True, False, True]
    assert isinstance(rows[2], BadRow)
    assert "has its file a.png, or others of this name, twice" in rows[2].message
    # Asked for again, after the second one was seen.
    assert [read_reference(f"s.tar#{name}.png", [tmp_path]) for name in "aca"] == [*map(make_png, (1, 4, 1))]


def test_a_sample_that_would_not_fit_in_memory_is_no_row(tmp_path: Path) -> None:
    texts = [(f"b.{number}.txt", b"a" * (16 << 20)) for number in range(5)]
    path = write_tar(tmp_path / "s.tar.gz", [("a.png", make_png(1)), *texts, ("b.png", make_png(2)), *make_samples(1)])
    rows = [
        parse_line(place.number, line, image_key="image", output_key="pers_qa")
        for line, place in open_one(path).lines(START_POSITION)
    ]
    assert [isinstance(row, BadRow) for row in rows] == [False, True, False]
    assert isinstance(rows[1], BadRow)
    assert "the texts and names of the sample b have more than 64 MiB" in rows[1].message


def test_the_names_of_a_sample_take_memory_too(tmp_path: Path) -> None:
    names = [f"b.{number}{'x' * 30_000}.png" for number in range(600)]
    path = write_tar(tmp_path / "s.tar", [("a.png", make_png(1)), *((name, b"") for name in names), *make_samples(1)])
    lines = [line for line, _ in open_one(path).lines(START_POSITION)]
    assert [isinstance(line, BrokenLine) for line in lines] == [False, True, False]


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE])
def test_a_name_that_would_not_fit_in_memory_breaks_the_archive(kind: bytes, tmp_path: Path) -> None:
    header = tarfile.TarInfo("long")
    header.type, header.size = kind, 2 << 20
    data = write_tar(tmp_path / "s.tar", make_samples(1)).read_bytes()
    (tmp_path / "s.tar").write_bytes(header.tobuf() + b"1" * header.size + data)
    with pytest.raises(SettingsError, match=r"can't be read: the header at byte 0 has 2,097,152 bytes"):
        rows_of(open_one(tmp_path / "s.tar"))
