"""Lists the parts of an image file, independently of the package's own readers."""

from __future__ import annotations

import re
import struct

Parts = list[tuple[str, bytes]]

JPEG_NAMES = {0xDB: "DQT", 0xC0: "SOF0", 0xC1: "SOF1", 0xC2: "SOF2", 0xC4: "DHT", 0xDA: "SOS", 0xDD: "DRI"}
# The parts that an image without metadata may have.
IMAGE_PARTS = {
    "JPEG": {*JPEG_NAMES.values(), "JFIF", "pixels", "EOI"},
    "PNG": {"IHDR", "IDAT", "IEND", "PLTE", "tRNS", "gAMA", "cHRM", "sRGB"},
    "WEBP": {"VP8 ", "VP8L"},
}


def list_parts(data: bytes, format: str) -> Parts:
    """Name and content of each part of a file, including the bytes after its end."""
    return {"JPEG": jpeg_parts, "PNG": png_parts, "WEBP": webp_parts}[format](data)


def jpeg_parts(data: bytes) -> Parts:
    assert data[:2] == b"\xff\xd8"
    found: Parts = []
    at = 2
    while at < len(data):
        assert data[at] == 0xFF, f"no segment at {at}"
        code = data[at + 1]
        if code == 0xD9:
            return [*found, ("EOI", b""), *([("trailing", data[at + 2 :])] if data[at + 2 :] else [])]
        size = struct.unpack_from(">H", data, at + 2)[0]
        body = data[at + 4 : at + 2 + size]
        is_jfif = code == 0xE0 and body[:5] == b"JFIF\0" and size == 16 and body[12:] == b"\0\0"
        found.append(("JFIF" if is_jfif else JPEG_NAMES.get(code, f"{code:02X}"), body))
        at += 2 + size
        if code == 0xDA:
            marker = re.compile(rb"\xff[^\x00\xd0-\xd7]").search(data, at)
            assert marker is not None
            found.append(("pixels", data[at : marker.start()]))
            at = marker.start()
    return found


def png_parts(data: bytes) -> Parts:
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    found: Parts = []
    at = 8
    while at < len(data) and (not found or found[-1][0] != "IEND"):
        size = struct.unpack_from(">I", data, at)[0]
        found.append((data[at + 4 : at + 8].decode("latin-1"), data[at + 8 : at + 8 + size]))
        at += 12 + size
    return [*found, *([("trailing", data[at:])] if data[at:] else [])]


def webp_parts(data: bytes) -> Parts:
    end = 8 + struct.unpack_from("<I", data, 4)[0]
    found: Parts = []
    at = 12
    while at < end:
        size = struct.unpack_from("<I", data, at + 4)[0]
        found.append((data[at : at + 4].decode("latin-1"), data[at + 8 : at + 8 + size]))
        at += 8 + size + size % 2
    return [*found, *([("trailing", data[end:])] if data[end:] else [])]
