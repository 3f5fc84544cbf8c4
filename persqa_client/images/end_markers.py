"""Restores the end of files that lack only that: their pixels are complete.

Some programs omit the end marker, and transfers cut off the last bytes.
"""

from __future__ import annotations

import io
import random
import zlib

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from persqa_client.errors import RowError
from persqa_client.images.containers import GIF_HEADER, gif_colour_table_size, skip_gif_subblocks
from persqa_client.images.decode import DECODER_ERRORS, check_dimensions
from persqa_client.images.jpeg import JPEG_END, JPEG_START, MARKER, STUFFED
from persqa_client.images.png import PNG_SIGNATURE

PNG_END = b"\0\0\0\0IEND\xaeB`\x82"
GIF_END = b";"
# Frames whose scans have all channels in one pass: a missing scan cannot go unnoticed.
SEQUENTIAL_FRAMES = frozenset({0xC0, 0xC1})
START_OF_SCAN = 0xDA
PADDING_BYTES = 256


def restore_end(data: bytes, format: str) -> bytes | None:
    """The file with its end marker; None if pixels are missing, too, or if that is unknown."""
    if format == "JPEG":
        return restore_jpeg_end(data)
    if format == "PNG":
        return restore_png_end(data)
    return restore_gif_end(data) if format == "GIF" else None


def restore_jpeg_end(data: bytes) -> bytes | None:
    """Zeros at the end are pixels only if all of them are needed.

    A download into a file that has its size from the start leaves zeros, which often decode like pixels.
    """
    if not has_one_sequential_scan(data):
        return None
    data = data.removesuffix(JPEG_END[:1])
    unfilled = data.rstrip(b"\0")
    if unfilled.endswith(STUFFED[:1]):
        unfilled = data[: len(unfilled) + 1]
    if is_complete_scan(unfilled):
        return unfilled + JPEG_END
    are_pixels = len(data) > len(unfilled) and is_complete_scan(data) and not is_complete_scan(data[:-1])
    return data + JPEG_END if are_pixels else None


def is_complete_scan(data: bytes) -> bool:
    """A decoder takes missing data from what follows. Thus the image is complete if it does not depend on that."""
    noise = random.Random(0).choices(range(0xFF), k=PADDING_BYTES)
    paddings = (bytes(PADDING_BYTES), bytes(noise))
    try:
        first, second = (decode_pixels(data + padding + JPEG_END) for padding in paddings)
    except (*DECODER_ERRORS, RowError):
        return False
    return first == second


def has_one_sequential_scan(data: bytes) -> bool:
    position, frame = len(JPEG_START), 0
    while match := MARKER.search(data, position):
        code = data[match.start() + 1]
        if code == START_OF_SCAN:
            scan = match.end() + int.from_bytes(data[match.end() : match.end() + 2], "big")
            return frame in SEQUENTIAL_FRAMES and MARKER.search(data, scan) is None
        if 0xC0 <= code <= 0xCF and code not in (0xC4, 0xC8, 0xCC):
            frame = code
        position = match.end() + int.from_bytes(data[match.end() : match.end() + 2], "big")
    return False


def decode_pixels(data: bytes) -> bytes:
    """Raises like a decoder, or RowError for too many pixels."""
    opened: Image.Image = JpegImageFile(io.BytesIO(data))
    check_dimensions(*opened.size, "JPEG")
    return opened.tobytes()


def restore_png_end(data: bytes) -> bytes | None:
    """If all chunks are complete, and the compressed pixels have their end."""
    position, pixels = len(PNG_SIGNATURE), []
    while position + 12 <= len(data):
        size = int.from_bytes(data[position : position + 4], "big")
        if position + 12 + size > len(data):
            break
        if data[position + 4 : position + 8] == b"IDAT":
            pixels.append(data[position + 8 : position + 8 + size])
        position += 12 + size
    return data[:position] + PNG_END if pixels and is_complete_stream(pixels) else None


def is_complete_stream(parts: list[bytes]) -> bool:
    stream = zlib.decompressobj()
    try:
        for part in parts:
            while part:
                stream.decompress(part, 1 << 20)
                part = stream.unconsumed_tail
    except zlib.error:
        return False
    return stream.eof


def restore_gif_end(data: bytes) -> bytes | None:
    """If the first image is complete; others are not used."""
    position = GIF_HEADER + gif_colour_table_size(data, 10)
    while position < len(data) and data[position] == 0x21:
        position = skip_gif_subblocks(data, position + 2)
    if position >= len(data) or data[position] != 0x2C:
        return None
    end = skip_gif_subblocks(data, position + 11 + gif_colour_table_size(data, position + 9))
    return data[:end] + GIF_END if end <= len(data) else None
