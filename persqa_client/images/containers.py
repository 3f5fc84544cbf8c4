"""What the readers of JPEG, PNG, WebP, HEIF, GIF, BMP and TIFF files share: their result, their error and `read_uint`.

The readers follow a file's structure without decoding its pixels, which costs about as much as copying the bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ByteOrder = Literal["little", "big"]


class TruncatedImage(ValueError):
    """The file ends, or its structure breaks, before the end of the image."""


@dataclass(frozen=True, slots=True)
class StrippedImage:
    """An image file without metadata, and what its header says."""

    data: bytes
    width: int  # as stored: before the orientation is applied
    height: int
    plain: bool  # 8 bits per channel, grey or RGB, opaque, not animated, in an encoding that every decoder supports
    orientation: int  # EXIF orientation, 1 to 8; 1 (upright) if the file has none


def read_uint(data: bytes, offset: int, size: int, order: ByteOrder = "big") -> int:
    """The unsigned integer of ``size`` bytes at ``offset``; bytes after the end of ``data`` count as missing."""
    return int.from_bytes(data[offset : offset + size], order)
