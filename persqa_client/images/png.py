"""Walks a PNG by its chunks: what decoding needs stays, text and all behind the end goes. Pure.

By the W3C's PNG, 3rd edition.
"""

from __future__ import annotations

from collections.abc import Iterator

from persqa_client.images.containers import Stripped, Truncated, unsigned
from persqa_client.images.orientation import exif_orientation

PNG_START = b"\x89PNG\r\n\x1a\n"
PNG_KEPT = frozenset({b"IHDR", b"PLTE", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"IDAT", b"IEND"})
PNG_GREY, PNG_RGB = 0, 2


def read_png(data: bytes) -> Stripped:
    """Raises Truncated where a chunk, the header, the pixels or the end is missing. Checksums are not looked at."""
    view = memoryview(data)
    pieces: list[bytes | memoryview] = [PNG_START]
    seen: set[bytes] = set()
    header = exif = b""
    for name, start, end in png_chunks(data):
        if not seen and name != b"IHDR":
            raise Truncated("no header at the start of the PNG")
        if name == b"IHDR":
            header = data[start + 8 : end - 4]
        elif name == b"eXIf":
            exif = data[start + 8 : end - 4]
        if name in PNG_KEPT:
            pieces.append(view[start:end])
        seen.add(name)
    if len(header) != 13 or b"IDAT" not in seen:
        raise Truncated("no header or no pixels in the PNG")
    width, height, depth, colour = (unsigned(header, at, size) for at, size in ((0, 4), (4, 4), (8, 1), (9, 1)))
    plain = depth == 8 and colour in (PNG_GREY, PNG_RGB) and b"tRNS" not in seen
    return Stripped(b"".join(pieces), width, height, plain, exif_orientation(exif))


def png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Name, start and end of each chunk, its length and checksum included; up to and with IEND."""
    if not data.startswith(PNG_START):
        raise Truncated("no start of a PNG")
    position = len(PNG_START)
    while position + 12 <= len(data):
        start, name = position, data[position + 4 : position + 8]
        position += 12 + unsigned(data, start, 4)
        if position > len(data) or not name.isalpha():
            raise Truncated("a PNG chunk is cut off")
        yield name, start, position
        if name == b"IEND":
            return
    raise Truncated("no end of the PNG")
