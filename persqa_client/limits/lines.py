"""A waiting line: one at a time, what is tried again before what is new. Waits, nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from persqa_client.errors import Interrupted
from persqa_client.limits.waiters import Waiters


class Line:
    """Lets one after the other in. Once closed, all who wait or are in get Interrupted."""

    def __init__(self) -> None:
        self._taken = False
        self._waiting = Waiters()
        self._closed = False
        self._patience: set[asyncio.Timeout] = set()

    @asynccontextmanager
    async def turn(self, *, again: bool) -> AsyncIterator[None]:
        if self._closed:
            raise Interrupted
        patience = asyncio.timeout(None)
        self._patience.add(patience)
        try:
            async with patience, self._alone(again=again):
                yield
        except TimeoutError:
            raise Interrupted from None
        finally:
            self._patience.discard(patience)

    @asynccontextmanager
    async def _alone(self, *, again: bool) -> AsyncIterator[None]:
        if self._taken:
            await self._waiting.wait(1, again=again, give_back=lambda _: self._pass_on())
        self._taken = True
        try:
            yield
        finally:
            self._pass_on()

    def _pass_on(self) -> None:
        self._taken = False
        if self._waiting.first() is not None:
            self._taken = True
            self._waiting.call(1)

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        now = asyncio.get_running_loop().time()
        for patience in self._patience:
            patience.reschedule(now)
