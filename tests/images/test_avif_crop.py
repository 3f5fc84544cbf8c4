"""AVIF files whose clean aperture crops the image."""

from __future__ import annotations

import io
import struct
from base64 import b64encode

import pytest
from PIL import Image

from persqa_client.images.heif import Box, find_crop, find_meta_box, iterate_boxes
from persqa_client.images.prepare import load_image

SIZE = (96, 64)
LEFT_HALF = (48, 1, 64, 1, -24, 1, 0, 1)


def make_avif(**options: object) -> bytes:
    """Red on the left, blue on the right."""
    image = Image.new("RGB", SIZE, "red")
    image.paste("blue", (48, 0, 96, 64))
    file = io.BytesIO()
    image.save(file, "AVIF", quality=100, subsampling="4:4:4", **options)
    return file.getvalue()


def find_box(data: bytes, *names: bytes) -> Box:
    boxes, box = iterate_boxes(data), None
    for name in names:
        box = next(box for box in boxes if box.name == name)
        boxes = iterate_boxes(data, box.body + (4 if name == b"meta" else 0), box.end)
    assert box is not None
    return box


def resize(data: bytes, box: Box, more: int) -> bytes:
    return data[: box.start] + struct.pack(">I", box.end - box.start + more) + data[box.start + 4 :]


def add_crop(data: bytes, clap: tuple[int, ...], *, linked: bool = True) -> bytes:
    """Adds the property for all items, or for none."""
    added = struct.pack(">I4s", 40, b"clap") + struct.pack(">IIIIiIiI", *clap)
    ipco, ipma = find_box(data, b"meta", b"iprp", b"ipco"), find_box(data, b"meta", b"iprp", b"ipma")
    number = len(list(iterate_boxes(data, ipco.body, ipco.end))) + 1
    header, count = struct.unpack_from(">II", data, ipma.body)
    assert header == 0
    entries, place = [], ipma.body + 8
    for _ in range(count):
        length = data[place + 2]
        numbers = data[place + 3 : place + 3 + length] + (bytes([0x80 | number]) if linked else b"")
        entries.append(data[place : place + 2] + bytes([len(numbers)]) + numbers)
        place += 3 + length
    new_ipma = data[ipma.start : ipma.body + 8] + b"".join(entries)
    more = len(added) + len(new_ipma) - (ipma.end - ipma.start)
    iloc = find_box(data, b"meta", b"iloc")
    meta, iprp = find_meta_box(data), find_box(data, b"meta", b"iprp")
    moved = bytearray(data)
    for offset in range(iloc.body + 8, iloc.end, 14):
        # Item, data reference and number of extents, then offset and length.
        start = struct.unpack_from(">I", data, offset + 6)[0]
        struct.pack_into(">I", moved, offset + 6, start + more)
    data = resize(resize(bytes(moved), meta, more), iprp, more)
    new_ipco = resize(data, ipco, len(added))[ipco.start : ipco.end] + added
    new_ipma = struct.pack(">I", len(new_ipma)) + new_ipma[4:]
    assert ipco.end == ipma.start
    return data[: ipco.start] + new_ipco + new_ipma + data[ipma.end :]


def colours_of(data: bytes) -> tuple[tuple[int, int], set[str]]:
    uri = f"data:image/avif;base64,{b64encode(data).decode()}"
    image = Image.open(io.BytesIO(load_image(uri, [], max_pixels=1 << 20).data)).convert("RGB")
    names = {(True, False): "red", (False, True): "blue"}
    corners = [(2, 2), (image.width - 3, image.height - 3)]
    pixels = [image.getpixel(corner) for corner in corners]
    return image.size, {names[pixel[0] > 200, pixel[2] > 200] for pixel in pixels}  # type: ignore[index]


def test_the_hidden_part_of_a_crop_is_not_sent() -> None:
    assert colours_of(make_avif()) == (SIZE, {"red", "blue"})
    assert colours_of(add_crop(make_avif(), LEFT_HALF)) == ((48, 64), {"red"})
    assert colours_of(add_crop(make_avif(), (48, 1, 64, 1, 24, 1, 0, 1))) == ((48, 64), {"blue"})


def test_a_crop_comes_before_the_rotation() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    assert colours_of(add_crop(make_avif(exif=exif), LEFT_HALF)) == ((64, 48), {"red"})


@pytest.mark.parametrize(
    "clap",
    [
        (48, 0, 64, 1, 0, 1, 0, 1),
        (97, 1, 64, 1, 0, 1, 0, 1),
        (48, 1, 64, 1, 30, 1, 0, 1),
        (47, 2, 64, 1, 0, 1, 0, 1),
        (0, 1, 64, 1, 0, 1, 0, 1),
    ],
)
def test_an_invalid_crop_is_ignored(clap: tuple[int, ...]) -> None:
    assert find_crop(add_crop(make_avif(), clap), SIZE) is None


def test_a_crop_of_no_item_is_ignored() -> None:
    data = add_crop(make_avif(), LEFT_HALF, linked=False)
    assert find_crop(data, SIZE) is None
    assert colours_of(data) == (SIZE, {"red", "blue"})
    assert find_crop(data[:200], SIZE) is None
