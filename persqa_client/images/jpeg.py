"""Removes metadata and trailing bytes of a JPEG without decoding it.

By ITU-T T.81, annex B; JFIF and Adobe's APP14 segment by their specifications.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from struct import Struct

import stringzilla

from persqa_client.images.containers import MissingEnd, StrippedImage, TruncatedImage
from persqa_client.images.orientation import UPRIGHT, read_orientation

JPEG_START, JPEG_END = b"\xff\xd8", b"\xff\xd9"
STUFFED = b"\xff\x00"  # the byte 0xFF in entropy-coded data
MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # except stuffed 0xFF, restart markers and fill bytes
TEM, SOI, EOI, SOS, DRI, APP0, APP1, APP2, APP14 = 0x01, 0xD8, 0xD9, 0xDA, 0xDD, 0xE0, 0xE1, 0xE2, 0xEE
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # start-of-frame markers; the others are DHT, JPG, DAC
# Tables, comments and application segments may stand between two scans, and DNL after the first one.
AFTER_A_SCAN = {bytes((code,)) for code in (0xC4, 0xCC, 0xDB, 0xDC, 0xDD, *range(0xE0, 0xF0), 0xFE)}
FRAME_HEADER = Struct(">BHHB")  # bits per sample, height, width, channels
XMP_SIGNATURE = b"http://ns.adobe.com/xap/1.0/\0"
# Before each part of an ICC profile, with the number of the part and of all parts (ICC.1:2022, annex B.4).
ICC_SIGNATURE = b"ICC_PROFILE\0"
ICC_HEADER = len(ICC_SIGNATURE) + 2
# In place of a marker's code: damage within a scan.
DAMAGE = 0
COMMON_FRAMES = frozenset({0xC0, 0xC1, 0xC2})  # baseline, extended, progressive: supported by every decoder


def strip_jpeg(data: bytes) -> StrippedImage:
    view = memoryview(data)
    pieces: list[bytes | memoryview] = [JPEG_START]
    frame: bytes | None = None
    plain_frame = False
    exif = xmp = b""
    profile_parts: dict[int, bytes] = {}
    last, scanning, scans = 0, False, 0
    is_damaged = False
    for code, start, end in iterate_segments(data):
        if code == DAMAGE:
            is_damaged = True
            continue
        if scanning:
            pieces.append(view[last:start])
        pieces.append(kept_part(view, code, start, end))
        if code in FRAMES and frame is None:
            frame, plain_frame = data[start + 4 : end], code in COMMON_FRAMES
        elif APP1 <= code <= APP2:
            content = data[start + 4 : end]
            if code == APP2:
                if content.startswith(ICC_SIGNATURE) and len(content) >= ICC_HEADER:
                    profile_parts.setdefault(content[len(ICC_SIGNATURE)], content[ICC_HEADER:])
            elif not exif and content.startswith(b"Exif\0\0"):
                exif = content[6:]
            elif not xmp and content.startswith(XMP_SIGNATURE):
                xmp = content[len(XMP_SIGNATURE) :]
        # Bytes after other segments than SOS belong to no scan; decoders skip them.
        last, scanning = end, code == SOS
        scans += scanning
    if frame is None or not scans:
        raise TruncatedImage("the JPEG has no image between its start and its end")
    # Missing bytes of the frame header are read as zeros.
    precision, height, width, channels = FRAME_HEADER.unpack(frame[:6].ljust(6, b"\0"))
    # A damaged file is decoded here: what one decoder shows, others may refuse.
    plain = plain_frame and precision == 8 and channels in (1, 3) and not is_damaged
    unchanged = sum(map(len, pieces)) == len(data) and all(isinstance(piece, memoryview) for piece in pieces[1:])
    # Without changes `data` itself is returned: a copy costs as much as reading the file.
    stripped = data if unchanged else b"".join(pieces)
    orientation = read_orientation(exif, xmp) if exif or xmp else UPRIGHT
    profile = b"".join(profile_parts[number] for number in sorted(profile_parts))
    return StrippedImage(stripped, width, height, plain, orientation, profile)


def iterate_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Code, start and end of each segment.

    A marker in a scan that begins no segment is damage, with the code DAMAGE: a decoder continues at the next restart
    marker. Raises TruncatedImage if there are none, since the rest of the image would be grey.
    """
    if not data.startswith(JPEG_START):
        raise TruncatedImage("the JPEG has no start")
    position, scanning, has_restarts = len(JPEG_START), False, False
    while match := MARKER.search(data, position):
        start, code = match.start(), data[match.start() + 1]
        if scanning and not ends_scan(data, start):
            if not has_restarts:
                raise TruncatedImage("the image data of the JPEG is damaged")
            position = match.end()
            yield DAMAGE, start, position
            continue
        length = 0 if code in (TEM, SOI, EOI) else int.from_bytes(data[start + 2 : start + 4], "big")
        position = start + 2 + length
        if length < 2 and code not in (TEM, SOI, EOI):
            raise TruncatedImage("a JPEG segment has no length")
        yield code, start, position
        if code == EOI:
            return
        if code == DRI:
            has_restarts = any(data[start + 4 : position])
        scanning = code == SOS
        if scanning and is_single_scan(data, position):
            position = len(data) - len(JPEG_END)
    raise MissingEnd("the JPEG has no end")


def ends_scan(data: bytes, start: int) -> bool:
    """Whether the segments from ``start`` on are legal after a scan, up to the next scan or the end of the image.

    A damaged byte can look like any marker, but what follows it seldom has the form of a segment.
    """
    while data[start : start + 1] == b"\xff":
        code, length = data[start + 1 : start + 2], int.from_bytes(data[start + 2 : start + 4], "big")
        if code == JPEG_END[1:]:
            return True
        if code == b"\xff":  # a fill byte
            start += 1
            continue
        if code == bytes((SOS,)):
            return is_scan_header(data[start + 4 : start + 2 + length])
        if code not in AFTER_A_SCAN or length < 2:
            return False
        start += 2 + length
    return False


def is_scan_header(body: bytes) -> bool:
    """By T.81, B.2.3: the number of channels, two bytes for each, and three more."""
    return len(body) >= 6 and 1 <= body[0] <= 4 and len(body) == 2 * body[0] + 4


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
