"""What walking a picture file by its structure gives, and the numbers in it. Pure.

Nothing is decoded on these walks, so they cost about a copy of the bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

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
