"""Converting images of any colour mode to 8-bit grey or RGB on white."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from PIL import Image

from persqa_client.images.colour import convert_to_8_bit, scale_transparent_colour
from persqa_client.images.prepare import load_image
from tests.images.image_files import check_and_decode, encode, is_near, make_png

LOW, HIGH = 0x4000, 0xC000
GREY, RGB, GREY_ALPHA, RGBA = 0, 2, 4, 6
WHITE = (255, 255, 255)


def halves(data: bytes, folder: Path) -> tuple[object, object]:
    """The colours in the left and the right half of the image that is sent."""
    (folder / "image").write_bytes(data)
    image = check_and_decode(load_image("image", [folder], max_pixels=10**6)).convert("RGB")
    return image.getpixel((8, 32)), image.getpixel((image.width - 8, 32))


def test_16_bits_are_rounded_to_8() -> None:
    image = Image.frombytes("I;16", (256, 1), struct.pack("<256H", *(value * 257 for value in range(256))))
    assert convert_to_8_bit(image).tobytes() == bytes(range(256))
    between = Image.frombytes("I;16", (4, 1), struct.pack("<4H", 128, 129, 385, 386))
    assert convert_to_8_bit(between).tobytes() == bytes([0, 1, 1, 2])


def make_row(*values: int) -> bytes:
    """A row of 64 pixels of 16 bits per channel: two halves."""
    half = len(values) // 2
    return struct.pack(f">{32 * len(values)}H", *(values[:half] * 32 + values[half:] * 32))


@pytest.mark.parametrize(
    ("depth", "colour", "row", "key", "expected"),
    [
        pytest.param(16, GREY, make_row(LOW, HIGH), None, (64, 191), id="16-bit grey"),
        pytest.param(16, GREY, make_row(LOW, HIGH), (HIGH,), (64, 255), id="16-bit grey with a transparent one"),
        pytest.param(16, GREY, make_row(LOW, HIGH), (64,), (64, 191), id="with another one"),
        pytest.param(16, RGB, make_row(LOW, LOW, LOW, HIGH, HIGH, HIGH), None, (64, 192), id="16-bit RGB"),
        pytest.param(16, RGB, make_row(LOW, LOW, LOW, HIGH, HIGH, HIGH), (HIGH,) * 3, (64, 255), id="and transparent"),
        pytest.param(16, GREY_ALPHA, make_row(LOW, 65535, LOW, 0), None, (64, 255), id="16-bit grey with alpha"),
        pytest.param(16, RGBA, make_row(LOW, LOW, LOW, 65535, 0, 0, 0, 0), None, (64, 255), id="16-bit RGBA"),
        pytest.param(4, GREY, b"\x44" * 16 + b"\xcc" * 16, None, (68, 204), id="4-bit grey"),
        pytest.param(4, GREY, b"\x44" * 16 + b"\xcc" * 16, (4,), (255, 204), id="4-bit grey with a transparent one"),
        pytest.param(2, GREY, b"\x55" * 8 + b"\x00" * 8, (1,), (255, 0), id="2-bit grey"),
        pytest.param(1, GREY, b"\x00" * 4 + b"\xff" * 4, (0,), (255, 255), id="1-bit grey"),
        pytest.param(8, GREY, bytes(32) + b"\xc0" * 32, (0,), (255, 192), id="8-bit grey"),
    ],
)
def test_pngs_of_any_depth_keep_their_greys_and_transparency(
    depth: int, colour: int, row: bytes, key: tuple[int, ...] | None, expected: tuple[int, int], tmp_path: Path
) -> None:
    left, right = halves(make_png(depth, colour, row, key), tmp_path)
    assert is_near(left, (expected[0],) * 3, 4)
    assert is_near(right, (expected[1],) * 3, 4)


def test_the_transparent_colour_of_a_palette_is_an_index() -> None:
    assert scale_transparent_colour("P", 4, 3) == 3
    assert scale_transparent_colour("P", 2, b"\0\xff") == b"\0\xff"


def entry(tag: int, kind: int, value: int) -> bytes:
    return struct.pack("<HHIHH", tag, kind, 1, value, 0)


def test_16_bits_in_which_0_is_white_are_inverted(tmp_path: Path) -> None:
    image = Image.frombytes("I;16", (64, 64), struct.pack("<64H", *[LOW] * 32, *[HIGH] * 32) * 64)
    tiff = encode(image, "TIFF").replace(entry(262, 3, 1), entry(262, 3, 0))
    left, right = halves(tiff, tmp_path)
    assert is_near(left, (191,) * 3, 3)
    assert is_near(right, (64,) * 3, 3)


def test_12_bits_are_scaled_by_their_range(tmp_path: Path) -> None:
    """96 bytes hold 64 such values."""
    tiff = encode(Image.frombytes("L", (96, 64), (b"\x40\x04\x00" * 16 + b"\xc0\x0c\x00" * 16) * 64), "TIFF")
    for tag, kind, was, value in ((256, 4, 96, 64), (258, 3, 8, 12)):
        assert entry(tag, kind, was) in tiff
        tiff = tiff.replace(entry(tag, kind, was), entry(tag, kind, value))
    left, right = halves(tiff, tmp_path)
    assert is_near(left, (64,) * 3, 2)
    assert is_near(right, (192,) * 3, 2)


def test_one_grey_of_16_bits_is_transparent_and_not_its_neighbours(tmp_path: Path) -> None:
    """All of them are 64 in 8 bits."""
    row = make_row(LOW, LOW + 3)
    assert halves(make_png(16, GREY, row, (LOW,)), tmp_path) == (WHITE, (64, 64, 64))
    assert halves(make_png(16, GREY, row, (LOW + 3,)), tmp_path) == ((64, 64, 64), WHITE)


def make_bmp_with_alpha(*alphas: int) -> bytes:
    """64 x 64 in blue, with the alpha of each half of a row, by a header of version 5."""
    masks = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    header = struct.pack("<IiiHHIIiiII", 124, 64, 64, 1, 32, 3, 0, 0, 0, 0, 0) + masks + b"BGRs" + bytes(64)
    rows = b"".join(bytes((254, 0, 0, alpha)) * 32 for alpha in alphas) * 64
    return b"BM" + struct.pack("<IHHI", 14 + len(header) + len(rows), 0, 0, 14 + len(header)) + header + rows


def test_an_alpha_channel_of_zeros_in_a_bmp_is_unused(tmp_path: Path) -> None:
    assert halves(make_bmp_with_alpha(0, 0), tmp_path) == ((0, 0, 254), (0, 0, 254))
    assert halves(make_bmp_with_alpha(0, 255), tmp_path) == (WHITE, (0, 0, 254))


def test_the_canvas_around_the_first_frame_of_a_gif_is_white(tmp_path: Path) -> None:
    """Whatever its background colour is: viewers show none."""
    frame = encode(Image.new("P", (32, 64), 1), "GIF")
    whole = bytearray(frame)
    whole[6:8] = (64).to_bytes(2, "little")  # width of the canvas; the frame keeps its own
    whole[11] = 1  # index of the background colour
    whole[13:19] = bytes((254, 0, 0)) + bytes((0, 0, 254))
    left, right = halves(bytes(whole), tmp_path)
    assert is_near(left, (254, 0, 0), 2)
    assert right == WHITE


def make_gif_of_greys(size: tuple[int, int], *, transparent: bool) -> bytes:
    """A frame with greys of its own, dark on the left and light on the right, in a file with a table of colours."""
    image = Image.new("L", size, 60)
    image.paste(200, (size[0] // 2, 0, *size))
    image.putpixel((0, 0), 255)
    data = encode(image, "GIF", optimize=False)
    header, greys, rest = data[:13], data[13 : 13 + 768], data[13 + 768 :]
    assert header[10] == 0x87
    start = rest.index(b",")
    descriptor = rest[start : start + 9] + b"\x87"
    control = b"!\xf9\x04" + bytes((transparent, 0, 0, 1, 0))
    colours = bytes(channel for number in range(256) for channel in (number, 0, 255))
    return header + colours + control + descriptor + greys + rest[start + 10 :]


@pytest.mark.parametrize("transparent", [False, True])
@pytest.mark.parametrize("size", [(64, 64), (400, 300), (2000, 1000)])
def test_greys_of_a_gif_are_no_numbers_of_colours(size: tuple[int, int], transparent: bool, tmp_path: Path) -> None:
    left, right = halves(make_gif_of_greys(size, transparent=transparent), tmp_path)
    assert is_near(left, (60, 60, 60), 3)
    assert is_near(right, (200, 200, 200), 3)
