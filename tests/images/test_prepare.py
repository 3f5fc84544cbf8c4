"""What goes over the wire for each kind of picture file: the bytes, the turning, the reductions and the refusals."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Mapping
from pathlib import Path

import pytest
from PIL import Image

from persqa_client.errors import RowError
from persqa_client.images.jpeg import read_jpeg
from persqa_client.images.png import read_png
from persqa_client.images.prepare import load_image
from persqa_client.images.webp import read_webp
from persqa_client.types import EncodedImage
from tests.images import pictures
from tests.images.pictures import BLUE, HEIC, RED, WHITE, corners, exif, file_of, near, shows, two_halves

PHOTO = pictures.opened(pictures.SAMPLES[0].read_bytes())
PLENTY = 10_000_000


def load(data: bytes, folder: Path, *, name: str = "picture", max_pixels: int = PLENTY) -> EncodedImage:
    (folder / name).write_bytes(data)
    return load_image(name, [folder], max_pixels=max_pixels)


def refused(data: bytes, folder: Path, *, name: str = "picture") -> str:
    """The code; the message is held to naming the picture in one sentence."""
    (folder / name).write_bytes(data)
    with pytest.raises(RowError) as caught:
        load_image(name, [folder], max_pixels=PLENTY)
    message = caught.value.message
    assert message.startswith(f"{name} ")
    assert message.endswith(".")
    assert "\n" not in message
    return caught.value.code


@pytest.mark.parametrize("orientation", [None, 1])
@pytest.mark.parametrize("settings", [{}, {"progressive": True}], ids=["baseline", "progressive"])
def test_an_upright_jpeg_goes_out_as_its_own_bytes(
    orientation: int | None, settings: Mapping[str, object], tmp_path: Path
) -> None:
    data = pictures.talkative_jpeg(PHOTO, orientation=orientation, **settings)
    picture = load(data, tmp_path)
    assert picture.data == read_jpeg(data).data
    assert shows(picture).tobytes() == pictures.opened(data).tobytes()


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_plain_png_goes_out_as_its_own_bytes(mode: str, tmp_path: Path) -> None:
    data = pictures.talkative_png(PHOTO.convert(mode))
    picture = load(data, tmp_path)
    assert picture.data == read_png(data).data
    assert shows(picture).tobytes() == PHOTO.convert(mode).tobytes()


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("lossless", [False, True])
def test_a_plain_webp_goes_out_as_its_own_bytes(lossless: bool, mode: str, tmp_path: Path) -> None:
    data = pictures.talkative_webp(PHOTO.convert(mode), 1, lossless=lossless)
    picture = load(data, tmp_path)
    assert (picture.data, picture.media_type) == (read_webp(data).data, "image/webp")
    assert pictures.pixels(picture.data) == pictures.pixels(data)


@pytest.mark.parametrize("kind", ["animated", "alpha", "turned", "too big"])
def test_any_other_webp_is_drawn_anew(kind: str, tmp_path: Path) -> None:
    image = Image.new("RGBA", (200, 100), (*RED, 128)) if kind == "alpha" else two_halves(200, 100)
    more = {"save_all": True, "append_images": [Image.new("RGB", (200, 100))]} if kind == "animated" else {}
    data = pictures.talkative_webp(image, 6 if kind == "turned" else None, lossless=True, **more)
    picture = load(data, tmp_path, max_pixels=200 * 100 - (kind == "too big"))
    assert picture.media_type == "image/jpeg"
    shows(picture)


FILES: dict[str, bytes] = {
    "JPEG": pictures.talkative_jpeg(two_halves(200, 100)),
    "PNG": pictures.talkative_png(two_halves(200, 100)),
    "JPEG in CMYK": file_of(two_halves(200, 100).convert("CMYK"), "JPEG"),
    "PNG palette": file_of(two_halves(200, 100).quantize(4), "PNG"),
    "PNG with 8 bits of alpha": file_of(two_halves(200, 100).convert("RGBA"), "PNG"),
    "GIF": file_of(two_halves(200, 100), "GIF", comment=b"secret note"),
    "animated GIF": file_of(two_halves(200, 100), "GIF", save_all=True, append_images=[Image.new("RGB", (200, 100))]),
    "BMP": file_of(two_halves(200, 100), "BMP"),
    "TIFF": file_of(two_halves(200, 100), "TIFF", exif=exif()),
    "TIFF with LZW": file_of(two_halves(200, 100), "TIFF", compression="tiff_lzw"),
    "WebP": file_of(two_halves(200, 100), "WEBP", exif=exif(), xmp=pictures.XMP),
    "animated WebP": file_of(
        two_halves(200, 100), "WEBP", save_all=True, append_images=[Image.new("RGB", (200, 100))], lossless=True
    ),
    "AVIF": file_of(two_halves(200, 100), "AVIF", exif=exif()),
}


@pytest.mark.parametrize("kind", FILES)
def test_every_kind_of_file_shows_the_same_whatever_its_name_says(kind: str, tmp_path: Path) -> None:
    image = shows(load(FILES[kind], tmp_path, name="a.heic"))
    assert image.size == (200, 100)
    left, right = corners(image.convert("RGB"))
    assert near(left, RED, 20)
    assert near(right, BLUE, 20)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "WEBP", "AVIF"])
def test_a_picture_is_turned_upright_once(format: str, orientation: int, tmp_path: Path) -> None:
    stored = two_halves(200, 100)
    image = shows(load(file_of(stored, format, exif=exif(orientation)), tmp_path)).convert("RGB")
    assert image.size == ((100, 200) if orientation > 4 else (200, 100))
    first, last = (BLUE, RED) if orientation in (2, 3, 7, 8) else (RED, BLUE)
    assert near(corners(image)[0], first, 20)
    assert near(corners(image)[1], last, 20)


def test_a_heic_is_turned_upright_and_loses_its_metadata(tmp_path: Path) -> None:
    image = shows(load(HEIC, tmp_path))
    assert image.size == (16, 32)
    assert near(corners(image)[0], RED)
    assert near(corners(image)[1], BLUE)


def test_a_heic_with_metadata_of_a_foreign_type_is_read(tmp_path: Path) -> None:
    """Asking pi-heif 1.4 for such metadata ends the process, so none is asked for."""
    assert load(HEIC.replace(b"\0\0Exif\0", b"\0\0uri!\0", 1), tmp_path).width == 16


def test_what_is_transparent_is_laid_on_white(tmp_path: Path) -> None:
    clear = Image.new("RGBA", (80, 80), (0, 0, 0, 0))
    half = Image.new("LA", (80, 80), (0, 128))
    palette = Image.new("P", (80, 80), 1)
    palette.putpalette([0, 0, 0, *pictures.GREEN])
    assert near(shows(load(file_of(clear, "PNG"), tmp_path)).getpixel((9, 9)), WHITE)
    assert near(shows(load(file_of(half, "PNG"), tmp_path)).getpixel((9, 9)), (127, 127, 127))
    assert near(shows(load(file_of(palette, "PNG", transparency=1), tmp_path)).getpixel((9, 9)), WHITE)
    assert near(shows(load(file_of(palette, "PNG", transparency=b"\0\xff"), tmp_path)).getpixel((9, 9)), pictures.GREEN)
    assert near(shows(load(file_of(clear, "WEBP", lossless=True), tmp_path)).getpixel((9, 9)), WHITE)
    keyed = file_of(Image.new("RGB", (80, 80), RED), "PNG", transparency=RED)
    assert near(shows(load(keyed, tmp_path)).getpixel((9, 9)), WHITE)


@pytest.mark.parametrize(
    ("mode", "values", "expected"),
    [
        pytest.param("I;16", [0, 32896, 65535], [0, 128, 255], id="16 bit"),
        pytest.param("I;16B", [0, 0x8080 >> 8 | (0x8080 & 255) << 8, 65535], [0, 128, 255], id="16 bit, big-endian"),
        pytest.param("I", [0, 32896, 65535], [0, 128, 255], id="32 bit holding 16"),
        pytest.param("I", [-1000, 0, 1000], [0, 128, 255], id="32 bit with negatives"),
        pytest.param("F", [0.0, 0.5, 1.0], [0, 128, 255], id="floating point from 0 to 1"),
        pytest.param("F", [0.0, 100.0, 250.0], [0, 100, 250], id="floating point from 0 to 255"),
        pytest.param("1", [0, 255, 255], [0, 255, 255], id="1 bit"),
    ],
)
def test_grey_of_any_depth_is_scaled_and_not_cut_off(
    mode: str, values: list[float], expected: list[int], tmp_path: Path
) -> None:
    """Three bands, wide enough that JPEG does not blur their middles."""
    kind, size = ("f", 4) if mode == "F" else ("i", 4) if mode == "I" else ("H", 2)
    if mode == "1":
        image = Image.new("L", (96, 32), 255)
        image.paste(0, (0, 0, 32, 32))
        image = image.convert("1")
    else:
        row = b"".join(struct.pack(f"<{kind}", value)[:size] * 32 for value in values)
        image = Image.frombytes(mode, (96, 32), row * 32)
    picture = shows(load(file_of(image, "TIFF"), tmp_path))
    for band, value in enumerate(expected):
        assert near(picture.getpixel((band * 32 + 16, 16)), (value,) * 3, 3)


def test_a_16_bit_png_is_scaled(tmp_path: Path) -> None:
    assert near(
        shows(load(file_of(Image.new("I;16", (80, 80), 32896), "PNG"), tmp_path)).getpixel((9, 9)), (128,) * 3, 2
    )


@pytest.mark.parametrize("max_pixels", [1, 2, 777, 20_000, 100_000, 199_999])
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_a_picture_too_big_is_reduced_to_just_within_the_limit(format: str, max_pixels: int, tmp_path: Path) -> None:
    source = PHOTO.resize((500, 400))
    picture = load(file_of(source, format, exif=exif(6)), tmp_path, max_pixels=max_pixels)
    shows(picture)
    assert picture.width * picture.height <= max_pixels
    if max_pixels > 700:
        assert picture.width * picture.height > max_pixels * 0.9
        assert picture.width / picture.height == pytest.approx(400 / 500, rel=0.06)


def test_reducing_in_the_decoder_shows_what_reducing_afterwards_shows(tmp_path: Path) -> None:
    jpeg = shows(load(file_of(PHOTO, "JPEG", quality=95), tmp_path, max_pixels=10_000))
    png = shows(load(file_of(PHOTO, "PNG"), tmp_path, max_pixels=10_000))
    differences = [abs(a - b) for a, b in zip(jpeg.tobytes(), png.tobytes(), strict=True)]
    assert sum(differences) / len(differences) < 4


def test_small_drawings_stay_lossless(tmp_path: Path) -> None:
    picture = load(file_of(two_halves(), "GIF"), tmp_path)
    assert picture.media_type == "image/png"
    assert shows(picture).convert("RGB").tobytes() == two_halves().tobytes()


def test_the_largest_limit_lets_no_jpeg_get_too_long(tmp_path: Path) -> None:
    """JPEG ends at 65,500 pixels a side; what is longer and has to be encoded becomes a PNG."""
    picture = load(file_of(Image.new("P", (66_000, 400)), "PNG"), tmp_path, max_pixels=10**9)
    assert (picture.media_type, picture.width) == ("image/png", 66_000)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"<svg xmlns='http://www.w3.org/2000/svg'/>", id="SVG"),
        pytest.param(b"<!DOCTYPE html><title>404</title>", id="HTML"),
        pytest.param(b"Not found\n", id="text"),
        pytest.param(b"%PDF-1.7\n", id="PDF"),
        pytest.param(bytes(99), id="zeros"),
    ],
)
def test_what_is_no_picture_is_told_so_whatever_its_name(data: bytes, tmp_path: Path) -> None:
    assert refused(data, tmp_path, name="a.jpg") == "image_not_a_picture"


def test_a_picture_of_a_kind_that_is_not_read_is_unsupported(tmp_path: Path) -> None:
    assert refused(b"8BPS\0\1" + bytes(99), tmp_path, name="a.jpg") == "image_unsupported"


def test_colours_that_cannot_be_turned_into_rgb_are_unsupported(tmp_path: Path) -> None:
    lab = Image.frombytes("LAB", (70, 70), bytes(3 * 70 * 70))
    assert refused(file_of(lab, "TIFF"), tmp_path) == "image_unsupported"


@pytest.mark.parametrize("part", [0.03, 0.3, 0.6, 0.98])
@pytest.mark.parametrize("kind", [*FILES, "HEIC"])
def test_a_file_cut_off_is_truncated(kind: str, part: float, tmp_path: Path) -> None:
    data = {**FILES, "HEIC": HEIC}[kind].removesuffix(pictures.MOTION_VIDEO).removesuffix(b"PK\x03\x04 GPS 48N2E")
    assert refused(data[: max(18, int(len(data) * part))], tmp_path) == "image_truncated"


def test_rubbish_behind_a_heic_header_is_truncated(tmp_path: Path) -> None:
    rubbish = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0\0\0\x30meta" + bytes(40)
    assert refused(rubbish, tmp_path) == "image_truncated"


def test_extreme_ratios_begin_at_200_to_1(tmp_path: Path) -> None:
    assert load(file_of(Image.new("RGB", (199 * 5, 5)), "PNG"), tmp_path).width == 199 * 5
    assert refused(file_of(Image.new("RGB", (200 * 5, 5)), "PNG"), tmp_path) == "image_extreme_ratio"
    assert refused(file_of(Image.new("L", (5, 1000)), "JPEG"), tmp_path) == "image_extreme_ratio"
    assert refused(file_of(Image.new("L", (5, 1000)), "GIF"), tmp_path) == "image_extreme_ratio"


@pytest.mark.parametrize("side", [14_143, 25_000, 60_000])
def test_a_decompression_bomb_is_refused_and_no_warning_of_pillows_gets_out(side: int, tmp_path: Path) -> None:
    gif = b"GIF89a" + struct.pack("<HHBBB", side, side, 0, 0, 0) + b"\x2c" + struct.pack("<HHHHB", 0, 0, side, side, 0)
    runs = struct.pack("<2sIIIIiiHHIIiiII", b"BM", 99, 0, 54, 40, side, side, 1, 8, 1, 0, 0, 0, 0, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert refused(pictures.bomb_png(side, side), tmp_path) == "image_bomb"
        assert refused(gif + b"\x02\x02\x4c\x01\0\x3b", tmp_path) == "image_bomb"
        assert refused(runs + bytes(99), tmp_path) == "image_bomb"


@pytest.mark.parametrize("side", [15_000, 60_000])
def test_a_frame_far_bigger_than_the_gif_is_a_bomb(side: int, tmp_path: Path) -> None:
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, side, side, 0) + b"\x02\x02\x4c\x01\0"
    gif = b"GIF89a" + struct.pack("<HHBBB", 9, 9, 0, 0, 0) + frame + b"\x3b"
    assert refused(gif, tmp_path) == "image_bomb"


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_big_picture_within_the_limit_is_no_bomb(tmp_path: Path) -> None:
    """Pillow warns from 89 million pixels on; its limit is the whole process's, so it is left alone."""
    data = file_of(Image.new("1", (10_000, 9_200)), "TIFF", compression="group4")
    assert load(data, tmp_path, max_pixels=10_000).width <= 105
