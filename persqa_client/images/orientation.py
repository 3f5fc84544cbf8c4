"""Reads the orientation of an image and applies it.

EXIF is a small TIFF, by TIFF 6.0; XMP by ISO 16684-1, in which it is the property ``tiff:Orientation``.
"""

from __future__ import annotations

import re

from PIL import Image

from persqa_client.images.containers import ByteOrder, read_uint

ORIENTATION, LONG = 0x0112, 4
UPRIGHT = 1
XMP_ORIENTATION = re.compile(rb"<[^<>]*\btiff:Orientation\s*(?:=\s*[\"']|>\s*)([1-8])\s*[\"'<]")
TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Orientations in which width and height change places.
SIDEWAYS = frozenset({5, 6, 7, 8})


def read_orientation(exif: bytes, xmp: bytes = b"") -> int:
    r"""The orientation, 1 to 8. EXIF, with or without its ``Exif\0\0`` prefix, is preferred to XMP.

    1 if it is missing or the blocks are damaged.
    """
    orientation = find_exif_orientation(exif)
    if orientation is None and (found := XMP_ORIENTATION.search(xmp)):
        orientation = int(found[1])
    return UPRIGHT if orientation is None else orientation


def find_exif_orientation(exif: bytes) -> int | None:
    exif = exif.removeprefix(b"Exif\0\0")
    order: ByteOrder = "little" if exif[:2] == b"II" else "big"
    first = read_uint(exif, 4, 4, order) + 2
    count = read_uint(exif, first - 2, 2, order)
    for entry in range(first, min(first + 12 * count, len(exif)), 12):
        if read_uint(exif, entry, 2, order) == ORIENTATION:
            size = 4 if read_uint(exif, entry + 2, 2, order) == LONG else 2
            value = read_uint(exif, entry + 8, size, order)
            return value if 1 <= value <= 8 else UPRIGHT
    return None


def apply_orientation(image: Image.Image, orientation: int) -> Image.Image:
    return image.transpose(TRANSPOSITIONS[orientation]) if orientation in TRANSPOSITIONS else image


def upright_size(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    return size[::-1] if orientation in SIDEWAYS else size
