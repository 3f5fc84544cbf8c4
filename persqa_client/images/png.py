"""Removes metadata and trailing bytes of a PNG without decoding it. By the W3C's PNG, 3rd edition."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from persqa_client.images.code_points import are_known, make_profile
from persqa_client.images.containers import MissingEnd, StrippedImage, TruncatedImage, read_uint
from persqa_client.images.orientation import read_orientation

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_KEPT_CHUNKS = frozenset({b"IHDR", b"PLTE", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"IDAT", b"IEND"})
# Chunks that are used or kept. Decoders check the pixels.
CHECKED_CHUNKS = (PNG_KEPT_CHUNKS - {b"IDAT", b"IEND"}) | {b"eXIf", b"iTXt", b"iCCP", b"cICP"}
GREY, RGB, PALETTE = 0, 2, 3  # colour types
XMP_KEYWORD = b"XML:com.adobe.xmp\0"
CICP_SIZE = 16
# Profiles of printers have up to 3 MB; a small chunk could expand to gigabytes.
MAX_PROFILE_BYTES = 8_000_000


def strip_png(data: bytes) -> StrippedImage:
    """Raises TruncatedImage if a part is missing, or the header or a palette that is needed is damaged. Does not verify
    the pixels.

    Other damaged chunks are removed and not used: decoders ignore them, or refuse the file because of them. In an image
    without numbers of colours, a palette only suggests colours for old screens.
    """
    view = memoryview(data)
    pieces: list[bytes | memoryview] = [PNG_SIGNATURE]
    seen: set[bytes] = set()
    header = exif = xmp = profile = code_points = b""
    for name, start, end in iterate_png_chunks(data):
        if not seen and name != b"IHDR":
            raise TruncatedImage("the PNG does not start with its header")
        if name in CHECKED_CHUNKS and zlib.crc32(view[start + 4 : end - 4]) != read_uint(data, end - 4, 4):
            if name == b"IHDR" or (name == b"PLTE" and header[9:10] == bytes([PALETTE])):
                raise TruncatedImage("the header or the palette of the PNG is damaged")
            continue
        if name == b"IHDR":
            header = data[start + 8 : end - 4]
        elif name == b"eXIf":
            exif = data[start + 8 : end - 4]
        elif name == b"iTXt" and data.startswith(XMP_KEYWORD, start + 8, end):
            xmp = data[start + 8 + len(XMP_KEYWORD) : end - 4]
        elif name == b"iCCP":
            profile = read_profile(data[start + 8 : end - 4])
        elif name == b"cICP" and end - start == CICP_SIZE:
            code_points = data[start + 8 : start + 10]
        if name in PNG_KEPT_CHUNKS:
            pieces.append(view[start:end])
        seen.add(name)
    if len(header) != 13 or b"IDAT" not in seen:
        raise TruncatedImage("the PNG has no header or no pixels")
    width, height, depth, colour_type = (
        read_uint(header, offset, size) for offset, size in ((0, 4), (4, 4), (8, 1), (9, 1))
    )
    plain = depth == 8 and colour_type in (GREY, RGB) and b"tRNS" not in seen
    if code_points and (are_known(*code_points) or not profile):
        profile = make_profile(*code_points)
    return StrippedImage(b"".join(pieces), width, height, plain, read_orientation(exif, xmp), profile)


def read_profile(chunk: bytes) -> bytes:
    """The ICC profile after its name and the compression method; empty if it is damaged."""
    _, _, rest = chunk.partition(b"\0")
    try:
        return zlib.decompressobj().decompress(rest[1:], MAX_PROFILE_BYTES)
    except zlib.error:
        return b""


def iterate_png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    if not data.startswith(PNG_SIGNATURE):
        raise TruncatedImage("the PNG has no start")
    position = len(PNG_SIGNATURE)
    while position + 12 <= len(data):
        start, name = position, data[position + 4 : position + 8]
        position += 12 + read_uint(data, start, 4)
        if position > len(data):
            raise MissingEnd("a PNG chunk is cut off")
        if not name.isalpha():
            raise TruncatedImage("a PNG chunk has no name")
        yield name, start, position
        if name == b"IEND":
            return
    raise MissingEnd("the PNG has no end")
