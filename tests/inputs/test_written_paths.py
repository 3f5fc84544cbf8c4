"""Paths are replaced in the line, and nothing else; what is written can be read from the output's folder."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from persqa_client.images.references import is_bare_base64, read_reference
from persqa_client.inputs.rows import parse_line
from persqa_client.inputs.written_paths import PathStyle, PathWriter
from persqa_client.types import BadRow, Row


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``work`` with pictures and an output folder; the working directory."""
    for name in ("in/a b.jpg", "in/100%.jpg", "in/50%20off.jpg", "other/c.jpg", "other/x.tar#y.jpg", "out/qa.jsonl"):
        path = tmp_path / "work" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def writer(style: PathStyle, folder: Path) -> PathWriter:
    return PathWriter(style, (Path("in"), Path("other")), os.path.realpath(folder))


@pytest.mark.parametrize(
    ("reference", "relative", "absolute"),
    [
        ("a b.jpg", "../in/a b.jpg", "{work}/in/a b.jpg"),
        ("c.jpg", "../other/c.jpg", "{work}/other/c.jpg"),
        ("./../in/a b.jpg", "../in/a b.jpg", "{work}/in/a b.jpg"),
        ("{work}/other/c.jpg", "../other/c.jpg", "{work}/other/c.jpg"),
        ("file://{work}/in/a%20b.jpg", "../in/a b.jpg", "{work}/in/a b.jpg"),
        ("100%.jpg", "../in/100%.jpg", "{work}/in/100%.jpg"),
        ("50%20off.jpg", "../in/50%20off.jpg", "{work}/in/50%20off.jpg"),
        ("x.tar#y.jpg", "../other/x.tar#y.jpg", "{work}/other/x.tar#y.jpg"),
        ("missing.tar#y.jpg", "../in/missing.tar#y.jpg", "{work}/in/missing.tar#y.jpg"),
        ("missing.jpg", "../in/missing.jpg", "{work}/in/missing.jpg"),
        ("data:image/png;base64,iVBORw0KGgo=", None, None),
        ("https://example.com/a.jpg", None, None),
        ("file://host/a.jpg", None, None),
    ],
)
def test_a_reference_is_written_in_the_style(
    reference: str, relative: str | None, absolute: str | None, work: Path
) -> None:
    given = reference.format(work=work)
    assert writer("relative", work / "out").write(given) == (relative or given)
    assert writer("absolute", work / "out").write(given) == (absolute or given).format(work=work)
    is_absolute = given.startswith(("/", "file:///"))
    assert writer("resolvable", work / "out").write(given) == (given if is_absolute else relative or given)


BASE64_NAMES = (
    "/9j/4AAQSkZJRgABAQAAAQABAAD" + "A" * 90,
    "image/png;base64," + "A" * 120,
    "iVBORw0KGgo" + "aB3" * 70,
)


@pytest.mark.parametrize(
    "name", ["data:x.png", "DATA:,", " data:x.png", "http:/x.png", "file:/x.png", "s3:x.png", *BASE64_NAMES]
)
@pytest.mark.parametrize("style", ["relative", "absolute", "resolvable"])
def test_what_is_written_for_a_path_is_read_as_that_path(style: PathStyle, name: str, work: Path) -> None:
    """Of a picture in the folder of the output, whose name looks like a URL, a ``data:`` URI or base64."""
    name = name.lstrip("/")
    picture = work / "out" / name
    picture.parent.mkdir(parents=True, exist_ok=True)
    picture.write_bytes(b"picture")
    for roots, given in ((("out", "in"), f"./{name}"), ((".",), f"out/{name}")):
        paths = PathWriter(style, tuple(map(Path, roots)), os.path.realpath(work / "out"))
        written = paths.write(given)
        assert read_reference(written, (work / "out",)) == b"picture"
        assert read_reference(paths.resolve((written,))[0], ()) == b"picture"


def test_the_path_of_a_picture_in_the_folder_of_the_output(work: Path) -> None:
    paths = writer("relative", work / "out")
    for name, written in (("data:x.png", "./data:x.png"), ("x.png", "x.png"), ("s3:x.png", "s3:x.png")):
        assert paths.write(f"{work}/out/{name}") == written


def test_a_name_like_base64_is_a_path_where_such_a_file_is(work: Path) -> None:
    for name in BASE64_NAMES[1:]:
        assert writer("relative", work / "out").write(name) == name
        (work / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (work / "in" / name).write_bytes(b"x")
        written = writer("relative", work / "out").write(name)
        assert (work / "out" / written).read_bytes() == b"x"
        assert not is_bare_base64(written)


@pytest.mark.parametrize("is_there", [False, True])
def test_a_path_in_the_home_folder(is_there: bool, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Path(os.path.realpath(work)) / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    if is_there:
        (home / "later.jpg").touch()
    roots = (Path("in"), Path())
    assert PathWriter("absolute", roots, "").write("~/later.jpg") == str(home / "later.jpg")
    assert PathWriter("relative", roots, str(home.parent / "out")).write("~/later.jpg") == "../home/later.jpg"


def test_only_the_value_of_the_image_member_changes(work: Path) -> None:
    line = '{ "n":1.50,"image" : ["a b.jpg" , "missing.jpg"],"é": "a b.jpg", "image2":"c.jpg"}'.encode()
    row = parse_line(1, line, image_key="image", output_key="qa")
    new = writer("relative", work / "out").rewrite(row, "image")
    assert isinstance(new, Row)
    assert new.line == line.replace(b'["a b.jpg"', b'["../in/a b.jpg"').replace(b"missing", b"../in/missing", 1)
    assert (new.given, new.images) == (line, ("a b.jpg", "missing.jpg"))
    single = parse_line(1, b'{"image": "c.jpg"}', image_key="image", output_key="qa")
    assert writer("relative", work / "out").rewrite(single, "image").line == b'{"image": "../other/c.jpg"}'


def test_an_invalid_row_is_rewritten_if_its_paths_can_be_read(work: Path) -> None:
    bad = parse_line(1, b'{"image": "c.jpg", "question": 1}', image_key="image", output_key="qa")
    assert isinstance(bad, BadRow)
    assert writer("relative", work / "out").rewrite(bad, "image").line == b'{"image": "../other/c.jpg", "question": 1}'
    for line in (b"no json", b'{"image": 1}', b"[]", b'{"n": 1}', b'{"image": "\\u0000"'):
        row = parse_line(1, line, image_key="image", output_key="qa")
        assert writer("relative", work / "out").rewrite(row, "image") == row


def test_the_written_path_holds_through_symbolic_links(work: Path) -> None:
    (work.parent / "disk" / "results").mkdir(parents=True)
    (work.parent / "disk" / "photos").mkdir()
    (work.parent / "disk" / "photos" / "d.jpg").write_bytes(b"x")
    (work / "linked").symlink_to(work.parent / "disk" / "results")
    (work / "photos").symlink_to(work.parent / "disk" / "photos")
    for reference in ("a b.jpg", "photos/d.jpg", "photos/../photos/d.jpg"):
        paths = PathWriter("relative", (Path("in"), Path()), os.path.realpath(work / "linked"))
        written = paths.write(reference)
        assert (work / "linked" / written).read_bytes() == b"x", written
        assert Path(paths.resolve((written,))[0]).read_bytes() == b"x"


def test_what_is_written_is_json_for_any_name(work: Path) -> None:
    name = os.fsdecode(b'caf\xe9 "1".jpg')
    Path(os.path.join("in", name)).write_bytes(b"x")
    row = parse_line(1, json.dumps({"image": name}).encode(), image_key="image", output_key="qa")
    new = writer("relative", work / "out").rewrite(row, "image")
    assert json.loads(new.line)["image"] == f"../in/{name}"
