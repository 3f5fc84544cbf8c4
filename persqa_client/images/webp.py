"""Removes metadata and trailing bytes of a WebP without decoding it.

By RFC 9649; sizes in the bitstreams by RFC 6386 (VP8) and the VP8L section of RFC 9649.
"""

from __future__ import annotations

from collections.abc import Iterator

from persqa_client.images.containers import StrippedImage, TruncatedImage, read_uint
from persqa_client.images.orientation import read_orientation

WEBP_KEPT_CHUNKS = frozenset({b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF"})
ALPHA_FLAG, ANIMATION_FLAG = 0x10, 0x02  # of VP8X; its other flags are for removed chunks
VP8_START_CODE, VP8L_SIGNATURE = b"\x9d\x01\x2a", 0x2F


def strip_webp(data: bytes) -> StrippedImage:
    """Raises TruncatedImage if a chunk, the image or the end is missing."""
    kept: list[tuple[bytes, bytes]] = []
    first: dict[bytes, bytes] = {}  # the first chunk of each name
    for name, start, end in iterate_riff_chunks(data):
        if name in WEBP_KEPT_CHUNKS:
            kept.append((name, data[start:end]))
        first.setdefault(name, data[start:end])
    bitstream = next((name for name, _ in kept if name in BITSTREAM_READERS), None)
    if bitstream is not None:
        width, height, opaque = BITSTREAM_READERS[bitstream](first[bitstream])
    elif b"ANMF" in first:
        width, height = read_canvas_size(first.get(b"VP8X", b""))
        opaque = False
    else:
        raise TruncatedImage("the WebP has no image")
    plain = opaque and not first.keys() & {b"ALPH", b"ANIM", b"ANMF"}
    if plain:
        kept = [(name, content) for name, content in kept if name == bitstream][:1]
    orientation = read_orientation(first.get(b"EXIF", b""), first.get(b"XMP ", b""))
    return StrippedImage(build_webp(kept), width, height, plain, orientation, first.get(b"ICCP", b""))


def iterate_riff_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Name, start and end of the content of each RIFF chunk."""
    end = 8 + read_uint(data, 4, 4, "little")
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP" or len(data) < end:
        raise TruncatedImage("the WebP has no start or no end")
    position = 12
    while position + 8 <= end:
        start, size = position + 8, read_uint(data, position + 4, 4, "little")
        if start + size > end:
            raise TruncatedImage("a WebP chunk is cut off")
        yield data[position : position + 4], start, start + size
        position = start + size + size % 2


def read_canvas_size(vp8x: bytes) -> tuple[int, int]:
    return read_uint(vp8x, 4, 3, "little") + 1, read_uint(vp8x, 7, 3, "little") + 1


def read_vp8_header(frame: bytes) -> tuple[int, int, bool]:
    """Width, height and True: a lossy image is transparent only with a separate ALPH chunk."""
    if frame[3:6] != VP8_START_CODE:
        raise TruncatedImage("the lossy WebP image has no start code")
    return read_uint(frame, 6, 2, "little") & 0x3FFF, read_uint(frame, 8, 2, "little") & 0x3FFF, True


def read_vp8l_header(frame: bytes) -> tuple[int, int, bool]:
    if read_uint(frame, 0, 1) != VP8L_SIGNATURE:
        raise TruncatedImage("the lossless WebP image has no signature")
    bits = read_uint(frame, 1, 4, "little")
    return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, not bits >> 28 & 1


def is_lossless_webp(data: bytes) -> bool:
    """Whether a WebP without metadata, as ``strip_webp`` makes it, is lossless."""
    return data[12:16] == b"VP8L"


BITSTREAM_READERS = {b"VP8 ": read_vp8_header, b"VP8L": read_vp8l_header}


def build_webp(chunks: list[tuple[bytes, bytes]]) -> bytes:
    pieces = [b"WEBP"]
    for name, content in chunks:
        if name == b"VP8X":
            content = bytes((read_uint(content, 0, 1) & (ALPHA_FLAG | ANIMATION_FLAG),)) + content[1:]
        pieces.append(name + len(content).to_bytes(4, "little") + content + bytes(len(content) % 2))
    body = b"".join(pieces)
    return b"RIFF" + len(body).to_bytes(4, "little") + body
