"""Walks a JPEG by its segments: what decoding needs stays, metadata and all behind the end goes. Pure.

By ITU-T T.81, annex B; JFIF and Adobe's APP14 by their own papers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from struct import Struct

import stringzilla

from persqa_client.images.containers import Stripped, Truncated, unsigned
from persqa_client.images.orientation import exif_orientation

JPEG_START, JPEG_END = b"\xff\xd8", b"\xff\xd9"
STUFFED = b"\xff\x00"
"""How the byte 0xFF is written in entropy-coded bytes."""
JPEG_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""A marker that ends entropy-coded bytes: not a stuffed 0xFF, not a restart, not a fill byte."""
TEM, SOI, EOI, SOS, APP0, APP1, APP14 = 0x01, 0xD8, 0xD9, 0xDA, 0xE0, 0xE1, 0xEE
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Start-of-frame markers; the three left out of the range are DHT, JPG and DAC."""
FRAME_HEADER = Struct(">BHHB")
"""Bits a sample, height, width, channels."""
COMMON_FRAMES = frozenset({0xC0, 0xC1, 0xC2})
"""Baseline, extended and progressive with Huffman codes, which every decoder reads."""


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
    return Stripped(joined(pieces, data), width, height, plain, exif_orientation(exif))


def joined(pieces: list[bytes | memoryview], data: bytes) -> bytes:
    """The pieces of ``data``, views where they are as they were; ``data`` itself where that is all of them, since a
    copy would cost as much as reading the file did."""
    untouched = sum(map(len, pieces)) == len(data) and all(isinstance(piece, memoryview) for piece in pieces[1:])
    return data if untouched else b"".join(pieces)


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
        if code == SOS and is_one_scan(data, position):
            position = len(data) - len(JPEG_END)
    raise Truncated("no end of the JPEG")


def is_one_scan(data: bytes, start: int) -> bool:
    """Whether from ``start`` to the end there is one scan without restarts and behind it EOI, nothing else.

    So it is where the last two bytes are EOI and each 0xFF but theirs is a stuffed one. To count takes a fifth of the
    time that looking at each 0xFF takes, and for most photographs that was the largest part of preparing them.
    """
    if not data.endswith(JPEG_END) or start > len(data) - len(JPEG_END):
        return False
    marks, stuffed = (int(stringzilla.count(data, what, start)) for what in (b"\xff", STUFFED))
    return marks == stuffed + 1


def kept_segment(view: memoryview, code: int, start: int, end: int) -> bytes | memoryview:
    """The segment as it goes out: whole, cut to what decoders read of it, or empty.

    JFIF and Adobe's APP14 tell decoders the colour space; JFIF may carry a thumbnail behind its first 12 bytes.
    """
    if 0xC0 <= code <= 0xDF and code != SOI:
        return view[start:end]
    body = view[start + 4 : end]
    kept = b""
    if code == APP0 and len(body) >= 14 and bytes(body[:5]) == b"JFIF\0":
        kept = b"\xff\xe0\x00\x10" + bytes(body[:12]) + b"\0\0"
    elif code == APP14 and len(body) >= 12 and bytes(body[:5]) == b"Adobe":
        kept = b"\xff\xee\x00\x0e" + bytes(body[:12])
    return view[start:end] if kept and kept == view[start:end] else kept


def read_frame(data: bytes, code: int, start: int, end: int) -> tuple[int, int, bool]:
    """Width, height and whether the frame is plain; a frame header too short for these reads as zeros."""
    precision, height, width, channels = FRAME_HEADER.unpack(data[start + 4 : end][:6].ljust(6, b"\0"))
    return width, height, code in COMMON_FRAMES and precision == 8 and channels in (1, 3)
