"""Slots, queue and network link of a simulated server."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import StreamReader


class QueueFull(Exception):
    """The queue has as many waiting requests as it may have."""


class Slots:
    """Slots in order of arrival. Cancelled requests release their slot or place."""

    def __init__(self, size: int, max_queued: int | None = None) -> None:
        self.size = size
        self.max_queued = max_queued
        self.running = 0
        self._queue: deque[asyncio.Future[None]] = deque()

    @property
    def waiting(self) -> int:
        return len(self._queue)

    @property
    def has_free(self) -> bool:
        return self.running < self.size and not self._queue

    @property
    def is_full(self) -> bool:
        return not self.has_free and self.max_queued is not None and self.waiting >= self.max_queued

    @asynccontextmanager
    async def hold(self) -> AsyncIterator[None]:
        await self.acquire()
        try:
            yield
        finally:
            self.release()

    async def acquire(self) -> None:
        if self.has_free:
            self.running += 1
            return
        if self.is_full:
            raise QueueFull
        turn = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn in self._queue:
                self._queue.remove(turn)
            elif not turn.cancelled():
                self.release()
            raise

    def release(self) -> None:
        self.running -= 1
        self._wake_waiting()

    def resize(self, size: int) -> None:
        self.size = size
        self._wake_waiting()

    def _wake_waiting(self) -> None:
        while self._queue and self.running < self.size:
            turn = self._queue.popleft()
            if not turn.done():
                self.running += 1
                turn.set_result(None)


class SharedLink:
    """A network link shared by all request bodies."""

    def __init__(self, mbps: float) -> None:
        self.bytes_per_second = mbps * 1e6 / 8
        # Loop time when everything accepted so far has been transferred.
        self.free_at = 0.0

    def reserve(self, size: int, now: float) -> float:
        """Seconds until ``size`` bytes are transferred, after all earlier ones."""
        self.free_at = max(now, self.free_at) + size / self.bytes_per_second
        return self.free_at - now

    async def read(self, stream: StreamReader) -> bytes:
        """Reads a body at the link's speed; the sender has to wait."""
        pieces = []
        loop = asyncio.get_running_loop()
        async for piece in stream.iter_any():
            pieces.append(piece)
            await asyncio.sleep(self.reserve(len(piece), loop.time()))
        return b"".join(pieces)
