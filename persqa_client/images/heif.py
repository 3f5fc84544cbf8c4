"""Checks that HEIC and AVIF files are complete, finds crop and colours, and hides metadata from the decoder of HEIC.

Boxes by ISO/IEC 14496-12; items and their locations ("iloc") by ISO/IEC 23008-12.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from fractions import Fraction
from itertools import chain, islice
from operator import attrgetter
from typing import Literal, NamedTuple

from persqa_client.images.code_points import UNSPECIFIED
from persqa_client.images.containers import TruncatedImage, read_uint

# Boxes of the image. A truncated box of another name after them is appended data.
IMAGE_BOXES = frozenset({b"ftyp", b"meta", b"moov", b"moof", b"mdat", b"idat"})
MAX_ENTRIES = 0xFFFF_FFFF
# Properties that can be numbered, and items that are looked at: a photo of 200 megapixels has some hundred tiles.
MAX_PROPERTIES, MAX_ITEMS = 0x7FFF, 20_000
LOW_OVERHEAD = b"mini"  # replaces ``meta`` in small files
# Width, height and two offsets, each a fraction. Only the numerators of the offsets may be negative.
CLAP = struct.Struct(">IIIIiIiI")
FULL_BOX_HEADER = 4  # bytes of version and flags in a full box such as ``meta``


class Box(NamedTuple):
    name: bytes
    start: int  # of the header
    body: int  # of the content
    end: int


def iterate_boxes(data: bytes, start: int = 0, end: int | None = None) -> Iterator[Box]:
    end = len(data) if end is None else end
    while start + 8 <= end:
        name, size, header = data[start + 4 : start + 8], read_uint(data, start, 4), 8
        if size == 1:
            size, header = read_uint(data, start + 8, 8), 16
        box_end = start + size if size else end
        if box_end < start + header or box_end > end:
            if name in IMAGE_BOXES:
                raise TruncatedImage("a box is cut off")
            return
        yield Box(name, start, start + header, box_end)
        start = box_end


def find_meta_box(data: bytes) -> Box:
    """The ``meta`` box has the locations of all items. Raises TruncatedImage without it."""
    box = next((box for box in iterate_boxes(data) if box.name == b"meta"), None)
    if box is None:
        raise TruncatedImage("the file has no meta box")
    return box


def check_heif(data: bytes) -> None:
    """Raises TruncatedImage if a box or an item is cut off. Accepts appended data."""
    names = {box.name for box in iterate_boxes(data)}
    if LOW_OVERHEAD in names or (b"meta" not in names and b"moov" in names and b"mdat" in names):
        return
    meta = find_meta_box(data)
    for box in iterate_boxes(data, meta.body + FULL_BOX_HEADER, meta.end):
        if box.name == b"iloc" and find_last_item_end(data[box.body : box.end]) > len(data):
            raise TruncatedImage("an item of the image is cut off")


def find_last_item_end(iloc: bytes) -> int:
    reader, last = UintReader(iloc), 0
    version = reader.read(4) >> 24
    sizes = reader.read(2)
    offset_size, length_size, base_size, index_size = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
    index_size = index_size if version else 0
    id_size = 4 if version == 2 else 2
    for _ in range(reader.read(id_size)):
        reader.read(id_size)
        in_file = not (reader.read(2) & 15 if version else 0)  # construction method 0: file offset
        in_file = not reader.read(2) and in_file  # data reference 0: this file
        base, extents = reader.read(base_size), reader.read(2)
        for _ in range(extents if offset_size + length_size + index_size else 0):
            reader.read(index_size)
            end = base + reader.read(offset_size) + reader.read(length_size)
            last = max(last, end if in_file else 0)
    return last


class UintReader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    def read(self, size: int) -> int:
        if self._position + size > len(self._data):
            raise TruncatedImage("the list of items is cut off")
        self._position += size
        return read_uint(self._data, self._position - size, size)

    def read_list(self, count: int, size: Literal[1, 2]) -> tuple[int, ...]:
        start = self._position
        self._position += count * size
        if self._position > len(self._data):
            raise TruncatedImage("a list of numbers is cut off")
        return struct.unpack_from(f">{count}{'B' if size == 1 else 'H'}", self._data, start)


def find_crop(data: bytes, size: tuple[int, int]) -> tuple[int, int, int, int] | None:
    """Left, upper, right and lower edge of the clean aperture ("clap") of an AVIF; None for the whole image.

    libavif leaves the crop to its callers, and Pillow ignores it. ``size``: that of the image before its rotation.
    """
    try:
        values = read_clean_aperture(data)
    except TruncatedImage:
        return None
    if values is None or 0 in values[1::2]:
        return None
    width, height, across, down = (Fraction(values[i], values[i + 1]) for i in range(0, 8, 2))
    # The offsets are those of the centre of the crop from the centre of the image (ISO/IEC 14496-12, 12.1.4.1).
    left, upper = across + (size[0] - width) / 2, down + (size[1] - height) / 2
    edges = (left, upper, left + width, upper + height)
    is_inside = 0 <= left < left + width <= size[0] and 0 <= upper < upper + height <= size[1]
    if not is_inside or any(edge.denominator != 1 for edge in edges):
        return None
    return int(left), int(upper), int(edges[2]), int(edges[3])


def read_clean_aperture(data: bytes) -> tuple[int, ...] | None:
    """The eight numbers of the primary item's crop. Raises TruncatedImage."""
    crops = (box for box in find_properties(data) if box.name == b"clap" and box.end - box.body >= CLAP.size)
    return next((CLAP.unpack_from(data, box.body) for box in crops), None)


def read_code_points(data: bytes, decoded: dict[str, int] | None = None) -> tuple[int, int]:
    """Colour primaries and transfer function of the primary item ("nclx"); UNSPECIFIED if the file does not say.

    ``decoded``: those that the decoder of HEIC found in a low-overhead header.
    """
    if decoded and any(box.name == LOW_OVERHEAD for box in iterate_boxes(data)):
        return decoded["color_primaries"], decoded["transfer_characteristics"]
    try:
        for box in find_properties(data):
            if box.name == b"colr" and data[box.body : box.body + 4] == b"nclx":
                return read_uint(data, box.body + 4, 2), read_uint(data, box.body + 6, 2)
    except TruncatedImage:
        pass
    return UNSPECIFIED, UNSPECIFIED


def find_properties(data: bytes) -> Iterator[Box]:
    """The properties of the primary item. Raises TruncatedImage."""
    meta = find_meta_box(data)
    boxes = {box.name: box for box in iterate_boxes(data, meta.body + FULL_BOX_HEADER, meta.end)}
    if b"pitm" not in boxes:
        return
    primary = UintReader(data[boxes[b"pitm"].body : boxes[b"pitm"].end])
    primary_id = primary.read(2 if primary.read(4) >> 24 == 0 else 4)
    found = {box for item, properties in list_item_properties(data) if item == primary_id for box in properties}
    # In the order of the properties.
    yield from sorted(found, key=attrgetter("start"))


def list_item_properties(data: bytes) -> Iterator[tuple[int, list[Box]]]:
    """The number of an item and some or all of its properties, for the first items. Raises TruncatedImage.

    A hostile file may have any number of them, so they are not kept.
    """
    meta = find_meta_box(data)
    boxes = {box.name: box for box in iterate_boxes(data, meta.body + FULL_BOX_HEADER, meta.end)}
    if b"iprp" not in boxes:
        return
    parts = list(iterate_boxes(data, boxes[b"iprp"].body, boxes[b"iprp"].end))
    container = next((box for box in parts if box.name == b"ipco"), None)
    inside = iterate_boxes(data, container.body, container.end) if container else ()
    properties = list(islice(inside, MAX_PROPERTIES))
    lists = (list_associations(data[box.body : box.end]) for box in parts if box.name == b"ipma")
    for item, numbers in islice(chain.from_iterable(lists), MAX_ITEMS):
        yield item, [properties[number - 1] for number in numbers if 1 <= number <= len(properties)]


def list_associations(ipma: bytes) -> Iterator[tuple[int, list[int]]]:
    """The number of an item and those of its properties, from 1."""
    reader = UintReader(ipma)
    header = reader.read(4)
    id_size = 2 if header >> 24 == 0 else 4
    number_size: Literal[1, 2] = 2 if header & 1 else 1
    # The first bit says whether the property is essential.
    mask = MAX_PROPERTIES if number_size == 2 else 0x7F
    for _ in range(reader.read(4)):
        item = reader.read(id_size)
        yield item, [number & mask for number in reader.read_list(reader.read(1), number_size)]


def describe_unsupported_heif(data: bytes) -> str | None:
    """What decoders report like damage although the file is whole."""
    try:
        if any(box.name == LOW_OVERHEAD for box in iterate_boxes(data)):
            return "with a low-overhead header"
        used: set[int] = set()
        sized: set[int] = set()
        for item, properties in list_item_properties(data):
            used.update([item] if properties else [])
            sized.update(item for box in properties if box.name == b"ispe")
    except TruncatedImage:
        return None
    # Early encoders left it out for transparency; libavif requires it.
    return None if used <= sized else "with a part without a size"


def unlink_metadata(data: bytes) -> bytes:
    """Renames the references ("cdsc") from metadata items to the image, so that libheif ignores the metadata.

    pi-heif 1.4 crashes on metadata items other than Exif and mime, although ISO/IEC 23008-12 allows them. A file
    without a ``meta`` box has no references. Raises TruncatedImage if the box is cut off.
    """
    meta = next((box for box in iterate_boxes(data) if box.name == b"meta"), None)
    if meta is None:
        return data
    return data[: meta.start] + data[meta.start : meta.end].replace(b"cdsc", b"skip") + data[meta.end :]


def merge_associations(data: bytes) -> bytes:
    """Makes one list of properties ("ipma") of several, since libavif allows only one. All offsets stay.

    Early versions of cavif write a list for each item. Files of another structure are returned unchanged.
    """
    try:
        meta = find_meta_box(data)
        iprp = next(box for box in iterate_boxes(data, meta.body + FULL_BOX_HEADER, meta.end) if box.name == b"iprp")
        properties, *lists = iterate_boxes(data, iprp.body, iprp.end)
    except (TruncatedImage, StopIteration, ValueError):
        return data
    entries = FULL_BOX_HEADER + 4
    heads = {data[box.body : box.body + FULL_BOX_HEADER] for box in lists}
    are_lists = all(box.name == b"ipma" and box.end - box.body >= entries for box in lists)
    if len(lists) < 2 or len(heads) > 1 or not are_lists:
        return data
    count = sum(read_uint(data, box.body + FULL_BOX_HEADER, 4) for box in lists)
    if count > MAX_ENTRIES:
        return data
    merged = heads.pop() + count.to_bytes(4, "big") + b"".join(data[box.body + entries : box.end] for box in lists)
    content = data[properties.start : properties.end] + make_box(b"ipma", merged)
    filling = bytes(iprp.end - iprp.start - len(content) - 16)
    return data[: iprp.start] + make_box(b"iprp", content) + make_box(b"free", filling) + data[iprp.end :]


def make_box(name: bytes, content: bytes) -> bytes:
    return (8 + len(content)).to_bytes(4, "big") + name + content
