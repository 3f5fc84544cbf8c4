"""Thumbnails are small, upright JPEG pictures; a picture without one has a reason."""

from __future__ import annotations

import base64
import io
from itertools import pairwise
from pathlib import Path

import pytest
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from persqa_client.images.sizes import fit_size, reduce_in_decoder
from persqa_client.report.thumbnails import (
    FIRST_REDUCTION,
    MAX_SIDE,
    Picture,
    make_thumbnail,
    make_thumbnails,
    sample_evenly,
)


def decode(uri: str) -> Image.Image:
    header, _, body = uri.partition(",")
    assert header == "data:image/jpeg;base64"
    return Image.open(io.BytesIO(base64.b64decode(body)))


@pytest.mark.parametrize(
    ("size", "expected"),
    [((1600, 800), (160, 80)), ((300, 900), (53, 160)), ((100, 60), (100, 60)), ((3000, 40), (160, 2))],
)
def test_the_longest_side_is_limited(tmp_path: Path, size: tuple[int, int], expected: tuple[int, int]) -> None:
    Image.new("RGB", size, "navy").save(tmp_path / "a.png")
    thumbnail = decode(make_thumbnail(Picture("a.png", (tmp_path,))).uri)
    assert max(thumbnail.size) <= MAX_SIDE
    assert thumbnail.size == pytest.approx(expected, abs=2)


def test_a_thumbnail_is_upright_and_without_metadata(tmp_path: Path) -> None:
    image = Image.new("RGB", (200, 100), "red")
    image.paste("blue", (0, 0, 100, 100))
    exif = image.getexif()
    exif[0x0112] = 6  # to be turned clockwise
    exif[0x010E] = "secret"
    image.save(tmp_path / "a.jpg", exif=exif)
    thumbnail = decode(make_thumbnail(Picture("a.jpg", (tmp_path,))).uri)
    assert thumbnail.height > thumbnail.width
    top = thumbnail.convert("RGB").getpixel((thumbnail.width // 2, 10))
    assert isinstance(top, tuple)
    assert top[2] > 200 > top[0]
    assert not thumbnail.getexif()


def test_the_decoder_reduces_a_photo_of_12_megapixels_to_a_quarter(tmp_path: Path) -> None:
    """Decoding it to a half takes half as long again."""
    Image.new("RGB", (4000, 3000), "navy").save(tmp_path / "a.jpg")
    with JpegImageFile(tmp_path / "a.jpg") as opened:
        reduce_in_decoder(opened, fit_size(opened.size, (FIRST_REDUCTION * MAX_SIDE) ** 2))
        assert opened.size == (1000, 750)


def test_a_photo_takes_a_few_kilobytes() -> None:
    samples = Path(__file__).parents[2] / "persqa_client" / "samples"
    thumbnails = make_thumbnails([Picture(path.name, (samples,)) for path in sorted(samples.glob("*.jpg"))])
    sizes = [len(thumbnail.uri) for thumbnail in thumbnails]
    assert max(sizes) < 12_000


def test_a_picture_that_cannot_be_read_has_a_reason(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"no picture")
    missing, text = make_thumbnails([Picture("b.jpg", (tmp_path,)), Picture("a.jpg", (tmp_path,))])
    assert missing.uri == text.uri == ""
    assert "b.jpg" in missing.problem
    assert "a.jpg" in text.problem


def test_a_data_uri_has_a_thumbnail() -> None:
    buffer = io.BytesIO()
    Image.new("RGBA", (32, 32), (0, 200, 0, 90)).save(buffer, "PNG")
    uri = f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
    assert decode(make_thumbnail(Picture(uri, ())).uri).mode == "RGB"


def test_a_sample_is_even() -> None:
    assert sample_evenly(3, 5) == [0, 1, 2]
    assert sample_evenly(10, 5) == [0, 2, 4, 6, 8]
    sample = sample_evenly(100_000, 2000)
    assert len(set(sample)) == 2000
    assert {after - before for before, after in pairwise(sample)} == {50}
