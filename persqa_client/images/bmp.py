"""Reads a BMP's headers, to see whether its pixels are all there. Pure.

By Microsoft's BITMAPFILEHEADER and the headers that follow it, OS/2's short one among them.
"""

from __future__ import annotations

from persqa_client.images.structure import Truncated, unsigned

FILE_HEADER, OS2_HEADER = 14, 12
BMP_UNCOMPRESSED = frozenset({0, 3, 6})
"""BI_RGB, BI_BITFIELDS and BI_ALPHABITFIELDS."""
RUN_LENGTHS = frozenset({1, 2})


def check_bmp(data: bytes) -> None:
    """Raises Truncated where the headers announce more than there is. Filling bytes behind the last row may lack."""
    header = unsigned(data, 14, 4, "little")
    if len(data) < FILE_HEADER + header:
        raise Truncated("a BMP header is cut off")
    start = unsigned(data, 10, 4, "little") or FILE_HEADER + header
    if len(data) < start + pixel_bytes(data, header):
        raise Truncated("no end of the BMP")


def pixel_bytes(data: bytes, header: int) -> int:
    """How many bytes the picture takes; 1 where only decoding can tell."""
    if header == OS2_HEADER:
        return row_bytes(*(unsigned(data, at, 2, "little") for at in (18, 20, 24)))
    width, bits, compression = (unsigned(data, at, size, "little") for at, size in ((18, 4), (28, 2), (30, 4)))
    if compression in BMP_UNCOMPRESSED:
        # A negative height means that the rows run from the top down.
        height = abs(int.from_bytes(data[22:26], "little", signed=True))
        return row_bytes(width, height, bits)
    return unsigned(data, 34, 4, "little") if compression in RUN_LENGTHS else 1


def row_bytes(width: int, height: int, bits: int) -> int:
    """Rows are filled up to whole groups of four bytes, the last one not necessarily."""
    return (width * bits + 31) // 32 * 4 * max(0, height - 1) + (width * bits + 7) // 8
