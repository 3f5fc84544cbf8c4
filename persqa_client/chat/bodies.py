"""A request's body in parts, put together while it is sent: a picture becomes base64 piece by piece. Pure.

What a request holds while it is under way is thus the picture and no copy of it, and no piece is so large that the
allocator fetches fresh pages from the system for it: that costs more than the base64 itself.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import pybase64

from persqa_client.types import Picture

PIECE = 48 * 1024
"""Bytes of a picture that become base64 at a time: 64 KB of it, as much as the transport takes before it waits."""


@dataclass(frozen=True, slots=True)
class Body:
    """JSON as it is, with pictures in between. May be gone through as often as it is sent."""

    parts: tuple[bytes | Picture, ...]

    def __len__(self) -> int:
        return sum(len(part) if isinstance(part, bytes) else base64_length(len(part.data)) for part in self.parts)

    def __bytes__(self) -> bytes:
        return b"".join(self.pieces())

    def pieces(self) -> Iterator[bytes]:
        for part in self.parts:
            if isinstance(part, bytes):
                yield part
                continue
            view = memoryview(part.data)
            for start in range(0, len(view), PIECE):
                yield pybase64.b64encode(view[start : start + PIECE])


class Upload:
    """A body on its way. It lets go of its pictures at the end, or they would stay as long as the request does: the
    transport's requests and replies hold each other until the garbage collector comes, hundreds of them at times."""

    def __init__(self, body: Body) -> None:
        self._body: Body | None = body
        self._length = len(body)

    def __len__(self) -> int:
        return self._length

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._body.pieces() if self._body else ():
            yield piece

    def __enter__(self) -> Upload:
        return self

    def __exit__(self, *error: object) -> None:
        self._body = None


def base64_length(count: int) -> int:
    return (count + 2) // 3 * 4
