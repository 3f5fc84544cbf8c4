"""Walks picture files by their structure: what decoding needs stays, metadata and all behind the end goes. Pure.

Formats: JPEG by ITU-T T.81 annex B, PNG by W3C PNG 3rd edition, GIF89a, WebP by its RIFF header, HEIC's boxes by
ISO/IEC 14496-12, the EXIF orientation by TIFF 6.0. Nothing is decoded, so it costs about a copy of the bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

JPEG_START = b"\xff\xd8"
JPEG_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""A marker that ends entropy-coded bytes: not a stuffed 0xFF, not a restart, not a fill byte."""
TEM, SOI, EOI, SOS, APP0, APP1, APP14 = 0x01, 0xD8, 0xD9, 0xDA, 0xE0, 0xE1, 0xEE
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Start-of-frame markers; the three left out of the range are DHT, JPG and DAC."""
COMMON_FRAMES = frozenset({0xC0, 0xC1, 0xC2})
"""Baseline, extended and progressive with Huffman codes, which every decoder reads."""

PNG_START = b"\x89PNG\r\n\x1a\n"
PNG_KEPT = frozenset({b"IHDR", b"PLTE", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"IDAT", b"IEND"})
PNG_GREY, PNG_RGB = 0, 2

ORIENTATION, LONG = 0x0112, 4


class Truncated(ValueError):
    """The file stops, or its structure breaks, before the picture's end."""


@dataclass(frozen=True, slots=True)
class Stripped:
    """A picture file without metadata, and what its header says. Width and height are as stored, before any turning."""

    data: bytes
    width: int
    height: int
    plain: bool
    """8 bits a channel, grey or colour, opaque, in a coding that every decoder reads."""
    orientation: int
    """EXIF's 1 to 8, how the stored picture is to be turned; 1 is upright, and stands where none is given."""


def strip_jpeg(data: bytes) -> bytes:
    """Without EXIF, XMP, IPTC, ICC, comments, thumbnails and what follows EOI; raises Truncated."""
    return read_jpeg(data).data


def strip_png(data: bytes) -> bytes:
    """Without text, time, EXIF, ICC and animation chunks and what follows IEND; raises Truncated."""
    return read_png(data).data


def read_jpeg(data: bytes) -> Stripped:
    """Raises Truncated where a segment, the scan or the end is missing."""
    view = memoryview(data)
    pieces: list[bytes | memoryview] = [JPEG_START]
    frame: tuple[int, int, int] | None = None
    exif = b""
    last, scanning, scans = 0, False, 0
    for code, start, end in jpeg_segments(data):
        if scanning:
            pieces.append(view[last:start])
        pieces.append(kept_segment(view, code, start, end))
        if code in FRAMES and frame is None:
            frame = (code, start, end)
        elif code == APP1 and not exif and data.startswith(b"Exif\0\0", start + 4, end):
            exif = data[start + 10 : end]
        # Bytes behind any other segment belong to no scan: decoders skip them to the next marker, so they go.
        last, scanning = end, code == SOS
        scans += scanning
    if frame is None or not scans:
        raise Truncated("no picture between start and end")
    width, height, plain = read_frame(data, *frame)
    return Stripped(b"".join(pieces), width, height, plain, exif_orientation(exif))


def jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker code, where the marker starts, where its segment ends; from behind SOI up to and with EOI."""
    if not data.startswith(JPEG_START):
        raise Truncated("no start of a JPEG")
    position = len(JPEG_START)
    while match := JPEG_MARKER.search(data, position):
        start, code = match.start(), data[match.start() + 1]
        length = 0 if code in (TEM, SOI, EOI) else unsigned(data, start + 2, 2)
        position = start + 2 + length
        if length < 2 and code not in (TEM, SOI, EOI):
            raise Truncated("a JPEG segment has no length")
        yield code, start, position
        if code == EOI:
            return
    raise Truncated("no end of the JPEG")


def kept_segment(view: memoryview, code: int, start: int, end: int) -> bytes | memoryview:
    """The segment as it goes out: whole, cut to what decoders read of it, or empty.

    JFIF and Adobe's APP14 tell decoders the colour space; JFIF may carry a thumbnail behind its first 12 bytes.
    """
    body = view[start + 4 : end]
    if code == APP0 and len(body) >= 14 and bytes(body[:5]) == b"JFIF\0":
        return b"\xff\xe0\x00\x10" + bytes(body[:12]) + b"\0\0"
    if code == APP14 and len(body) >= 12 and bytes(body[:5]) == b"Adobe":
        return b"\xff\xee\x00\x0e" + bytes(body[:12])
    needed = 0xC0 <= code <= 0xDF and code != SOI
    return view[start:end] if needed else b""


def read_frame(data: bytes, code: int, start: int, end: int) -> tuple[int, int, bool]:
    """Width, height and whether the frame is plain; a frame header too short for these reads as zeros."""
    header = data[start + 4 : end]
    precision, height, width, channels = (unsigned(header, at, size) for at, size in ((0, 1), (1, 2), (3, 2), (5, 1)))
    return width, height, code in COMMON_FRAMES and precision == 8 and channels in (1, 3)


def read_png(data: bytes) -> Stripped:
    """Raises Truncated where a chunk, the header, the pixels or the end is missing. Checksums are not looked at."""
    view = memoryview(data)
    pieces: list[bytes | memoryview] = [PNG_START]
    seen: set[bytes] = set()
    header = exif = b""
    for name, start, end in png_chunks(data):
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


def unlink_heif_metadata(data: bytes) -> bytes:
    """Of the same length, with the references ("cdsc") from EXIF and other metadata items to the picture renamed.

    libheif then hands out no metadata. It needs none to turn a picture upright, and pi-heif 1.4 crashes the process on
    metadata items of a type other than Exif and mime, which ISO/IEC 23008-12 allows. Raises Truncated.
    """
    for name, start, end in heif_boxes(data):
        if name == b"meta":
            return data[:start] + data[start:end].replace(b"cdsc", b"skip") + data[end:]
    raise Truncated("no index of the HEIC")


def heif_boxes(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Name, start and end of each box at the top, as far as there are whole ones (ISO/IEC 14496-12, 4.2)."""
    start = 0
    while start + 8 <= len(data):
        size = unsigned(data, start, 4)
        if size == 1:
            size = unsigned(data, start + 8, 8)
        end = start + size if size else len(data)
        if end < start + 8 or end > len(data):
            return
        yield data[start + 4 : start + 8], start, end
        start = end


def exif_orientation(exif: bytes) -> int:
    """1 to 8, by the first directory of an EXIF block, led by ``Exif\\0\\0`` or not; 1 where it is silent or broken."""
    exif = exif.removeprefix(b"Exif\0\0")
    order: Literal["little", "big"] = "little" if exif[:2] == b"II" else "big"
    first = unsigned(exif, 4, 4, order) + 2
    entries = unsigned(exif, first - 2, 2, order)
    for at in range(first, min(first + 12 * entries, len(exif)), 12):
        if unsigned(exif, at, 2, order) == ORIENTATION:
            size = 4 if unsigned(exif, at + 2, 2, order) == LONG else 2
            value = unsigned(exif, at + 8, size, order)
            return value if 1 <= value <= 8 else 1
    return 1


def ends_properly(data: bytes, format: str) -> bool:
    """Whether the file reaches its own end. Formats whose end can't be seen count as whole."""
    match format:
        case "JPEG" | "PNG":
            try:
                return any([*(jpeg_segments(data) if format == "JPEG" else png_chunks(data))])
            except Truncated:
                return False
        case "WEBP":
            return len(data) >= 8 + unsigned(data, 4, 4, "little")
        case "GIF":
            return gif_has_trailer(data)
        case _:
            return True


def gif_has_trailer(data: bytes) -> bool:
    """Whether walking the blocks leads to the trailer; a byte that starts no block is stepped over, as decoders do."""
    at = 13 + gif_table(data, 10)
    while at < len(data):
        match data[at]:
            case 0x3B:
                return True
            case 0x2C:
                at = after_gif_blocks(data, at + 11 + gif_table(data, at + 9))
            case 0x21:
                at = after_gif_blocks(data, at + 2)
            case _:
                at += 1
    return False


def gif_table(data: bytes, flags_at: int) -> int:
    """Bytes of the colour table that the flags announce."""
    flags = unsigned(data, flags_at, 1)
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def after_gif_blocks(data: bytes, at: int) -> int:
    """Where a chain of sub-blocks, each led by its length, is over."""
    while size := unsigned(data, at, 1):
        at += size + 1
    return at + 1


def unsigned(data: bytes, at: int, size: int, order: Literal["little", "big"] = "big") -> int:
    """The number of ``size`` bytes at ``at``; what lies behind the end counts as absent bytes."""
    return int.from_bytes(data[at : at + size], order)
