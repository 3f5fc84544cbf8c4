"""An image that is decoded and encoded again keeps its colours."""

from __future__ import annotations

import io
import random
from pathlib import Path

import pytest
from PIL import Image, ImageChops, ImageDraw

from persqa_client.images.prepare import load_image
from tests.images.image_files import SAMPLES, encode, make_exif

PHOTO = Image.open(SAMPLES[0]).convert("RGB")
MEAN_LEVELS, LEVELS_OF_99_PERCENT = 3, 12


def measure_difference(first: Image.Image, second: Image.Image) -> tuple[float, int]:
    """Mean and 99th percentile of the differences of all channels."""
    levels = sorted(ImageChops.difference(first, second).tobytes())
    return sum(levels) / len(levels), levels[len(levels) * 99 // 100]


def make_colourful(width: int, height: int) -> Image.Image:
    """Coloured stripes and edges on a photo, which chroma subsampling would blur."""
    image = PHOTO.resize((width, height))
    for x in range(0, width, 24):
        image.paste(((x * 37) % 256, (x * 91) % 256, (x * 13) % 256), (x, 0, x + 9, height))
    return image


def make_grainy(width: int, height: int, grain: int) -> Image.Image:
    """A photo with noise of ``grain`` levels, as of a sensor in the dark."""
    photo = PHOTO.resize((width, height))
    noise = Image.frombytes("RGB", photo.size, random.Random(0).randbytes(3 * width * height))
    return ImageChops.add(photo, noise.point(lambda value: value * grain // 255), offset=-grain // 2)


def make_heat_map(width: int, height: int) -> Image.Image:
    """Measured values with noise, each shown as a colour of a palette from dark to light blue."""
    values = Image.frombytes("P", (width, height), bytes(random.Random(0).choices(range(8), k=width * height)))
    values.putpalette([channel for value in range(8) for channel in (value, 0, 60 + 8 * value)])
    return values


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(make_grainy(900, 600, 60), id="a grainy photo"),
        pytest.param(make_grainy(500, 400, 40), id="a small grainy photo"),
        pytest.param(make_heat_map(900, 600), id="a heat map"),
    ],
)
def test_grain_and_noise_are_kept(image: Image.Image, tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(encode(image, "TIFF"))
    sent = Image.open(io.BytesIO(load_image("image", [tmp_path], max_pixels=10**6).data))
    mean, most = measure_difference(sent.convert("RGB"), image.convert("RGB"))
    assert mean <= MEAN_LEVELS
    assert most <= LEVELS_OF_99_PERCENT


@pytest.mark.parametrize("size", [(128, 128), (640, 400), (1000, 700)])
@pytest.mark.parametrize("format", ["BMP", "TIFF"])
def test_a_colourful_image_keeps_its_colours(size: tuple[int, int], format: str, tmp_path: Path) -> None:
    image = make_colourful(*size)
    (tmp_path / "image").write_bytes(encode(image, format))
    sent = Image.open(io.BytesIO(load_image("image", [tmp_path], max_pixels=10**6).data))
    mean, most = measure_difference(sent.convert("RGB"), image)
    assert mean <= MEAN_LEVELS
    assert most <= LEVELS_OF_99_PERCENT


def test_a_rotated_photo_keeps_its_colours(tmp_path: Path) -> None:
    image = make_colourful(300, 200)
    data = encode(image, "JPEG", quality=95, subsampling=0, exif=make_exif(6))
    (tmp_path / "image").write_bytes(data)
    sent = Image.open(io.BytesIO(load_image("image", [tmp_path], max_pixels=10**6).data))
    expected = Image.open(io.BytesIO(data)).convert("RGB").transpose(Image.Transpose.ROTATE_270)
    mean, most = measure_difference(sent.convert("RGB"), expected)
    assert mean <= MEAN_LEVELS
    assert most <= LEVELS_OF_99_PERCENT


def draw_lines(width: int, height: int) -> Image.Image:
    """Thin slanted lines, like the strokes of small letters, over the whole image."""
    image = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(image)
    for x in range(-height, width, 17):
        draw.line((x, 0, x + height // 2, height), "black", 3)
    return image


@pytest.mark.parametrize("times", [pytest.param(times, id=f"{times} times the side") for times in (2.4, 2.9, 3.5, 4.5)])
@pytest.mark.parametrize(
    "image",
    [
        pytest.param(make_grainy(1200, 800, 120), id="a grainy photo"),
        pytest.param(draw_lines(1200, 800), id="lines"),
        pytest.param(draw_lines(1203, 807), id="lines, odd sides"),
    ],
)
def test_a_large_jpeg_is_reduced_as_if_after_decoding(image: Image.Image, times: float, tmp_path: Path) -> None:
    data = encode(image, "JPEG", quality=92)
    (tmp_path / "image").write_bytes(data)
    most_pixels = int(image.width * image.height / times**2)
    sent = Image.open(io.BytesIO(load_image("image", [tmp_path], max_pixels=most_pixels).data))
    expected = Image.open(io.BytesIO(data)).resize(sent.size, Image.Resampling.LANCZOS)
    mean, most = measure_difference(sent, expected)
    assert mean <= MEAN_LEVELS
    assert most <= LEVELS_OF_99_PERCENT
