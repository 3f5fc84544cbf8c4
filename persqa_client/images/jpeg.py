"""Removes metadata and trailing bytes of a JPEG without decoding it.

By ITU-T T.81, annex B; JFIF and Adobe's APP14 segment by their specifications.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from struct import Struct

import stringzilla

from persqa_client.images.containers import StrippedImage, TruncatedImage
from persqa_client.images.orientation import read_exif_orientation

JPEG_START, JPEG_END = b"\xff\xd8", b"\xff\xd9"
STUFFED = b"\xff\x00"  # the byte 0xFF in entropy-coded data
MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # except stuffed 0xFF, restart markers and fill bytes
TEM, SOI, EOI, SOS, APP0, APP1, APP2, APP14 = 0x01, 0xD8, 0xD9, 0xDA, 0xE0, 0xE1, 0xE2, 0xEE
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # start-of-frame markers; the others are DHT, JPG, DAC
FRAME_HEADER = Struct(">BHHB")  # bits per sample, height, width, channels
# Before each part of an ICC profile, with the number of the part and of all parts (ICC.1:2022, annex B.4).
ICC_SIGNATURE = b"ICC_PROFILE\0"
ICC_HEADER = len(ICC_SIGNATURE) + 2
COMMON_FRAMES = frozenset({0xC0, 0xC1, 0xC2})  # baseline, extended, progressive: supported by every decoder


def strip_jpeg(data: bytes) -> StrippedImage:
    view = memoryview(data)
    pieces: list[bytes | memoryview] = [JPEG_START]
    frame: bytes | None = None
    plain_frame = False
    exif = b""
    profile_parts: dict[int, bytes] = {}
    last, scanning, scans = 0, False, 0
    for code, start, end in iterate_segments(data):
        if scanning:
            pieces.append(view[last:start])
        pieces.append(kept_part(view, code, start, end))
        if code in FRAMES and frame is None:
            frame, plain_frame = data[start + 4 : end], code in COMMON_FRAMES
        elif code == APP1 and not exif and data.startswith(b"Exif\0\0", start + 4, end):
            exif = data[start + 10 : end]
        elif code == APP2 and data.startswith(ICC_SIGNATURE, start + 4, end):
            content = data[start + 4 : end]
            profile_parts.setdefault(content[len(ICC_SIGNATURE)], content[ICC_HEADER:])
        # Bytes after other segments than SOS belong to no scan; decoders skip them.
        last, scanning = end, code == SOS
        scans += scanning
    if frame is None or not scans:
        raise TruncatedImage("the JPEG has no image between its start and its end")
    # Missing bytes of the frame header are read as zeros.
    precision, height, width, channels = FRAME_HEADER.unpack(frame[:6].ljust(6, b"\0"))
    plain = plain_frame and precision == 8 and channels in (1, 3)
    unchanged = sum(map(len, pieces)) == len(data) and all(isinstance(piece, memoryview) for piece in pieces[1:])
    # Without changes `data` itself is returned: a copy costs as much as reading the file.
    stripped = data if unchanged else b"".join(pieces)
    orientation = read_exif_orientation(exif) if exif else 1
    profile = b"".join(profile_parts[number] for number in sorted(profile_parts))
    return StrippedImage(stripped, width, height, plain, orientation, profile)


def iterate_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    if not data.startswith(JPEG_START):
        raise TruncatedImage("the JPEG has no start")
    position = len(JPEG_START)
    while match := MARKER.search(data, position):
        start, code = match.start(), data[match.start() + 1]
        length = 0 if code in (TEM, SOI, EOI) else int.from_bytes(data[start + 2 : start + 4], "big")
        position = start + 2 + length
        if length < 2 and code not in (TEM, SOI, EOI):
            raise TruncatedImage("a JPEG segment has no length")
        yield code, start, position
        if code == EOI:
            return
        if code == SOS and is_single_scan(data, position):
            position = len(data) - len(JPEG_END)
    raise TruncatedImage("the JPEG has no end")


def is_single_scan(data: bytes, start: int) -> bool:
    """Whether the rest is one scan without restart markers, ended by EOI: every other 0xFF is stuffed.

    Counting these takes a fifth of the time of searching markers.
    """
    if not data.endswith(JPEG_END) or start > len(data) - len(JPEG_END):
        return False
    markers, stuffed = (int(stringzilla.count(data, pattern, start)) for pattern in (b"\xff", STUFFED))
    return markers == stuffed + 1


def kept_part(view: memoryview, code: int, start: int, end: int) -> bytes | memoryview:
    """JFIF and Adobe's APP14 determine the colour space. A JFIF segment may have a thumbnail after 12 bytes."""
    if 0xC0 <= code <= 0xDF and code != SOI:
        return view[start:end]
    body = view[start + 4 : end]
    kept = b""
    if code == APP0 and len(body) >= 14 and bytes(body[:5]) == b"JFIF\0":
        kept = b"\xff\xe0\x00\x10" + bytes(body[:12]) + b"\0\0"
    elif code == APP14 and len(body) >= 12 and bytes(body[:5]) == b"Adobe":
        kept = b"\xff\xee\x00\x0e" + bytes(body[:12])
    return view[start:end] if kept and kept == view[start:end] else kept
