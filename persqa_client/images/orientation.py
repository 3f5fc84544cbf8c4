"""Reads the EXIF orientation (EXIF is a small TIFF, by TIFF 6.0) and applies it."""

from __future__ import annotations

from PIL import Image

from persqa_client.images.containers import ByteOrder, read_uint

ORIENTATION, LONG = 0x0112, 4
TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_exif_orientation(exif: bytes) -> int:
    r"""The orientation, 1 to 8, of an EXIF block with or without its ``Exif\0\0`` prefix.

    1 if it is missing or the block is damaged.
    """
    exif = exif.removeprefix(b"Exif\0\0")
    order: ByteOrder = "little" if exif[:2] == b"II" else "big"
    first = read_uint(exif, 4, 4, order) + 2
    count = read_uint(exif, first - 2, 2, order)
    for entry in range(first, min(first + 12 * count, len(exif)), 12):
        if read_uint(exif, entry, 2, order) == ORIENTATION:
            size = 4 if read_uint(exif, entry + 2, 2, order) == LONG else 2
            value = read_uint(exif, entry + 8, size, order)
            return value if 1 <= value <= 8 else 1
    return 1


def apply_orientation(image: Image.Image, orientation: int) -> Image.Image:
    return image.transpose(TRANSPOSITIONS[orientation]) if orientation in TRANSPOSITIONS else image
