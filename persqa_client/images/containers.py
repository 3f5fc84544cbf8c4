"""Common code of the file readers, and completeness checks for GIF, BMP and TIFF, without decoding.

Pillow silently fills missing pixels of some truncated files.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Literal, NamedTuple

ByteOrder = Literal["little", "big"]


class TruncatedImage(ValueError):
    """The file ends early or its structure is broken."""


class MissingEnd(TruncatedImage):
    """The file ends early. Its pixels may be complete (end_markers.py)."""


@dataclass(frozen=True, slots=True)
class StrippedImage:
    data: bytes
    width: int  # stored width, before the orientation is applied
    height: int
    plain: bool  # 8-bit grey or RGB, opaque, not animated, in an encoding that every decoder supports
    orientation: int  # EXIF orientation, 1 to 8; 1 is upright and the default
    profile: bytes = b""  # ICC profile, which is not in ``data``


def read_uint(data: bytes, offset: int, size: int, order: ByteOrder = "big") -> int:
    """Bytes after the end of ``data`` count as missing."""
    return int.from_bytes(data[offset : offset + size], order)


# --- GIF (CompuServe, GIF89a) ---

GIF_HEADER = 13


def check_gif(data: bytes) -> None:
    """Raises MissingEnd without the trailer. Skips unknown bytes, like decoders do."""
    position = GIF_HEADER + gif_colour_table_size(data, 10)
    while position < len(data):
        match data[position]:
            case 0x3B:  # trailer
                return
            case 0x2C:  # image
                position = skip_gif_subblocks(data, position + 11 + gif_colour_table_size(data, position + 9))
            case 0x21:  # extension
                position = skip_gif_subblocks(data, position + 2)
            case _:
                position += 1
    raise MissingEnd("the GIF has no trailer")


def gif_colour_table_size(data: bytes, flags_offset: int) -> int:
    flags = read_uint(data, flags_offset, 1)
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def skip_gif_subblocks(data: bytes, position: int) -> int:
    while size := read_uint(data, position, 1):
        position += size + 1
    return position + 1


# --- BMP (Microsoft's BITMAPFILEHEADER and the headers that follow it, including OS/2's) ---

BMP_FILE_HEADER, BMP_OS2_HEADER = 14, 12
BMP_UNCOMPRESSED = frozenset({0, 3, 6})  # BI_RGB, BI_BITFIELDS, BI_ALPHABITFIELDS
BMP_RUN_LENGTH = frozenset({1, 2})  # BI_RLE8, BI_RLE4


def check_bmp(data: bytes) -> None:
    """Raises TruncatedImage if the file is shorter than its headers say. The last row's padding is optional."""
    header_size = read_uint(data, 14, 4, "little")
    if len(data) < BMP_FILE_HEADER + header_size:
        raise TruncatedImage("a BMP header is cut off")
    pixels_offset = read_uint(data, 10, 4, "little") or BMP_FILE_HEADER + header_size
    if len(data) < pixels_offset + bmp_pixels_size(data, header_size):
        raise TruncatedImage("the pixels of the BMP are cut off")


def bmp_pixels_size(data: bytes, header_size: int) -> int:
    """Bytes of the pixels; 1 if unknown without decoding."""
    if header_size == BMP_OS2_HEADER:
        return bmp_rows_size(*(read_uint(data, offset, 2, "little") for offset in (18, 20, 24)))
    width, bits, compression = (read_uint(data, offset, size, "little") for offset, size in ((18, 4), (28, 2), (30, 4)))
    if compression in BMP_UNCOMPRESSED:
        # A negative height means top-to-bottom rows.
        height = abs(int.from_bytes(data[22:26], "little", signed=True))
        return bmp_rows_size(width, height, bits)
    return read_uint(data, 34, 4, "little") if compression in BMP_RUN_LENGTH else 1


def bmp_rows_size(width: int, height: int, bits: int) -> int:
    return (width * bits + 31) // 32 * 4 * max(0, height - 1) + (width * bits + 7) // 8


# --- TIFF (TIFF 6.0; BigTIFF as libtiff describes it) ---

WIDTH, HEIGHT, BITS_PER_SAMPLE, COMPRESSION, SAMPLES_PER_PIXEL, PLANAR_CONFIG = 256, 257, 258, 259, 277, 284
STRIP_OFFSETS, ROWS_PER_STRIP, STRIP_BYTE_COUNTS = 273, 278, 279
TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_BYTE_COUNTS = 322, 323, 324, 325
UNCOMPRESSED, OLD_JPEG = 1, 6  # values of COMPRESSION
SEPARATE_PLANES = 2  # value of PLANAR_CONFIG
BIG_TIFF = 43
SUBFILE_TYPE, SUB_IFDS, DNG_VERSION = 254, 330, 50706
REDUCED = 1  # bit of SUBFILE_TYPE
CR2_MARK = b"CR"  # behind the header

VALUE_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
UINT_FORMATS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}  # struct formats of integer types


class TiffField(NamedTuple):
    kind: int
    length: int  # number of values
    offset: int  # of the first value


class TiffDirectory:
    """The first directory of a TIFF file, for its first page.

    Raises TruncatedImage if the directory or a value is cut off.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.order: ByteOrder = "little" if data[:2] == b"II" else "big"
        big = self._read_uint(2, 2) == BIG_TIFF
        self._word, count_size = (8, 8) if big else (4, 2)
        start = self._read_uint(8, 8) if big else self._read_uint(4, 4)
        entry_size = 4 + 2 * self._word
        first = start + count_size
        end = first + entry_size * self._read_uint(start, count_size)
        # Followed by the offset of the next directory; 0 in the last one.
        if len(data) < end + self._word:
            raise TruncatedImage("the directory of the TIFF is cut off")
        self._fields = {self._read_uint(entry, 2): self._read_field(entry) for entry in range(first, end, entry_size)}

    def __contains__(self, tag: int) -> bool:
        return tag in self._fields

    def _read_uint(self, offset: int, size: int) -> int:
        return read_uint(self.data, offset, size, self.order)

    def _read_field(self, entry: int) -> TiffField:
        kind, length = self._read_uint(entry + 2, 2), self._read_uint(entry + 4, self._word)
        size, offset = VALUE_SIZES.get(kind, 0) * length, entry + 4 + self._word
        if size > self._word:
            offset = self._read_uint(offset, self._word)
            if offset + size > len(self.data):
                raise TruncatedImage("a value of the TIFF is cut off")
        return TiffField(kind, length, offset)

    def values(self, tag: int) -> Iterator[int]:
        field = self._fields.get(tag)
        if field is None or field.kind not in UINT_FORMATS:
            return
        uint = struct.Struct(("<" if self.order == "little" else ">") + UINT_FORMATS[field.kind])
        for (value,) in uint.iter_unpack(self.data[field.offset : field.offset + field.length * uint.size]):
            yield value

    def value(self, tag: int, default: int) -> int:
        return next(self.values(tag), default)


def is_raw_photo(data: bytes) -> bool:
    """Whether a TIFF is a DNG or a CR2, or has a thumbnail on its first page and other images below it.

    Raises TruncatedImage.
    """
    if data[8:10] == CR2_MARK:
        return True
    directory = TiffDirectory(data)
    return DNG_VERSION in directory or (bool(directory.value(SUBFILE_TYPE, 0) & REDUCED) and SUB_IFDS in directory)


def check_tiff(data: bytes) -> None:
    """Raises TruncatedImage if a strip or tile of the first page is cut off. Later pages are not used."""
    directory = TiffDirectory(data)
    tiled = TILE_OFFSETS in directory
    offsets = directory.values(TILE_OFFSETS if tiled else STRIP_OFFSETS)
    counts = chain(directory.values(TILE_BYTE_COUNTS if tiled else STRIP_BYTE_COUNTS), repeat(1))
    compression = directory.value(COMPRESSION, UNCOMPRESSED)
    for index, (offset, count) in enumerate(zip(offsets, counts, strict=False)):
        if offset + count > len(data) and compression in (UNCOMPRESSED, OLD_JPEG):
            # Some programs write wrong byte counts, which decoders ignore.
            count = min(count, uncompressed_size(directory, index, tiled)) if compression == UNCOMPRESSED else 1
        if offset + count > len(data):
            raise TruncatedImage("a strip or tile of the TIFF is cut off")


def uncompressed_size(directory: TiffDirectory, index: int, tiled: bool) -> int:
    if tiled:
        width, rows = directory.value(TILE_WIDTH, 0), directory.value(TILE_HEIGHT, 0)
    else:
        width, height = directory.value(WIDTH, 0), directory.value(HEIGHT, 0)
        rows = directory.value(ROWS_PER_STRIP, height)
        if rows:
            rows = min(rows, height - index % -(-height // rows) * rows) if height else 0
    planes_apart = directory.value(PLANAR_CONFIG, 1) == SEPARATE_PLANES
    samples = 1 if planes_apart else directory.value(SAMPLES_PER_PIXEL, 1)
    bits = max(directory.values(BITS_PER_SAMPLE), default=1) * samples
    return (width * bits + 7) // 8 * rows
