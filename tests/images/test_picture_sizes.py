"""Images that are measured by their headers: the sizes and the codes are those of a run."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from PIL import Image

from persqa_client.errors import RowError
from persqa_client.images.prepare import PictureSize, load_image, measure_picture
from tests.images.invalid_files import INVALID_FILES


@pytest.mark.parametrize("suffix", ["jpg", "png", "gif", "bmp", "webp", "tif", "avif"])
def test_the_size_is_that_of_the_image(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"a.{suffix}"
    Image.new("RGB", (300, 200), "red").save(file)
    assert measure_picture(file.name, [tmp_path]) == PictureSize(file.stat().st_size, 300, 200)


def test_an_image_in_the_row_is_measured(tmp_path: Path) -> None:
    Image.new("RGB", (40, 30), "red").save(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    measured = measure_picture(f"data:image/png;base64,{base64.b64encode(data).decode()}", [])
    assert measured[1:] == (40, 30)


def test_only_the_header_is_read(tmp_path: Path) -> None:
    """So a file that is cut off is not noticed."""
    Image.effect_noise((500, 400), 90).save(tmp_path / "whole.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "whole.jpg").read_bytes()[:5000])
    assert measure_picture("cut.jpg", [tmp_path]) == PictureSize(5000, 500, 400)


@pytest.mark.parametrize(
    "name", ["none.png", "folder", "empty.png", "text.jpg", "long.png", "head.jpg", "http://h/a.jpg"]
)
def test_what_can_not_be_sent_has_the_code_of_a_run(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.jpg").write_text("no image at all")
    Image.new("RGB", (9000, 40)).save(tmp_path / "long.png")
    Image.new("RGB", (40, 40)).save(tmp_path / "head.jpg")
    (tmp_path / "head.jpg").write_bytes((tmp_path / "head.jpg").read_bytes()[:30])
    errors = find_errors(name, tmp_path)
    assert errors[0] == errors[1]


# The header of a plain file does not show that it is cut off.
WITH_WHOLE_HEADERS = {f"{format}, cut off" for format in ("JPEG", "PNG", "GIF", "WebP", "BMP")}


@pytest.mark.parametrize("kind", [kind for kind in INVALID_FILES if kind not in WITH_WHOLE_HEADERS])
def test_a_file_that_can_not_be_sent_has_the_code_of_a_run(tmp_path: Path, kind: str) -> None:
    data, code = INVALID_FILES[kind]
    (tmp_path / "image").write_bytes(data)
    errors = find_errors("image", tmp_path)
    assert errors[0] == errors[1]
    assert errors[0][0] == code


def find_errors(name: str, folder: Path) -> list[tuple[str, str]]:
    """The codes and messages of measuring a file and of loading it."""
    errors = []
    for read in (measure_picture, lambda *place: load_image(*place, max_pixels=10**6)):
        with pytest.raises(RowError) as error:
            read(name, [folder])
        errors.append((error.value.code, error.value.message))
    return errors
