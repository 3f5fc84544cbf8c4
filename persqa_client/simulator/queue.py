"""How many requests are served at once, and how many may wait. Keeps counts on the event loop; touches nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class QueueFull(Exception):
    """As many requests as may wait are waiting."""


class Slots:
    """The slots of a server. A request that goes away gives its slot, or its place in the queue, back."""

    def __init__(self, size: int, max_queued: int | None = None) -> None:
        self.size = size
        self.max_queued = max_queued
        self.running = 0
        self.waiting = 0
        self.free = asyncio.Semaphore(size)

    @asynccontextmanager
    async def hold(self) -> AsyncIterator[None]:
        """Wait for a slot, first come first served, and hold it. Raises QueueFull where too many wait already."""
        if self.free.locked() and self.max_queued is not None and self.waiting >= self.max_queued:
            raise QueueFull
        self.waiting += 1
        try:
            await self.free.acquire()
        finally:
            self.waiting -= 1
        self.running += 1
        try:
            yield
        finally:
            self.running -= 1
            self.free.release()
