"""Preparing images of each format: what is sent, and which files are rejected."""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from PIL import Image

from persqa_client.errors import RowError
from persqa_client.images.jpeg import strip_jpeg
from persqa_client.images.png import strip_png
from persqa_client.images.prepare import load_image
from persqa_client.images.sizes import fit_size
from persqa_client.images.tokens import MAX_RATIO, MIN_SIDE
from persqa_client.images.webp import strip_webp
from persqa_client.types import EncodedImage
from tests.images import image_files
from tests.images.image_files import (
    BLUE,
    HEIC,
    RED,
    WHITE,
    check_and_decode,
    corner_colours,
    encode,
    is_near,
    make_exif,
    red_and_blue,
)

PHOTO = image_files.decode(image_files.SAMPLES[0].read_bytes())
MAX_PIXELS = 10_000_000


def load(data: bytes, folder: Path, *, name: str = "image", max_pixels: int = MAX_PIXELS) -> EncodedImage:
    (folder / name).write_bytes(data)
    return load_image(name, [folder], max_pixels=max_pixels)


def error_code(data: bytes, folder: Path, *, name: str = "image") -> str:
    """The code of the error, whose message must name the image in one sentence."""
    (folder / name).write_bytes(data)
    with pytest.raises(RowError) as caught:
        load_image(name, [folder], max_pixels=MAX_PIXELS)
    message = caught.value.message
    assert message.startswith(f"{name} ")
    assert message.endswith(".")
    assert "\n" not in message
    return caught.value.code


@pytest.mark.parametrize("orientation", [None, 1])
@pytest.mark.parametrize("settings", [{}, {"progressive": True}], ids=["baseline", "progressive"])
def test_an_upright_jpeg_is_sent_as_it_is(
    orientation: int | None, settings: Mapping[str, object], tmp_path: Path
) -> None:
    data = image_files.jpeg_with_metadata(PHOTO, orientation=orientation, **settings)
    encoded = load(data, tmp_path)
    assert encoded.data == strip_jpeg(data).data
    assert check_and_decode(encoded).tobytes() == image_files.decode(data).tobytes()


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_plain_png_is_sent_as_it_is(mode: str, tmp_path: Path) -> None:
    data = image_files.png_with_metadata(PHOTO.convert(mode))
    encoded = load(data, tmp_path)
    assert encoded.data == strip_png(data).data
    assert check_and_decode(encoded).tobytes() == PHOTO.convert(mode).tobytes()


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("lossless", [False, True])
def test_a_plain_webp_is_sent_as_it_is(lossless: bool, mode: str, tmp_path: Path) -> None:
    data = image_files.webp_with_metadata(PHOTO.convert(mode), 1, lossless=lossless)
    encoded = load(data, tmp_path)
    assert (encoded.data, encoded.media_type) == (strip_webp(data).data, "image/webp")
    assert image_files.decode_rgb_bytes(encoded.data) == image_files.decode_rgb_bytes(data)


@pytest.mark.parametrize("kind", ["animated", "alpha", "rotated", "too large"])
def test_any_other_webp_is_encoded_again(kind: str, tmp_path: Path) -> None:
    image = Image.new("RGBA", (200, 100), (*RED, 128)) if kind == "alpha" else red_and_blue(200, 100)
    more = {"save_all": True, "append_images": [Image.new("RGB", (200, 100))]} if kind == "animated" else {}
    data = image_files.webp_with_metadata(image, 6 if kind == "rotated" else None, lossless=True, **more)
    encoded = load(data, tmp_path, max_pixels=200 * 100 - (kind == "too large"))
    # Lossless drawings of few colours stay lossless.
    assert encoded.media_type == ("image/png" if kind in ("rotated", "too large") else "image/jpeg")
    check_and_decode(encoded)


@pytest.mark.parametrize("mode", ["P", "1", "RGBA", "RGB"])
def test_a_graphic_keeps_its_edges(mode: str, tmp_path: Path) -> None:
    """Thin red lines on blue, which chroma subsampling would blur."""
    image = Image.new("RGB", (400, 300), BLUE)
    for x in range(0, 400, 4):
        image.paste(RED, (x, 0, x + 1, 300))
    stored = image.convert(mode, dither=Image.Dither.NONE)
    encoded = load(encode(stored, "BMP" if mode == "RGB" else "PNG"), tmp_path)
    assert encoded.media_type == "image/png"
    assert check_and_decode(encoded).convert("RGB").tobytes() == stored.convert("RGB").tobytes()


def test_a_transparent_photo_becomes_a_jpeg_with_all_its_colours(tmp_path: Path) -> None:
    encoded = load(encode(PHOTO.convert("RGBA").resize((300, 200)), "PNG"), tmp_path)
    assert encoded.media_type == "image/jpeg"
    opened = Image.open(io.BytesIO(encoded.data))
    assert [layer[1:3] for layer in opened.layer] == [(1, 1)] * 3  # type: ignore[attr-defined]


FILES: dict[str, bytes] = {
    "JPEG": image_files.jpeg_with_metadata(red_and_blue(200, 100)),
    "PNG": image_files.png_with_metadata(red_and_blue(200, 100)),
    "JPEG in CMYK": encode(red_and_blue(200, 100).convert("CMYK"), "JPEG"),
    "PNG palette": encode(red_and_blue(200, 100).quantize(4), "PNG"),
    "PNG with 8 bits of alpha": encode(red_and_blue(200, 100).convert("RGBA"), "PNG"),
    "GIF": encode(red_and_blue(200, 100), "GIF", comment=b"secret note"),
    "animated GIF": encode(red_and_blue(200, 100), "GIF", save_all=True, append_images=[Image.new("RGB", (200, 100))]),
    "BMP": encode(red_and_blue(200, 100), "BMP"),
    "TIFF": encode(red_and_blue(200, 100), "TIFF", exif=make_exif()),
    "TIFF with LZW": encode(red_and_blue(200, 100), "TIFF", compression="tiff_lzw"),
    "WebP": encode(red_and_blue(200, 100), "WEBP", exif=make_exif(), xmp=image_files.XMP),
    "animated WebP": encode(
        red_and_blue(200, 100), "WEBP", save_all=True, append_images=[Image.new("RGB", (200, 100))], lossless=True
    ),
    "AVIF": encode(red_and_blue(200, 100), "AVIF", exif=make_exif()),
}


@pytest.mark.parametrize("kind", FILES)
def test_every_format_is_read_whatever_its_name(kind: str, tmp_path: Path) -> None:
    image = check_and_decode(load(FILES[kind], tmp_path, name="a.heic"))
    assert image.size == (200, 100)
    left, right = corner_colours(image.convert("RGB"))
    assert is_near(left, RED, 20)
    assert is_near(right, BLUE, 20)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "WEBP", "AVIF"])
def test_an_image_is_rotated_upright_once(format: str, orientation: int, tmp_path: Path) -> None:
    stored = red_and_blue(200, 100)
    image = check_and_decode(load(encode(stored, format, exif=make_exif(orientation)), tmp_path)).convert("RGB")
    assert image.size == ((100, 200) if orientation > 4 else (200, 100))
    first, last = (BLUE, RED) if orientation in (2, 3, 7, 8) else (RED, BLUE)
    assert is_near(corner_colours(image)[0], first, 20)
    assert is_near(corner_colours(image)[1], last, 20)


def test_a_heic_is_rotated_upright_and_loses_its_metadata(tmp_path: Path) -> None:
    image = check_and_decode(load(HEIC, tmp_path))
    assert image.size == (32, 64)
    assert is_near(corner_colours(image)[0], RED)
    assert is_near(corner_colours(image)[1], BLUE)


def test_a_heic_with_unknown_metadata_is_read(tmp_path: Path) -> None:
    """pi-heif 1.4 crashes the process when it reads such metadata."""
    assert load(HEIC.replace(b"\0\0Exif\0", b"\0\0uri!\0", 1), tmp_path).width == 32


def test_transparent_pixels_become_white(tmp_path: Path) -> None:
    clear = Image.new("RGBA", (80, 80), (0, 0, 0, 0))
    half = Image.new("LA", (80, 80), (0, 128))
    palette = Image.new("P", (80, 80), 1)
    palette.putpalette([0, 0, 0, *image_files.GREEN])
    assert is_near(check_and_decode(load(encode(clear, "PNG"), tmp_path)).getpixel((9, 9)), WHITE)
    assert is_near(check_and_decode(load(encode(half, "PNG"), tmp_path)).getpixel((9, 9)), (127, 127, 127))
    assert is_near(check_and_decode(load(encode(palette, "PNG", transparency=1), tmp_path)).getpixel((9, 9)), WHITE)
    assert is_near(
        check_and_decode(load(encode(palette, "PNG", transparency=b"\0\xff"), tmp_path)).getpixel((9, 9)),
        image_files.GREEN,
    )
    assert is_near(check_and_decode(load(encode(clear, "WEBP", lossless=True), tmp_path)).getpixel((9, 9)), WHITE)
    keyed = encode(Image.new("RGB", (80, 80), RED), "PNG", transparency=RED)
    assert is_near(check_and_decode(load(keyed, tmp_path)).getpixel((9, 9)), WHITE)


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
def test_grey_of_any_depth_is_scaled_and_not_clipped(
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
    decoded = check_and_decode(load(encode(image, "TIFF"), tmp_path))
    for band, value in enumerate(expected):
        assert is_near(decoded.getpixel((band * 32 + 16, 16)), (value,) * 3, 3)


def test_a_16_bit_png_is_scaled(tmp_path: Path) -> None:
    assert is_near(
        check_and_decode(load(encode(Image.new("I;16", (80, 80), 32896), "PNG"), tmp_path)).getpixel((9, 9)),
        (128,) * 3,
        2,
    )


@pytest.mark.parametrize("max_pixels", [1_300, 20_000, 100_000, 199_999])
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_an_image_that_is_too_large_is_reduced_to_the_limit(format: str, max_pixels: int, tmp_path: Path) -> None:
    source = PHOTO.resize((500, 400))
    encoded = load(encode(source, format, exif=make_exif(6)), tmp_path, max_pixels=max_pixels)
    check_and_decode(encoded)
    assert encoded.width * encoded.height <= max_pixels
    assert encoded.width * encoded.height > max_pixels * 0.9
    assert encoded.width / encoded.height == pytest.approx(400 / 500, rel=0.06)


# Sizes that servers refused in public reports, with their message "must be larger than factor", and what is sent.
@pytest.mark.parametrize(
    ("size", "max_pixels", "expected"),
    [
        pytest.param((257, 27), MAX_PIXELS, (305, 32), id="ollama/ollama#11297: Qwen2.5-VL"),
        pytest.param((305, 30), MAX_PIXELS, (325, 32), id="ollama/ollama#13113: Qwen3-VL"),
        pytest.param((16, 16), MAX_PIXELS, (32, 32), id="zai-org/GLM-V#146: GLM-4.1V"),
        pytest.param((690, 15_420), 514 * 23, (32, 715), id="QwenLM/Qwen3-VL#220: after scaling down"),
        pytest.param((31, 639), 20 * 28 * 28, (32, 660), id="QwenLM/Qwen3-VL#1145"),
        pytest.param((1, 1), MAX_PIXELS, (32, 32), id="one pixel"),
        pytest.param((1, 199), MAX_PIXELS, (32, 6_368), id="the longest"),
        pytest.param((32, 32), MAX_PIXELS, (32, 32), id="large enough"),
        pytest.param((40, 8_000 - 1), 100_000, (32, 6_399), id="the ratio stays below 200:1"),
        pytest.param((71, 14_190), 1_003_520, (70, 13_999), id="also after scaling down"),
    ],
)
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF"])
def test_sides_are_at_least_32_pixels(
    size: tuple[int, int], max_pixels: int, expected: tuple[int, int], format: str, tmp_path: Path
) -> None:
    if format == "GIF":
        size, expected = size[::-1], expected[::-1]
    encoded = load(encode(Image.new("L", size, 200), format), tmp_path, max_pixels=max_pixels)
    assert (encoded.width, encoded.height) == expected
    assert is_near(check_and_decode(encoded).convert("RGB").getpixel((20, 20)), (200, 200, 200))


@given(st.integers(1, 20_000), st.integers(1, 20_000), st.integers(784, 20_000_000))
def test_a_size_to_send_suits_every_model(width: int, height: int, max_pixels: int) -> None:
    assume(max(width, height) < MAX_RATIO * min(width, height))
    fitted = fit_size((width, height), max_pixels)
    assert min(fitted) >= MIN_SIDE
    assert max(fitted) < MAX_RATIO * min(fitted)
    assert fitted[0] * fitted[1] <= max_pixels or min(fitted) == MIN_SIDE
    assert fit_size(fitted, max_pixels) == fitted
    if width * height <= max_pixels and min(width, height) >= MIN_SIDE:
        assert fitted == (width, height)


def test_an_enlarged_drawing_stays_lossless_and_keeps_its_colours(tmp_path: Path) -> None:
    encoded = load(encode(red_and_blue(20, 10), "PNG"), tmp_path)
    assert (encoded.media_type, encoded.width, encoded.height) == ("image/png", 64, 32)
    assert corner_colours(check_and_decode(encoded)) == (RED, BLUE)


def test_reducing_in_the_decoder_equals_reducing_afterwards(tmp_path: Path) -> None:
    jpeg = check_and_decode(load(encode(PHOTO, "JPEG", quality=95), tmp_path, max_pixels=10_000))
    png = check_and_decode(load(encode(PHOTO, "PNG"), tmp_path, max_pixels=10_000))
    differences = [abs(a - b) for a, b in zip(jpeg.tobytes(), png.tobytes(), strict=True)]
    assert sum(differences) / len(differences) < 4


def test_small_drawings_stay_lossless(tmp_path: Path) -> None:
    encoded = load(encode(red_and_blue(), "GIF"), tmp_path)
    assert encoded.media_type == "image/png"
    assert check_and_decode(encoded).convert("RGB").tobytes() == red_and_blue().tobytes()


def test_an_image_too_long_for_a_jpeg_becomes_a_png(tmp_path: Path) -> None:
    """A JPEG has at most 65,500 pixels per side."""
    encoded = load(encode(Image.new("P", (66_000, 400)), "PNG"), tmp_path, max_pixels=10**9)
    assert (encoded.media_type, encoded.width) == ("image/png", 66_000)


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
def test_a_file_that_is_no_image_is_rejected_whatever_its_name(data: bytes, tmp_path: Path) -> None:
    assert error_code(data, tmp_path, name="a.jpg") == "image_not_a_picture"


def test_an_image_of_another_format_is_unsupported(tmp_path: Path) -> None:
    assert error_code(b"8BPS\0\1" + bytes(99), tmp_path, name="a.jpg") == "image_unsupported"


@pytest.mark.parametrize("part", [0.03, 0.3, 0.6, 0.8])
@pytest.mark.parametrize("kind", [*(kind for kind in FILES if kind != "animated GIF"), "HEIC"])
def test_a_truncated_file_is_rejected(kind: str, part: float, tmp_path: Path) -> None:
    data = {**FILES, "HEIC": HEIC}[kind].removesuffix(image_files.MOTION_VIDEO).removesuffix(b"PK\x03\x04 GPS 48N2E")
    assert error_code(data[: max(18, int(len(data) * part))], tmp_path) == "image_truncated"


def test_garbage_after_a_heic_header_is_rejected(tmp_path: Path) -> None:
    garbage = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0\0\0\x30meta" + bytes(40)
    assert error_code(garbage, tmp_path) == "image_truncated"


def test_ratios_of_200_to_1_are_rejected(tmp_path: Path) -> None:
    assert load(encode(Image.new("RGB", (199 * 40, 40)), "PNG"), tmp_path).width == 199 * 40
    assert error_code(encode(Image.new("RGB", (200 * 5, 5)), "PNG"), tmp_path) == "image_extreme_ratio"
    assert error_code(encode(Image.new("L", (5, 1000)), "JPEG"), tmp_path) == "image_extreme_ratio"
    assert error_code(encode(Image.new("L", (5, 1000)), "GIF"), tmp_path) == "image_extreme_ratio"


@pytest.mark.parametrize("side", [14_143, 25_000, 60_000])
def test_a_decompression_bomb_is_rejected_without_a_warning(side: int, tmp_path: Path) -> None:
    gif = b"GIF89a" + struct.pack("<HHBBB", side, side, 0, 0, 0) + b"\x2c" + struct.pack("<HHHHB", 0, 0, side, side, 0)
    runs = struct.pack("<2sIIIIiiHHIIiiII", b"BM", 99, 0, 54, 40, side, side, 1, 8, 1, 0, 0, 0, 0, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert error_code(image_files.make_png_bomb(side, side), tmp_path) == "image_bomb"
        assert error_code(gif + b"\x02\x02\x4c\x01\0\x3b", tmp_path) == "image_bomb"
        assert error_code(runs + bytes(99), tmp_path) == "image_bomb"


@pytest.mark.parametrize("side", [15_000, 60_000])
def test_a_gif_frame_far_larger_than_the_gif_is_a_bomb(side: int, tmp_path: Path) -> None:
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, side, side, 0) + b"\x02\x02\x4c\x01\0"
    gif = b"GIF89a" + struct.pack("<HHBBB", 9, 9, 0, 0, 0) + frame + b"\x3b"
    assert error_code(gif, tmp_path) == "image_bomb"


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_large_image_within_the_limit_is_no_bomb(tmp_path: Path) -> None:
    """Pillow warns above 89 million pixels. Its limit is global to the process, so it is not changed."""
    data = encode(Image.new("1", (10_000, 9_200)), "TIFF", compression="group4")
    assert load(data, tmp_path, max_pixels=10_000).width <= 105
