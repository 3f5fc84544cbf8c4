"""Walks the boxes of HEIC and AVIF: whether the picture is all there, and its links to metadata. Pure.

Boxes by ISO/IEC 14496-12, items and where they lie ("iloc") by its clause on metadata and by ISO/IEC 23008-12.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from persqa_client.images.containers import Truncated, unsigned

NEEDED = frozenset({b"ftyp", b"meta", b"moov", b"moof", b"mdat", b"idat"})
"""Boxes of the picture; a cut-off box of another name, behind them, is something that was appended to it."""
FULL_BOX = 4
"""Bytes of version and flags that open the content of ``meta``."""


class Box(NamedTuple):
    """A box: its name, and where its header starts, its content starts, and it ends."""

    name: bytes
    start: int
    body: int
    end: int


def boxes(data: bytes, start: int = 0, end: int | None = None) -> Iterator[Box]:
    """The boxes from start to end. Raises Truncated at one that the picture needs and that leads behind the end."""
    end = len(data) if end is None else end
    while start + 8 <= end:
        name, size, header = data[start + 4 : start + 8], unsigned(data, start, 4), 8
        if size == 1:
            size, header = unsigned(data, start + 8, 8), 16
        behind = start + size if size else end
        if behind < start + header or behind > end:
            if name in NEEDED:
                raise Truncated("a box is cut off")
            return
        yield Box(name, start, start + header, behind)
        start = behind


def index_of(data: bytes) -> Box:
    """The ``meta`` box, which tells where everything lies. Raises Truncated where there is none."""
    found = next((box for box in boxes(data) if box.name == b"meta"), None)
    if found is None:
        raise Truncated("no index of the picture")
    return found


def check_isobmff(data: bytes) -> None:
    """Raises Truncated where the file ends before a box or an item does. What is appended to it does no harm."""
    names = {box.name for box in boxes(data)}
    if b"meta" not in names:
        if b"moov" in names and b"mdat" in names:
            return
        raise Truncated("no index of the picture")
    index = index_of(data)
    for box in boxes(data, index.body + FULL_BOX, index.end):
        if box.name == b"iloc" and last_byte(data[box.body : box.end]) > len(data):
            raise Truncated("an item of the picture lies behind the end")


def last_byte(iloc: bytes) -> int:
    """Where in the file the last of all items ends."""
    cursor, last = Cursor(iloc), 0
    version = cursor.take(4) >> 24
    sizes = cursor.take(2)
    offset_size, length_size, base_size, index_size = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
    index_size = index_size if version else 0
    wide = 4 if version == 2 else 2
    for _ in range(cursor.take(wide)):
        cursor.take(wide)
        in_file = not (cursor.take(2) & 15 if version else 0)
        in_file = not cursor.take(2) and in_file
        base, extents = cursor.take(base_size), cursor.take(2)
        for _ in range(extents if offset_size + length_size + index_size else 0):
            cursor.take(index_size)
            end = base + cursor.take(offset_size) + cursor.take(length_size)
            last = max(last, end if in_file else 0)
    return last


class Cursor:
    """Reads one number after another. Raises Truncated where there are no more bytes."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, size: int) -> int:
        if self.at + size > len(self.data):
            raise Truncated("the list of items is cut off")
        self.at += size
        return unsigned(self.data, self.at - size, size)


def unlink_metadata(data: bytes) -> bytes:
    """Of the same length, with the references ("cdsc") from EXIF and other metadata items to the picture renamed.

    libheif then hands out no metadata. It needs none to turn a picture upright, and pi-heif 1.4 crashes the process on
    metadata items of a type other than Exif and mime, which ISO/IEC 23008-12 allows. Raises Truncated.
    """
    index = index_of(data)
    return data[: index.start] + data[index.start : index.end].replace(b"cdsc", b"skip") + data[index.end :]
