"""Files that lack only their end are sent; those that lack pixels are not."""

from __future__ import annotations

import zlib
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from persqa_client.errors import RowError
from persqa_client.images.end_markers import RESTART, restore_end
from persqa_client.images.prepare import load_image, parse_image
from tests.images import image_files
from tests.images.image_files import check_and_decode, decode_rgb_bytes, encode

PHOTO = image_files.decode(image_files.SAMPLES[0].read_bytes()).resize((240, 160))
FLAT = Image.new("RGB", (240, 160), (10, 20, 30))
SCAN_OF_THREE = b"\xff\xda\x00\x0c\x03\x01\x00"
END_SIZES = {"JPEG": 2, "PNG": 12, "GIF": 1}
FILES: dict[str, tuple[str, Image.Image, dict[str, Any]]] = {
    "JPEG": ("JPEG", PHOTO, {}),
    "JPEG in grey": ("JPEG", PHOTO.convert("L"), {}),
    "JPEG with optimised tables": ("JPEG", PHOTO, {"optimize": True, "subsampling": 0}),
    "JPEG with restart markers": ("JPEG", PHOTO, {"restart_marker_blocks": 9}),
    "JPEG of one colour": ("JPEG", FLAT, {"optimize": True}),
    "PNG": ("PNG", PHOTO, {}),
    "PNG with a palette": ("PNG", PHOTO.convert("P"), {}),
    "GIF": ("GIF", PHOTO.convert("P"), {}),
}
each_file = pytest.mark.parametrize("kind", FILES)


def make(kind: str) -> tuple[str, bytes]:
    format, image, options = FILES[kind]
    return format, encode(image, format, **options)


@each_file
def test_a_file_without_its_end_marker_arrives_with_all_its_pixels(kind: str, tmp_path: Path) -> None:
    format, data = make(kind)
    (tmp_path / "image").write_bytes(data[: -END_SIZES[format]])
    sent = load_image("image", [tmp_path], max_pixels=10**6)
    check_and_decode(sent)
    restored = restore_end(data[: -END_SIZES[format]], format)
    assert restored is not None
    assert decode_rgb_bytes(restored) == decode_rgb_bytes(data)


@each_file
@pytest.mark.parametrize("missing", [0.02, 0.1, 0.5, 0.9])
def test_a_file_without_some_of_its_pixels_is_refused(kind: str, missing: float, tmp_path: Path) -> None:
    format, data = make(kind)
    (tmp_path / "image").write_bytes(data[: int(len(data) * (1 - missing)) - END_SIZES[format]])
    with pytest.raises(RowError) as caught:
        load_image("image", [tmp_path], max_pixels=10**6)
    assert caught.value.code == "image_truncated"


# In an image of one colour, zeros may be pixels.
JPEGS = [kind for kind in FILES if kind.startswith("JPEG") and FILES[kind][1] is not FLAT]


@pytest.mark.parametrize("kind", JPEGS)
@pytest.mark.parametrize("missing", [0.05, 0.4])
def test_zeros_in_place_of_pixels_are_refused(kind: str, missing: float, tmp_path: Path) -> None:
    """So do files end that a download manager allocates before it has their content."""
    _, data = make(kind)
    kept = int(len(data) * (1 - missing))
    (tmp_path / "image").write_bytes(data[:kept] + bytes(len(data) - kept))
    with pytest.raises(RowError, match="truncated"):
        load_image("image", [tmp_path], max_pixels=10**6)


@pytest.mark.parametrize("kind", JPEGS)
def test_zeros_in_place_of_the_end_marker_alone_are_no_pixels(kind: str) -> None:
    _, data = make(kind)
    restored = restore_end(data[:-2] + bytes(2000), "JPEG")
    assert restored is not None
    assert decode_rgb_bytes(restored) == decode_rgb_bytes(data)


@pytest.mark.parametrize(
    ("image", "options"),
    [
        pytest.param(PHOTO, {"restart_marker_rows": 1}, id="a row each"),
        pytest.param(PHOTO, {"restart_marker_blocks": 4, "subsampling": 0}, id="without subsampling"),
        pytest.param(PHOTO, {"restart_marker_blocks": 3, "subsampling": 1}, id="half subsampling"),
        pytest.param(PHOTO.convert("L").crop((0, 0, 237, 153)), {"restart_marker_blocks": 7}, id="grey"),
    ],
)
@pytest.mark.parametrize("filling", [0, 3000])
def test_a_file_cut_off_before_a_restart_marker_is_refused(
    image: Image.Image, options: dict[str, Any], filling: int
) -> None:
    """What follows the end of an interval changes no pixel of it."""
    data = encode(image, "JPEG", **options)
    restarts = [match.start() for match in RESTART.finditer(data)]
    for place in (restarts[0], restarts[len(restarts) // 2], restarts[-1]):
        for cut in (place, place + 1):
            assert restore_end(data[:cut] + bytes(filling), "JPEG") is None
    restored = restore_end(data[:-2], "JPEG")
    assert restored is not None
    assert decode_rgb_bytes(restored) == decode_rgb_bytes(data)


def test_a_jpeg_with_a_scan_of_one_of_its_channels_lacks_the_others() -> None:
    data = encode(PHOTO, "JPEG", subsampling=0)
    assert data.count(SCAN_OF_THREE) == 1
    alone = data.replace(SCAN_OF_THREE, b"\xff\xda\x00\x08\x01\x01\x00")
    grey = encode(PHOTO.convert("L"), "JPEG")
    pixels = grey[grey.index(b"\xff\xda") + 10 :]
    cut = alone[: alone.index(b"\xff\xda") + 10] + pixels[:-2]
    assert restore_end(cut, "JPEG") is None


@pytest.mark.parametrize("filling", [0, 1, 64, 2000])
def test_pixels_may_end_with_zeros(filling: int) -> None:
    """An end of block of the channels of colour is 00 in the usual table."""
    for data in make_files_that_end_with_zero():
        restored = restore_end(data[:-2] + bytes(filling), "JPEG")
        assert restored is not None
        assert decode_rgb_bytes(restored) == decode_rgb_bytes(data)


@cache
def make_files_that_end_with_zero() -> list[bytes]:
    places = ((x, y) for x in range(0, 200, 4) for y in range(0, 130, 8))
    tiles = (encode(PHOTO.crop((x, y, x + 32, y + 32)), "JPEG", quality=75) for x, y in places)
    found = [data for data in tiles if data.endswith(b"\0\xff\xd9")]
    assert len(found) > 2
    return found


@each_file
def test_the_end_is_not_restored_where_that_would_take_long(kind: str) -> None:
    """The event loop reads small files in this way."""
    format, data = make(kind)
    cut = data[: -END_SIZES[format]]
    parse_image("image", cut)
    with pytest.raises(RowError, match="truncated"):
        parse_image("image", cut, restores_end=False)


def test_pixels_beyond_the_size_of_the_header_are_not_decompressed() -> None:
    row = bytes(1 + 3 * 64)
    whole = image_files.make_png(8, 2, row[1:])
    assert restore_end(whole[:-12], "PNG") == whole
    bomb = image_files.make_png_chunk(b"IDAT", zlib.compress(bytes(10_000_000)))
    assert restore_end(whole[:33] + bomb, "PNG") is None
    with pytest.raises(RowError) as caught:
        parse_image("image", image_files.make_png_bomb(60_000, 60_000)[:-12])
    assert caught.value.code == "image_bomb"


def test_a_progressive_jpeg_without_its_end_may_lack_scans(tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(encode(PHOTO, "JPEG", progressive=True)[:-2])
    with pytest.raises(RowError):
        load_image("image", [tmp_path], max_pixels=10**6)


def test_an_animation_without_its_end_is_sent_if_its_first_image_is_complete() -> None:
    data = encode(PHOTO, "GIF", save_all=True, append_images=[PHOTO.rotate(90)])
    assert restore_end(data[: int(len(data) * 0.8)], "GIF") is not None
    assert restore_end(data[: int(len(data) * 0.3)], "GIF") is None
