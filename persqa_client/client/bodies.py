"""A request's body in parts, put together while it is sent: a picture becomes base64 piece by piece. Pure.

What a request holds while it is under way is thus the picture and no copy of it, and no piece is so large that the
allocator fetches fresh pages from the system for it: that costs more than the base64 itself.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import pybase64

from persqa_client.types import Picture

PIECE = 90 * 1024
"""Bytes of a picture that become base64 at a time, a multiple of three: 120 KB of it. Fewer make more system calls;
128 KB and more are what glibc fetches fresh pages for (M_MMAP_THRESHOLD), at three times the cost in the kernel."""


@dataclass(frozen=True, slots=True)
class Body:
    """JSON as it is, with pictures in between. May be gone through as often as it is sent."""

    parts: tuple[bytes | Picture, ...]

    def __len__(self) -> int:
        return sum(len(part) if isinstance(part, bytes) else base64_length(len(part.data)) for part in self.parts)

    def __bytes__(self) -> bytes:
        return b"".join(self.pieces())

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces():
            yield piece

    def pieces(self) -> Iterator[bytes]:
        for part in self.parts:
            if isinstance(part, bytes):
                yield part
                continue
            view = memoryview(part.data)
            for start in range(0, len(view), PIECE):
                yield pybase64.b64encode(view[start : start + PIECE])


def base64_length(count: int) -> int:
    return (count + 2) // 3 * 4
