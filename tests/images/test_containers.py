"""Whole files of every kind and make pass; cut off anywhere, none does."""

from __future__ import annotations

import random
import struct
from itertools import product
from typing import Any

import pytest
from PIL import Image

from persqa_client.images.containers import Truncated
from persqa_client.images.formats import strip
from tests.images import pictures
from tests.images.pictures import HEIC, XMP, exif, file_of

PHOTO = pictures.opened(pictures.SAMPLES[0].read_bytes()).resize((120, 80))
SIZES = [(1, 1), (36, 23), (37, 5), (120, 80)]
CUTS = 20
METADATA: dict[str, Any] = {"exif": exif(6)}
MAKES: dict[str, tuple[list[str], list[dict[str, Any]]]] = {
    "JPEG": (["L", "RGB", "CMYK"], [{}, {"progressive": True}, METADATA]),
    "PNG": (["1", "L", "LA", "P", "RGB", "RGBA", "I;16"], [{}, {"compress_level": 0}, METADATA]),
    "GIF": (["1", "L", "P", "RGB", "RGBA"], [{}, {"interlace": 0}, {"comment": b"note"}, {"frames": 3}]),
    "WEBP": (["L", "RGB", "RGBA", "P"], [{}, {"lossless": True}, {"xmp": XMP, **METADATA}, {"frames": 3}]),
    "BMP": (["1", "L", "P", "RGB", "RGBA"], [{}]),
    "TIFF": (
        ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16", "I;16B", "I", "F", "LAB"],
        [
            {},
            {"strip_size": 200},
            {"compression": "tiff_lzw"},
            {"compression": "tiff_lzw", "strip_size": 200},
            METADATA,
        ],
    ),
    "AVIF": (["L", "RGB", "RGBA"], [{}, {"xmp": XMP, **METADATA}, {"frames": 3}]),
}
CASES = [(kind, mode, options) for kind, (modes, makes) in MAKES.items() for mode, options in product(modes, makes)]


def made(kind: str, mode: str, size: tuple[int, int], *, frames: int = 1, **options: Any) -> bytes:
    image = PHOTO.resize(size)
    image = Image.new(mode, size, 300) if mode.startswith("I;16") else image.convert("LAB" if mode == "LAB" else mode)
    more = {"save_all": True, "append_images": [image.rotate(90)] * (frames - 1)} if frames > 1 else {}
    return file_of(image, kind, **more, **options)


def refuses(data: bytes, kind: str) -> bool:
    try:
        strip(data, kind)
    except Truncated:
        return True
    return False


@pytest.mark.parametrize(("kind", "mode", "options"), CASES)
def test_whole_files_pass_and_cut_ones_do_not(kind: str, mode: str, options: dict[str, Any]) -> None:
    draw = random.Random(f"{kind} {mode} {options}")
    for size in SIZES:
        data = made(kind, mode, size, **options)
        # What fills up the last row of a BMP is no part of the picture.
        end = len(data) - (3 if kind == "BMP" else 0)
        assert not refuses(data, kind)
        assert not refuses(data + b"\0\xff trailing bytes;", kind)
        kept = {0, end - 1, *(draw.randrange(end) for _ in range(CUTS))}
        assert [length for length in kept if not refuses(data[:length], kind)] == []


def test_a_heic_cut_off_anywhere_is_noticed() -> None:
    assert not refuses(HEIC, "HEIC")
    assert [length for length in range(len(HEIC)) if not refuses(HEIC[:length], "HEIC")] == []


def tiff(order: str, big: bool, entries: list[tuple[int, int, int, int]], data: bytes) -> bytes:
    """A TIFF of one directory (tag, type, count, value) with the data at its very end."""
    word = "Q" if big else "I"
    head = struct.pack(f"{order}2sHHHQ", b"II" if order == "<" else b"MM", 43, 8, 0, 16)
    if not big:
        head = struct.pack(f"{order}2sHI", b"II" if order == "<" else b"MM", 42, 8)
    directory = struct.pack(f"{order}{'Q' if big else 'H'}", len(entries))
    for tag, kind, count, value in entries:
        size = {3: "H", 4: "I", 16: "Q"}[kind] if count == 1 else word
        directory += struct.pack(f"{order}HH{word}", tag, kind, count)
        directory += struct.pack(f"{order}{size}", value).ljust(8 if big else 4, b"\0")
    return head + directory + struct.pack(f"{order}{word}", 0) + data


@pytest.mark.parametrize("big", [False, True], ids=["classic", "BigTIFF"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("tags", [(273, 279), (324, 325)], ids=["strips", "tiles"])
def test_pieces_of_a_tiff_must_lie_in_the_file(order: str, big: bool, tags: tuple[int, int]) -> None:
    def pieces(offset: int, count: int, compression: int = 5) -> bytes:
        wide = 16 if big else 4
        sides = [(256, 3, 1, 10), (257, 3, 1, 8), (258, 3, 1, 8), (259, 3, 1, compression), (322, 3, 1, 10)]
        last = [(323, 3, 1, 8), (tags[0], wide, 1, offset), (tags[1], 4, 1, count)]
        return tiff(order, big, sides + last, bytes(80))

    end = len(pieces(0, 0))
    assert not refuses(pieces(end - 70, 70), "TIFF")
    assert refuses(pieces(end - 70, 71), "TIFF")
    assert refuses(pieces(end + 1, 0), "TIFF")
    assert not refuses(pieces(end - 80, 999, compression=1), "TIFF"), "10 x 8 pixels take no more than 80 bytes"
    assert refuses(pieces(end - 79, 999, compression=1), "TIFF")
    assert not refuses(pieces(end - 80, 999, compression=6), "TIFF"), "old JPEG in TIFF has counts of no meaning"


def test_a_last_strip_may_have_fewer_rows_than_its_count_says() -> None:
    """8 rows of 10 pixels in strips of 5 rows: the second one takes 30 bytes, whatever is written."""

    def strips(behind: int) -> bytes:
        sides = [(256, 3, 1, 10), (257, 3, 1, 8), (258, 3, 1, 8), (259, 3, 1, 1), (278, 3, 1, 5)]
        head = len(tiff("<", False, [*sides, (273, 4, 2, 0), (279, 4, 2, 0)], b""))
        places = struct.pack("<4I", head + 16, head + 66, 50, 50)
        return tiff("<", False, [*sides, (273, 4, 2, head), (279, 4, 2, head + 8)], places + bytes(50 + behind))

    assert not refuses(strips(30), "TIFF")
    assert refuses(strips(29), "TIFF")


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "jpeg"])
def test_later_pages_of_a_tiff_may_be_cut_off(compression: str) -> None:
    """The first one is what is used."""
    first = made("TIFF", "RGB", (64, 64), compression=compression)
    both = made("TIFF", "RGB", (64, 64), compression=compression, frames=2)
    assert not refuses(both[: len(first) + 20], "TIFF")


@pytest.mark.parametrize(
    ("header", "body", "whole"),
    [
        pytest.param(struct.pack("<IHHHH", 12, 5, 3, 1, 24), 16 * 2 + 15, True, id="OS/2"),
        pytest.param(struct.pack("<IHHHH", 12, 5, 3, 1, 24), 16 * 2 + 14, False, id="OS/2, cut off"),
        pytest.param(struct.pack("<IiiHHIIiiII", 40, 5, -3, 1, 24, 0, 0, 0, 0, 0, 0), 47, True, id="from the top down"),
        pytest.param(struct.pack("<IiiHHIIiiII", 40, 5, -3, 1, 24, 0, 0, 0, 0, 0, 0), 46, False, id="cut off"),
        pytest.param(struct.pack("<IiiHHIIiiII", 40, 5, 3, 1, 8, 1, 30, 0, 0, 0, 0), 30, True, id="run lengths"),
        pytest.param(struct.pack("<IiiHHIIiiII", 40, 5, 3, 1, 8, 1, 30, 0, 0, 0, 0), 29, False, id="theirs cut off"),
    ],
)
def test_a_bmp_is_as_long_as_its_headers_say(header: bytes, body: int, whole: bool) -> None:
    start = 14 + len(header)
    data = struct.pack("<2sIII", b"BM", 0, 0, start) + header + bytes(body)
    assert refuses(data, "BMP") is not whole
