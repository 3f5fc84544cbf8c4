"""Restores the end of files that lack only that: their pixels are complete.

Some programs omit the end marker, and transfers cut off the last bytes.
"""

from __future__ import annotations

import io
import random
import re
import zlib

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from persqa_client.errors import RowError
from persqa_client.images.containers import GIF_HEADER, gif_colour_table_size, read_uint, skip_gif_subblocks
from persqa_client.images.decode import DECODER_ERRORS, check_dimensions
from persqa_client.images.jpeg import DRI, FRAME_HEADER, FRAMES, JPEG_END, JPEG_START, MARKER, SOS, STUFFED
from persqa_client.images.png import PNG_SIGNATURE

PNG_END = b"\0\0\0\0IEND\xaeB`\x82"
PNG_PIXEL = 8  # bytes of a pixel, at most
GIF_END = b";"
# Frames whose channels are complete after one scan of each.
SEQUENTIAL_FRAMES = frozenset({0xC0, 0xC1})
RESTART = re.compile(rb"\xff[\xd0-\xd7]")
BLOCK = 8  # pixels on a side
PADDING_BYTES = 256
# Zeros at the end of a scan that may be pixels, although more zeros follow them.
MAX_ZERO_PIXELS = 3


def restore_end(data: bytes, format: str) -> bytes | None:
    """The file with its end marker; None if pixels are missing, too, or if that is unknown.

    Slow: it decodes the pixels. Raises RowError for too many of them.
    """
    if format == "JPEG":
        return restore_jpeg_end(data)
    if format == "PNG":
        return restore_png_end(data)
    return restore_gif_end(data) if format == "GIF" else None


def restore_jpeg_end(data: bytes) -> bytes | None:
    """Zeros at the end are pixels only if all of them are needed, or if the first few suffice.

    A download into a file that has its size from the start leaves zeros, which often decode like pixels.
    """
    if not has_all_intervals(data):
        return None
    data = data.removesuffix(JPEG_END[:1])
    end = len(data.rstrip(b"\0"))
    if data[:end].endswith(STUFFED[:1]):
        end += 1
    for length in range(end, min(len(data), end + MAX_ZERO_PIXELS) + 1):
        scan = data[:length]
        if is_complete_scan(scan) and (length == end or needs_last_bit(scan)):
            return scan + JPEG_END
    are_pixels = len(data) > end and is_complete_scan(data) and not is_complete_scan(data[:-1])
    return data + JPEG_END if are_pixels else None


def is_complete_scan(data: bytes) -> bool:
    """A decoder takes missing data from what follows, or shows grey if nothing does. Thus the image is complete if it
    does not depend on that.
    """
    noise = random.Random(0).choices(range(0xFF), k=PADDING_BYTES)
    try:
        pixels = decode_pixels(data + JPEG_END)
        return all(decode_pixels(data + padding + JPEG_END) == pixels for padding in (bytes(noise), bytes(len(noise))))
    except (*DECODER_ERRORS, RowError):
        return False


def needs_last_bit(data: bytes) -> bool:
    """Whether the last zero is a part of the pixels: encoders fill the last byte with ones."""
    return decode_pixels(data + JPEG_END) != decode_pixels(data[:-1] + b"\1" + JPEG_END)


def has_all_intervals(data: bytes) -> bool:
    """Whether one sequential scan has all channels, and as many restart markers as the pixels need.

    A decoder goes on with grey after an interval that lacks the next restart marker, whatever follows.
    """
    position, frame, interval = len(JPEG_START), b"", 0
    while match := MARKER.search(data, position):
        code = data[match.start() + 1]
        position = match.end() + int.from_bytes(data[match.end() : match.end() + 2], "big")
        body = data[match.end() + 2 : position]
        if code == SOS:
            if MARKER.search(data, position) or not frame or not body or body[0] != frame[5]:
                return False
            restarts = sum(1 for _ in RESTART.finditer(data, position))
            return not interval or restarts >= -(-count_units(frame) // interval) - 1
        if code in FRAMES:
            is_usable = code in SEQUENTIAL_FRAMES and len(body) > FRAME_HEADER.size
            frame = body if is_usable else b""
        elif code == DRI:
            interval = int.from_bytes(body[:2], "big")
    return False


def count_units(frame: bytes) -> int:
    """The MCUs of a scan with all channels of the frame (T.81, A.2): those of a single channel are blocks."""
    height, width, channels = (read_uint(frame, offset, size) for offset, size in ((1, 2), (3, 2), (5, 1)))
    factors = frame[FRAME_HEADER.size + 1 :: 3]
    across, down = max([1, *(factor >> 4 for factor in factors)]), max([1, *(factor & 15 for factor in factors)])
    if channels == 1:
        across = down = 1
    return -(-width // (BLOCK * across)) * -(-height // (BLOCK * down))


def decode_pixels(data: bytes) -> bytes:
    """Raises like a decoder, or RowError for too many pixels."""
    opened: Image.Image = JpegImageFile(io.BytesIO(data))
    check_dimensions(*opened.size, "JPEG")
    return opened.tobytes()


def restore_png_end(data: bytes) -> bytes | None:
    """If all chunks are complete, and the compressed pixels have their end. Raises RowError for too many pixels."""
    width, height = (read_uint(data, offset, 4) for offset in (16, 20))
    check_dimensions(width, height, "PNG")
    position, pixels = len(PNG_SIGNATURE), []
    while position + 12 <= len(data):
        size = int.from_bytes(data[position : position + 4], "big")
        if position + 12 + size > len(data):
            break
        if data[position + 4 : position + 8] == b"IDAT":
            pixels.append(data[position + 8 : position + 8 + size])
        position += 12 + size
    is_complete = bool(pixels) and is_complete_stream(pixels, PNG_PIXEL * (width + 2) * height)
    return data[:position] + PNG_END if is_complete else None


def is_complete_stream(parts: list[bytes], most: int) -> bool:
    """Whether the stream ends after at most ``most`` bytes: a small one could expand to gigabytes."""
    stream = zlib.decompressobj()
    try:
        for part in parts:
            while part:
                most -= len(stream.decompress(part, 1 << 20))
                if most < 0:
                    return False
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
