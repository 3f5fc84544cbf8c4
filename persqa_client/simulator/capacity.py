"""How many requests are served at once, and how many may wait. Keeps counts on the event loop; touches nothing else."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import StreamReader


class QueueFull(Exception):
    """As many requests as may wait are waiting."""


class Slots:
    """The slots of a server. A request that goes away gives its slot, or its place in the queue, back."""

    def __init__(self, size: int, max_queued: int | None = None) -> None:
        self.size = size
        self.max_queued = max_queued
        self.running = 0
        self.queue: deque[asyncio.Future[None]] = deque()

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return len(self.queue)

    @property
    def free(self) -> bool:
        """Whether a request would be served at once."""
        return self.running < self.size and not self.queue

    @property
    def full(self) -> bool:
        """Whether a request would be turned away."""
        return not self.free and self.max_queued is not None and self.waiting >= self.max_queued

    @asynccontextmanager
    async def hold(self) -> AsyncIterator[None]:
        """Wait for a slot, first come first served, and hold it. Raises QueueFull where too many wait already."""
        await self.enter()
        try:
            yield
        finally:
            self.leave()

    async def enter(self) -> None:
        """Take a slot, or a place in the queue until there is one."""
        if self.free:
            self.running += 1
            return
        if self.full:
            raise QueueFull
        turn = asyncio.get_running_loop().create_future()
        self.queue.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn in self.queue:
                self.queue.remove(turn)
            elif not turn.cancelled():
                self.leave()
            raise

    def leave(self) -> None:
        """Give a slot back."""
        self.running -= 1
        self.admit()

    def resize(self, size: int) -> None:
        """Have so many slots from now on; of more that are in use, none is taken away."""
        self.size = size
        self.admit()

    def admit(self) -> None:
        """Let the queue's head in while there is room."""
        while self.queue and self.running < self.size:
            turn = self.queue.popleft()
            if not turn.done():
                self.running += 1
                turn.set_result(None)


# One link of limited speed that all uploads share. Reads request bodies; sleeps.


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
