"""Walks a GIF by its blocks, to see whether it reaches its end. Pure.

By CompuServe's GIF89a.
"""

from __future__ import annotations

from persqa_client.images.structure import Truncated, unsigned


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
