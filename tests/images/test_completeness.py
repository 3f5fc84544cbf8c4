"""Complete files of every format are accepted; truncated ones are detected."""

from __future__ import annotations

import random
import struct
from itertools import product
from typing import Any

import pytest
from PIL import Image

from persqa_client.images.containers import TruncatedImage
from persqa_client.images.prepare import strip_metadata
from tests.images import image_files
from tests.images.image_files import HEIC, XMP, encode, make_exif
from tests.support.cases import each_case

PHOTO = image_files.decode(image_files.SAMPLES[0].read_bytes()).resize((120, 80))
SIZES = [(1, 1), (36, 23), (37, 5), (120, 80)]
TRUNCATIONS = 20
METADATA: dict[str, Any] = {"exif": make_exif(6)}
VARIANTS: dict[str, tuple[list[str], list[dict[str, Any]]]] = {
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
CASES = [
    (kind, mode, options) for kind, (modes, variants) in VARIANTS.items() for mode, options in product(modes, variants)
]


def make_file(kind: str, mode: str, size: tuple[int, int], *, frames: int = 1, **options: Any) -> bytes:
    image = PHOTO.resize(size)
    image = Image.new(mode, size, 300) if mode.startswith("I;16") else image.convert("LAB" if mode == "LAB" else mode)
    more = {"save_all": True, "append_images": [image.rotate(90)] * (frames - 1)} if frames > 1 else {}
    return encode(image, kind, **more, **options)


def is_truncated(data: bytes, kind: str) -> bool:
    try:
        strip_metadata(data, kind)
    except TruncatedImage:
        return True
    return False


@each_case(("kind", "mode", "options"), CASES)
def test_complete_files_are_accepted_and_truncated_ones_are_not(kind: str, mode: str, options: dict[str, Any]) -> None:
    draw = random.Random(f"{kind} {mode} {options}")
    for size in SIZES:
        data = make_file(kind, mode, size, **options)
        # The padding of the last row of a BMP may be missing.
        end = len(data) - (3 if kind == "BMP" else 0)
        assert not is_truncated(data, kind)
        assert not is_truncated(data + b"\0\xff trailing bytes;", kind)
        kept = {0, end - 1, *(draw.randrange(end) for _ in range(TRUNCATIONS))}
        assert [length for length in kept if not is_truncated(data[:length], kind)] == []


def test_a_truncated_heic_is_detected() -> None:
    assert not is_truncated(HEIC, "HEIC")
    assert [length for length in range(len(HEIC)) if not is_truncated(HEIC[:length], "HEIC")] == []


def make_tiff(order: str, big: bool, entries: list[tuple[int, int, int, int]], data: bytes) -> bytes:
    """A TIFF of one directory (tag, type, count, value), followed by the data."""
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


@each_case("big", [False, True], ids=["classic", "BigTIFF"])
@each_case("order", ["<", ">"])
@each_case("tags", [(273, 279), (324, 325)], ids=["strips", "tiles"])
def test_strips_and_tiles_of_a_tiff_must_be_in_the_file(order: str, big: bool, tags: tuple[int, int]) -> None:
    def pieces(offset: int, count: int, compression: int = 5) -> bytes:
        wide = 16 if big else 4
        sides = [(256, 3, 1, 10), (257, 3, 1, 8), (258, 3, 1, 8), (259, 3, 1, compression), (322, 3, 1, 10)]
        last = [(323, 3, 1, 8), (tags[0], wide, 1, offset), (tags[1], 4, 1, count)]
        return make_tiff(order, big, sides + last, bytes(80))

    end = len(pieces(0, 0))
    assert not is_truncated(pieces(end - 70, 70), "TIFF")
    assert is_truncated(pieces(end - 70, 71), "TIFF")
    assert is_truncated(pieces(end + 1, 0), "TIFF")
    assert not is_truncated(pieces(end - 80, 999, compression=1), "TIFF"), "10 x 8 pixels take no more than 80 bytes"
    assert is_truncated(pieces(end - 79, 999, compression=1), "TIFF")
    assert not is_truncated(pieces(end - 80, 999, compression=6), "TIFF"), "old JPEG in TIFF has wrong counts"


def test_the_last_strip_of_a_tiff_may_have_fewer_rows() -> None:
    """8 rows of 10 pixels in strips of 5 rows: the second one takes 30 bytes, whatever its byte count."""

    def strips(rest: int) -> bytes:
        sides = [(256, 3, 1, 10), (257, 3, 1, 8), (258, 3, 1, 8), (259, 3, 1, 1), (278, 3, 1, 5)]
        head = len(make_tiff("<", False, [*sides, (273, 4, 2, 0), (279, 4, 2, 0)], b""))
        places = struct.pack("<4I", head + 16, head + 66, 50, 50)
        return make_tiff("<", False, [*sides, (273, 4, 2, head), (279, 4, 2, head + 8)], places + bytes(50 + rest))

    assert not is_truncated(strips(30), "TIFF")
    assert is_truncated(strips(29), "TIFF")


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "jpeg"])
def test_later_pages_of_a_tiff_may_be_truncated(compression: str) -> None:
    """Only the first page is used."""
    first = make_file("TIFF", "RGB", (64, 64), compression=compression)
    both = make_file("TIFF", "RGB", (64, 64), compression=compression, frames=2)
    assert not is_truncated(both[: len(first) + 20], "TIFF")


@each_case(
    ("header", "body", "complete"),
    [
        pytest.param(struct.pack("<IHHHH", 12, 5, 3, 1, 24), 16 * 2 + 15, True, id="OS/2"),
        pytest.param(struct.pack("<IHHHH", 12, 5, 3, 1, 24), 16 * 2 + 14, False, id="OS/2, truncated"),
        pytest.param(struct.pack("<IiiHHIIiiII", 40, 5, -3, 1, 24, 0, 0, 0, 0, 0, 0), 47, True, id="top down"),
        pytest.param(struct.pack("<IiiHHIIiiII", 40, 5, -3, 1, 24, 0, 0, 0, 0, 0, 0), 46, False, id="top down, cut"),
        pytest.param(struct.pack("<IiiHHIIiiII", 40, 5, 3, 1, 8, 1, 30, 0, 0, 0, 0), 30, True, id="run-length"),
        pytest.param(
            struct.pack("<IiiHHIIiiII", 40, 5, 3, 1, 8, 1, 30, 0, 0, 0, 0),
            29,
            False,
            id="run-length, cut",
        ),
    ],
)
def test_a_bmp_must_have_the_size_of_its_headers(header: bytes, body: int, complete: bool) -> None:
    start = 14 + len(header)
    data = struct.pack("<2sIII", b"BM", 0, 0, start) + header + bytes(body)
    assert is_truncated(data, "BMP") is not complete
