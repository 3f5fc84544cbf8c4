"""The pictures of an export: names, copies, links, sent pictures, and those that can't be exported."""

from __future__ import annotations

import base64
import io
import os
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from persqa_client.errors import RowError
from persqa_client.formats.layout import PictureLimits
from persqa_client.formats.pictures import PictureSettings, PictureWriter, SentForm, choose_picture_name
from tests.formats.examples import draw_picture

# A file of Linux that has a size and can only be written.
UNREADABLE = Path("/sys/bus/platform/drivers_probe")


def make_writer(tmp_path: Path, **settings: Any) -> PictureWriter:
    folder = tmp_path / "hidden"
    folder.mkdir(exist_ok=True)
    known: dict[str, Any] = {"choice": "copy", "target": tmp_path / "data", "limits": PictureLimits()}
    return PictureWriter(PictureSettings(**(known | settings)), folder)


def place(writer: PictureWriter, root: Path, *references: str) -> tuple[str, ...]:
    return writer.place(references, (root,), SentForm())


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("a.jpg", "a.jpg"),
        ("./bo/1.png", "bo/1.png"),
        ("../photos/1.png", "photos/1.png"),
        ("/data/people/bo/1.png", "bo/1.png"),
        ("file:///data/bo/1%20a.png", "bo/1 a.png"),
        ("小满/照片.jpg", "小满/照片.jpg"),
        ("a/../../b.png", "b.png"),
        (".hidden/-x.png", "hidden/x.png"),
        ("<image>.png", "_image_.png"),
        ('a"b\nc.png', "a_b_c.png"),
        ("..", "image"),
        ("https://a.example/bo/caf%C3%A9%201.png?size=2", "café 1.png"),
        ("https://a.example/", "image"),
        (f"{'x' * 300}.png", f"{'x' * 116}.png"),
        (f"{'照' * 83}.png", f"{'照' * 65}.png"),
    ],
)
def test_names_are_those_of_the_rows_inside_the_folder(reference: str, name: str) -> None:
    assert choose_picture_name(reference) == name


def test_a_picture_is_written_once_and_names_never_collide(tmp_path: Path) -> None:
    for number, name in enumerate(("one/1.png", "two/1.png", "1.png", "1.PNG")):
        draw_picture(tmp_path / name, number)
    writer = make_writer(tmp_path)
    first, again = place(writer, tmp_path / "one", "1.png", str(tmp_path / "one" / "1.png"))
    assert first == again == "images/1.png"
    others = [place(writer, tmp_path / "two", "1.png"), place(writer, tmp_path, "1.png", "1.PNG")]
    assert others == [("images/1-2.png",), ("images/1-3.png", "images/1-4.PNG")]
    assert writer.file_count == 4
    assert (tmp_path / "hidden/images/1-2.png").read_bytes() == (tmp_path / "two/1.png").read_bytes()


def test_names_that_are_one_on_some_systems_get_a_number(tmp_path: Path) -> None:
    writer, placed = make_writer(tmp_path), list[str]()
    for form in ("NFC", "NFD"):
        name = unicodedata.normalize(form, "사진/강아지.png")
        draw_picture(tmp_path / form / name, len(placed))
        placed += place(writer, tmp_path / form, name)
    assert [unicodedata.normalize("NFC", each) for each in placed] == [
        "images/사진/강아지.png",
        "images/사진/강아지-2.png",
    ]


def test_names_of_255_bytes_that_are_taken_get_a_number(tmp_path: Path) -> None:
    name = f"{'照' * 83}.jpeg"
    assert len(name.encode()) >= 254
    for folder in ("a", "b"):
        draw_picture(tmp_path / folder / name, ord(folder))
    writer = make_writer(tmp_path)
    (one,), (other,) = (place(writer, tmp_path / folder, name) for folder in ("a", "b"))
    assert one != other
    assert (tmp_path / "hidden" / other).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize("names", [("img", "img/1.png", "img/2.png", "IMG"), ("img/1.png", "img/2.png", "img")])
def test_a_file_and_a_folder_of_one_name_are_told_apart(names: tuple[str, ...], tmp_path: Path) -> None:
    for number, name in enumerate(names):
        draw_picture(tmp_path / str(number) / name, number, format="PNG")
    writer = make_writer(tmp_path)
    placed = [place(writer, tmp_path / str(number), name)[0] for number, name in enumerate(names)]
    for number, (name, written) in enumerate(zip(names, placed, strict=True)):
        assert (tmp_path / "hidden" / written).read_bytes() == (tmp_path / str(number) / name).read_bytes()
    folders = {written.rpartition("/")[0] for name, written in zip(names, placed, strict=True) if "/" in name}
    assert len(folders) == 1


@pytest.mark.skipif(not UNREADABLE.exists(), reason="needs a file that can't be read by any user")
def test_a_picture_that_cannot_be_read_leaves_its_row_out_with_all_of_it(tmp_path: Path) -> None:
    for number, name in enumerate(("a.png", "b.png")):
        draw_picture(tmp_path / name, number)
    writer = make_writer(tmp_path)
    place(writer, tmp_path, "a.png")
    with pytest.raises(RowError) as error:
        place(writer, tmp_path, "a.png", "b.png", str(UNREADABLE))
    assert error.value.code == "image_unreadable"
    assert error.value.message.startswith(f"{UNREADABLE} cannot be read")
    assert list(writer.names) == ["a.png"]
    assert [path.name for path in (tmp_path / "hidden").rglob("*.*")] == ["a.png"]


def test_a_link_is_the_same_file_and_a_left_picture_stays(tmp_path: Path) -> None:
    draw_picture(tmp_path / "a.png", 1)
    (linked,) = place(make_writer(tmp_path, choice="link"), tmp_path, "a.png")
    assert os.path.samefile(tmp_path / "hidden" / linked, tmp_path / "a.png")
    assert place(make_writer(tmp_path, choice="leave"), tmp_path, "a.png") == (str(tmp_path / "a.png"),)


def test_absolute_paths_are_those_of_the_finished_export(tmp_path: Path) -> None:
    draw_picture(tmp_path / "a.png", 1)
    (path,) = place(make_writer(tmp_path, absolute=True), tmp_path, "a.png")
    assert path == str(tmp_path / "data" / "images" / "a.png")


def test_a_sent_picture_is_upright_and_has_no_metadata(tmp_path: Path) -> None:
    picture = Image.new("RGB", (120, 60), (200, 30, 30))
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "Camera"
    picture.save(tmp_path / "turned.jpg", exif=exif)
    (as_it_is,) = place(make_writer(tmp_path), tmp_path, "turned.jpg")
    assert (tmp_path / "hidden" / as_it_is).read_bytes() == (tmp_path / "turned.jpg").read_bytes()
    (sent,) = place(make_writer(tmp_path, sent=True), tmp_path, "turned.jpg")
    with Image.open(tmp_path / "hidden" / sent) as image:
        assert (image.size, dict(image.getexif())) == ((60, 120), {})


def test_a_picture_in_the_row_becomes_a_file_or_stays_in_it(tmp_path: Path) -> None:
    draw_picture(tmp_path / "a.png", 1)
    data = (tmp_path / "a.png").read_bytes()
    uri = f"data:image/png;base64,{base64.b64encode(data).decode()}"
    (name,) = place(make_writer(tmp_path), tmp_path, uri)
    assert name.startswith("images/data-")
    assert (tmp_path / "hidden" / name).read_bytes() == data
    assert place(make_writer(tmp_path, choice="embed"), tmp_path, uri, "a.png") == (uri, uri)
    with pytest.raises(RowError) as error:
        place(make_writer(tmp_path, choice="leave"), tmp_path, uri)
    assert error.value.code == "image_inline"


def test_nothing_of_a_row_is_written_if_one_picture_is_missing(tmp_path: Path) -> None:
    draw_picture(tmp_path / "a.png", 1)
    (tmp_path / "empty.png").touch()
    for missing, code in (("b.png", "image_missing"), ("empty.png", "image_empty"), ("https://x/y", "image_remote")):
        with pytest.raises(RowError) as error:
            place(make_writer(tmp_path), tmp_path, "a.png", missing)
        assert error.value.code == code
    assert not (tmp_path / "hidden" / "images").exists()


def test_what_the_consumer_does_not_take_is_refused(tmp_path: Path) -> None:
    draw_picture(tmp_path / "a.png", 1)
    Image.new("RGB", (64, 64)).save(tmp_path / "a.gif")
    limits = PictureLimits(frozenset({"image/png"}), max_bytes=len((tmp_path / "a.png").read_bytes()), max_count=2)
    writer = make_writer(tmp_path, choice="embed", limits=limits)
    assert len(place(writer, tmp_path, "a.png", "a.png")) == 2
    draw_picture(tmp_path / "large.png", 2, (640, 480))
    for references, code in (
        (("a.png",) * 3, "too_many_images"),
        (("a.gif",), "image_type"),
        (("large.png",), "image_too_large"),
    ):
        with pytest.raises(RowError) as error:
            place(writer, tmp_path, *references)
        assert error.value.code == code


def test_sent_pictures_of_a_type_that_is_refused_are_written_as_another(tmp_path: Path) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "a.gif")
    limits = PictureLimits(frozenset({"image/jpeg", "image/png"}))
    (uri,) = place(make_writer(tmp_path, choice="embed", limits=limits, sent=True), tmp_path, "a.gif")
    header, _, data = uri.partition(";base64,")
    with Image.open(io.BytesIO(base64.b64decode(data))) as image:
        assert header == f"data:image/{(image.format or '').lower()}"
