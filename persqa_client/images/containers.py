"""Reads a TIFF's first directory, to see whether the picture that it describes is all there. Pure.

By TIFF 6.0, and BigTIFF by libtiff's description of it. Later pages are not looked at: the first one is what is used.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Literal, NamedTuple

# What walking a picture file by its structure gives, and the numbers in it. Pure.
#
# Nothing is decoded on these walks, so they cost about a copy of the bytes.

Order = Literal["little", "big"]


class Truncated(ValueError):
    """The file stops, or its structure breaks, before the picture's end."""


@dataclass(frozen=True, slots=True)
class Stripped:
    """A picture file without metadata, and what its header says. Width and height are as stored, before any turning."""

    data: bytes
    width: int
    height: int
    plain: bool
    """8 bits a channel, grey or colour, opaque, not animated, in a coding that every decoder reads."""
    orientation: int
    """EXIF's 1 to 8, how the stored picture is to be turned; 1 is upright, and stands where none is given."""


def unsigned(data: bytes, at: int, size: int, order: Order = "big") -> int:
    """The number of ``size`` bytes at ``at``; what lies behind the end counts as absent bytes."""
    return int.from_bytes(data[at : at + size], order)


# Walks a GIF by its blocks, to see whether it reaches its end. Pure.
#
# By CompuServe's GIF89a.


def check_gif(data: bytes) -> None:
    """Raises Truncated where the blocks do not lead to the trailer."""
    if not gif_has_trailer(data):
        raise Truncated("no end of the GIF")


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


# Reads a BMP's headers, to see whether its pixels are all there. Pure.
#
# By Microsoft's BITMAPFILEHEADER and the headers that follow it, OS/2's short one among them.

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


WIDTH, HEIGHT, BITS, COMPRESSION, SAMPLES, PLANES = 256, 257, 258, 259, 277, 284
STRIPS, STRIP_ROWS, STRIP_COUNTS = 273, 278, 279
TILE_WIDTH, TILE_HEIGHT, TILES, TILE_COUNTS = 322, 323, 324, 325
UNCOMPRESSED, OLD_JPEG, SEPARATE = 1, 6, 2

SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
"""Bytes of one value of each type."""
CODES = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
"""The types of offsets and counts, by struct's letters."""


class Field(NamedTuple):
    """An entry of the directory: its type, how many values, and where the first of them stands."""

    kind: int
    length: int
    at: int


class Directory:
    """The first directory. Raises Truncated where it, or a value that it points to, lies behind the file's end."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.order: Order = "little" if data[:2] == b"II" else "big"
        big = self.number(2, 2) == 43
        self.word, self.count_size = (8, 8) if big else (4, 2)
        start = self.number(8, 8) if big else self.number(4, 4)
        entry = 4 + 2 * self.word
        first = start + self.count_size
        end = first + entry * self.number(start, self.count_size)
        # A pointer to the next directory follows, if only to say that there is none.
        if len(data) < end + self.word:
            raise Truncated("the directory of the TIFF is cut off")
        self.fields = {self.number(at, 2): self.field(at) for at in range(first, end, entry)}

    def number(self, at: int, size: int) -> int:
        return unsigned(self.data, at, size, self.order)

    def field(self, at: int) -> Field:
        """Values of up to a word stand in the entry itself, others where it points to."""
        kind, count = self.number(at + 2, 2), self.number(at + 4, self.word)
        size, value = SIZES.get(kind, 0) * count, at + 4 + self.word
        if size > self.word:
            value = self.number(value, self.word)
            if value + size > len(self.data):
                raise Truncated("a value of the TIFF is cut off")
        return Field(kind, count, value)

    def values(self, tag: int) -> Iterator[int]:
        """The whole numbers of a tag, one at a time; none where it is absent or of another type."""
        field = self.fields.get(tag)
        if field is None or field.kind not in CODES:
            return
        one = struct.Struct(("<" if self.order == "little" else ">") + CODES[field.kind])
        for (value,) in one.iter_unpack(self.data[field.at : field.at + field.length * one.size]):
            yield value

    def value(self, tag: int, otherwise: int) -> int:
        return next(self.values(tag), otherwise)


def check_tiff(data: bytes) -> None:
    """Raises Truncated where a strip or a tile of the first picture lies behind the file's end."""
    directory = Directory(data)
    tiled = TILES in directory.fields
    offsets = directory.values(TILES if tiled else STRIPS)
    counts = chain(directory.values(TILE_COUNTS if tiled else STRIP_COUNTS), repeat(1))
    compression = directory.value(COMPRESSION, UNCOMPRESSED)
    for index, (offset, count) in enumerate(zip(offsets, counts, strict=False)):
        if offset + count > len(data) and compression in (UNCOMPRESSED, OLD_JPEG):
            # Programs have written wrong counts where readers need none.
            count = min(count, piece_bytes(directory, index, tiled)) if compression == UNCOMPRESSED else 1
        if offset + count > len(data):
            raise Truncated("no end of the TIFF")


def piece_bytes(directory: Directory, index: int, tiled: bool) -> int:
    """Bytes of a strip or tile without compression."""
    width, height = directory.value(WIDTH, 0), directory.value(HEIGHT, 0)
    rows = directory.value(STRIP_ROWS, height)
    samples = directory.value(SAMPLES, 1)
    if tiled:
        width, rows = directory.value(TILE_WIDTH, 0), directory.value(TILE_HEIGHT, 0)
    elif rows:
        rows = min(rows, height - index % -(-height // rows) * rows) if height else 0
    bits = max(directory.values(BITS), default=1) * (1 if directory.value(PLANES, 1) == SEPARATE else samples)
    return (width * bits + 7) // 8 * rows
