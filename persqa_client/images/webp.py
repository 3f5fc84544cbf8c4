"""Walks a WebP by its chunks: what decoding needs stays, metadata and all behind the end goes. Pure.

By RFC 9649; the sizes in the bitstreams by RFC 6386 (VP8) and by RFC 9649's section on VP8L.
"""

from __future__ import annotations

from collections.abc import Iterator

from persqa_client.images.containers import Stripped, Truncated, unsigned
from persqa_client.images.orientation import exif_orientation

WEBP_KEPT = frozenset({b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF"})
ALPHA, ANIMATION = 0x10, 0x02
"""The flags of VP8X that speak of the picture; the others announce chunks that are cut."""
VP8_KEY, VP8L_SIGN = b"\x9d\x01\x2a", 0x2F


def read_webp(data: bytes) -> Stripped:
    """Raises Truncated where a chunk, the picture or the end is missing."""
    kept: list[tuple[bytes, bytes]] = []
    first: dict[bytes, bytes] = {}
    for name, start, end in webp_chunks(data):
        if name in WEBP_KEPT:
            kept.append((name, data[start:end]))
        first.setdefault(name, data[start:end])
    bitstream = next((name for name, _ in kept if name in READERS), None)
    if bitstream is not None:
        width, height, opaque = READERS[bitstream](first[bitstream])
    elif b"ANMF" in first:
        width, height, opaque = canvas(first.get(b"VP8X", b""))
    else:
        raise Truncated("no picture in the WebP")
    plain = opaque and not first.keys() & {b"ALPH", b"ANIM", b"ANMF"}
    if plain:
        kept = [(name, content) for name, content in kept if name == bitstream][:1]
    return Stripped(webp_of(kept), width, height, plain, exif_orientation(first.get(b"EXIF", b"")))


def webp_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Name, and where the content starts and ends, of each chunk within the RIFF."""
    end = 8 + unsigned(data, 4, 4, "little")
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP" or len(data) < end:
        raise Truncated("no start or no end of the WebP")
    position = 12
    while position + 8 <= end:
        start, size = position + 8, unsigned(data, position + 4, 4, "little")
        if start + size > end:
            raise Truncated("a WebP chunk is cut off")
        yield data[position : position + 4], start, start + size
        position = start + size + size % 2


def canvas(header: bytes) -> tuple[int, int, bool]:
    """Width and height of an animation, by VP8X; its frames tell of alpha, each for itself."""
    return unsigned(header, 4, 3, "little") + 1, unsigned(header, 7, 3, "little") + 1, False


def vp8_size(frame: bytes) -> tuple[int, int, bool]:
    """Width, height, and true: only an ALPH chunk beside it makes a lossy picture transparent."""
    if frame[3:6] != VP8_KEY:
        raise Truncated("no start of a lossy WebP")
    return unsigned(frame, 6, 2, "little") & 0x3FFF, unsigned(frame, 8, 2, "little") & 0x3FFF, True


def vp8l_size(frame: bytes) -> tuple[int, int, bool]:
    """Width, height, and whether the header says that no pixel is transparent."""
    if unsigned(frame, 0, 1) != VP8L_SIGN:
        raise Truncated("no start of a lossless WebP")
    bits = unsigned(frame, 1, 4, "little")
    return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, not bits >> 28 & 1


READERS = {b"VP8 ": vp8_size, b"VP8L": vp8l_size}
"""By the name of the chunk that holds the pixels."""


def webp_of(chunks: list[tuple[bytes, bytes]]) -> bytes:
    """A WebP of these chunks: the simple form for a bitstream alone, else VP8X with no flag for what was cut."""
    pieces = [b"WEBP"]
    for name, content in chunks:
        if name == b"VP8X":
            content = bytes((unsigned(content, 0, 1) & (ALPHA | ANIMATION),)) + content[1:]
        pieces.append(name + len(content).to_bytes(4, "little") + content + bytes(len(content) % 2))
    body = b"".join(pieces)
    return b"RIFF" + len(body).to_bytes(4, "little") + body
