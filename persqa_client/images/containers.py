"""Reads a TIFF's first directory, to see whether the picture that it describes is all there. Pure.

By TIFF 6.0, and BigTIFF by libtiff's description of it. Later pages are not looked at: the first one is what is used.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import chain, repeat
from typing import NamedTuple

from persqa_client.images.structure import Order, Truncated, unsigned

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
