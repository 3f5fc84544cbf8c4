"""What kind of input a name stands for, and the one sentence for inputs that are not read."""

from __future__ import annotations

import bz2
import io
import json
import os
import sqlite3
import tarfile
import zipfile
from pathlib import Path

import orjson
import pytest
from PIL import Image

from persqa_client.errors import SettingsError
from persqa_client.inputs.files import FileSource
from persqa_client.inputs.folders import FolderSource
from persqa_client.inputs.json_values import JsonValuesSource
from persqa_client.inputs.listed import is_never_known
from persqa_client.inputs.opening import expand_existing, names_input, open_inputs, open_source
from persqa_client.inputs.path_lists import PathListSource
from persqa_client.inputs.patterns import PatternSource
from persqa_client.inputs.rows import parse_line
from persqa_client.inputs.sources import ImagesSource, SeveralSource, Source
from persqa_client.inputs.tables import TableSource
from persqa_client.types import START_POSITION, Row

ROW = {"id": "1", "image": "1.jpg", "boxes": [{"of": "bo", "xyxy": [1, 2, 3, 4]}]}


def rows_of(source: Source) -> list[object]:
    return [orjson.loads(line) for line, _ in source.lines(START_POSITION) if line]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        pytest.param("", FileSource, id="empty"),
        pytest.param('{"image": "a.jpg"}\n', FileSource, id="JSONL"),
        pytest.param('"a.jpg"\n"b.jpg"\n', FileSource, id="JSON strings"),
        pytest.param('oops\n{"image": "a.jpg"}\n', FileSource, id="JSONL, its first line broken"),
        pytest.param('{"image": "a.jpg",\n{"image": "b.jpg"}\n', FileSource, id="JSONL, its first line cut off"),
        pytest.param('{"image": "a.jp', FileSource, id="JSONL of one line, cut off"),
        pytest.param(json.dumps([ROW]), JsonValuesSource, id="array on one line"),
        pytest.param(json.dumps([ROW], indent=4), JsonValuesSource, id="array over several lines"),
        pytest.param('[\n"a.jpg",\n"b.jpg"\n]', JsonValuesSource, id="array of paths"),
        pytest.param(json.dumps(ROW, indent=2), JsonValuesSource, id="an object over several lines"),
        pytest.param("image;tag\na.jpg;bo\n", TableSource, id="CSV"),
        pytest.param("a.jpg\n\nphotos/b, c.PNG\r\n", PathListSource, id="paths"),
        pytest.param("https://example.org/a.jpg?x=1\n", PathListSource, id="URLs"),
    ],
)
def test_the_content_decides_which_kind_a_file_is(text: str, kind: type, tmp_path: Path) -> None:
    (tmp_path / "input").write_text(text, newline="")
    assert type(open_source(tmp_path / "input", "image")) is kind


def test_the_suffix_of_jsonl_decides_where_the_content_does_not(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text("not json\n" * 30 + '{"image": "a.jpg"}\n')
    assert type(open_source(tmp_path / "rows.jsonl", "image")) is FileSource


BROKEN_SECOND = '{"image": "b.jpg", "t": "x\n{"image": "c.jpg"}\n{"image": "d.jpg"}\n'


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\x1e"])
@pytest.mark.parametrize("name", ["rows.jsonl", "rows.txt"])
def test_lines_end_at_line_ends_alone(separator: str, name: str, tmp_path: Path) -> None:
    """The characters at which ``str.splitlines`` splits, too, are no ends of lines."""
    path = tmp_path / name
    path.write_text(f'{{"image": "a.jpg", "t": "Hello,{separator}world"}}\n{BROKEN_SECOND}', newline="")
    source = open_source(path, "image")
    assert (type(source), sum(1 for _ in source.lines(START_POSITION))) == (FileSource, 4)
    path.write_text(f"q{separator}r,image\nx,a.jpg\n", newline="")
    assert len(rows_of(open_source(path, "image"))) == 1
    path.write_text(f"a{separator}b.jpg\nc.jpg\n", newline="")
    assert rows_of(open_source(path, "image")) == [{"image": f"a{separator}b.jpg"}, {"image": "c.jpg"}]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        pytest.param('{"image": "a.jpg",\n' + BROKEN_SECOND, FileSource, id="the first rows are broken"),
        pytest.param('{"image": ["a.jpg",\n"b.jpg"\n', FileSource, id="a row over two lines, without an end"),
        pytest.param('"caf\\u00e9.jpg"\n"x\\p.jpg"\n', FileSource, id="a path with a wrong escape"),
        pytest.param('{"image": "a.jpg",\n"q": "x"}\n', JsonValuesSource, id="an object"),
        pytest.param('{\n"image": "a.jpg"\n', JsonValuesSource, id="an object without an end"),
        pytest.param('["a.jpg", "b.jpg"]\n', JsonValuesSource, id="an array on one line"),
        pytest.param('[\n{"image": "a.jpg"},\n{"image": "b.jpg}\n]\n', JsonValuesSource, id="a broken array"),
        pytest.param('{"image": "a.jpg"},\n{"image": "b.jpg"}\n', JsonValuesSource, id="an array without its brackets"),
        pytest.param(
            '{"image": "a.jpg"},\n{"image": "b.jpg},\n{"image": "c.jpg"},\n',
            JsonValuesSource,
            id="one with a broken row",
        ),
    ],
)
def test_a_file_named_jsonl_has_lines_unless_it_surely_is_one_value(text: str, kind: type, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(text)
    assert type(open_source(tmp_path / "rows.jsonl", "image")) is kind


@pytest.mark.parametrize(
    "second", ['{"image": "b.jpg", "t": "x', '{"image": "b.jpg"', "[1, 2", 'see "x"', '"b.jpg"', '{"image": "b.jpg"}']
)
def test_a_comma_behind_the_first_row_alone_costs_no_later_row(second: str, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(f'{{"image": "a.jpg"}},\n{second}\n"c.jpg"\n"d.jpg"\n{{"image": "e.jpg"}}\n')
    lines = [line for line, _ in open_source(tmp_path / "rows.jsonl", "image").lines(START_POSITION)]
    assert lines[2:] == [b'"c.jpg"', b'"d.jpg"', b'{"image": "e.jpg"}']


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json"])
def test_arrays_on_lines_are_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text('["a.jpg"]\n\n["b.jpg"]\n')
    with pytest.raises(SettingsError, match="has an array on each line, which is no row; write an object for each"):
        open_source(tmp_path / name, "image")


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        pytest.param("{0}a.jpg\n{0}# more\n{0}b.jpg\n", ["a.jpg", "b.jpg"], id="lists"),
        pytest.param('{0}"C:\\p\\a.jpg"\n{0}"C:\\p\\b.jpg"\n', ["C:\\p\\a.jpg", "C:\\p\\b.jpg"], id="quoted paths"),
        pytest.param("{0}{0}image,q\na.jpg,x\n{0}b.jpg,y\n", ["a.jpg", "b.jpg"], id="tables"),
        pytest.param('{0}{0}sep=,\n{0}image,q\n{0}"a.jpg",x\n', ["a.jpg"], id="a table for Excel"),
        pytest.param('{0}{0}["a.jpg",\n"b.jpg"]\n{0}', ["a.jpg", "b.jpg"], id="an array"),
        pytest.param('{0}"a.jpg"\n{0}{0}"b.jpg"\n', ["a.jpg", "b.jpg"], id="JSONL"),
    ],
)
def test_byte_order_marks_of_files_that_were_put_together_are_no_text(
    text: str, rows: list[str], tmp_path: Path
) -> None:
    (tmp_path / "input").write_text(text.replace("{0}", "\ufeff"), newline="")
    source = open_source(tmp_path / "input", "image")
    found = [
        parse_line(1, line, image_key="image", output_key="out") for line, _ in source.lines(START_POSITION) if line
    ]
    assert [row.images for row in found if isinstance(row, Row)] == [(each,) for each in rows]
    assert len(found) == len(rows)


NULL_ROW = '{"image": "nu\0ll.jpg"}'


@pytest.mark.parametrize(
    ("name", "text", "kind", "count"),
    [
        pytest.param("rows.jsonl", f'{{"image": "a.jpg"}}\n{NULL_ROW}\n', FileSource, 2, id="JSONL"),
        pytest.param("rows.jsonl", f'{NULL_ROW}\n{{"image": "a.jpg"}}\n', FileSource, 2, id="JSONL, its first line"),
        pytest.param("rows.jsonl", "\0" * 70_000 + '\n"a.jpg"\n', FileSource, 2, id="JSONL, its first block"),
        pytest.param("rows.txt", f'{{"image": "a.jpg"}}\n{NULL_ROW}\n', FileSource, 2, id="JSONL of another name"),
        pytest.param("rows", 'x\0\n{"image": "a.jpg"}\n', FileSource, 2, id="JSONL of another name, first line"),
        pytest.param("rows.json", f'["a.jpg", {NULL_ROW}]', JsonValuesSource, 2, id="array on one line"),
        pytest.param("rows.json", f'[\n"a.jpg",\n{NULL_ROW}\n]', JsonValuesSource, 2, id="array over several lines"),
        pytest.param("rows.json", '{\n"image":\n"nu\0ll.jpg"\n}\n', JsonValuesSource, 1, id="object"),
        pytest.param("rows.csv", "image,q\na.jpg,Who?\nb.jpg,Wh\0o?\n", TableSource, 2, id="table"),
        pytest.param("list.txt", "a.jpg\nnu\0ll.jpg\n", PathListSource, 2, id="list"),
        pytest.param("list.txt", "a.jpg\n" * 5000 + "nu\0ll.jpg\n", PathListSource, 5001, id="far behind"),
    ],
)
def test_a_null_character_is_left_to_its_row(name: str, text: str, kind: type, count: int, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    source = open_source(tmp_path / name, "image")
    assert (type(source), sum(1 for _ in source.lines(START_POSITION))) == (kind, count)


def test_a_list_of_paths_gives_a_row_for_each_line(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes(b'\xef\xbb\xbfa.jpg\r\n\r\n "C:\\b c.png"\r\nd,e.jpg')
    source = open_source(tmp_path / "list.txt", "picture")
    whole = list(source.lines(START_POSITION))
    assert [line for line, _ in whole] == [
        b'{"picture": "a.jpg"}', b"", b'{"picture": "C:\\\\b c.png"}', b'{"picture": "d,e.jpg"}'
    ]  # fmt: skip
    for number, (_, position) in enumerate(whole, 1):
        assert list(source.lines(position)) == whole[number:]
        assert source.digest_at(position) == position.digest


def write_archive(path: Path) -> None:
    with tarfile.open(path, "w") as archive:
        archive.addfile(tarfile.TarInfo("a.jpg"), io.BytesIO())


# The header of a file of which nothing is there.
TAR_START = tarfile.TarInfo("a.json").tobuf()[:-1] + b"x"


def write_zip(path: Path, name: str) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, "x")


def write_database(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("create table rows (image text)")
    database.close()


@pytest.mark.parametrize(
    ("name", "write", "message"),
    [
        ("a.parquet", lambda path: path.write_bytes(b"PAR1\x15\x04\x15"), "a Parquet file, but can't be read: Parquet"),
        ("a.arrow", lambda path: path.write_bytes(b"ARROW1\0\0"), "an Arrow file, but can't be read: "),
        ("a.rows", lambda path: path.write_bytes(b"PAR1"), "a Parquet file; give it a name that ends with .parquet"),
        ("a.db", write_database, "an SQLite database; write its rows to a JSONL"),
        ("a.zip", lambda path: write_zip(path, "a.jpg"), "a ZIP archive; unpack it"),
        ("a.xlsx", lambda path: write_zip(path, "xl/workbook.xml"), "a spreadsheet; save it as CSV"),
        ("a.bin", write_archive, "a tar archive; give it a name that ends with .tar, .tar.gz or .tgz"),
        ("a.tar", lambda path: path.write_bytes(TAR_START), "a tar archive, but can't be read: "),
        ("a.bz2", lambda path: path.write_bytes(bz2.compress(b"{}")), "compressed with bzip2; decompress it"),
        ("a.html", lambda path: path.write_text("<!DOCTYPE html><p>"), "an HTML page, not rows; give a JSONL file"),
        ("a.xml", lambda path: path.write_text("<?xml version='1.0'?><a/>"), "an XML file, not rows"),
        ("a.yaml", lambda path: path.write_text("rows:\n- image: a.jpg\n"), "seems to be YAML, not rows"),
        ("a.toml", lambda path: path.write_text("[run]\nimage = 1\n"), "has neither rows nor paths of images"),
        ("a.txt", lambda path: path.write_text("Dear reader,\nthis is a letter.\n"), "has neither rows nor paths"),
        ("http://host/a.jsonl", lambda path: None, "is a URL; download it"),
        ("a/*.jpg", lambda path: None, "matches no file: there is no folder a; check it"),
        ("phots/*.jpg", lambda path: Path("photos").mkdir(), r"no folder phots \(did you mean photos/\?\); check"),
        ("", lambda path: None, "No input is given"),
    ],
)
def test_an_input_of_another_kind_is_refused_in_one_sentence(
    name: str, write: object, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert callable(write)
    monkeypatch.chdir(tmp_path)
    write(Path(name))
    with pytest.raises(SettingsError, match=message) as caught:
        open_inputs([name] if name else [], "image")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        pytest.param(
            [{"images": ["photos/1.jpg"], "messages": []}] * 2,
            "none of its first 2 rows .*: add --image-key images",
            id="images",
        ),
        pytest.param(
            [{"messages": [{"parts": {"at": "photos/1.jpg"}}]}],
            "only 'messages'; the pictures stand inside 'messages': copy",
            id="parts",
        ),
        pytest.param(
            [{"image": {"path": "a.jpg", "bytes": None}}],
            "field 'image' of .* has neither a path nor",
            id="objects",
        ),
        pytest.param([{"picture": "a.jpg", "n": 1}], "add --image-key picture", id="other key"),
        pytest.param(
            [{"input": "https://example.org/a.jpg"}, *[{"input": "Some text"}] * 9, {"input": "", "pic": "a.jpg"}],
            "the pictures seem to stand under 'pic'",
            id="a text that is an image's URL",
        ),
        pytest.param([{"messages": []}], "name the field with the paths", id="no pictures"),
        pytest.param(
            [{"messages": [], "videos": ["a.mp4"]}] * 2,
            "only 'messages', 'videos'; the rows have a video under 'videos', and only pictures are read",
            id="videos",
        ),
        pytest.param([{"data": [{"image": "a.jpg"}], "version": 1}], "its rows under 'data'; save that", id="wrapped"),
        pytest.param(
            [{"train/1.png": [], "train/2.png": []}], "its keys are paths of pictures: write", id="paths as keys"
        ),
        pytest.param(
            [{"0": "a.png", "1": "b.png", "2": "c.png"}], "its values are paths of pictures: write", id="paths by name"
        ),
        pytest.param(
            [{"a long name " * 90: 1, "n": 2}],
            "only 'a long name a long name a long name a lo…', 'n'; name",
            id="long keys",
        ),
    ],
)
@pytest.mark.parametrize("layout", ["lines", "array", "pretty"])
def test_rows_without_the_image_key_are_refused_with_the_way(
    rows: list[object], message: str, layout: str, tmp_path: Path
) -> None:
    texts = [json.dumps(row, indent=2 if layout == "pretty" else None) for row in rows]
    text = f"[{','.join(texts)}]" if layout == "array" else "\n".join(texts)
    (tmp_path / "rows.json").write_text(text)
    with pytest.raises(SettingsError, match=message) as caught:
        open_source(tmp_path / "rows.json", "image")
    assert str(caught.value).count(". ") == 0


@pytest.mark.parametrize(
    ("row", "message"),
    [
        pytest.param(
            {"image": "a.jpg", "category": "conv"}, "'category': 'conv' is not .* or rename the field", id="category"
        ),
        pytest.param({"image": "https://example.org/a.jpg"}, "a.jpg is not a local file; download it first", id="URLs"),
        pytest.param({"image": "a.jpg", "question": ["Who?"]}, "the field 'question' must be text", id="question"),
    ],
)
def test_rows_whose_fields_mean_something_else_are_refused(row: object, message: str, tmp_path: Path) -> None:
    """As in the questions of LLaVA's benchmarks. A few such rows fail alone."""
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join([json.dumps(row)] * 20))
    with pytest.raises(SettingsError, match=rf"none of its first 20 rows can be asked about. Line 1: .*{message}"):
        open_source(path, "image")
    path.write_text("\n".join([json.dumps(row)] * 20 + ['"a.jpg"']))
    assert len(rows_of(open_source(path, "image"))) == 21
    path.write_text(json.dumps(row))
    assert len(rows_of(open_source(path, "image"))) == 1


def test_one_row_with_the_image_key_is_enough(tmp_path: Path) -> None:
    rows = [{"text": "no picture"}] * 500 + [{"image": "a.jpg"}]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert len(rows_of(open_source(tmp_path / "rows.jsonl", "image"))) == 501


def test_several_inputs_and_patterns_are_read_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("photos/2.jpg", "photos/10.jpg", "more/2.png", "more/10.png", "more/[1].png", "single.jpg"):
        Path(name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 8)).save(name)
    Path("rows.jsonl").write_text('{"image": "a.jpg"}\n\n{"image": "b.jpg"}\n')
    Path("more/rows.csv").write_text("image\nc.jpg\n")
    names = ["rows.jsonl", "photos/", "more/*", "single.jpg", "more/[1].png"]
    source = open_inputs(names, "image")
    assert isinstance(source, SeveralSource)
    assert source.names == tuple(names)
    assert [row["image"] for row in rows_of(source) if isinstance(row, dict)] == [
        *("a.jpg", "b.jpg", ["photos/2.jpg"], ["photos/10.jpg"]),
        *(["more/2.png"], ["more/10.png"], ["more/[1].png"], "c.jpg", ["single.jpg"], ["more/[1].png"]),
    ]
    whole = list(source.lines(START_POSITION))
    total = source.progress_total()
    assert source.progress_at(whole[-1][1]) == total
    for number, (_, position) in enumerate(whole, 1):
        fresh = open_inputs(names, "image")
        assert fresh.digest_at(position) == position.digest
        assert list(fresh.lines(position)) == whole[number:]
        read = [open_inputs(names, "image").progress_at(each) for _, each in whole[:number]]
        assert read == sorted(read)


@pytest.mark.parametrize(
    ("pattern", "root", "names"),
    [
        ("*.jpg", ".", ["2.jpg", "10.jpg"]),
        ("./photos/[!d]*", "photos", ["1.png", "3"]),
        ("photos/../photos/**/*", "photos", ["1.png", "3", "deep/4.gif"]),
        ("p*/[0-9].png", ".", ["photos/1.png"]),
        ("{}/photos/[0-9]*", "photos", ["1.png", "3"]),
        ("~/ph?tos/1.png", ".", ["photos/1.png"]),
    ],
)
def test_a_pattern_names_images_from_its_folder(
    pattern: str, root: str, names: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("2.jpg", "10.jpg", "photos/1.png", "photos/3", "photos/deep/4.gif"):
        Path(name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 8)).save(name, format="GIF")
    pattern = pattern.format(tmp_path)
    source = open_inputs([pattern], "image")
    assert isinstance(source, PatternSource)
    assert source.root == str((tmp_path / root).resolve())
    assert list(source.find_names(is_never_known)) == names
    written = [row["image"][0] for row in rows_of(source) if isinstance(row, dict)]
    assert [Path(path).resolve() for path in written] == [(tmp_path / root / name).resolve() for name in names]
    assert [source.find_name(path) for path in written] == names


def test_the_name_of_many_inputs_is_short(tmp_path: Path) -> None:
    names = [str(tmp_path / f"{number}.jpg") for number in range(400)]
    for name in names:
        Image.new("RGB", (8, 8)).save(name)
    source = open_inputs(names, "image")
    assert isinstance(source, SeveralSource)
    assert source.name == f"{', '.join(names[:4])} and 396 others"
    assert source.names == tuple(names)
    assert open_inputs(names[:5], "image").name == ", ".join(names[:5])


@pytest.mark.parametrize("content", [b"", b"<!DOCTYPE html><p>", b'{"image": "a.jpg"}', b"PK\x03\x04"])
def test_a_broken_image_is_a_row_like_any_other(content: bytes, tmp_path: Path) -> None:
    """As in a folder: what a file holds does not change which rows the other files are."""
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "bad.png").write_bytes(content)
    (tmp_path / "scan.NEF").write_bytes(content)
    source = open_inputs([str(tmp_path / "*")], "image")
    assert isinstance(source, PatternSource)
    assert list(source.find_names(is_never_known)) == ["a.png", "bad.png", "scan.NEF"]
    names = [str(tmp_path / "a.png"), str(tmp_path / "bad.png")]
    assert rows_of(open_inputs(names, "image")) == [{"image": [name]} for name in names]


def test_a_pattern_leaves_out_what_is_no_input(tmp_path: Path) -> None:
    (tmp_path / "qa.jsonl").write_text("not rows\n")
    pattern = str(tmp_path / "*")
    with pytest.raises(SettingsError, match="matches no file but those of this run's output"):
        open_inputs([pattern], "image", leave_out=lambda path: path.name == "qa.jsonl")
    (tmp_path / "rows.jsonl").write_text('{"image": "a.jpg"}\n')
    source = open_inputs([pattern], "image", leave_out=lambda path: path.name == "qa.jsonl")
    assert rows_of(source) == [{"image": "a.jpg"}]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a?" * 150, "matches no file"),
        ("a" * 300, "does not exist"),
        ("https://example.org/rows.jsonl?x=1", "is a URL; download it"),
    ],
)
def test_what_no_file_can_be_named_is_one_sentence(name: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        open_inputs([name], "image")
    assert not names_input("https://example.org/a.jpg?x=1")


def test_an_image_on_standard_input_is_refused() -> None:
    picture = io.BytesIO()
    Image.new("RGB", (8, 8)).save(picture, format="PNG")
    with pytest.raises(SettingsError, match=r"^Standard input is an image, not rows; give the path of its file"):
        open_inputs(["-"], "image", standard_input=io.BytesIO(picture.getvalue()))


def test_one_path_is_a_source_of_its_own(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a [1].png")
    assert isinstance(open_inputs([tmp_path], "image"), FolderSource)
    assert isinstance(open_inputs([tmp_path / "a [1].png"], "image"), ImagesSource)
    assert open_inputs([str(tmp_path / "*.png")], "image").name == str(tmp_path / "*.png")


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        pytest.param(b'{"image": "a.jpg"}\n{"image": "b.jpg"}', [{"image": "a.jpg"}, {"image": "b.jpg"}], id="JSONL"),
        pytest.param(b"a.jpg\nb.jpg\n", [{"image": "a.jpg"}, {"image": "b.jpg"}], id="paths"),
        pytest.param(b"", [], id="nothing"),
    ],
)
def test_standard_input_is_read_like_a_file(content: bytes, rows: list[object]) -> None:
    source = open_inputs(["-"], "image", standard_input=io.BytesIO(content))
    assert source.name == "-"
    assert rows_of(source) == rows == rows_of(source)
    assert "can't be resumed" in source.warnings()[0]


def test_standard_input_is_named_in_messages_and_stands_alone(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^Standard input is compressed with gzip"):
        open_inputs(["-"], "image", standard_input=io.BytesIO(b"\x1f\x8b\x08"))
    with pytest.raises(SettingsError, match=r"^Standard input: its row does not have a field 'image'"):
        open_inputs(["-"], "image", standard_input=io.BytesIO(b'{"a": 1}'))
    with pytest.raises(SettingsError, match="can't be combined"):
        open_inputs(["-", str(tmp_path)], "image", standard_input=io.BytesIO())


def test_a_list_of_images_is_rows_but_one_of_inputs_is_not(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("image\na.jpg\n")
    assert not names_input("a.jpg")
    assert not names_input("absent")
    assert names_input(str(tmp_path))
    assert names_input(str(tmp_path / "rows.csv"))
    assert names_input("photos/*.jpg")


def test_a_match_that_is_a_broken_image_fails_alone(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "1.png")
    (tmp_path / "2.png").symlink_to("nowhere.png")
    (tmp_path / "3.png").touch()
    source = open_inputs([str(tmp_path / "*.png")], "image")
    assert isinstance(source, PatternSource)
    assert list(source.find_names(is_never_known)) == ["1.png", "2.png", "3.png"]
    (tmp_path / "rows.jsonl").symlink_to("nowhere.jsonl")
    message = rf"The pattern .*/\* matches {tmp_path}/rows.jsonl, a link to a file that does not exist; restore"
    with pytest.raises(SettingsError, match=message):
        open_inputs([str(tmp_path / "*")], "image")


@pytest.mark.parametrize("pattern", ["**/*.png", "**", "./**/**/*.png", "p*/**/*.png", "**/deep/**", "photos/**/?.png"])
def test_two_stars_do_not_follow_links_to_folders(
    pattern: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("photos/deep/[x]").mkdir(parents=True)
    Path("photos/.hidden").mkdir()
    names = ["photos/deep/1.png", "photos/deep/[x]/2.png"]
    for name in (*names, "photos/.hidden/3.png"):
        Image.new("RGB", (8, 8)).save(name)
    Path("photos/again").symlink_to("deep")
    Path("photos/deep/loop").symlink_to("..")
    source = open_inputs([pattern], "image")
    assert isinstance(source, PatternSource)
    assert [os.path.relpath(row["image"][0]) for row in rows_of(source) if isinstance(row, dict)] == names
    # A link that the pattern names is followed.
    assert len(rows_of(open_inputs(["photos/again/**/*.png"], "image"))) == 2


def test_the_home_of_no_user_is_an_input_that_does_not_exist() -> None:
    given = expand_existing("~no-such-user/photos")
    with pytest.raises(SettingsError, match="The input ~no-such-user/photos does not exist"):
        open_inputs([given], "image")
