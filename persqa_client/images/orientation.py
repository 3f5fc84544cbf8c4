"""How a picture is to be turned, by its EXIF block. Pure.

The block is a small TIFF (TIFF 6.0), whatever file it lies in.
"""

from __future__ import annotations

from persqa_client.images.containers import Order, unsigned

ORIENTATION, LONG = 0x0112, 4


def exif_orientation(exif: bytes) -> int:
    """1 to 8, by the first directory of an EXIF block, led by ``Exif\\0\\0`` or not; 1 where it is silent or broken."""
    exif = exif.removeprefix(b"Exif\0\0")
    order: Order = "little" if exif[:2] == b"II" else "big"
    first = unsigned(exif, 4, 4, order) + 2
    entries = unsigned(exif, first - 2, 2, order)
    for at in range(first, min(first + 12 * entries, len(exif)), 12):
        if unsigned(exif, at, 2, order) == ORIENTATION:
            size = 4 if unsigned(exif, at + 2, 2, order) == LONG else 2
            value = unsigned(exif, at + 8, size, order)
            return value if 1 <= value <= 8 else 1
    return 1
