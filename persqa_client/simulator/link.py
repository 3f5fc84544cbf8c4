"""One link of limited speed that all uploads share. Reads request bodies; sleeps."""

from __future__ import annotations

import asyncio

from aiohttp import StreamReader


class Link:
    """A link of so many megabits a second. Each piece takes its turn after the pieces that came before it."""

    def __init__(self, mbps: float) -> None:
        self.bytes_per_second = mbps * 1e6 / 8
        self.free_at = 0.0
        """Loop time at which all that was let in so far has passed."""

    def book(self, size: int, now: float) -> float:
        """Seconds until a piece of so many bytes has passed, booked behind all others."""
        self.free_at = max(now, self.free_at) + size / self.bytes_per_second
        return self.free_at - now

    async def read(self, stream: StreamReader) -> bytes:
        """Read a body at the link's pace; what is not read yet holds the sender back."""
        pieces = []
        loop = asyncio.get_running_loop()
        async for piece in stream.iter_any():
            pieces.append(piece)
            await asyncio.sleep(self.book(len(piece), loop.time()))
        return b"".join(pieces)
